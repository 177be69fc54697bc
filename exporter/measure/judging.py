"""Pending events, which of them may be judged together, and the verdict itself."""

from __future__ import annotations

from collections import deque
from math import inf
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import msgspec

from exporter.measure.events import compared
from exporter.measure.times import Interval, latency_between

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from exporter.measure.dating import Dated
    from exporter.measure.events import Event, Stamps
    from exporter.measure.revisions import Span
    from exporter.measure.times import Instant
    from exporter.vocabulary import Verdict

EarlyReason: TypeAlias = Literal["overflow", "waited_too_long"]
EvidentPhase: TypeAlias = Literal["history", "news", "unknown"]

LONGEST_WAIT_SECONDS = 10.0
"""An event that no poll has settled by then is judged by the evidence so far."""

MOST_PENDING = 50_000
"""Maximum of pending events on one stream; beyond it the oldest are judged early, by the evidence so far."""

MOST_WAITING = 200_000
"""Maximum of pending events on all streams that share it: at most a kilobyte is kept of each."""

ALWAYS_PENDING = 1_000
"""Pending events that one stream may always have: a flood on one stream costs the others nothing."""


class Opening(msgspec.Struct, eq=False):
    """The first watch after a relist. What was committed before it was open is history, not live."""

    at: Instant | None = None
    """None until it is open."""
    newest_history: int | None = None
    """The revision in the response to the first poll sent after it was open: newer events are live."""
    is_told_in_time: bool = False
    """Whether that response came soon: then everything up to it counts as history, because nothing separates the
    two."""

    def told(self, newest_history: int, by: Instant, within_seconds: float) -> None:
        """The first poll sent after the opening was answered by then."""
        self.newest_history = newest_history
        self.is_told_in_time = self.at is not None and by <= self.at + within_seconds

    def phase(self, revision: int | None, commit: Interval) -> EvidentPhase:
        """Whether an event is live or history, by the evidence about its commit."""
        if revision is None or (self.newest_history is not None and revision > self.newest_history):
            return "news"
        if self.at is None:
            return "unknown"
        if commit.earliest >= self.at:
            return "news"
        return "history" if commit.latest <= self.at or self.is_told_in_time else "unknown"


class PendingChunk(msgspec.Struct, eq=False):
    """Pending events that came together, in the order in which they came."""

    events: Sequence[Event]
    arrival: Interval
    opening: Opening
    """The opening that they came after."""
    wall_ahead: float = 0.0
    """Our wall clock was ahead of our monotonic one by no more than these seconds when they came."""
    _revisions: list[int] | None = None

    @property
    def revisions(self) -> list[int]:
        """Those that the events have, in order; most events are judged before anybody asks."""
        if self._revisions is None:
            self._revisions = sorted([event.revision for event in self.events if event.revision is not None])
        return self._revisions


class Judgement(NamedTuple):
    """The certain and final result for one live event. `arrival` already excuses our own lag, and our clock's."""

    event: Event
    arrived: Instant
    """When it was read, by our clock."""
    arrival: Interval
    dated: Dated
    latency: Interval
    verdict: Verdict

    @property
    def is_measured(self) -> bool:
        """Whether anything bounds the latency; without evidence it is [0, +Inf]."""
        return self.latency.latest < inf or self.latency.earliest > 0


def judge(event: Event, arrived: Instant, arrival: Interval, dated: Dated, threshold_seconds: float) -> Judgement:
    """The verdict: late or on time only where that is certain. Our own lag is excused in `arrival` already."""
    latency = latency_between(dated.commit, arrival)
    return Judgement(event, arrived, arrival, dated, latency, verdict_on(latency, threshold_seconds))


def verdict_on(latency: Interval, threshold_seconds: float) -> Verdict:
    """The verdict on a latency that lies in this interval."""
    if latency.latest <= threshold_seconds:
        return "on_time"
    return "late" if latency.earliest > threshold_seconds else "ambiguous"


class Run(NamedTuple):
    """Events that came together and have the same evidence: one judgement holds for all of them."""

    pending: PendingChunk
    events: list[Event]


class Known(NamedTuple):
    """The evidence that is the same around a revision, whenever its event arrived."""

    span: Span
    stamped_until: str = ""
    """Timestamps up to this one say nothing that polls do not say better."""


class Around(NamedTuple):
    """What is known around a revision."""

    known: Callable[[Opening, int], Known]
    """Of events that came after this opening, but for arrivals."""
    arrivals: Callable[[int], Span]
    """The revisions about which arrivals say the same."""


