"""One stream over time, in steps of equal length: the newest push out the oldest.

Columns of 32-bit floats take a fiftieth of the memory of objects: 266 streams with 540 steps each have 6 MB.
"""

from __future__ import annotations

from array import array
from math import floor, inf, isnan, nan
from typing import TYPE_CHECKING, NamedTuple

from exporter.measure.times import Interval
from exporter.vocabulary import CONDITIONS, STAGES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from exporter.history.totals import Totals
    from exporter.measure.stream_state import StreamState
    from exporter.measure.times import WallTime
    from exporter.vocabulary import Condition, Stage

EMPTY = len(CONDITIONS)
"""The code of a step in which nobody looked; the other codes are those of the conditions, the most severe first."""

P99_LOWER, P99_UPPER, EVENTS, LATE, WIDTH = range(5)
FIRST_STAGE = 5
COLUMNS = FIRST_STAGE + 2 * len(STAGES)


class Step(NamedTuple):
    """A stream in one step."""

    at: WallTime
    """When the step began."""
    condition: Condition
    """The most severe in the step."""
    p99: Interval | None
    """Of the rolling window at the end of the step."""
    events_per_second: float
    late: int
    """Events that got this verdict in the step."""
    width_seconds: float | None
    """Of the intervals in which the latencies lie, their mean; inf if any has no upper bound."""
    stages: Mapping[Stage, Interval]
    """The mean of each that was measured."""


class Band(NamedTuple):
    """As much of a step as is drawn of it: many are, and often."""

    at: WallTime
    condition: Condition
    p99: Interval | None


class HistorySteps:
    """The steps of one stream, of `seconds` each, in the order of time; at most `most` are kept."""

    def __init__(self, seconds: int, most: int) -> None:
        self.seconds = seconds
        self._most = most
        self._conditions = array("b", [EMPTY] * most)
        self._columns = tuple([array("f", [nan] * most) for _ in range(COLUMNS)])
        self._newest: int | None = None
        """The number of the step that is going on, counted from the epoch."""
        self._base: tuple[WallTime, Totals] | None = None
        """What was counted when it began."""
        self._last: tuple[WallTime, Totals] | None = None

    def record(self, now: WallTime, state: StreamState, totals: Totals) -> None:
        """The stream as it is now. A clock that is set back by more than a step begins the history anew."""
        number = floor(now / self.seconds)
        if self._newest is not None and number < self._newest - 1:
            self._clear(self._most)
            self._newest = self._last = None
        if self._newest is None or number > self._newest:
            self._clear(self._most if self._newest is None else min(number - self._newest, self._most), number)
            self._newest, self._base = number, self._last or (now, totals)
        self._last = now, totals
        at = self._newest % self._most
        self._conditions[at] = min(self._conditions[at], CONDITIONS.index(state.condition))
        for column, value in zip(self._columns, self._values(now, state, totals), strict=True):
            column[at] = nan if value is None else value

    def _values(self, now: WallTime, state: StreamState, totals: Totals) -> Iterator[float | None]:
        assert self._base is not None
        began, base = self._base
        window = state.window
        yield window.p99_lower_seconds
        yield window.p99_upper_seconds
        yield (totals.events - base.events) / (now - began) if now > began else 0.0
        yield totals.late - base.late
        yield totals.width.mean_since(base.width)
        for of_stage, before in zip(totals.stages, base.stages, strict=True):
            yield of_stage.mean_since(before)

    def _clear(self, steps: int, newest: int = 0) -> None:
        for number in range(newest, newest - steps, -1):
            self._conditions[number % self._most] = EMPTY

    def __len__(self) -> int:
        """How many can be kept."""
        return self._most

    def __iter__(self) -> Iterator[Step]:
        return self.last(self._most)

    def last(self, steps: int) -> Iterator[Step]:
        """So many of the last steps, the oldest first, without those in which nobody looked."""
        return map(self._step, self._numbers(steps))

    def bands(self, steps: int) -> Iterator[Band]:
        """The same, as they are drawn."""
        lowers, uppers = self._columns[P99_LOWER], self._columns[P99_UPPER]
        for number in self._numbers(steps):
            at = number % self._most
            lower = lowers[at]
            p99 = None if isnan(lower) else Interval(lower, uppers[at])
            yield Band(number * self.seconds, CONDITIONS[self._conditions[at]], p99)

    def _numbers(self, steps: int) -> list[int]:
        if self._newest is None:
            return []
        conditions, most = self._conditions, self._most
        numbers = range(self._newest - steps + 1, self._newest + 1)
        return [number for number in numbers if conditions[number % most] != EMPTY]

    def _step(self, number: int) -> Step:
        at = number % self._most
        values = [column[at] for column in self._columns]
        stages: dict[Stage, Interval] = {}
        for index, stage in enumerate(STAGES):
            lower, upper = values[FIRST_STAGE + 2 * index : FIRST_STAGE + 2 * index + 2]
            if not isnan(lower):
                stages[stage] = Interval(lower, inf if isnan(upper) else upper)
        has_p99 = not isnan(values[P99_LOWER])
        return Step(
            at=number * self.seconds,
            condition=CONDITIONS[self._conditions[at]],
            p99=Interval(values[P99_LOWER], values[P99_UPPER]) if has_p99 else None,
            events_per_second=values[EVENTS],
            late=int(values[LATE]),
            width_seconds=None if isnan(values[WIDTH]) else values[WIDTH],
            stages=stages,
        )
