"""Arrivals and judgements in, the rolling window's verdict counts, P99 bounds and SLO state out. Bounded memory.

The window goes by arrival, in slots of a second. P99 <= threshold in a window is the same statement as "at least 99 %
of its events within the threshold", so the state counts events and interpolates nothing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from math import ceil, inf, log
from typing import TYPE_CHECKING, Literal, TypeAlias

from exporter.measure.times import Interval

if TYPE_CHECKING:
    from exporter.measure.judging import Verdict
    from exporter.measure.times import Instant

State: TypeAlias = Literal["met", "violated", "unknown", "quiet"]

SLOT_SECONDS = 1.0
QUIET_BELOW_EVENTS = 50

GROWTH = 1.02
"""Neighbouring steps of a sketch are 2 % apart: a quantile's ends are exact to that, rounded outwards."""

FINEST_SECONDS = 1e-4
_LOG_GROWTH = log(GROWTH)


def step_of(seconds: float) -> float:
    """The number of the step `(lower, upper]` that holds `seconds`.

    Step 0 holds everything up to 0.1 ms, step inf what is unbounded.
    """
    if seconds == inf:
        return inf
    return max(0, ceil(log(seconds / FINEST_SECONDS) / _LOG_GROWTH - 1e-9)) if seconds > FINEST_SECONDS else 0


class Sketch:
    """Counts of durations in steps that grow by 2 %."""

    __slots__ = ("steps",)

    def __init__(self) -> None:
        self.steps: dict[float, int] = {}

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

    def quantile(self, ratio: float, *, pending: int, pending_as: float) -> Interval | None:
        """The step that holds the `ratio` quantile (nearest rank), `pending` more events standing as 0 or as +Inf.

        None if there are no events at all.
        """
        total = sum(self.steps.values()) + pending
        if not total:
            return None
        rank = ceil(ratio * total - 1e-9)
        if pending_as == 0:
            rank -= pending
            if rank <= 0:
                return Interval(0.0, 0.0)
        for step in sorted(self.steps):
            rank -= self.steps[step]
            if rank <= 0:
                upper = FINEST_SECONDS * GROWTH**step
                return Interval(upper / GROWTH if step else 0.0, upper)
        return Interval(inf, inf)


@dataclass(slots=True)
class Slot:
    """The events that arrived in one second."""

    began: Instant
    arrived: int = 0
    verdicts: dict[Verdict, int] = field(default_factory=lambda: {"on_time": 0, "late": 0, "ambiguous": 0})
    lower: Sketch = field(default_factory=Sketch)
    middle: Sketch = field(default_factory=Sketch)
    upper: Sketch = field(default_factory=Sketch)
    has_gap: bool = False


@dataclass(frozen=True, slots=True)
class WindowReport:
    """The window at one moment. The quantiles are None while it is empty; +Inf says that more events are unbounded."""

    events: int
    late: int
    undecided: int
    state: State
    p99_lower_seconds: float | None
    p99_seconds: float | None
    p99_upper_seconds: float | None


class Window:
    """The last `seconds` of one stream's live events, judged or not: an event not judged yet stands as [0, +Inf]."""

    def __init__(self, seconds: float, objective_ratio: float) -> None:
        self._seconds = seconds
        self._objective_ratio = objective_ratio
        self._slots: deque[Slot] = deque()
        self._total = Slot(-inf)

    def arrived(self, instant: Instant, events: int = 1) -> None:
        """Live events have arrived."""
        self._slot(instant).arrived += events
        self._total.arrived += events

    def retract(self, arrived: Instant, events: int = 1) -> None:
        """Events that had arrived at `arrived` turn out to be replayed ones."""
        slot = self._find(arrived)
        if slot is not None:
            slot.arrived -= events
            self._total.arrived -= events

    def judged(self, arrived: Instant, latency: Interval, verdict: Verdict, events: int = 1) -> None:
        """Events that arrived at `arrived` got their verdict; ignored if the window has left them behind."""
        slot = self._find(arrived)
        if slot is None:
            return
        lower, upper = step_of(latency.earliest), step_of(latency.latest)
        middle = step_of((latency.earliest + latency.latest) / 2)
        for counts in (slot, self._total):
            counts.verdicts[verdict] += events
            counts.lower.add_to(lower, events)
            counts.middle.add_to(middle, events)
            counts.upper.add_to(upper, events)

    def lost_events(self, instant: Instant) -> None:
        """Continuity was given up: events are missing, so the objective cannot be met while this lies in the window."""
        self._slot(instant).has_gap = True

    def report(self, now: Instant) -> WindowReport:
        """The window that ends now."""
        self._expire(now)
        total = self._total
        late, on_time = total.verdicts["late"], total.verdicts["on_time"]
        pending = total.arrived - sum(total.verdicts.values())
        lower = total.lower.quantile(0.99, pending=pending, pending_as=0)
        middle = total.middle.quantile(0.99, pending=pending, pending_as=inf)
        upper = total.upper.quantile(0.99, pending=pending, pending_as=inf)
        return WindowReport(
            events=total.arrived,
            late=late,
            undecided=total.arrived - late - on_time,
            state=self._state(total.arrived, late, total.arrived - on_time),
            p99_lower_seconds=lower and lower.earliest,
            p99_seconds=middle and middle.latest,
            p99_upper_seconds=upper and upper.latest,
        )

    def _state(self, events: int, late: int, not_on_time: int) -> State:
        budget = (1 - self._objective_ratio) * events + 1e-9
        if late > budget:
            return "violated"
        if events < QUIET_BELOW_EVENTS:
            return "quiet"
        has_gap = any(slot.has_gap for slot in self._slots)
        return "met" if not_on_time <= budget and not has_gap else "unknown"

    def _slot(self, instant: Instant) -> Slot:
        if not self._slots or instant >= self._slots[-1].began + SLOT_SECONDS:
            self._expire(instant)
            self._slots.append(Slot(instant))
        return self._slots[-1]

    def _find(self, instant: Instant) -> Slot | None:
        for slot in reversed(self._slots):
            if slot.began <= instant:
                return slot
        return None

    def _expire(self, now: Instant) -> None:
        total = self._total
        while self._slots and self._slots[0].began + SLOT_SECONDS <= now - self._seconds:
            old = self._slots.popleft()
            total.arrived -= old.arrived
            for verdict, count in old.verdicts.items():
                total.verdicts[verdict] -= count
            total.lower.take_out(old.lower)
            total.middle.take_out(old.middle)
            total.upper.take_out(old.upper)
