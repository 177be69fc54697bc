"""The few numbers of a stream's counters from which a step of its history is made: what grew between two of them."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, NamedTuple

from exporter.vocabulary import STAGES

if TYPE_CHECKING:
    from exporter.measure.histogram import Histogram
    from exporter.measure.stream_state import StreamCounts


class Sum(NamedTuple):
    """Durations: how many, the sum of the finite ones, and how many are not finite."""

    durations: int
    seconds: float
    unbounded: int

    @classmethod
    def of(cls, histogram: Histogram) -> Sum:
        """Those of a histogram."""
        return cls(histogram.count, histogram.sum, histogram.unbounded)

    def mean_since(self, earlier: Sum) -> float | None:
        """The mean of those that came since; None if none did, inf if any of them has no upper bound."""
        if self.unbounded > earlier.unbounded:
            return inf
        durations = self.durations - earlier.durations
        return max(0.0, self.seconds - earlier.seconds) / durations if durations > 0 else None


class Totals(NamedTuple):
    """Counters of a stream at one moment."""

    events: int
    """That have a verdict."""
    late: int
    width: Sum
    """Of the intervals: how unsure we are."""
    stages: tuple[Sum, ...]
    """The lower and the upper ends of each stage, in turn."""

    @classmethod
    def of(cls, counts: StreamCounts) -> Totals:
        """Those of a stream."""
        judged = counts.judged
        return cls(
            sum(judged.values()),
            judged["late"],
            Sum.of(counts.interval_width),
            tuple([Sum.of(ends[stage]) for stage in STAGES for ends in (counts.stage_lower, counts.stage_upper)]),
        )
