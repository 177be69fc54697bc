"""One resource on one apiserver: what its stream, its clocks and its canaries tell is counted or handed to its judge.

Here the rooms meet: a stream of exporter.kubernetes tells what happens, exporter.measure says what that means, the
children of exporter.expose keep the counts.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

from exporter.judge import Judge
from exporter.kubernetes.resources import EVENTS
from exporter.measure.arrivals import Arrivals
from exporter.measure.canaries import Canaries
from exporter.measure.coverage import Coverage
from exporter.measure.undecided import NO_BOUND
from exporter.measure.window import QUIET_BELOW_EVENTS, Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.config import Config, ResourceName
    from exporter.expose.metrics import ResourceMetrics
    from exporter.kubernetes.clocks import CacheClockwork, RevisionClockwork
    from exporter.kubernetes.resources import Resource
    from exporter.kubernetes.stream import RelistReason
    from exporter.kubernetes.watch import End, Reading, StartError
    from exporter.measure.canaries import Canary
    from exporter.measure.events import Event
    from exporter.measure.judging import Judgement
    from exporter.measure.serverclock import Offset
    from exporter.measure.times import Instant, Interval
    from exporter.measure.window import WindowReport

log = logging.getLogger(__name__)

CANARY_SECONDS = 10.0
"""A canary that was awaited for so much longer than the threshold is lost."""

NO_WATCH = "no watch is open: nothing new is measured"
MEANINGS = {
    "met": "enough events in the window are certainly on time",
    "violated": "too many events in the window are certainly late",
    "unknown": "the certain bounds allow both answers, or events may be missing",
    "quiet": f"fewer than {QUIET_BELOW_EVENTS} events in the window",
}

FORCED = frozenset({"early_eof", "transport_error"})
CURABLE_ONLY_BY_PEOPLE = frozenset({"forbidden", "not_found"})


def _nothing() -> None:
    """Nobody to tell yet."""


class _Trouble(NamedTuple):
    reason: str
    error: str = ""
    """As others have worded it."""

    def __str__(self) -> str:
        return f"{self.reason}: {self.error}" if self.error else self.reason


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a target needs of the world around it."""

    config: Config
    metrics: ResourceMetrics
    apiserver_clocks: Callable[[], Offset | None]
    """Bounds on the clock of every apiserver that may have stamped an object; None while they are not all known."""
    found: Callable[[Resource], None]
    """Told what discovery found."""
    is_a_balancer: Callable[[], None] = _nothing
    """Told that the address stands before several apiservers."""
    judged: Callable[[Target, Judgement], None] | None = None
    """Told of each judgement; for tests and for tools."""


