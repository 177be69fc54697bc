"""Sums the judgements of one stream over a whole duration. No clock, no I/O."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from exporter.measure.coverage import Hole
from exporter.measure.times import Interval
from exporter.measure.undecided import NO_BOUND
from exporter.measure.window import Sketch, Window, step_of

if TYPE_CHECKING:
    from exporter.measure.judging import Judgement
    from exporter.vocabulary import SloState, Verdict

WHOLE_DURATION = 0.0
"""All events count as of one instant: a window that never moves needs one slot, however long it lasts."""

SOME_HOLE = Hole(WHOLE_DURATION, WHOLE_DURATION, "not_watched")


class Tally:
    """Counts and quantiles of all the judgements that it was given, and the SLO state by the rolling window's rules."""

    def __init__(self, objective_ratio: float) -> None:
        self._window = Window(inf, objective_ratio)
        self._verdicts: dict[Verdict, int] = {"on_time": 0, "late": 0, "ambiguous": 0}
        self._lower = Sketch()
        self._upper = Sketch()
        self._width = Sketch()

    def add(self, judgement: Judgement) -> None:
        """Count one event."""
        self._window.judged(WHOLE_DURATION, judgement.latency, judgement.verdict)
        self._verdicts[judgement.verdict] += 1
        self._lower.add(judgement.latency.earliest)
        self._upper.add(judgement.latency.latest)
        self._width.add(judgement.latency.width)

    def undecodable(self, count: int) -> None:
        """Count so many events without evidence."""
        if not count:
            return
        self._window.judged(WHOLE_DURATION, NO_BOUND, "ambiguous", count)
        self._verdicts["ambiguous"] += count
        self._lower.add_to(step_of(NO_BOUND.earliest), count)
        self._upper.add_to(step_of(NO_BOUND.latest), count)

    def lost_canaries(self, count: int, awaited_seconds: float) -> None:
        """Count so many lost events, which were awaited for this long."""
        if not count:
            return
        self._window.judged(WHOLE_DURATION, Interval(awaited_seconds, inf), "late", count)
        self._verdicts["late"] += count
        self._lower.add_to(step_of(awaited_seconds), count)
        self._upper.add_to(step_of(inf), count)

    @property
    def events(self) -> int:
        """All events."""
        return sum(self._verdicts.values())

    @property
    def on_time(self) -> int:
        """Events that were certainly in time."""
        return self._verdicts["on_time"]

    @property
    def late(self) -> int:
        """Events that were certainly late."""
        return self._verdicts["late"]

    @property
    def ambiguous(self) -> int:
        """Events of which neither is certain."""
        return self._verdicts["ambiguous"]

    def state(self, *, is_covered: bool) -> SloState:
        """Over the whole duration. Where that was not covered, events may be missing."""
        return self._window.report(WHOLE_DURATION, hole=None if is_covered else SOME_HOLE).state

    def latency(self, ratio: float) -> Interval | None:
        """Bounds in seconds of the latency's `ratio` quantile; None without events, +Inf where nothing bounds it."""
        lower = self._lower.quantile(ratio)
        upper = self._upper.quantile(ratio)
        return Interval(lower.earliest, upper.latest) if lower and upper else None

    def width_seconds(self, ratio: float) -> float | None:
        """The `ratio` quantile of the latency intervals' width, rounded up; None without events."""
        width = self._width.quantile(ratio)
        return width and width.latest
