"""The state of one apiserver address as one value: what our polls of it took, and how they failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from exporter.measure.histogram import Histogram
from exporter.vocabulary import FINE_BOUNDS, START_REASONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.measure.times import Instant, Interval
    from exporter.vocabulary import ClockName, ClockReads, StartReason


class PollCounts(msgspec.Struct):
    """Polls of one clock, from 0 on."""

    seconds: Histogram
    """From sending a poll to its answer."""
    failed: dict[StartReason, int]

    @classmethod
    def none(cls, histogram: type[Histogram] = Histogram) -> PollCounts:
        """Nothing was polled."""
        return cls(histogram(FINE_BOUNDS), dict.fromkeys(START_REASONS, 0))

    @property
    def answered(self) -> int:
        """How many were."""
        return self.seconds.count

    @property
    def failures(self) -> int:
        """How many were not, whatever the reason."""
        return sum(self.failed.values())

    @property
    def asked(self) -> int:
        """All of them."""
        return self.answered + self.failures

    def copy(self) -> PollCounts:
        """The counts as they are now."""
        return PollCounts(self.seconds.copy(), self.failed.copy())

    def since(self, earlier: PollCounts) -> PollCounts:
        """What was counted since `earlier`, a copy of these."""
        failed = {reason: times - earlier.failed[reason] for reason, times in self.failed.items()}
        return PollCounts(self.seconds.since(earlier.seconds), failed)

    def plus(self, other: PollCounts | None) -> PollCounts:
        """Those of both clocks, or of this one alone."""
        if other is None:
            return self
        failed = {reason: times + other.failed[reason] for reason, times in self.failed.items()}
        return PollCounts(self.seconds.plus(other.seconds), failed)


class PolledClock(NamedTuple):
    """Which clock is polled, by which kind, and what the apiserver reads to answer."""

    clock: ClockName
    group: str
    resource: str
    reads: ClockReads


class WayBack(NamedTuple):
    """How long one answer was on its way to us, by the Date that the apiserver wrote into it."""

    arrived: Instant
    seconds: Interval


class ApiserverState(msgspec.Struct, frozen=True, kw_only=True):
    """One apiserver address at one moment."""

    apiserver: str
    """host:port."""
    at: Instant
    is_one_apiserver: bool = True
    """False for an address that may be a balancer's."""
    polls: Mapping[PolledClock, PollCounts]
    waiting_since: Mapping[PolledClock, Instant] = msgspec.field(default_factory=dict)
    """When the oldest poll was sent that is not answered yet."""
    ways_back: tuple[WayBack, ...] = ()
    """Of the last answers whose Date can be trusted."""