class _Batch:
    """Events with the same evidence but for their arrivals, while they are put together."""

    __slots__ = ("_around", "_arrivals", "_first", "_known", "_opening", "runs")

    def __init__(self, chunk: PendingChunk, event: Event, around: Around) -> None:
        self.runs = [Run(chunk, [event])]
        self._opening, self._first, self._around = chunk.opening, event, around
        self._known: Known | None = None
        self._arrivals: Span | None = None
        """Of the last run."""

    def take(self, chunk: PendingChunk, event: Event) -> bool:
        """Take in what comes next, unless the evidence about it is another."""
        revision, first, known = event.revision, self._first, self._known
        if revision is None or first.revision is None or chunk.opening is not self._opening:
            return False
        if chunk is not self.runs[0].pending and (event.annotation is not None or event.lease is not None):
            return False  # what they say depends on our wall clock, which may have been set in between
        if known is None:  # only now: where little comes, most batches are one event
            known = self._known = self._around.known(self._opening, first.revision)
        if not known.span.above < revision <= known.span.up_to or not _says_the_same(event, first, known.stamped_until):
            return False
        last, arrivals = self.runs[-1], self._arrivals
        if last.pending is chunk:
            if arrivals is None:
                assert last.events[0].revision is not None
                arrivals = self._arrivals = self._around.arrivals(last.events[0].revision)
            if arrivals.above < revision <= arrivals.up_to:
                last.events.append(event)
                return True
        self.runs.append(Run(chunk, [event]))
        self._arrivals = None
        return True


def grouped_by_evidence(chunks: Iterable[PendingChunk], around: Around) -> Iterator[list[Run]]:
    """Split pending events into batches with the same evidence but for their arrivals, in order.

    Between two polls a batch is nearly everything that came.
    """
    batch: _Batch | None = None
    for chunk in chunks:
        for event in chunk.events:
            if batch is None or not batch.take(chunk, event):
                if batch is not None:
                    yield batch.runs
                batch = _Batch(chunk, event, around)
    if batch is not None:
        yield batch.runs


def _says_the_same(event: Event, other: Event, stamped_until: str) -> bool:
    return compared(event) == compared(other) and (
        event.stamps == other.stamps or (_is_old(event.stamps, stamped_until) and _is_old(other.stamps, stamped_until))
    )


def _is_old(stamps: Stamps, until: str) -> bool:
    """Whether it is stamped, in whole seconds as by an apiserver, and by `until` at the latest."""
    newest = stamps.managed_fields
    return newest <= until and len(newest) == len(until) and not stamps.creation and not stamps.deletion


class Room(msgspec.Struct):
    """The number of pending events on several streams, and its maximum."""

    most: int = MOST_WAITING
    events: int = 0


class PendingEvents:
    """The pending events of one stream, in the order of their arrival."""

    def __init__(self, most_pending: int = MOST_PENDING, room: Room | None = None) -> None:
        self._pending: deque[PendingChunk] = deque()
        self._events = 0
        self._most_pending = most_pending
        self._room = room or Room()

    def __len__(self) -> int:
        return self._events

    def __iter__(self) -> Iterator[PendingChunk]:
        return iter(self._pending)

    def enter(self, pending: PendingChunk) -> None:
        """Take events in; arrivals come in order."""
        self._pending.append(pending)
        self._events += len(pending.events)
        self._room.events += len(pending.events)

    def ready(
        self, settled_until: Instant, now: Instant, enough: int = MOST_WAITING
    ) -> list[tuple[PendingChunk, EarlyReason | None]]:
        """Take out what can be judged, oldest first, each with the reason if it is judged before it is settled; no more
        once there are `enough` events.
        """
        taken: list[tuple[PendingChunk, EarlyReason | None]] = []
        while self._pending and enough > 0:
            oldest = self._pending[0]
            arrived = oldest.arrival.latest
            early: EarlyReason | None = None
            if arrived >= settled_until or oldest.opening.at is None:
                if self._events > self._most_pending or (
                    self._room.events > self._room.most and self._events > ALWAYS_PENDING
                ):
                    early = "overflow"
                elif now - arrived >= LONGEST_WAIT_SECONDS:
                    early = "waited_too_long"
                else:
                    break
            taken.append((self._take(), early))
            enough -= len(oldest.events)
        return taken

    def clear(self) -> Iterator[PendingChunk]:
        """Take everything out, oldest first: no more evidence can come about any of it."""
        while self._pending:
            yield self._take()

    def _take(self) -> PendingChunk:
        pending = self._pending.popleft()
        self._events -= len(pending.events)
        self._room.events -= len(pending.events)
        return pending
