"""One resource on one apiserver: what arrives on its stream is dated, judged and counted.

Here the rooms meet: a stream of exporter.kubernetes tells what happens, exporter.measure says what that means, the
children of exporter.expose keep the counts.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

from exporter.measure.arrivals import Arrivals
from exporter.measure.canaries import Canaries
from exporter.measure.dating import Dated, Evidence, after, date_commit
from exporter.measure.judging import Docket, Pending, judge
from exporter.measure.stages import stages_of, write_stage
from exporter.measure.stamps import StampMemory, apiserver_stamps, is_apiservers_own, parse_annotation, renewed_at
from exporter.measure.times import ANY_TIME, Interval
from exporter.measure.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.config import Config, ResourceName
    from exporter.expose.metrics import ResourceMetrics
    from exporter.kubernetes.clocks import CacheClockwork, RevisionClockwork
    from exporter.kubernetes.resources import Resource
    from exporter.kubernetes.stream import RelistReason
    from exporter.kubernetes.watch import End, Reading, StartError
    from exporter.measure.canaries import Canary
    from exporter.measure.events import Event, Lease
    from exporter.measure.judging import EarlyReason, Judgement
    from exporter.measure.serverclock import Offset
    from exporter.measure.times import Instant, WallTime

log = logging.getLogger(__name__)

JUDGED_IN_ONE_TURN = 200
"""After so many judgements the event loop gets its turn: the next bytes want their stamp."""

CANARY_SECONDS = 10.0
"""A canary that was awaited for so much longer than the threshold is lost."""

AWAKE_SECONDS = 2.0
"""Who looks after its canaries less often than this has been asleep."""

FORCED = frozenset({"early_eof", "transport_error"})
CURABLE_ONLY_BY_PEOPLE = frozenset({"forbidden", "not_found"})

NOTHING_KNOWN = Dated(ANY_TIME, (), ())


def _nothing() -> None:
    """No stream yet."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a target needs of the world around it."""

    config: Config
    metrics: ResourceMetrics
    apiserver_clocks: Callable[[], Offset | None]
    """Bounds on the clock of every apiserver that may have stamped an object; None while they are not all known."""
    found: Callable[[Resource], None]
    """Told what discovery found."""
    judged: Callable[[Target, Judgement], None] | None = None
    """Told of each judgement; for tests and for tools."""


