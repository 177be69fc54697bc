"""What the rules find."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from exporter.wording.kinds import kind_name

if TYPE_CHECKING:
    from exporter.vocabulary import Certainty, Fault


def claim(certainty: Certainty, sentence: str) -> str:
    """What is said of a fault, as certain as it is."""
    return sentence if certainty == "shown" else f"Suspected: {sentence}"


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
        """The sentence, and whether it is only suspected."""
        return claim(self.certainty, self.sentence)

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
