"""Dates, judges and counts the arrivals of one stream, as soon as no more evidence can come.

Between two polls the same evidence applies to all events, but for their arrivals: it is gathered once for all of them.
Until then the window has the bounds that are certain so far. Time and clocks are arguments.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import groupby
from math import inf
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from exporter.measure.dating import Dated, Evidence, OwnEvidence, date_commit
from exporter.measure.evidence import Wallclocks, in_object
from exporter.measure.judging import Around, Known, Opening, PendingChunk, PendingEvents, grouped_by_evidence, judge
from exporter.measure.revisions import Span
from exporter.measure.stages import stages_of, write_stage
from exporter.measure.times import ANY_TIME, Interval
from exporter.measure.undecided import NO_BOUND, Provisional
from exporter.measure.write_times import NEWEST_STAMP, StampMemory, parse_rfc3339, rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from exporter.measure.arrivals import Arrivals
    from exporter.measure.canaries import Canaries
    from exporter.measure.counting import Counting
    from exporter.measure.events import Event
    from exporter.measure.judging import EarlyReason, Judgement, Room, Run
    from exporter.measure.late_objects import LateObject
    from exporter.measure.revisions import RevisionClock
    from exporter.measure.serverclock import Offset
    from exporter.measure.stages import Stages
    from exporter.measure.store import Store
    from exporter.measure.times import Instant
    from exporter.measure.undecided import Undecided

JUDGED_IN_ONE_TURN = 200
"""After so many events the event loop runs, so that the next bytes are stamped in time."""

HISTORY_TOLD_SECONDS = 2.0
HISTORY_TOLD_POLLS = 3
"""What was committed after a relist and before the first poll counts as history, if that poll is answered within this
time (and so many poll periods): in a healthy cluster that is a fifth of a second."""

NOTHING_KNOWN = Dated(ANY_TIME, (), ())


class Rules(NamedTuple):
    """The settings on which a verdict depends."""

    threshold_seconds: float
    clock_error_seconds: float
    """Upper bound of how far the clocks that write annotations and Leases are ahead of ours."""
    drift: float
    """No server's clock gains or loses more than so many seconds in one."""
    poll_period_seconds: float | None
    """Of the revision clock; None if there is none."""

    @property
    def history_told_seconds(self) -> float:
        """After a relist, what is older than the first poll's answer is history if that comes within this time."""
        return HISTORY_TOLD_SECONDS + HISTORY_TOLD_POLLS * (self.poll_period_seconds or 0.0)


class Clocks(NamedTuple):
    """The clocks that date events at one moment."""

    store: Store | None = None
    """Polls of the store; None while no clock is proven to read the same one."""
    cache: RevisionClock | None = None
    """Polls of the apiserver's watch cache of this resource."""
    apiservers: Offset | None = None
    """Bounds on the clock of every apiserver that may have stamped an object; None while they are not all known."""


class DatedBatch(NamedTuple):
    """Events with the same evidence: the intervals of their commits and of their latencies, as far as these are known.
    History has no latency.
    """

    events: Sequence[Event]
    commit: Interval
    latency: Interval
    arrived: Instant
    """When they were read, by our clock."""
    opening: Opening
    """Versions of objects may be missing between batches of two openings."""


class JudgeListener(NamedTuple):
    """Who is called with what is found."""

    judged: Callable[[Judgement], None] | None = None
    """With every single judgement."""
    dated: Callable[[DatedBatch], None] | None = None
    """With each batch, history too."""


