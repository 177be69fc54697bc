"""One resource on one apiserver: counts and judges the events of its reflector, its pollers and its canaries.

exporter.watch and exporter.clocks report what happens, exporter.measure evaluates it. The page, the status document,
the metrics and `watchslo measure` read the state of the stream.
"""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from exporter.measure.arrivals import Arrivals
from exporter.measure.awaited import AwaitedCanaries
from exporter.measure.canaries import Canaries
from exporter.measure.continuity import Continuity
from exporter.measure.counting import Counting
from exporter.measure.judge import Judge, JudgeListener, Rules
from exporter.measure.judging import Room
from exporter.measure.pod_starts import PodStarts
from exporter.measure.stream_state import Delivered, StreamState, Trouble
from exporter.measure.undecided import NO_BOUND
from exporter.measure.window import Window
from exporter.service.stream_clocks import StreamClocks
from exporter.vocabulary import FORCED_ENDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.clocks.pollers import CachePoller, RevisionPoller
    from exporter.config import Config, ResourceName
    from exporter.kubernetes.errors import StartError
    from exporter.kubernetes.resources import Resource
    from exporter.measure.canaries import Canary
    from exporter.measure.coverage import Coverage
    from exporter.measure.events import Event
    from exporter.measure.judging import Judgement
    from exporter.measure.serverclock import Offset
    from exporter.measure.startup_counts import StartupCounts
    from exporter.measure.stream_state import StreamCounts
    from exporter.measure.times import Instant, Interval
    from exporter.measure.window import WindowReport
    from exporter.metrics.registry import StreamMetrics
    from exporter.vocabulary import RelistReason, StartupStage
    from exporter.watch.watch import DecodedBatch, End

log = logging.getLogger(__name__)

CANARY_SECONDS = 10.0
"""A canary is lost if it has not arrived within the threshold plus this time."""

WAITING = Room()
"""The pending events of all streams of this process share it."""

CURABLE_ONLY_BY_PEOPLE = frozenset({"forbidden", "not_found"})


def rules_of(config: Config) -> Rules:
    """The configuration that verdicts depend on."""
    return Rules(
        threshold_seconds=config.slo_threshold_seconds,
        clock_error_seconds=config.annotation_clock_error_seconds,
        drift=config.clock_drift_ppm * 1e-6,
        poll_period_seconds=1 / config.revision_clock_hz if config.revision_clock_hz > 0 else None,
    )


def _nothing() -> None:
    """A callback that does nothing."""


class StreamDependencies(msgspec.Struct, frozen=True):
    """The dependencies of a stream."""

    config: Config
    metrics: StreamMetrics
    apiserver_clocks: Callable[[], Offset | None]
    """Common bounds on the clocks of all apiservers that may have stamped an object; None unless all are known."""
    found: Callable[[Resource], None]
    """Called with the resource that discovery found."""
    is_a_balancer: Callable[[], None] = _nothing
    """Called if the address turns out to be a load balancer."""
    judged: Callable[[Stream, Judgement], None] | None = None
    """Called with each judgement; for tests and tools."""
    startup_counts: StartupCounts | None = None
    """Where the start-ups of pods are counted; None unless that is wanted, and for other kinds."""
    pod_stage: Callable[[str, StartupStage, Interval], None] | None = None
    """Called with each stage of each pod, by its uid; for tests and tools."""


