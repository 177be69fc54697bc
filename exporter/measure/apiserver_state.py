"""The state of one apiserver address as one value: what our polls of it took, and how they failed."""

from __future__ import annotations

from operator import lt
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from exporter.measure.histogram import Histogram
from exporter.vocabulary import FINE_BOUNDS, START_REASONS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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

    def began_anew(self, earlier: PollCounts) -> bool:
        """Whether `earlier` is certainly no copy of these, because it has counted what is not in here."""
        return any(map(lt, self._numbers(), earlier._numbers()))

    def _numbers(self) -> tuple[int, ...]:
        return *self.seconds.counts, *self.failed.values()

    def since(self, earlier: PollCounts) -> PollCounts:
        """What was counted since `earlier`, a copy of these."""
        failed = {reason: times - earlier.failed[reason] for reason, times in self.failed.items()}
        return PollCounts(self.seconds.since(earlier.seconds), failed)

    @staticmethod
    def total(clocks: Sequence[PollCounts]) -> PollCounts:
        """Those of several clocks, one at least, together."""
        first, *others = clocks
        seconds = first.seconds.plus([one.seconds for one in others])
        failed = map(sum, zip(*[one.failed.values() for one in clocks], strict=True))
        return PollCounts(seconds, dict(zip(first.failed, failed, strict=True)))


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