class Judge:
    """The events of one stream from arrival to count. Each live one is counted once, under one verdict."""

    def __init__(  # noqa: PLR0913 all that bears on a verdict
        self,
        rules: Rules,
        counting: Counting,
        *,
        arrivals: Arrivals,
        canaries: Canaries,
        room: Room | None = None,
        listener: JudgeListener | None = None,
    ) -> None:
        self._rules = rules
        self._counting = counting
        self._arrivals = arrivals
        self._canaries = canaries
        self._judged, self._tell_dated = listener or JudgeListener()
        self._pending = PendingEvents(room=room)
        self._stamps = StampMemory()
        self._provisional = Provisional(arrivals, rules.threshold_seconds)
        self._opening = Opening(at=-inf)

    def relisting(self) -> None:
        """Events from now on may be history: nothing is judged until a poll separates history from live events."""
        self._stamps.forget()
        self._opening = Opening()

    def opened(self, at: Instant) -> None:
        """After a relist, everything up to the first poll sent from now on is history, not live."""
        self._opening.at = at

    def enter(self, events: Sequence[Event], arrival: Interval, wall_ahead: float) -> None:
        """They came together, when our wall clock was ahead of our monotonic one by no more than these seconds."""
        self._pending.enter(PendingChunk(events, arrival, self._opening, wall_ahead))

    def judge_settled(self, now: Instant, clocks: Clocks) -> bool:
        """Judge events about which no more evidence can come, for one turn; whether the event loop has to come back."""
        polls = clocks.store.polls if clocks.store is not None else None
        if polls is not None and self._opening.newest_history is None and self._opening.at is not None:
            newest_history = polls.answered_after(self._opening.at)
            if newest_history is not None:
                told_by = polls.committed(newest_history).latest
                self._opening.told(newest_history, told_by, self._rules.history_told_seconds)
        settled_until = polls.settled_until if polls is not None else -inf
        if clocks.cache is not None:
            settled_until = min(settled_until, clocks.cache.oldest_in_flight)
        if not self._pending:
            return False
        around = self._around(clocks)
        ready = self._pending.ready(settled_until, now, JUDGED_IN_ONE_TURN)
        for early, chunks in groupby(ready, key=itemgetter(1)):
            self._judge([chunk for chunk, _ in chunks], clocks, around, early=early)
        return sum([len(chunk.events) for chunk, _ in ready]) >= JUDGED_IN_ONE_TURN

    def judge_all(self, clocks: Clocks) -> None:
        """Judge all pending events by the evidence so far, without waiting for more."""
        self._judge_rest(clocks)

    def dismiss_all(self, clocks: Clocks) -> None:
        """Pending events become ambiguous without evidence: their revisions no longer exist."""
        self._judge_rest(clocks, NOTHING_KNOWN)

    @property
    def waiting(self) -> int:
        """The number of pending events."""
        return len(self._pending)

    @property
    def late_objects(self) -> tuple[LateObject, ...]:
        """The newest events that were certainly late, the newest last."""
        return self._counting.late_objects.newest()

    def undecided(self, store: Store | None) -> list[Undecided]:
        """The bounds that are certain so far for pending events."""
        return list(self._provisional.of_all(self._pending, store, self._canaries.lost))

    def _judge_rest(self, clocks: Clocks, dated: Dated | None = None) -> None:
        self._judge(self._pending.clear(), clocks, self._around(clocks), dated=dated)

    def _judge(
        self,
        chunks: Iterable[PendingChunk],
        clocks: Clocks,
        around: Around,
        *,
        early: EarlyReason | None = None,
        dated: Dated | None = None,
    ) -> None:
        """Judge pending events by their evidence or, if given, as `dated` says of all of them."""
        for batch in grouped_by_evidence(chunks, around):
            evidence = self._evidence(batch, clocks)
            for run in batch:
                self._count(run, clocks, dated or _dated(run, evidence, clocks), early)

    def _around(self, clocks: Clocks) -> Around:
        """Functions that return the evidence around a revision."""
        store, cache = clocks.store, clocks.cache
        canaries = self._canaries.revisions

        def known(opening: Opening, revision: int) -> Known:
            history = opening.newest_history or 0
            spans = [Span(up_to=history) if revision <= history else Span(above=history), _between(canaries, revision)]
            if store is not None:
                spans.append(store.answered_span(revision))
            if cache is not None:
                spans.append(cache.polled_span(revision))
            return Known(Span.in_all(spans), _stamped_until(revision, clocks))

        return Around(known, store.polls.arrived_span if store is not None else lambda _: Span())

    def _evidence(self, batch: Sequence[Run], clocks: Clocks) -> Evidence:
        """The evidence about the commits of a batch, but for arrivals.

        One event stands for all: every question here about a revision must end the span in `_around`.
        """
        event, evidence = batch[0].events[0], Evidence([], [], [])
        if event.revision is not None:
            if clocks.store is not None:
                evidence = clocks.store.answers(event.revision)
            canary = self._canaries.take_committed(event.revision)
            if canary is not None:
                evidence.own.append(OwnEvidence("canary", canary))
        ahead_seconds = batch[0].pending.wall_ahead + self._rules.clock_error_seconds
        evidence.assumed.extend(in_object(event, Wallclocks(clocks.apiservers, self._rules.drift, ahead_seconds)))
        return evidence

    def _count(self, run: Run, clocks: Clocks, dated: Dated, early: EarlyReason | None) -> None:
        pending, batch = run
        event, commit = batch[0], dated.commit
        phase = pending.opening.phase(event.revision, commit)
        if phase == "history":
            self._counting.replayed(batch)
            if self._tell_dated is not None:
                self._tell_dated(_dated_batch(batch, pending, commit, NO_BOUND))
            return
        if event.revision is not None and self._canaries.take_lost(event.revision):
            self._counting.was_lost(batch)
            return
        if phase == "unknown":
            dated = NOTHING_KNOWN
        arrival = self._arrivals.excusing_us(pending.arrival, dated.commit.earliest)
        judgement = judge(event, pending.arrival.latest, arrival, dated, self._rules.threshold_seconds)
        self._counting.judged(judgement, len(batch), early)
        # What lies between two moments before and after a sleep of the machine is no difference of our clock's.
        stages: Stages | None = None
        if judgement.is_measured and not self._arrivals.slept_between(dated.commit.earliest, inf):
            stages = self._count_stages(judgement, batch, clocks)
        else:
            self._stamps.forget()  # it has missed these
        if judgement.verdict == "late":
            self._counting.late_objects.add(judgement, batch, stages, pending.wall_ahead)
        if self._tell_dated is not None:
            self._tell_dated(_dated_batch(batch, pending, commit, judgement.latency))
        if self._judged is not None:
            for one in batch:
                self._judged(judgement._replace(event=one))

    def _count_stages(self, judgement: Judgement, batch: Sequence[Event], clocks: Clocks) -> Stages | None:
        event, commit = judgement.event, judgement.dated.commit
        if clocks.apiservers is None:
            self._stamps.forget()
        else:
            for text, events in self._moved_stamps(batch).items():
                stamp = parse_rfc3339(text)
                if stamp is not None:
                    self._counting.stage("write", write_stage(stamp, clocks.apiservers, commit), events)
        if clocks.cache is None or event.revision is None:
            return None
        stages = stages_of(commit, clocks.cache.committed(event.revision), judgement.arrival)
        if stages is not None:
            self._counting.stage("storage_to_cache", stages.storage_to_cache, len(batch))
            self._counting.stage("cache_to_client", stages.cache_to_client, len(batch))
        return stages

    def _moved_stamps(self, batch: Sequence[Event]) -> dict[str, int]:
        """The timestamps that the writes themselves set, each with the number of events."""
        moved: dict[str, int] = {}
        for event in batch:
            if self._stamps.learn(event):
                stamp = event.stamps.managed_fields
                moved[stamp] = moved.get(stamp, 0) + 1
        return moved


