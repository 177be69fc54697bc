"""What is counted of pods that start at one apiserver, and the quantiles of the last five minutes."""

from __future__ import annotations

from collections import deque
from math import floor
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from exporter.measure.histogram import Histogram
from exporter.measure.times import Interval
from exporter.measure.window import Sketch
from exporter.vocabulary import STARTUP_BOUNDS, STARTUP_RESULTS, STARTUP_STAGES

if TYPE_CHECKING:
    from exporter.measure.times import Instant
    from exporter.vocabulary import StartupResult, StartupStage

WINDOW_SECONDS = 300.0
"""As the SLI has it: the 99th percentile over five minutes."""

SLOT_SECONDS = 10.0


class StartupCounts(msgspec.Struct):
    """All counters, from 0 on."""

    lower: dict[StartupStage, Histogram]
    upper: dict[StartupStage, Histogram]
    results: dict[StartupResult, int]

    @classmethod
    def none(cls, histogram: type[Histogram] = Histogram) -> StartupCounts:
        """Nothing has happened."""
        lower, upper = ({stage: histogram(STARTUP_BOUNDS) for stage in STARTUP_STAGES} for _ in range(2))
        return cls(lower, upper, dict.fromkeys(STARTUP_RESULTS, 0))

    def copy(self) -> StartupCounts:
        """The counts as they are now."""
        return StartupCounts(
            {stage: histogram.copy() for stage, histogram in self.lower.items()},
            {stage: histogram.copy() for stage, histogram in self.upper.items()},
            self.results.copy(),
        )

    def since(self, earlier: StartupCounts) -> StartupCounts:
        """What was counted since `earlier`, a copy of these."""
        return StartupCounts(
            {stage: histogram.since(earlier.lower[stage]) for stage, histogram in self.lower.items()},
            {stage: histogram.since(earlier.upper[stage]) for stage, histogram in self.upper.items()},
            {result: pods - earlier.results[result] for result, pods in self.results.items()},
        )

    @property
    def watch_share(self) -> Interval | None:
        """Which share of all start-ups was watches being late, as an estimate; None if no pod has started."""
        lower, upper = self.lower["total"].sum, self.upper["total"].sum
        if not upper:
            return None
        at_least, at_most = self.lower["watches"].sum, self.upper["watches"].sum
        # A time without an upper bound is in no sum, and counts in the bucket of +Inf.
        is_open = self.upper["watches"].counts[-1] > 0
        return Interval(min(1.0, at_least / upper), min(1.0, at_most / lower) if lower and not is_open else 1.0)

    @property
    def unknown_share(self) -> float | None:
        """The share of the SLI's pods whose pulls are not known; None without such pods."""
        unknown, known = self.results["sli_pull_unknown"], self.results["sli"]
        return unknown / (unknown + known) if unknown + known else None


class StageQuantiles(NamedTuple):
    """Bounds of one stage's quantiles, in seconds."""

    p50: Interval
    p95: Interval
    p99: Interval


class StartupState(msgspec.Struct, frozen=True):
    """The start-ups at one apiserver at one moment. The quantiles are those of the last five minutes."""

    counts: StartupCounts
    quantiles: dict[StartupStage, StageQuantiles] = msgspec.field(default_factory=dict)
    """Of the stages that any pod reached meanwhile."""
    starting: int = 0
    """Pods that have not started."""


class _Bounds(NamedTuple):
    lower: Sketch
    upper: Sketch


class _Slot(NamedTuple):
    number: int
    sketches: dict[StartupStage, _Bounds]


class StartupWindow:
    """The durations that were found in the last five minutes."""

    def __init__(self) -> None:
        self._slots: deque[_Slot] = deque()
        self._totals = {stage: _Bounds(Sketch(), Sketch()) for stage in STARTUP_STAGES}
        """Of all slots: to add them up each time would hold the event loop for milliseconds."""

    def add(self, stage: StartupStage, seconds: Interval, at: Instant) -> None:
        """Count one; they come in the order of time."""
        number = floor(at / SLOT_SECONDS)
        if not self._slots or self._slots[-1].number < number:
            self._slots.append(_Slot(number, {}))
        in_slot = self._slots[-1].sketches.setdefault(stage, _Bounds(Sketch(), Sketch()))
        for lower, upper in (in_slot, self._totals[stage]):
            lower.add(seconds.earliest)
            upper.add(seconds.latest)

    def quantiles(self, now: Instant) -> dict[StartupStage, StageQuantiles]:
        """Those of the window that ends now."""
        while self._slots and (self._slots[0].number + 1) * SLOT_SECONDS <= now - WINDOW_SECONDS:
            for stage, gone in self._slots.popleft().sketches.items():
                self._totals[stage].lower.take_out(gone.lower)
                self._totals[stage].upper.take_out(gone.upper)
        return {stage: found for stage in STARTUP_STAGES if (found := self._of(stage)) is not None}

    def _of(self, stage: StartupStage) -> StageQuantiles | None:
        p50, p95, p99 = (_bounds(*self._totals[stage], ratio) for ratio in (0.5, 0.95, 0.99))
        return StageQuantiles(p50, p95, p99) if p50 and p95 and p99 else None


def _bounds(lower: Sketch, upper: Sketch, ratio: float) -> Interval | None:
    at_least, at_most = lower.quantile(ratio), upper.quantile(ratio)
    return Interval(at_least.earliest, at_most.latest) if at_least and at_most else None