class Target:
    """The listener of one stream. Each live event is judged once and counted once, under one verdict."""

    def __init__(self, name: ResourceName, apiserver: str, around: Surroundings) -> None:
        config = around.config
        self.name = name
        self.apiserver = apiserver
        self.arrivals = Arrivals()
        self.window = Window(config.slo_window_seconds, config.slo_objective_ratio)
        self.on_restored_store: Callable[[], None] = _nothing
        """Makes the stream list again."""
        self._around = around
        self._metrics = around.metrics
        self._threshold_seconds = config.slo_threshold_seconds
        self._clock_error_seconds = config.annotation_clock_error_seconds
        self._drift = config.clock_drift_ppm * 1e-6
        self._docket = Docket()
        self._stamps = StampMemory()
        self._canaries = Canaries(config.slo_threshold_seconds + CANARY_SECONDS)
        self._expects_canaries = False
        self._awaited_until: Instant = time.monotonic()
        self._clock: RevisionClockwork | None = None
        self._cache_clock: CacheClockwork | None = None
        self._replayed_until: int | None = 0
        self._opened_at: Instant = 0.0
        self._relisted_at: Instant = 0.0
        self._relisting: RelistReason | None = None
        self._lost_at: Instant | None = time.monotonic()
        self._uncovered_since: Instant = time.monotonic()
        self._has_answered = False
        self._trouble = "not started yet"

    # What the stream tells (exporter.kubernetes.stream.StreamListener)

    def found(self, resource: Resource) -> None:
        """Discovery says what the resource is."""
        self._around.found(resource)

    def relisting(self, reason: RelistReason) -> None:
        """Continuity is given up: events are not seen, so the objective cannot be met for a while."""
        self._relisting = reason
        # Its first events may come before `opened`: until a poll has told history from news, nothing is judged.
        self._replayed_until, self._opened_at = None, inf
        self._relisted_at = time.monotonic()
        self._metrics.relists[reason].inc()
        if reason != "start":
            self.window.lost_events(time.monotonic())
            log.warning("relist", extra=self._labels(reason=reason))

    def start_failed(self, error: StartError) -> None:
        """A LIST or WATCH did not start; said once per cause, counted every time."""
        self._metrics.init_events_errors[error.reason].inc()
        if error.reason in CURABLE_ONLY_BY_PEOPLE:
            self._has_answered = True
            self._expects_canaries = False
            self._canaries.forget()
        trouble = f"{error.reason}: {error}"
        if trouble != self._trouble:
            self._trouble = trouble
            log.warning("watch does not start", extra=self._labels(reason=error.reason, error=str(error)))

    def opened(self, at: Instant, listed_revision: int | None) -> None:
        """A watch is open. After a relist, all up to the first poll sent from now on is history, not news."""
        self._opened_at = at
        self._count_uncovered(at)
        if self._lost_at is not None:
            seconds = self._metrics.relist_seconds if self._relisting else self._metrics.rewatch_seconds
            seconds.observe(max(0.0, at - self._lost_at))
        self._relisting = self._lost_at = None
        self._has_answered = self._expects_canaries = True
        self._canaries.passed_over(listed_revision or 0)
        self._trouble = ""
        self._metrics.stream_up.set(1)
        log.info("watch open", extra=self._labels(revision=listed_revision))

    def lost(self, at: Instant) -> None:
        """The watch is open no more."""
        self._lost_at = self._uncovered_since = at
        self._metrics.stream_up.set(0)

    def ended(self, end: End, lived_seconds: float) -> None:
        """The watch that was lost ended for this reason."""
        self._metrics.watch_ends[end.reason].inc()
        self._metrics.watch_lifetime.observe(max(0.0, lived_seconds))
        if end.reason in FORCED:
            self._metrics.forced_closes.inc()
        level = logging.INFO if end.reason == "timeout" else logging.WARNING
        log.log(level, "watch ended", extra=self._labels(reason=end.reason, error=end.message, seconds=lived_seconds))

    def read(self, reading: Reading, arrival: Interval) -> None:
        """A chunk of the watch: every event is entered into the docket at once, and judged later."""
        metrics = self._metrics
        metrics.received_bytes.inc(reading.size_bytes)
        metrics.last_activity.set(time.time())
        if reading.undecodable:
            metrics.decode_errors.inc(reading.undecodable)
        entered = 0
        for event in reading.events:
            if event.event_type == "bookmark":
                metrics.events["bookmark", "live"].inc()
            else:
                self._docket.enter(Pending(event, arrival, self._annotated_at(event)))
                entered += 1
                if self._canaries.wants_arrivals and event.revision is not None:
                    self._canary_arrived(self._canaries.arrived(event.revision, arrival.latest))
        if entered:
            self.window.arrived(arrival.latest, entered)
        newest = reading.events[-1].revision if reading.events else None
        if newest is not None:
            self._canaries.is_here(newest)
            if self._clock is not None:
                self._clock.arrived(newest, arrival.latest)

    # What the canary tells (exporter.canary)

    def canary_sending(self) -> None:
        """A write to an object of ours goes out that this stream should deliver."""
        if self._expects_canaries:
            self._canaries.sending()

    def canary_answered(self, canary: Canary | None) -> None:
        """That write was answered with success, or None: it was not, and nothing is to be expected."""
        if self._expects_canaries:
            self._canary_arrived(self._canaries.answered(canary))

    def _canary_arrived(self, seconds: float | None) -> None:
        if seconds is not None:
            self._metrics.canary_delivery.observe(max(0.0, seconds))

    def _lose_canaries(self, now: Instant) -> None:
        """Let the time run of the canaries that do not come, as far as it is not ours; one that is lost is late."""
        since = self._awaited_until
        if self._lost_at is None:
            until, is_ours = self.arrivals.not_before, not self.arrivals.kept_up_since(since)
        else:
            until, is_ours = now, now - since > AWAKE_SECONDS
        self._awaited_until = max(since, until)
        for latency in () if is_ours else self._canaries.waited(since, until):
            self._metrics.canary_lost.inc()
            self._metrics.judged["late"].inc()
            self.window.arrived(now)
            self.window.judged(now, latency, "late")
            log.warning("canary lost", extra=self._labels(seconds=latency.earliest))

    # What the clocks tell

    def use_clock(self, clock: RevisionClockwork | None) -> None:
        """From now on `clock` dates the events; None while none is proven to read the same store."""
        if clock is self._clock:
            return
        if self._clock is not None:
            self._clock.unsubscribe(self.judge_settled, self.store_went_back)
        self._clock = clock
        if clock is not None:
            clock.subscribe(self.judge_settled, self.store_went_back)

    def use_cache_clock(self, clock: CacheClockwork) -> None:
        """From now on `clock` says when revisions were in the watch cache of this apiserver."""
        self._cache_clock = clock

    def store_went_back(self) -> None:
        """What arrived and is not judged belongs to revisions that exist no more: nothing can be said of it."""
        self._canaries.forget()
        self._docket.clear(lambda pending: self._count(pending, None, NOTHING_KNOWN))
        self.on_restored_store()

    def date_contradicted(self) -> None:
        """A Date of this apiserver contradicts what its clock said before: not to be used for what is pending."""
        self._metrics.contradictions["date"].inc()

    def judge_settled(self) -> None:
        """Judge every event about which nothing more will be learned, some in each turn of the loop."""
        polls = self._clock.store.polls if self._clock is not None else None
        if polls is not None and self._replayed_until is None:
            self._replayed_until = polls.answered_after(self._opened_at)
        settled_until = polls.settled_until if polls is not None and self._replayed_until is not None else -inf
        if self._cache_clock is not None:
            settled_until = min(settled_until, self._cache_clock.clock.oldest_in_flight)
        for judged, (pending, early) in enumerate(self._docket.ready(settled_until, time.monotonic()), start=1):
            self._count(pending, early, self._dated(pending))
            if judged >= JUDGED_IN_ONE_TURN:
                asyncio.get_running_loop().call_soon(self.judge_settled)
                break

    def _dated(self, pending: Pending) -> Dated:
        """All evidence about one event's commit, the most certain first."""
        revision = pending.event.revision
        evidence: list[Evidence] = []
        if revision is not None:
            if self._clock is not None:
                evidence = self._clock.store.evidence(revision, pending.arrival.latest)
            canary = self._canaries.committed(revision)
            if canary is not None:
                evidence.append(Evidence("canary", canary))
        if pending.annotated_at is not None:
            evidence.append(Evidence("annotation", after(pending.annotated_at)))
        offset = self._around.apiserver_clocks()
        renewed = self._renewed_at(pending.event.lease, offset) if pending.event.lease is not None else None
        if renewed is not None:
            evidence.append(Evidence("lease", after(renewed)))
        if offset is not None:
            for source, stamped in apiserver_stamps(pending.event.metadata):
                evidence.append(Evidence(source, after(offset.instant_of(stamped, self._drift))))
        return date_commit(evidence)

    def _count(self, pending: Pending, early: EarlyReason | None, dated: Dated) -> None:
        event = pending.event
        arrived = pending.arrival.latest
        if self._is_replayed(event.revision, arrived):
            self._metrics.events[event.event_type, "replayed"].inc()
            self.window.retract(arrived)
            return
        if event.revision is not None and self._canaries.is_lost(event.revision):
            # It was counted as late when it was given up.
            self._metrics.events[event.event_type, "live"].inc()
            self.window.retract(arrived)
            return
        arrival = self.arrivals.excusing_us(pending.arrival, dated.commit.earliest)
        judgement = judge(pending, arrival, dated, self._threshold_seconds)
        self._metrics.events[event.event_type, "live"].inc()
        self._metrics.judged[judgement.verdict].inc()
        self.window.judged(arrived, judgement.latency, judgement.verdict)
        self._count_evidence(dated)
        if judgement.is_measured:
            self._count_latency(judgement.latency)
            self._count_stages(judgement)
        else:
            reason = "bad_revision" if event.revision is None else "overflow" if early == "overflow" else "no_evidence"
            self._metrics.unmeasured[reason].inc()
        if self._around.judged is not None:
            self._around.judged(self, judgement)

    def _is_replayed(self, revision: int | None, arrived: Instant) -> bool:
        """Whether a relist brought it as history; what arrived before the relist was news."""
        if revision is None or arrived < self._relisted_at:
            return False
        return revision <= (self._replayed_until or 0)

    def _count_evidence(self, dated: Dated) -> None:
        for source in dated.sources:
            self._metrics.evidence[source].inc()
        for source in dated.contradictions:
            self._metrics.contradictions[source].inc()

    def _count_latency(self, latency: Interval) -> None:
        lower, upper = latency
        self._metrics.time_span_lower.observe(lower)
        self._metrics.time_span_upper.observe(upper)
        self._metrics.time_span.observe((lower + upper) / 2)
        self._metrics.interval_width.observe(upper - lower)

    def _count_stages(self, judgement: Judgement) -> None:
        event, commit = judgement.event, judgement.dated.commit
        clocks = self._around.apiserver_clocks()
        if clocks is not None:
            stamp = self._stamps.moved_by(event)
            if stamp is not None:
                self._count_stage("write", write_stage(stamp, clocks, commit))
        if self._cache_clock is not None and event.revision is not None:
            stages = stages_of(commit, self._cache_clock.clock.committed(event.revision), judgement.arrival)
            if stages is not None:
                self._count_stage("storage_to_cache", stages.storage_to_cache)
                self._count_stage("cache_to_client", stages.cache_to_client)

    def _count_stage(self, stage: str, seconds: Interval) -> None:
        self._metrics.stage_lower[stage].observe(seconds.earliest)
        self._metrics.stage_upper[stage].observe(seconds.latest)

    def _annotated_at(self, event: Event) -> Instant | None:
        written = parse_annotation(event.annotation) if event.annotation is not None else None
        if written is None:
            return None
        return self._earliest(written)

    def _renewed_at(self, lease: Lease, apiserver_clocks: Offset | None) -> Instant | None:
        """No later than the lease's holder renewed it. If that is an apiserver, its clock may be known far better."""
        renewed = renewed_at(lease)
        if renewed is None:
            return None
        if apiserver_clocks is not None and is_apiservers_own(lease):
            return apiserver_clocks.instant_of(renewed, self._drift)
        return self._earliest(renewed)

    def _earliest(self, written: WallTime) -> Instant:
        """The earliest moment at which the clock of somebody else's host can have shown `written`."""
        now = time.monotonic()  # first: a pause before the other clock is read makes this earlier, which is safe
        return written - self._clock_error_seconds - (time.time() - now)

    # What others ask

    def refresh(self) -> None:
        """Bring everything that depends on the present moment up to it: just before a scrape, and every second."""
        now = time.monotonic()
        self.judge_settled()
        self._lose_canaries(now)
        if self._lost_at is not None:
            self._count_uncovered(now)
        report = self.window.report(now)
        self._metrics.p99_lower.set(report.p99_lower_seconds)
        self._metrics.p99.set(report.p99_seconds)
        self._metrics.p99_upper.set(report.p99_upper_seconds)
        self._metrics.window_events.set(report.events)
        self._metrics.slo_state.set_state(report.state)

    @property
    def not_ready(self) -> str | None:
        """Why it is not ready yet; None once the stream has had its answer, up or refused for good."""
        return None if self._has_answered else f"{self.apiserver} {self.name}: {self._trouble}"

    def status(self) -> dict[str, Any]:
        """What the page and the status document show of it."""
        report = self.window.report(time.monotonic())
        return {
            "apiserver": self.apiserver,
            "group": self.name.group,
            "resource": self.name.plural,
            "stream": "up" if self._lost_at is None else "down",
            "state": report.state,
            "window_events": report.events,
            "p99_lower_seconds": report.p99_lower_seconds,
            "p99_upper_seconds": report.p99_upper_seconds,
            "on_time": int(self._metrics.judged["on_time"].value),
            "late": int(self._metrics.judged["late"].value),
            "ambiguous": int(self._metrics.judged["ambiguous"].value),
            "relists": int(sum(counter.value for counter in self._metrics.relists.values())),
            "forced_closes": int(self._metrics.forced_closes.value),
            "revision_clock": str(self._clock.kind) if self._clock is not None else None,
            "trouble": self._trouble or None,
        }

    def _count_uncovered(self, now: Instant) -> None:
        self._metrics.uncovered_seconds.inc(max(0.0, now - self._uncovered_since))
        self._uncovered_since = now

    def _labels(self, **more: object) -> dict[str, Any]:
        said = {key: value for key, value in more.items() if value not in {None, ""}}
        return {"fields": {"apiserver": self.apiserver, "resource": str(self.name), **said}}