def _dated(run: Run, evidence: Evidence, clocks: Clocks) -> Dated:
    """The interval of the commits of a run, by all evidence."""
    revision, arrived = run.events[0].revision, run.pending.arrival.latest
    if revision is not None and clocks.store is not None:
        evidence = evidence.with_arrival(clocks.store.polls.arrived_by(revision), arrived)
    return date_commit(evidence, arrived)


def _dated_batch(batch: Sequence[Event], pending: PendingChunk, commit: Interval, latency: Interval) -> DatedBatch:
    arrived = pending.arrival.latest
    return DatedBatch(batch, Interval(commit.earliest, min(commit.latest, arrived)), latency, arrived, pending.opening)


def _between(cuts: Sequence[int], revision: int) -> Span:
    """The revisions around `revision` that are none of `cuts`, which are in order; or that one alone if it is one."""
    at = bisect_left(cuts, revision)
    above = cuts[at - 1] if at else -inf
    if at == len(cuts):
        return Span(above)
    return Span(above, cuts[at] - 1) if cuts[at] > revision else Span(revision - 1, revision)


def _stamped_until(revision: int, clocks: Clocks) -> str:
    """The newest timestamp that says no more about `revision` than our own clock does; "" if there is none."""
    if clocks.apiservers is None:
        return NEWEST_STAMP  # they say nothing
    if clocks.store is None:
        return ""
    committed_after = clocks.store.polls.committed(revision).earliest
    # No clock of an apiserver can have shown a time up to this later than `committed_after` by ours.
    return rfc3339(int(committed_after + clocks.apiservers.upper)) if committed_after > -inf else ""
