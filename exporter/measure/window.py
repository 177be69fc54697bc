"""The rolling window: counts of verdicts, bounds of the P99 and the SLO state, in bounded memory.

The window is ordered by arrival, in slots of one second. "P99 <= threshold" in a window is equivalent to "at least
99 % of its events within the threshold", so the state counts events and interpolates nothing.
"""

from __future__ import annotations

from math import ceil, floor, inf, log
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from exporter.measure.judging import LONGEST_WAIT_SECONDS
from exporter.measure.times import Interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.measure.coverage import Hole
    from exporter.measure.times import Instant
    from exporter.measure.undecided import Undecided
    from exporter.vocabulary import SloState, UncoveredReason, Verdict

Steps: TypeAlias = tuple[float, float, float]

SLOT_SECONDS = 1.0
QUIET_BELOW_EVENTS = 50

GROWTH = 1.02
"""Neighbouring steps of a sketch are 2 % apart: a quantile's bounds are exact to that, rounded outwards."""

FINEST_SECONDS = 1e-4
_LOG_GROWTH = log(GROWTH)


def step_of(seconds: float) -> float:
    """The number of the step `(lower, upper]` that holds `seconds`.

    Step 0 holds everything up to 0.1 ms, step inf what is unbounded.
    """
    if seconds == inf:
        return inf
    return max(0, ceil(log(seconds / FINEST_SECONDS) / _LOG_GROWTH - 1e-9)) if seconds > FINEST_SECONDS else 0


def steps_of(latency: Interval) -> Steps:
    """The steps that hold a latency's lower bound, its middle and its upper bound."""
    earliest, latest = latency
    return step_of(earliest), step_of((earliest + latest) / 2), step_of(latest)


class Sketch:
    """Counts of durations in steps that grow by 2 %."""

    __slots__ = ("steps",)

    def __init__(self) -> None:
        self.steps: dict[float, int] = {}

    def copy(self) -> Sketch:
        """One of its own with the same counts."""
        copied = Sketch()
        copied.steps = self.steps.copy()
        return copied

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self.add_to(step_of(seconds), 1)

    def add_to(self, step: float, durations: int) -> None:
        """Count so many durations that are known to be of this step."""
        self.steps[step] = self.steps.get(step, 0) + durations

    def take_out(self, other: Sketch) -> None:
        """Uncount all that `other` holds; it was added here before."""
        for step, count in other.steps.items():
            left = self.steps[step] - count
            if left:
                self.steps[step] = left
            else:
                del self.steps[step]

    def quantile(self, ratio: float) -> Interval | None:
        """The step that holds the `ratio` quantile (nearest rank); None if there are no durations."""
        rank = ceil(ratio * sum(self.steps.values()) - 1e-9)
        if not self.steps:
            return None
        for step in sorted(self.steps):
            rank -= self.steps[step]
            if rank <= 0:
                break
        upper = FINEST_SECONDS * GROWTH**step
        return Interval(upper / GROWTH if step else 0.0, upper)


class Slot:
    """The slot of one second, or of several: events by verdict, and the distribution of their latencies."""

    __slots__ = ("lower", "middle", "upper", "verdicts")

    def __init__(self) -> None:
        self.verdicts: dict[Verdict, int] = {"on_time": 0, "late": 0, "ambiguous": 0}
        self.lower = Sketch()
        self.middle = Sketch()
        self.upper = Sketch()

    @property
    def events(self) -> int:
        """All of them."""
        return sum(self.verdicts.values())

    def copy(self) -> Slot:
        """One of its own with the same counts."""
        copied = Slot()
        copied.verdicts = self.verdicts.copy()
        copied.lower, copied.middle, copied.upper = self.lower.copy(), self.middle.copy(), self.upper.copy()
        return copied

    def add(self, steps: Steps, verdict: Verdict, events: int) -> None:
        """Count so many events, whose latency lies in these steps."""
        lower, middle, upper = steps
        self.verdicts[verdict] += events
        # By hand: six calls an event are a tenth of what it costs to count it.
        counts = self.lower.steps
        counts[lower] = counts.get(lower, 0) + events
        counts = self.middle.steps
        counts[middle] = counts.get(middle, 0) + events
        counts = self.upper.steps
        counts[upper] = counts.get(upper, 0) + events

    def take_out(self, other: Slot) -> None:
        """Uncount all that `other` holds; it was counted here before."""
        for verdict, events in other.verdicts.items():
            self.verdicts[verdict] -= events
        self.lower.take_out(other.lower)
        self.middle.take_out(other.middle)
        self.upper.take_out(other.upper)


