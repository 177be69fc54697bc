"""Counts durations in buckets, as Prometheus histograms do."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from math import inf
from operator import add, sub
from typing import TYPE_CHECKING

from exporter.measure.times import Interval

if TYPE_CHECKING:
    from collections.abc import Iterable


class Histogram:
    """Counts of observed seconds up to each bound; the bucket +Inf has no bound of its own.

    A value that is not finite counts in the bucket +Inf and is left out of the sum, because one infinite summand would
    make the sum, and every rate over it, useless forever. NaN goes there too: it must never look fast.
    """

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Iterable[float]) -> None:
        self.bounds = sorted(float(bound) for bound in bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        """Of each bucket alone, the one of +Inf last."""
        self.sum = 0.0

    @property
    def count(self) -> int:
        """How many observations there were."""
        return sum(self.counts)

    def observe(self, seconds: float, times: int = 1) -> None:
        """Count an observation of seconds >= 0, so many times; inf means: no upper bound."""
        if seconds < inf:
            self.counts[bisect_left(self.bounds, seconds)] += times
            self.sum += seconds * times
        else:
            self.counts[-1] += times

    def copy(self) -> Histogram:
        """One of its own with the same counts."""
        return self._with(self.counts.copy(), self.sum)

    def since(self, earlier: Histogram) -> Histogram:
        """What was observed since `earlier`, a copy of this one."""
        return self._with(list(map(sub, self.counts, earlier.counts)), self.sum - earlier.sum)

    def plus(self, other: Histogram) -> Histogram:
        """What was observed here and in another one with the same bounds."""
        return self._with(list(map(add, self.counts, other.counts)), self.sum + other.sum)

    def quantile(self, ratio: float) -> Interval | None:
        """The bucket that holds the `ratio` quantile, as its ends; None if nothing was observed."""
        up_to = list(accumulate(self.counts))
        if up_to[-1] <= 0:
            return None
        bucket = bisect_left(up_to, ratio * up_to[-1] - 1e-9)
        bounds = self.bounds
        return Interval(bounds[bucket - 1] if bucket else 0.0, bounds[bucket] if bucket < len(bounds) else inf)

    def _with(self, counts: list[int], total: float) -> Histogram:
        other = Histogram.__new__(Histogram)
        other.bounds, other.counts, other.sum = self.bounds, counts, total
        return other
