"""Clients that write one object in turns: each undoes, or repeats, what the other did."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import astuple

from exporter.audit.bounded import Lately

MOST_OBJECTS = 50_000
MOST_WRITERS = 4
"""Of one object; more are as good as these."""

FEWEST_TURNS = 10
LONGEST_TURN_SECONDS = 60.0
"""On average. Slower than this is no fight, but work that two do on one object."""


class Writer(Struct, frozen=True):
    """Who writes. Replicas without leader election fight too, if their tokens name their Pods."""

    user: str
    agent: str
    pod: str


WrittenObject: TypeAlias = tuple[str, str, str]
"""Resource with subresource, namespace and name: whoever writes the status does not fight with who writes the rest."""


class InTurns(Struct, frozen=True):
    """An object that clients write in turns."""

    resource: str
    namespace: str
    name: str
    writers: tuple[Writer, ...]
    turns: int
    since: float
    until: float


class _Turns:
    __slots__ = ("since", "turns", "until", "writers")

    def __init__(self) -> None:
        self.writers: list[Writer] = []
        """The newest is the last."""
        self.turns = 0
        """How often somebody wrote who had written before, but not last."""
        self.since = self.until = 0.0


class Writers:
    """Who wrote which object last."""

    def __init__(self, most_objects: int = MOST_OBJECTS) -> None:
        self._objects: Lately[WrittenObject, _Turns] = Lately(most_objects)

    def wrote(self, what: WrittenObject, writer: Writer, at: float) -> None:
        """A write that was accepted."""
        turns = self._objects.get_or(what, _Turns)
        if turns.writers and turns.writers[-1] == writer:
            return
        if writer in turns.writers:
            turns.since = turns.since if turns.turns else at
            turns.until = at
            turns.turns += 1
            turns.writers.remove(writer)
        turns.writers.append(writer)
        del turns.writers[:-MOST_WRITERS]

    def in_turns(self) -> list[InTurns]:
        """Those that look like a fight, the worst first."""
        found = [
            InTurns(*what, tuple(sorted(turns.writers, key=astuple)), turns.turns, turns.since, turns.until)
            for what, turns in self._objects.items()
            if turns.turns >= FEWEST_TURNS and turns.until - turns.since <= LONGEST_TURN_SECONDS * turns.turns
        ]
        return sorted(found, key=lambda fight: (-fight.turns, fight.resource, fight.namespace, fight.name))
