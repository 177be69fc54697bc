"""Events that have arrived in, verdicts out: each event once, as soon as nothing more will be learned about it."""

from __future__ import annotations

from collections import deque
from math import inf
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from exporter.measure.times import Interval, latency_between

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from exporter.measure.dating import Dated
    from exporter.measure.events import Event
    from exporter.measure.times import Instant

Verdict: TypeAlias = Literal["on_time", "late", "ambiguous"]
EarlyReason: TypeAlias = Literal["overflow", "waited_too_long"]

LONGEST_WAIT_SECONDS = 10.0
"""An event that no poll has settled by then is judged with what is known."""

MOST_PENDING = 50_000
"""Events that may wait in one docket; beyond it the oldest is judged early with what is known."""


class Pending(NamedTuple):
    """An event that waits for its verdict, the interval of its arrival, and what its annotation says."""

    event: Event
    arrival: Interval
    annotated_at: Instant | None = None
    """Its writer's own write time on our clock, made earlier by what the two clocks may differ."""


class Judgement(NamedTuple):
    """What is known for certain about one live event, for good. `arrival` excuses our own lag."""

    event: Event
    arrival: Interval
    dated: Dated
    latency: Interval
    verdict: Verdict

    @property
    def is_measured(self) -> bool:
        """Whether anything bounds the latency; without evidence it is [0, +Inf]."""
        return self.latency.latest < inf or self.latency.earliest > 0


def judge(pending: Pending, arrival: Interval, dated: Dated, threshold_seconds: float) -> Judgement:
    """The verdict: late or on time only where that is certain. `arrival` is the pending one's, our own lag excused."""
    latency = latency_between(dated.commit, arrival)
    verdict: Verdict = "ambiguous"
    if latency.latest <= threshold_seconds:
        verdict = "on_time"
    elif latency.earliest > threshold_seconds:
        verdict = "late"
    return Judgement(pending.event, arrival, dated, latency, verdict)


class Docket:
    """The events of one stream that wait for their verdict, in the order of their arrival."""

    def __init__(self, most_pending: int = MOST_PENDING) -> None:
        self._pending: deque[Pending] = deque()
        self._most_pending = most_pending

    def __len__(self) -> int:
        return len(self._pending)

    def enter(self, pending: Pending) -> None:
        """Take an event in; arrivals come in order."""
        self._pending.append(pending)

    def ready(self, settled_until: Instant, now: Instant) -> Iterator[tuple[Pending, EarlyReason | None]]:
        """Take out what can be judged, oldest first, each with the reason if it is judged before it is settled."""
        while self._pending:
            arrived = self._pending[0].arrival.latest
            early: EarlyReason | None = None
            if arrived >= settled_until:
                if len(self._pending) > self._most_pending:
                    early = "overflow"
                elif now - arrived >= LONGEST_WAIT_SECONDS:
                    early = "waited_too_long"
                else:
                    return
            yield self._pending.popleft(), early

    def clear(self, take: Callable[[Pending], None]) -> None:
        """Hand every pending event to `take`, oldest first: nothing more will be learned about any of them."""
        while self._pending:
            take(self._pending.popleft())