class Stream:
    """One stream. Its reflector, its pollers and its canaries call it."""

    def __init__(self, name: ResourceName, apiserver: str, dependencies: StreamDependencies) -> None:
        config = dependencies.config
        self.name = name
        self.apiserver = apiserver
        self.arrivals = Arrivals()
        self.window = Window(config.slo_window_seconds, config.slo_objective_ratio)
        self.on_restored_store: Callable[[], None] = _nothing
        """Makes the reflector list again."""
        self._dependencies = dependencies
        startups = dependencies.startup_counts
        self.pod_starts = PodStarts(startups, self.arrivals, dependencies.pod_stage) if startups is not None else None
        now = time.monotonic()
        canaries = Canaries(config.slo_threshold_seconds + CANARY_SECONDS)
        self._awaited = AwaitedCanaries(canaries, self.counts, self.window, self.arrivals, now)
        self._continuity = Continuity(self.counts, config.slo_threshold_seconds, now)
        self._clocks = StreamClocks(dependencies.apiserver_clocks)
        self._judge = Judge(
            rules_of(config),
            Counting(self.counts, self.window),
            arrivals=self.arrivals,
            canaries=canaries,
            room=WAITING,
            listener=self._judge_listener(),
        )
        self.state = self._state(now)
        dependencies.metrics.state = self.state

    def _judge_listener(self) -> JudgeListener:
        judged = self._dependencies.judged
        return JudgeListener(
            partial(judged, self) if judged is not None else None,
            self.pod_starts.enter if self.pod_starts is not None else None,
        )

    # Callbacks of the reflector (exporter.watch.reflector.ReflectorListener)

    def found(self, resource: Resource) -> None:
        """Discovery found the resource."""
        self._dependencies.found(resource)

    def relisting(self, reason: RelistReason) -> None:
        """Continuity is lost: events may be missing, so the objective cannot be met until they leave the window."""
        # The first events of the new watch may arrive before `opened` is called.
        self._judge.relisting()
        self._continuity.relisting(reason, time.monotonic())
        if reason != "start":
            self._continuity.interruptions.relisted(time.monotonic(), time.time())
            log.warning("relist", extra=self._labels(reason=reason))

    def start_failed(self, error: StartError) -> None:
        """A LIST or WATCH did not start: logged once per cause, counted every time."""
        self.counts.start_errors[error.reason] += 1
        is_final = error.reason in CURABLE_ONLY_BY_PEOPLE
        if is_final:
            self._awaited.refused()
        if self._continuity.failed(Trouble(error.reason, str(error)), is_final=is_final):
            log.warning("watch does not start", extra=self._labels(reason=error.reason, error=str(error)))

    def opened(self, at: Instant, listed_revision: int | None) -> None:
        """A watch is open."""
        if listed_revision is not None:
            self._judge.opened(at)
        self._continuity.opened(at, listed_revision)
        self._awaited.opened(listed_revision or 0)
        log.info("watch open", extra=self._labels(revision=listed_revision))

    def lost(self, at: Instant) -> None:
        """The watch is no longer open."""
        self._continuity.lost(at)

    def slept(self, seconds: float) -> None:
        """The machine was suspended for `seconds`, which our monotonic clock did not count: nothing was watched."""
        self._continuity.slept(time.monotonic(), seconds)

    def ended(self, end: End, lived_seconds: float) -> None:
        """The lost watch ended for this reason."""
        self.counts.ends[end.reason] += 1
        self.counts.lifetime.observe(max(0.0, lived_seconds))
        if end.reason in FORCED_ENDS:
            self.counts.forced_closes += 1
            self._continuity.interruptions.closed_by_force(time.monotonic(), time.time(), lived_seconds)
        level = logging.INFO if end.reason == "timeout" else logging.WARNING
        log.log(level, "watch ended", extra=self._labels(reason=end.reason, error=end.message, seconds=lived_seconds))

    def read(self, reading: DecodedBatch, arrival: Interval) -> None:
        """A batch of events arrived on the watch: each event is pending from now on."""
        counts = self.counts
        counts.received_bytes += reading.size_bytes
        self._continuity.last_activity = time.time()
        if reading.undecodable:
            counts.undecodable += reading.undecodable
            # Each is an event about which nothing is known.
            self.window.judged(arrival.latest, NO_BOUND, "ambiguous", reading.undecodable)
        for event in reading.repeated:
            counts.events[event.event_type, "replayed"] += 1
        events = [event for event in reading.events if event.event_type != "bookmark"]
        if len(events) < len(reading.events):
            counts.events["bookmark", "live"] += len(reading.events) - len(events)
        if events:
            now = time.monotonic()  # first: a pause before the other clock is read makes stamps earlier, which is safe
            self._judge.enter(events, arrival, time.time() - now)
            self._awaited.arrived(events, arrival.latest)
        if reading.events:
            self._tell_clocks(reading.events[-1], arrival.latest)

    def _tell_clocks(self, newest: Event, arrived: Instant) -> None:
        if self._continuity.take_anothers_cache(arrived):
            self._dependencies.is_a_balancer()
        if newest.revision is not None:
            self._awaited.canaries.is_here(newest.revision)
            self._clocks.arrived(newest.revision, arrived, is_event=newest.event_type != "bookmark")

    # Callbacks of the canary (exporter.service.canary)

    def canary_sending(self, *, is_through_here: bool = False) -> None:
        """A canary is being written, by this apiserver or another one, and this stream should deliver its event."""
        self._awaited.sending(time.monotonic() if is_through_here else None)

    def canary_answered(self, canary: Canary | None) -> None:
        """The canary was written; None if the write failed, so that no event is expected."""
        if canary is not None and self.clock is not None:
            self.clock.arrived(canary.revision, canary.answered)
        self._awaited.answered(canary, time.time())

    def owe_no_canary(self) -> None:
        """Expect no canary any more: the apiserver is being removed, and no canaries are written for it."""
        self._awaited.canaries.forget()

    def owes_canary(self, sent_before: Instant) -> bool:
        """Whether a canary that was sent before this instant is still awaited: it will arrive or be lost."""
        return self._awaited.canaries.owes_of(sent_before)

    # The pollers

    def use_clock(self, clock: RevisionPoller | None) -> None:
        """Date the events by this revision clock from now on; None for no clock."""
        if clock is self.clock:
            return
        if self.clock is not None:
            self.clock.unsubscribe(self.judge_settled, self.store_went_back)
        self._clocks.use_revision(clock)
        if clock is not None:
            clock.subscribe(self.judge_settled, self.store_went_back)

    def use_cache_clock(self, clock: CachePoller | None) -> None:
        """Use this poller of the apiserver's watch cache from now on; None for no poller."""
        self._clocks.cache = clock

    def cache_went_back(self, known_at: Instant) -> None:
        """A poll of the watch cache returned a revision older than the one known at `known_at`."""
        self._continuity.cache_went_back(known_at, time.monotonic())

    def store_went_back(self) -> None:
        """The store was restored: dismiss pending events, because their revisions no longer exist."""
        self._clocks.store_went_back()
        self._judge.dismiss_all(self._clocks.now())
        self._awaited.canaries.start_anew()
        self.on_restored_store()

    def date_contradicted(self) -> None:
        """A Date header of this apiserver contradicts earlier ones: counted, and not used for pending events."""
        self.counts.contradictions["date"] += 1

    # Verdicts and state

    def judge_settled(self) -> bool:
        """Judge each event that gets no more evidence, a limited number in each iteration of the event loop.

        Returns whether any were pending.
        """
        is_any_pending = not self.is_settled
        if self._judge.judge_settled(time.monotonic(), self._clocks.now()):
            asyncio.get_running_loop().call_soon(self.judge_settled)
        return is_any_pending

    def refresh(self) -> None:
        """Update everything that depends on the current time. Called before each scrape and every second."""
        now, wall = time.monotonic(), time.time()
        self.judge_settled()
        for latency in self._awaited.lose(now, wall):
            log.warning("canary lost", extra=self._labels(seconds=latency.earliest))
        self._continuity.refresh(now)
        window_seconds = self._dependencies.config.slo_window_seconds
        state = self._continuity.standing.stamped(self._state(now), wall, window_seconds)
        self.state = self._dependencies.metrics.state = state

    @property
    def counts(self) -> StreamCounts:
        """All that is counted here; they go on where a stream with the same labels stopped."""
        return self._dependencies.metrics.counts

    @property
    def clock(self) -> RevisionPoller | None:
        """The revision clock that dates the events; None while none is proven to read the same store."""
        return self._clocks.revision

    @property
    def coverage(self) -> Coverage:
        """The time that was covered by an open watch."""
        return self._continuity.coverage

    @property
    def is_up(self) -> bool:
        """Whether a watch is open."""
        return self._continuity.is_up

    @property
    def trouble(self) -> Trouble | None:
        """Why no watch is open, if that is known."""
        return self._continuity.trouble

    def report(self, now: Instant) -> WindowReport:
        """The window that ends now, including what is already certain about pending events."""
        undecided = self._judge.undecided(self._clocks.store)
        return self.window.report(now, undecided, self.coverage.uncovered(self.window.since(now), now))

    @property
    def is_settled(self) -> bool:
        """Whether no event is pending."""
        return not self._judge.waiting

    def finish(self) -> None:
        """The stream is no longer watched: judge all pending events now."""
        self._judge.judge_all(self._clocks.now())
        if self.pod_starts is not None:
            self.pod_starts.sees_pulls = False  # no Event about them comes any more
        self.use_clock(None)
        self.refresh()

    def not_ready(self, *, with_errors: bool) -> str | None:
        """Why the stream is not ready; None once its watch has been open or was finally refused."""
        if self._continuity.has_answered or self.trouble is None:
            return None
        return f"{self.apiserver} {self.name}: {self.trouble if with_errors else self.trouble.reason}"

    def _state(self, now: Instant) -> StreamState:
        canaries = self._awaited.canaries
        return StreamState(
            apiserver=self.apiserver,
            at=now,
            group=self.name.group,
            resource=self.name.plural,
            is_up=self.is_up,
            trouble=self.trouble,
            window=self.report(now),
            revision_clock=self._clocks.state(self.name),
            last_activity=self._continuity.last_activity,
            delivered=Delivered(canaries.newest, self._clocks.newest_event),
            cache_answer=self._clocks.cache_answer,
            owed_canary=canaries.oldest_owed,
            canary_trouble=self._awaited.trouble,
            canary_unanswered_since=self._awaited.unanswered_since,
            interruptions=self._continuity.interruptions.state(now),
            late_objects=self._judge.late_objects,
            pod_startup=self.pod_starts.state(now) if self.pod_starts is not None else None,
            counts=self.counts.copy(),
        )

    def _labels(self, **more: object) -> dict[str, Any]:
        said = {key: value for key, value in more.items() if value not in {None, ""}}
        return {"fields": {"apiserver": self.apiserver, "resource": str(self.name), **said}}
