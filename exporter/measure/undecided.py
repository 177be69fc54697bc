"""Computes the bounds that are certain so far for pending events.

More evidence only narrows an interval, so bounds are certain at every moment: a reader of the window need not wait for
the last poll. The work grows with the time that events are pending and with the polls in that time, not with events.
"""

from __future__ import annotations

from bisect import bisect_right
from math import inf
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from exporter.measure.dating import date_commit
from exporter.measure.judging import verdict_on
from exporter.measure.revisions import Span
from exporter.measure.times import ANY_TIME, Interval, latency_between

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from exporter.measure.arrivals import Arrivals
    from exporter.measure.judging import Opening, PendingChunk, PendingEvents
    from exporter.measure.store import Store
    from exporter.measure.times import Instant
    from exporter.vocabulary import Verdict

TOGETHER_SECONDS = 0.1
"""Events that came within this time are computed together, which widens their bounds by at most this."""

NO_BOUND = Interval(0.0, inf)


class Undecided(NamedTuple):
    """So many pending events have this latency, as far as it is certain so far."""

    latency: Interval
    verdict: Verdict
    events: int


class Batch(msgspec.Struct):
    """A batch of pending events about which polls and Dates say the same; their revisions and arrivals lie within
    bounds.
    """

    oldest: int
    newest: int
    earliest: Instant
    latest: Instant
    closes: Instant
    """Events that arrived later belong to another batch."""
    opening: Opening
    events: int = 0

    def take(self, oldest: int, newest: int, arrival: Interval, events: int) -> None:
        """Take more of them in."""
        self.oldest, self.newest = min(self.oldest, oldest), max(self.newest, newest)
        self.earliest, self.latest = min(self.earliest, arrival.earliest), max(self.latest, arrival.latest)
        self.events += events


def batches(
    pending: Iterable[PendingChunk], span_around: Callable[[int], Span], lost: Collection[int]
) -> Iterator[Batch]:
    """Group the events that have a revision and are not `lost` by evidence, which `span_around` gives."""
    batch: Batch | None = None
    span = Span()
    for chunk in pending:
        arrival, opening = chunk.arrival, chunk.opening
        revisions = [one for one in chunk.revisions if one not in lost] if lost else chunk.revisions
        start, end = 0, len(revisions)
        while start < end:
            first = revisions[start]
            is_known_alike = span.above < first <= span.up_to
            if batch is None or not is_known_alike or opening is not batch.opening or arrival.latest > batch.closes:
                if batch is not None:
                    yield batch
                span = span_around(first)
                batch = Batch(first, first, *arrival, closes=arrival.latest + TOGETHER_SECONDS, opening=opening)
            next_start = end if revisions[-1] <= span.up_to else bisect_right(revisions, span.up_to, start + 1)
            batch.take(first, revisions[next_start - 1], arrival, next_start - start)
            start = next_start
    if batch is not None:
        yield batch


class Provisional:
    """The bounds of one stream's events before their verdicts, which no verdict contradicts."""

    def __init__(self, arrivals: Arrivals, threshold_seconds: float) -> None:
        self._arrivals = arrivals
        self._threshold_seconds = threshold_seconds

    def of_all(self, pending: PendingEvents, store: Store | None, lost: Collection[int]) -> Iterator[Undecided]:
        """The certain bounds of pending events, without known history and the canaries that are `lost`.

        An event without evidence, because it has no revision or no clock dates it, has no bound.
        """
        nameless = sum([len(chunk.events) - len(chunk.revisions) for chunk in pending])
        if nameless:
            yield Undecided(NO_BOUND, "ambiguous", nameless)
        for batch in batches(pending, store.answered_span if store is not None else lambda _: Span(), lost):
            undecided = self.of(batch, store)
            if undecided is not None:
                yield undecided

    def of(self, batch: Batch, store: Store | None) -> Undecided | None:
        """The certain bounds of every event of the batch; None if they are history.

        Annotations, timestamps and canaries are left out: they differ from event to event, and only narrow.
        """
        # Of arrivals those count that are no part of the batch.
        commit = date_commit(store.evidence(batch.newest, batch.earliest)).commit if store is not None else ANY_TIME
        phase = batch.opening.phase(batch.oldest, commit)
        if phase == "history":
            return None
        if phase == "unknown":
            return Undecided(NO_BOUND, "ambiguous", batch.events)
        arrival = self._arrivals.excusing_us(Interval(batch.earliest, batch.latest), commit.earliest)
        latency = latency_between(commit, arrival)
        return Undecided(latency, verdict_on(latency, self._threshold_seconds), batch.events)
