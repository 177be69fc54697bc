"""Counts durations in buckets, as Prometheus histograms do."""

from __future__ import annotations

from bisect import bisect_left
from functools import cache
from itertools import accumulate, compress
from math import inf, log2
from operator import sub
from typing import TYPE_CHECKING, NamedTuple, cast

from exporter.measure.times import Interval

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Self

SCHEMA = 3
"""Of native histograms: each bucket ends at 2^(1/8) times its beginning, which is 9 % (Prometheus' specification)."""

ZERO_THRESHOLD = 2.0**-20
"""Seconds. What takes no longer is in the native bucket of zero: Prometheus may take it to be as much below zero."""

_DOUBLINGS = 37
"""From there to 2^17 s, which is a day and a half. Beyond that there is only the bucket of +Inf."""

_STEPS = 2**SCHEMA
_INFINITE = 1024 * _STEPS + 1
"""The native bucket of +Inf: the one after that of the largest float."""


class Histogram:
    """Counts of observed seconds up to each bound; the bucket +Inf has no bound of its own.

    A value that is not finite counts in the bucket +Inf and is left out of the sum, because one infinite summand would
    make the sum, and every rate over it, useless forever. NaN goes there too: it must never look fast.
    """

    __slots__ = ("_bounds", "_counts", "sum", "unbounded")

    def __init__(self, bounds: Iterable[float]) -> None:
        self._bounds: Sequence[float] = sorted(float(bound) for bound in bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self.sum = 0.0
        self.unbounded = 0
        """How many are not finite: the bucket +Inf has those beyond the last bound as well."""

    @property
    def bounds(self) -> Sequence[float]:
        """The upper end of each bucket, in order, without +Inf."""
        return self._bounds

    @property
    def counts(self) -> Sequence[int]:
        """Of each bucket alone, the one of +Inf last."""
        return self._counts

    @property
    def count(self) -> int:
        """How many observations there were."""
        return sum(self._counts)

    def observe(self, seconds: float, times: int = 1) -> None:
        """Count an observation of seconds >= 0, so many times; inf means: no upper bound."""
        if seconds < inf:
            self._counts[bisect_left(self._bounds, seconds)] += times
            self.sum += seconds * times
        else:
            self._counts[-1] += times
            self.unbounded += times

    def copy(self) -> Self:
        """One of its own with the same counts."""
        return self._with(self._counts.copy(), self.sum, self.unbounded)

    def since(self, earlier: Self) -> Self:
        """What was observed since `earlier`, a copy of this one."""
        counts = list(map(sub, self._counts, earlier._counts))
        return self._with(counts, self.sum - earlier.sum, self.unbounded - earlier.unbounded)

    def plus(self, others: Sequence[Self]) -> Self:
        """What was observed here and in others with the same bounds."""
        counts = zip(self._counts, *[other._counts for other in others], strict=True)  # noqa: SLF001 of this class
        unbounded = self.unbounded + sum([other.unbounded for other in others])
        return self._with(list(map(sum, counts)), self.sum + sum([other.sum for other in others]), unbounded)

    def quantile(self, ratio: float, since: Self | None = None) -> Interval | None:
        """The bucket that holds the `ratio` quantile, as its ends; None if nothing was observed.

        Of all observations, or of those since `since`, an earlier copy of this one.
        """
        counts = self._counts if since is None else self._growth(since)
        if not counts:
            return None
        up_to = self._up_to(counts)
        if up_to[-1] <= 0:
            return None
        bucket = bisect_left(up_to, ratio * up_to[-1] - 1e-9)
        bounds = self.bounds
        return Interval(bounds[bucket - 1] if bucket else 0.0, bounds[bucket] if bucket < len(bounds) else inf)

    def _growth(self, earlier: Self) -> list[int]:
        """By how much each count has grown; empty if none has, as of a watch on which little comes."""
        return list(map(sub, self._counts, earlier._counts)) if self._counts != earlier._counts else []

    def _up_to(self, counts: Sequence[int]) -> Sequence[int]:
        """Of counts as this one has them: how many are up to each bound, and at last all."""
        return list(accumulate(counts))

    def _with(self, counts: list[int], total: float, unbounded: int) -> Self:
        other: Self = self.__new__(type(self))
        other._copy_bounds(self)
        other._counts, other.sum, other.unbounded = counts, total, unbounded
        return other

    def _copy_bounds(self, other: Self) -> None:
        self._bounds = other._bounds


class NativeBuckets(NamedTuple):
    """The buckets of a native histogram of SCHEMA and ZERO_THRESHOLD."""

    zero_count: int
    counts: dict[int, int]
    """By index, in order: bucket i ends at 2^(i/8) seconds; those without observations are left out."""


class NativeHistogram(Histogram):
    """Counts in a grid of the buckets' bounds and of those that a native histogram has, so that it can give both.

    An observation is one bisection, as without the grid: three comparisons more. Bounds that are a power of two are
    bounds of native buckets as well.
    """

    __slots__ = ("_grid",)

    def __init__(self, bounds: Iterable[float]) -> None:
        self._grid = grid = _grid(tuple(sorted(float(bound) for bound in bounds)))
        super().__init__(())
        self._bounds, self._counts = grid.bounds, [0] * len(grid.indices)

    @property
    def bounds(self) -> Sequence[float]:
        """The upper end of each classic bucket."""
        return self._grid.classic

    @property
    def counts(self) -> Sequence[int]:
        """Of each classic bucket alone."""
        up_to = self._up_to(self._counts)
        return list(map(sub, up_to, (0, *up_to)))

    @property
    def native(self) -> NativeBuckets:
        """The native buckets."""
        counts = dict[int | None, int]()
        # Most cells are empty, so they are left out before Python looks at them.
        for index, times in compress(zip(self._grid.indices, self._counts, strict=True), self._counts):
            counts[index] = counts.get(index, 0) + times
        return NativeBuckets(counts.pop(None, 0), cast("dict[int, int]", counts))

    def _up_to(self, counts: Sequence[int]) -> Sequence[int]:
        up_to = list(accumulate(counts))
        return [up_to[end] for end in self._grid.ends]

    def _copy_bounds(self, other: Self) -> None:
        super()._copy_bounds(other)
        self._grid = other._grid


class _Grid(NamedTuple):
    bounds: Sequence[float]
    classic: Sequence[float]
    ends: Sequence[int]
    """The last cell of each classic bucket."""
    indices: Sequence[int | None]
    """The native bucket of each cell; None is that of zero."""


@cache
def _grid(classic: tuple[float, ...]) -> _Grid:
    *starts, end = [ZERO_THRESHOLD * 2.0**doubling for doubling in range(_DOUBLINGS + 1)]
    native = [*(start * 2.0 ** (step / _STEPS) for start in starts for step in range(_STEPS)), end]
    first = round(log2(ZERO_THRESHOLD)) * _STEPS
    bounds = sorted({*native, *classic})
    indices: list[int | None] = []
    for bound in bounds:
        step = bisect_left(native, bound)
        indices.append((first + step if step < len(native) else _INFINITE) if step else None)
    cells = [bisect_left(bounds, bound) for bound in classic]
    return _Grid(bounds, classic, (*cells, len(bounds)), (*indices, _INFINITE))
