"""What the rules find."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from exporter.wording.kinds import kind_name
from exporter.wording.moments import when

if TYPE_CHECKING:
    from exporter.vocabulary import Certainty, Fault


def claim(fault: str, certainty: Certainty, sentence: str, seen_until: str = "") -> str:
    """What is said of a fault, as certain as it is, and until which time it was seen if it is seen no more."""
    # That there is a cause is certain, and nothing more is said.
    is_certain = certainty == "shown" or fault == "unknown_cause"
    if seen_until:
        return f"{'Seen' if is_certain else 'Suspected'} until {seen_until}, not since: {sentence}"
    return sentence if is_certain else f"Suspected: {sentence}"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One fault, where it is, since when, and why we say so."""

    fault: Fault
    certainty: Certainty
    apiserver: str = ""
    """host:port; "" where it is the exporter's own."""
    group: str = ""
    resource: str = ""
    """"" where it concerns all resources."""
    since: float
    """Unix time."""
    is_since_start: bool = False
    """Whether it was there when the exporter began to look: then it may be there for longer."""
    seen_until: float | None = None
    """Unix time of the last sign of it; None while there are any."""
    sentence: str
    """What it is, where, in words."""
    evidence: tuple[str, ...]
    """Facts for it, with their figures; what confirms comes last."""
    excluded: tuple[str, ...]
    """What else it could be, and which fact excludes that."""
    remedy: str
    """What people do about it."""
    steps: tuple[str, ...] = ()
    """The same, step by step: the first is something to look at or to do at once."""
    runbook: str
    """A link to the fault in docs/faults.md."""

    @property
    def claim(self) -> str:
        """The sentence, whether it is only suspected, and whether it is over."""
        until = self.seen_until
        said = when(until, now=until) if until is not None else ""  # that was seconds ago
        return claim(self.fault, self.certainty, self.sentence, said)

    @property
    def name(self) -> str:
        """The resource as flags have it; "" if it concerns all."""
        return kind_name(self.group, self.resource)

    @property
    def key(self) -> tuple[Fault, str, str, str]:
        """What makes it the same finding at another moment."""
        return self.fault, *self.place

    @property
    def place(self) -> tuple[str, str, str]:
        """Where it is."""
        return self.apiserver, self.group, self.resource