class WindowReport(msgspec.Struct, frozen=True):
    """The window at one moment. The quantiles are None while it is empty; +Inf means that more events have no upper
    bound.
    """

    events: int
    late: int
    undecided: int
    """Neither late nor on time for certain, by the evidence so far."""
    state: SloState
    p99_lower_seconds: float | None
    p99_seconds: float | None
    p99_upper_seconds: float | None
    hole: Hole | None = None
    """Because of which events may be missing; None if none can be."""
    on_time_since: Instant | None = None
    """From then on everything that was judged is certainly on time, to the last; None if that is not so, or is so of
    the whole window.
    """

    @property
    def uncovered_reason(self) -> UncoveredReason | None:
        """Why events may be missing; None if none can be."""
        return self.hole.reason if self.hole is not None else None

    @property
    def is_covered(self) -> bool:
        """Whether no events can be missing."""
        return self.hole is None


EMPTY = WindowReport(0, 0, 0, "quiet", None, None, None)


class Window:
    """The judged events of one stream that arrived in the last `seconds`."""

    def __init__(self, seconds: float, objective_ratio: float) -> None:
        self._seconds = seconds
        self._objective_ratio = objective_ratio
        self._slots: dict[int, Slot] = {}
        self._total = Slot()
        self._newest: dict[Verdict, float] = {"on_time": -inf, "late": -inf, "ambiguous": -inf}
        """The newest slot with an event of each verdict."""
        self._began: Instant = -inf
        """Events that arrived before have left the window."""

    def judged(self, arrived: Instant, latency: Interval, verdict: Verdict, events: int = 1) -> None:
        """Events that arrived at `arrived` got their verdict; ignored if they have left the window."""
        number = floor(arrived / SLOT_SECONDS)
        slot = self._slots.get(number)
        if slot is None:
            self._expire(arrived)
            if number * SLOT_SECONDS < self._began:
                return
            slot = self._slots[number] = Slot()
        self._newest[verdict] = max(self._newest[verdict], number)
        steps = steps_of(latency)
        slot.add(steps, verdict, events)
        self._total.add(steps, verdict, events)

    def since(self, now: Instant) -> Instant:
        """When the window that ends now began: a slot leaves it as a whole."""
        return floor((now - self._seconds) / SLOT_SECONDS) * SLOT_SECONDS if self._seconds < inf else -inf

    def report(self, now: Instant, undecided: Sequence[Undecided] = (), hole: Hole | None = None) -> WindowReport:
        """The window that ends now, with the bounds of pending events that are certain so far.

        They arrived in it: no event is pending for longer than the shortest window.
        """
        self._expire(now)
        total = self._total
        if undecided:
            total = total.copy()
            for latency, verdict, events in undecided:
                total.add(steps_of(latency), verdict, events)
        late, on_time, events = total.verdicts["late"], total.verdicts["on_time"], total.events
        lower, middle, upper = total.lower.quantile(0.99), total.middle.quantile(0.99), total.upper.quantile(0.99)
        return WindowReport(
            events=events,
            late=late,
            undecided=events - late - on_time,
            state=self._state(events, late, events - on_time, is_covered=hole is None),
            p99_lower_seconds=lower and lower.earliest,
            p99_seconds=middle and middle.latest,
            p99_upper_seconds=upper and upper.latest,
            hole=hole,
            on_time_since=self._on_time_since(now, undecided),
        )

    def _on_time_since(self, now: Instant, undecided: Sequence[Undecided]) -> Instant | None:
        """Only once what came meanwhile has been judged, and while events go on being on time: silence is no proof."""
        last = max(self._newest["late"], self._newest["ambiguous"])
        since, judged_until = (last + 1) * SLOT_SECONDS, now - LONGEST_WAIT_SECONDS
        is_in_window = last * SLOT_SECONDS >= self._began > -inf
        goes_on = since <= judged_until <= self._newest["on_time"] * SLOT_SECONDS
        is_late = any(verdict == "late" for _, verdict, _ in undecided)
        return since if is_in_window and goes_on and not is_late else None

    def _state(self, events: int, late: int, not_on_time: int, *, is_covered: bool) -> SloState:
        budget = (1 - self._objective_ratio) * events + 1e-9
        if late > budget:
            return "violated"
        if events < QUIET_BELOW_EVENTS:
            return "quiet"
        return "met" if not_on_time <= budget and is_covered else "unknown"

    def _expire(self, now: Instant) -> None:
        began = self.since(now)
        if began <= self._began:
            return
        self._began = began
        for number in [number for number in self._slots if number * SLOT_SECONDS < began]:
            self._total.take_out(self._slots.pop(number))
