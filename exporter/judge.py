"""What arrived on one stream is dated and judged, as soon as nothing more will be learned about it.

Between two polls the same is known of all that came in one chunk: it is dated and judged at once. Until then it is
said what is certain already.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from functools import partial
from math import inf
from typing import TYPE_CHECKING

from exporter.counts import Counts
from exporter.measure.dating import AssumedEvidence, Dated, Evidence, OwnEvidence, after, date_commit
from exporter.measure.judging import Docket, Known, Opening, Pending, Room, alike, judge
from exporter.measure.revisions import Span
from exporter.measure.stages import stages_of, write_stage
from exporter.measure.stamps import (
    NEWEST_STAMP,
    StampMemory,
    apiserver_stamps,
    is_apiservers_own,
    parse_annotation,
    parse_rfc3339,
    renewed_at,
    rfc3339,
)
from exporter.measure.times import ANY_TIME, Interval
from exporter.measure.undecided import Provisional

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from exporter.config import Config
    from exporter.expose.metrics import ResourceMetrics
    from exporter.kubernetes.clocks import CacheClockwork, RevisionClockwork
    from exporter.measure.arrivals import Arrivals
    from exporter.measure.canaries import Canaries
    from exporter.measure.events import Event, Lease
    from exporter.measure.judging import EarlyReason, Judgement
    from exporter.measure.revisions import RevisionClock
    from exporter.measure.serverclock import Offset
    from exporter.measure.store import Store
    from exporter.measure.times import Instant
    from exporter.measure.undecided import Undecided
    from exporter.measure.window import Window

JUDGED_IN_ONE_TURN = 200
"""After so many events the event loop gets its turn: the next bytes want their stamp."""

HISTORY_TOLD_SECONDS = 2.0
HISTORY_TOLD_POLLS = 3
"""What was committed after a relist and before the first poll passes for history, if that poll is answered within
this time (and so many poll periods): in good times that is a fifth of a second."""

WAITING = Room()
"""Of all streams of this process."""

NOTHING_KNOWN = Dated(ANY_TIME, (), ())


class Judge:
    """The events of one stream from their arrival to their count. Each live one is counted once, under one verdict."""

    def __init__(  # noqa: PLR0913 all that bears on a verdict
        self,
        config: Config,
        metrics: ResourceMetrics,
        window: Window,
        *,
        arrivals: Arrivals,
        canaries: Canaries,
        apiserver_clocks: Callable[[], Offset | None],
        judged: Callable[[Judgement], None] | None,
    ) -> None:
        self.clock: RevisionClockwork | None = None
        self.cache_clock: CacheClockwork | None = None
        self._threshold_seconds = config.slo_threshold_seconds
        self._clock_error_seconds = config.annotation_clock_error_seconds
        self._drift = config.clock_drift_ppm * 1e-6
        self._counts = Counts(metrics, window)
        self._arrivals = arrivals
        self._canaries = canaries
        self._apiserver_clocks = apiserver_clocks
        self._judged = judged
        self._docket = Docket(room=WAITING)
        self._stamps = StampMemory()
        self._told_within_seconds = HISTORY_TOLD_SECONDS
        if config.revision_clock_hz > 0:
            self._told_within_seconds += HISTORY_TOLD_POLLS / config.revision_clock_hz
        self._provisional = Provisional(arrivals, config.slo_threshold_seconds)
        self._opening = Opening(at=-inf)

    def relisting(self) -> None:
        """What comes from now on may be history: nothing is judged until a poll has told that from news."""
        self._stamps.forget()
        self._opening = Opening()

    def opened(self, at: Instant) -> None:
        """After a relist, all up to the first poll sent from now on is history, not news."""
        self._opening.at = at

    def enter(self, events: Sequence[Event], arrival: Interval) -> None:
        """They came together, and are judged later."""
        now = time.monotonic()  # first: a pause before the other clock is read makes stamps earlier, which is safe
        self._docket.enter(Pending(events, arrival, self._opening, time.time() - now))

    def judge_settled(self) -> None:
        """Judge every event about which nothing more will be learned, some in each turn of the loop."""
        polls = self.clock.store.polls if self.clock is not None else None
        if polls is not None and self._opening.newest_history is None and self._opening.at is not None:
            newest_history = polls.answered_after(self._opening.at)
            if newest_history is not None:
                self._opening.told(newest_history, polls.committed(newest_history).latest, self._told_within_seconds)
        settled_until = polls.settled_until if polls is not None else -inf
        if self.cache_clock is not None:
            settled_until = min(settled_until, self.cache_clock.clock.oldest_in_flight)
        if not self._docket:
            return
        known_around, judged = self._known_around(), 0
        for pending, early in self._docket.ready(settled_until, time.monotonic()):
            for run in alike(pending.events, partial(known_around, pending.opening)):
                self._count(run, pending, early, self._dated(run[0], pending))
            judged += len(pending.events)
            if judged >= JUDGED_IN_ONE_TURN:
                asyncio.get_running_loop().call_soon(self.judge_settled)
                break

    def judge_all(self) -> None:
        """Judge whatever waits by what is known: nobody will wait for more."""
        known_around = self._known_around()
        for pending in self._docket.clear():
            for run in alike(pending.events, partial(known_around, pending.opening)):
                self._count(run, pending, None, self._dated(run[0], pending))

    def dismiss_all(self) -> None:
        """Nothing can be said of what waits: its revisions exist no more."""
        known_around = self._known_around()
        for pending in self._docket.clear():
            for run in alike(pending.events, partial(known_around, pending.opening)):
                self._count(run, pending, None, NOTHING_KNOWN)

    @property
    def waiting(self) -> int:
        """How many events wait for their verdict."""
        return len(self._docket)

    def undecided(self) -> list[Undecided]:
        """What is certain already of the events that wait."""
        store = self.clock.store if self.clock is not None else None
        return list(self._provisional.of_all(self._docket, store, self._canaries.lost))

    def _known_around(self) -> Callable[[Opening, int], Known]:
        """A function that says what is known now of the revisions around one, for events that came together."""
        clocks: list[Store | RevisionClock] = [self.clock.store] if self.clock is not None else []
        if self.cache_clock is not None:
            clocks.append(self.cache_clock.clock)
        offset = self._apiserver_clocks()
        canaries = self._canaries.revisions

        def known_around(opening: Opening, revision: int) -> Known:
            history = opening.newest_history or 0
            past_or_news = Span(up_to=history) if revision <= history else Span(above=history)
            span = Span.in_all(
                [past_or_news, _between(canaries, revision), *[clock.span(revision) for clock in clocks]]
            )
            return Known(span, self._stamped_until(revision, offset))

        return known_around

    def _stamped_until(self, revision: int, offset: Offset | None) -> str:
        """The newest stamp that says no more of `revision` than our own clock does; "" if there is no such."""
        if offset is None:
            return NEWEST_STAMP  # they say nothing
        if self.clock is None:
            return ""
        committed_after = self.clock.store.polls.committed(revision).earliest
        # No clock of an apiserver can have shown a time up to this later than `committed_after` by ours.
        return rfc3339(int(committed_after + offset.upper)) if committed_after > -inf else ""

    def _dated(self, event: Event, pending: Pending) -> Dated:
        """When one event was committed, by all evidence.

        It stands for a run: whatever is asked here of a revision must end the span in `_known_around`.
        """
        evidence = Evidence([], [], [])
        if event.revision is not None:
            if self.clock is not None:
                evidence = self.clock.store.evidence(event.revision, pending.arrival.latest)
            canary = self._canaries.committed(event.revision)
            if canary is not None:
                evidence.own.append(OwnEvidence("canary", canary))
        assumed = evidence.assumed
        annotated = parse_annotation(event.annotation) if event.annotation is not None else None
        if annotated is not None:
            written = annotated - self._clock_error_seconds - pending.wall_ahead
            assumed.append(AssumedEvidence("annotation", after(written)))
        offset = self._apiserver_clocks()
        renewed = self._renewed_at(event.lease, offset, pending) if event.lease is not None else None
        if renewed is not None:
            assumed.append(AssumedEvidence("lease", after(renewed)))
        if offset is not None:
            for source, stamped in apiserver_stamps(event.stamps):
                assumed.append(AssumedEvidence(source, after(offset.instant_of(stamped, self._drift))))
        return date_commit(evidence, pending.arrival.latest)

    def _renewed_at(self, lease: Lease, apiserver_clocks: Offset | None, pending: Pending) -> Instant | None:
        """No later than the lease's holder renewed it. If that is an apiserver, its clock may be known far better."""
        renewed = renewed_at(lease)
        if renewed is None:
            return None
        if apiserver_clocks is not None and is_apiservers_own(lease):
            return apiserver_clocks.instant_of(renewed, self._drift)
        return renewed - self._clock_error_seconds - pending.wall_ahead

    def _count(self, run: Sequence[Event], pending: Pending, early: EarlyReason | None, dated: Dated) -> None:
        event = run[0]
        phase = pending.opening.phase(event.revision, dated.commit)
        if phase == "history":
            self._counts.replayed(run)
            return
        if event.revision is not None and self._canaries.is_lost(event.revision):
            self._counts.was_lost(run)
            return
        if phase == "unknown":
            dated = NOTHING_KNOWN
        arrival = self._arrivals.excusing_us(pending.arrival, dated.commit.earliest)
        judgement = judge(event, pending.arrival.latest, arrival, dated, self._threshold_seconds)
        self._counts.judged(judgement, len(run), early)
        # What lies between two moments before and after a sleep of the machine is no difference of our clock's.
        if judgement.is_measured and not self._arrivals.slept_between(dated.commit.earliest, inf):
            self._count_stages(judgement, run)
        else:
            self._stamps.forget()  # it has missed these
        if self._judged is not None:
            for one in run:
                self._judged(judgement._replace(event=one))

    def _count_stages(self, judgement: Judgement, run: Sequence[Event]) -> None:
        event, commit = judgement.event, judgement.dated.commit
        clocks = self._apiserver_clocks()
        if clocks is None:
            self._stamps.forget()
        else:
            for text, events in self._moved_stamps(run).items():
                stamp = parse_rfc3339(text)
                if stamp is not None:
                    self._counts.stage("write", write_stage(stamp, clocks, commit), events)
        if self.cache_clock is not None and event.revision is not None:
            stages = stages_of(commit, self.cache_clock.clock.committed(event.revision), judgement.arrival)
            if stages is not None:
                self._counts.stage("storage_to_cache", stages.storage_to_cache, len(run))
                self._counts.stage("cache_to_client", stages.cache_to_client, len(run))

    def _moved_stamps(self, run: Sequence[Event]) -> dict[str, int]:
        """The stamps that the writes themselves put in, each with the number of events."""
        moved: dict[str, int] = {}
        for event in run:
            if self._stamps.moved_by(event):
                stamp = event.stamps.managed_fields
                moved[stamp] = moved.get(stamp, 0) + 1
        return moved


def _between(cuts: Sequence[int], revision: int) -> Span:
    """The revisions around `revision` that are none of `cuts`, which are in order; or that one alone if it is one."""
    at = bisect_left(cuts, revision)
    above = cuts[at - 1] if at else -inf
    if at == len(cuts):
        return Span(above)
    return Span(above, cuts[at] - 1) if cuts[at] > revision else Span(revision - 1, revision)