class Target:
    """The listener of one stream."""

    def __init__(self, name: ResourceName, apiserver: str, around: Surroundings) -> None:
        config = around.config
        self.name = name
        self.apiserver = apiserver
        self.arrivals = Arrivals()
        self.window = Window(config.slo_window_seconds, config.slo_objective_ratio)
        self.coverage = Coverage(config.slo_threshold_seconds)
        self.on_restored_store: Callable[[], None] = _nothing
        """Makes the stream list again."""
        self._around = around
        self._metrics = around.metrics
        self._canaries = Canaries(config.slo_threshold_seconds + CANARY_SECONDS)
        self._judge = Judge(
            config,
            around.metrics,
            self.window,
            arrivals=self.arrivals,
            canaries=self._canaries,
            apiserver_clocks=around.apiserver_clocks,
            judged=partial(around.judged, self) if around.judged is not None else None,
        )
        self._expects_canaries = False
        self._awaited_until: Instant = time.monotonic()
        self._relisting: RelistReason | None = None
        self._lost_at: Instant | None = time.monotonic()
        self._uncovered_since: Instant = time.monotonic()
        self._opened_at: Instant = inf
        self._cache_went_back = False
        self._newest: tuple[int, Instant] | None = None
        """The newest revision that has arrived, and when."""
        self._has_answered = False
        self._trouble: _Trouble | None = _Trouble("not started yet")
        self._report = self.window.report(time.monotonic())
        around.metrics.stream_up.set(0)  # also where one of before has left it up

    # What the stream tells (exporter.kubernetes.stream.StreamListener)

    def found(self, resource: Resource) -> None:
        """Discovery says what the resource is."""
        self._around.found(resource)

    def relisting(self, reason: RelistReason) -> None:
        """Continuity is given up: events are not seen, so the objective cannot be met for a while."""
        self._relisting = reason
        # Its first events may come before `opened`.
        self._judge.relisting()
        self.coverage.gave_up_continuity(time.monotonic())
        self._metrics.relists[reason].inc()
        if reason != "start":
            log.warning("relist", extra=self._labels(reason=reason))

    def start_failed(self, error: StartError) -> None:
        """A LIST or WATCH did not start; said once per cause, counted every time."""
        self._metrics.init_events_errors[error.reason].inc()
        if error.reason in CURABLE_ONLY_BY_PEOPLE:
            self._has_answered = True
            self._expects_canaries = False
            self._canaries.forget()
        trouble = _Trouble(error.reason, str(error))
        if trouble != self._trouble:
            self._trouble = trouble
            log.warning("watch does not start", extra=self._labels(reason=error.reason, error=str(error)))

    def opened(self, at: Instant, listed_revision: int | None) -> None:
        """A watch is open."""
        self._opened_at = at
        if listed_revision is not None:
            self._judge.opened(at)
        # Else it is a watch of a history that was given up before it was open, and it is abandoned.
        if listed_revision is not None or self._relisting is None:
            self.coverage.opened(at)
        self._count_uncovered(at)
        if self._lost_at is not None:
            seconds = self._metrics.relist_seconds if self._relisting else self._metrics.rewatch_seconds
            seconds.observe(max(0.0, at - self._lost_at))
        self._relisting = self._lost_at = None
        self._has_answered = self._expects_canaries = True
        self._canaries.passed_over(listed_revision or 0)
        self._trouble = None
        self._metrics.stream_up.set(1)
        log.info("watch open", extra=self._labels(revision=listed_revision))

    def lost(self, at: Instant) -> None:
        """The watch is open no more."""
        self._lost_at = self._uncovered_since = at
        self._opened_at, self._cache_went_back = inf, False
        self.coverage.lost(at)
        self._metrics.stream_up.set(0)

    def slept(self, seconds: float) -> None:
        """The machine was suspended: nobody looked, for so many seconds that our clock did not count."""
        self._metrics.uncovered_seconds.inc(seconds)
        self.coverage.slept(time.monotonic(), seconds)

    def ended(self, end: End, lived_seconds: float) -> None:
        """The watch that was lost ended for this reason."""
        self._metrics.watch_ends[end.reason].inc()
        self._metrics.watch_lifetime.observe(max(0.0, lived_seconds))
        if end.reason in FORCED:
            self._metrics.forced_closes.inc()
        level = logging.INFO if end.reason == "timeout" else logging.WARNING
        log.log(level, "watch ended", extra=self._labels(reason=end.reason, error=end.message, seconds=lived_seconds))

    def read(self, reading: Reading, arrival: Interval) -> None:
        """What came together on the watch: every event is entered into the docket at once, and judged later."""
        metrics = self._metrics
        metrics.received_bytes.inc(reading.size_bytes)
        metrics.last_activity.set(time.time())
        if reading.undecodable:
            metrics.decode_errors.inc(reading.undecodable)
            # Each is an event of which nothing is known.
            self.window.judged(arrival.latest, NO_BOUND, "ambiguous", reading.undecodable)
        for event in reading.repeated:
            metrics.events[event.event_type, "replayed"].inc()
        events = [event for event in reading.events if event.event_type != "bookmark"]
        if len(events) < len(reading.events):
            metrics.events["bookmark", "live"].inc(len(reading.events) - len(events))
        if events:
            self._judge.enter(events, arrival)
            if self._canaries.wants_arrivals:
                for event in events:
                    if event.revision is not None:
                        self._canary_arrived(self._canaries.arrived(event.revision, arrival.latest))
        if reading.events:
            self._tell_clocks(reading.events[-1], arrival.latest)

    def _tell_clocks(self, newest: Event, arrived: Instant) -> None:
        """What is newest here is committed, and was in the watch cache of the apiserver that serves this watch."""
        if self._cache_went_back:
            # That apiserver lives, and has not lost its cache: it was another one that answered the poll.
            self._cache_went_back = False
            self._around.is_a_balancer()
        if newest.revision is None:
            return
        self._newest = newest.revision, arrived
        self._canaries.is_here(newest.revision)
        if self.clock is not None:
            self.clock.arrived(newest.revision, arrived)
        if self._judge.cache_clock is not None and newest.event_type != "bookmark":
            self._judge.cache_clock.clock.arrived(newest.revision, arrived)

    # What the canary tells (exporter.canary)

    def canary_sending(self) -> None:
        """A write to an object of ours goes out that this stream should deliver."""
        if self._expects_canaries:
            self._canaries.sending()

    def canary_answered(self, canary: Canary | None) -> None:
        """That write was answered with success, or None: it was not, and nothing is to be expected."""
        if canary is not None and self.clock is not None:
            self.clock.arrived(canary.revision, canary.answered)
        if self._expects_canaries:
            self._canary_arrived(self._canaries.answered(canary))

    def owe_no_canary(self) -> None:
        """What was written up to now need not come: its apiserver is leaving, and is written for no more."""
        self._canaries.forget()

    def owes_canary(self, sent_before: Instant) -> bool:
        """Whether a canary that was sent before this instant is awaited still: it comes or is lost."""
        return self._canaries.owes_of(sent_before)

    def _canary_arrived(self, seconds: float | None) -> None:
        if seconds is not None:
            self._metrics.canary_delivery.observe(max(0.0, seconds))

    def _lose_canaries(self, now: Instant) -> None:
        """Let the time run of the canaries that do not come, as far as it is not ours; one that is lost is late."""
        since, until = self._awaited_until, self.arrivals.not_before
        self._awaited_until = max(since, until)
        for waited in self.arrivals.kept_up(since, until):
            for latency in self._canaries.waited(*waited):
                self._metrics.canary_lost.inc()
                self._metrics.judged["late"].inc()
                self.window.judged(now, latency, "late")
                log.warning("canary lost", extra=self._labels(seconds=latency.earliest))

    # What the clocks tell

    @property
    def clock(self) -> RevisionClockwork | None:
        """What dates the events; None while no clock is proven to read the same store."""
        return self._judge.clock

    def use_clock(self, clock: RevisionClockwork | None) -> None:
        """From now on `clock` dates the events, or nothing does."""
        self._metrics.revision_clock.set_state(self._what_is_read_by(clock))
        if clock is self.clock:
            return
        if self.clock is not None:
            self.clock.unsubscribe(self._judge.judge_settled, self.store_went_back)
        self._judge.clock = clock
        if clock is not None:
            if self._newest is not None:
                # If its store was restored while nobody polled it, only this shows it.
                clock.store.polls.arrived(*self._newest)
            clock.subscribe(self._judge.judge_settled, self.store_went_back)

    def _what_is_read_by(self, clock: RevisionClockwork | None) -> str:
        if clock is None:
            return "nothing"
        if clock.kind == EVENTS:
            return "store"
        is_own = (clock.kind.group, clock.kind.plural) == (self.name.group, self.name.plural)
        return "own_cache" if is_own else "another_cache"

    def use_cache_clock(self, clock: CacheClockwork | None) -> None:
        """From now on `clock` says when revisions were in the watch cache of this apiserver, or nothing does."""
        self._judge.cache_clock = clock

    def cache_went_back(self, known_at: Instant) -> None:
        """A poll was answered from a cache that had less than was known of it at `known_at`.

        If this watch was open by then and goes on, the apiserver that serves it has the cache that it had.
        """
        self._cache_went_back = self._opened_at <= known_at

    def store_went_back(self) -> None:
        """What arrived and is not judged belongs to revisions that exist no more: nothing can be said of it."""
        self._newest = None
        self._judge.dismiss_all()
        self._canaries.start_anew()
        self.on_restored_store()

    def date_contradicted(self) -> None:
        """A Date of this apiserver contradicts what its clock said before: not to be used for what is pending."""
        self._metrics.contradictions["date"].inc()

    # What others ask

    def refresh(self) -> None:
        """Bring everything that depends on the present moment up to it: just before a scrape, and every second."""
        now = time.monotonic()
        self._judge.judge_settled()
        self._lose_canaries(now)
        if self._lost_at is not None:
            self._count_uncovered(now)
        report = self._report = self.report(now)
        self._metrics.p99_lower.set(report.p99_lower_seconds)
        self._metrics.p99.set(report.p99_seconds)
        self._metrics.p99_upper.set(report.p99_upper_seconds)
        self._metrics.window_events.set(report.events)
        self._metrics.slo_state.set_state(report.state)

    def report(self, now: Instant) -> WindowReport:
        """The window that ends now, with what is certain of the events that wait for their verdict."""
        is_covered = self.coverage.covers(self.window.since(now), now)
        return self.window.report(now, self._judge.undecided(), is_covered=is_covered)

    @property
    def is_settled(self) -> bool:
        """Whether no event waits for its verdict."""
        return not self._judge.waiting

    def finish(self) -> None:
        """It is watched no more: what waits for its verdict gets it now."""
        self._judge.judge_all()
        self.use_clock(None)
        self.refresh()

    def not_ready(self, *, with_errors: bool) -> str | None:
        """Why it is not ready yet; None once the stream has had its answer, up or refused for good."""
        if self._has_answered or self._trouble is None:
            return None
        return f"{self.apiserver} {self.name}: {self._trouble if with_errors else self._trouble.reason}"

    @property
    def trouble(self) -> str | None:
        """Why its watch is not open, in full."""
        return str(self._trouble) if self._trouble is not None else None

    def status(self) -> dict[str, Any]:
        """What the page and the status document show of it, as of the last refresh."""
        report = self._report
        return {
            "apiserver": self.apiserver,
            "group": self.name.group,
            "resource": self.name.plural,
            "stream": "up" if self._lost_at is None else "down",
            "state": report.state,
            "meaning": self._meaning(report),
            "window_events": report.events,
            "p99_lower_seconds": report.p99_lower_seconds,
            "p99_upper_seconds": report.p99_upper_seconds,
            "on_time": int(self._metrics.judged["on_time"].value),
            "late": int(self._metrics.judged["late"].value),
            "ambiguous": int(self._metrics.judged["ambiguous"].value),
            "starts": int(self._metrics.relists["start"].value),
            "relists": int(
                sum(counter.value for reason, counter in self._metrics.relists.items() if reason != "start")
            ),
            "forced_closes": int(self._metrics.forced_closes.value),
            "revision_clock": str(self.clock.kind) if self.clock is not None else None,
            "revision_clock_reads": self._what_is_read_by(self.clock),
            "reads_stale": self.clock is not None and self.clock.store.reads_stale,
            "trouble": self._trouble.reason if self._trouble is not None else None,
            "error": (self._trouble.error or None) if self._trouble is not None else None,
        }

    def _meaning(self, report: WindowReport) -> str:
        """The state in words; without an open watch it only speaks of what had arrived before."""
        return MEANINGS[report.state] if self._lost_at is None else NO_WATCH

    def _count_uncovered(self, now: Instant) -> None:
        self._metrics.uncovered_seconds.inc(max(0.0, now - self._uncovered_since))
        self._uncovered_since = now

    def _labels(self, **more: object) -> dict[str, Any]:
        said = {key: value for key, value in more.items() if value not in {None, ""}}
        return {"fields": {"apiserver": self.apiserver, "resource": str(self.name), **said}}
