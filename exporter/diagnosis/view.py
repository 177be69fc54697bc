"""The place from which signs of faults are looked for, and what a sign says."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from exporter.diagnosis.facts import ApiserverFacts, Facts, StreamFacts
    from exporter.diagnosis.server_facts import ServerFacts


class Observed(msgspec.Struct, frozen=True):
    """What a sign says of one place."""

    holds: bool | None
    """None: it is not known."""
    says: str = ""
    """A clause with figures, of what is seen, whether it holds or not."""


UNKNOWN = Observed(None)


class View:
    """All that can be seen from one place: a stream, or an apiserver with all its streams."""

    def __init__(
        self,
        facts: Facts,
        apiserver: ApiserverFacts,
        stream: StreamFacts | None = None,
        member: ServerFacts | None = None,
    ) -> None:
        self.facts = facts
        self.apiserver = apiserver
        self.stream = stream
        self.member = member
        """Behind a balancer: of which of the apiservers it is looked whether it is the cause."""
        self.here = [stream] if stream is not None else self.all_here
        """The stream, or all of the apiserver's."""

    @property
    def server(self) -> ServerFacts | None:
        """The apiserver's own metrics, if they are read."""
        return self.apiserver.server if self.member is None else self.member

    def of_members(self) -> Iterator[View]:
        """The same place with each of the apiservers behind it."""
        for member in self.apiserver.members:
            yield View(self.facts, self.apiserver, self.stream, member)

    def other_servers(self, server: ServerFacts) -> list[ServerFacts]:
        """The own metrics of all other apiservers that are known, those behind the same address among them."""
        known = [own for one in self.facts.apiservers for own in (one.server, *one.members) if own is not None]
        return [own for own in known if own is not server]

    @cached_property
    def all_here(self) -> list[StreamFacts]:
        """All streams of this apiserver."""
        return [one for one in self.facts.streams if one.apiserver == self.apiserver.apiserver]

    @cached_property
    def others(self) -> list[StreamFacts]:
        """The other streams of this apiserver."""
        return [one for one in self.all_here if one is not self.stream]

    @cached_property
    def peers(self) -> list[StreamFacts]:
        """What watches the same on other apiservers."""
        names = {(one.group, one.resource) for one in self.here}
        away = self.apiserver.apiserver
        return [one for one in self.facts.streams if one.apiserver != away and (one.group, one.resource) in names]

    @cached_property
    def peer_apiservers(self) -> list[ApiserverFacts]:
        """The other apiservers."""
        return [one for one in self.facts.apiservers if one.apiserver != self.apiserver.apiserver]

    @property
    def half(self) -> float:
        """Half of the threshold: a stage that takes so long is where the time goes."""
        return self.facts.threshold_seconds / 2


class Sign(msgspec.Struct, frozen=True):
    """One thing to look for. `title` says in general what it is, for docs/faults.md."""

    title: str
    look: Callable[[View], Observed]
    is_reported: bool = False
    """Whether it is in the apiserver's own metrics alone."""


def sign(look: Callable[[View], Observed]) -> Sign:
    """Make a sign of a function; its docstring is the title."""
    return Sign(_title(look), look)


def server_sign(look: Callable[[View, ServerFacts], Observed]) -> Sign:
    """Make a sign in the apiserver's own metrics; unknown where they are not read."""

    def looked(view: View) -> Observed:
        return look(view, view.server) if view.server is not None else UNKNOWN

    return Sign(f"its metrics: {_title(look)}", looked, is_reported=True)


def _title(look: Callable[..., Observed]) -> str:
    first = (look.__doc__ or "").strip().split("\n", 1)[0].removesuffix(".")
    return first[:1].lower() + first[1:]


def yes(says: str) -> Observed:
    """The sign is there."""
    return Observed(True, says)  # noqa: FBT003 named here


def no(says: str) -> Observed:
    """The sign is certainly not there."""
    return Observed(False, says)  # noqa: FBT003 named here


def inverse(answer: Observed) -> Observed:
    """The same facts, for the sign that says the opposite."""
    return answer if answer.holds is None else Observed(not answer.holds, answer.says)
