"""One resource on one apiserver: what its reflector, its pollers and its canaries tell is counted, or judged.

Here the rooms meet: exporter.watch and exporter.clocks tell what happens, exporter.measure says what that means. Page,
status, metrics and `watchslo measure` read the state of the stream.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from exporter.measure.arrivals import Arrivals
from exporter.measure.awaited import AwaitedCanaries
from exporter.measure.canaries import Canaries
from exporter.measure.continuity import Continuity
from exporter.measure.counting import Counting
from exporter.measure.judge import Judge, Rules
from exporter.measure.judging import Room
from exporter.measure.stream_state import StreamState, Trouble
from exporter.measure.undecided import NO_BOUND
from exporter.measure.window import Window
from exporter.service.stream_clocks import StreamClocks

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.clocks.pollers import CachePoller, RevisionPoller
    from exporter.config import Config, ResourceName
    from exporter.kubernetes.errors import StartError
    from exporter.kubernetes.resources import Resource
    from exporter.labels import RelistReason
    from exporter.measure.canaries import Canary
    from exporter.measure.coverage import Coverage
    from exporter.measure.events import Event
    from exporter.measure.judging import Judgement
    from exporter.measure.serverclock import Offset
    from exporter.measure.times import Instant, Interval
    from exporter.measure.window import WindowReport
    from exporter.metrics.registry import StreamMetrics
    from exporter.watch.watch import End, Reading

log = logging.getLogger(__name__)

CANARY_SECONDS = 10.0
"""A canary that was awaited for so much longer than the threshold is lost."""

WAITING = Room()
"""Of the events of all streams of this process that wait for their verdict."""

FORCED = frozenset({"early_eof", "transport_error"})
CURABLE_ONLY_BY_PEOPLE = frozenset({"forbidden", "not_found"})


def rules_of(config: Config) -> Rules:
    """What verdicts depend on, as it is configured."""
    return Rules(
        threshold_seconds=config.slo_threshold_seconds,
        clock_error_seconds=config.annotation_clock_error_seconds,
        drift=config.clock_drift_ppm * 1e-6,
        poll_period_seconds=1 / config.revision_clock_hz if config.revision_clock_hz > 0 else None,
    )


def _nothing() -> None:
    """Nobody to tell yet."""


@dataclass(frozen=True, slots=True)
class StreamDependencies:
    """What a stream needs of the world around it."""

    config: Config
    metrics: StreamMetrics
    apiserver_clocks: Callable[[], Offset | None]
    """Bounds on the clock of every apiserver that may have stamped an object; None while they are not all known."""
    found: Callable[[Resource], None]
    """Told what discovery found."""
    is_a_balancer: Callable[[], None] = _nothing
    """Told that the address stands before several apiservers."""
    judged: Callable[[Stream, Judgement], None] | None = None
    """Told of each judgement; for tests and for tools."""


class Stream:
    """One stream: what its reflector, its pollers and its canaries tell is counted, or judged."""

    def __init__(self, name: ResourceName, apiserver: str, dependencies: StreamDependencies) -> None:
        config = dependencies.config
        self.name = name
        self.apiserver = apiserver
        self.arrivals = Arrivals()
        self.window = Window(config.slo_window_seconds, config.slo_objective_ratio)
        self.on_restored_store: Callable[[], None] = _nothing
        """Makes the stream list again."""
        self.counts = dependencies.metrics.counts
        self._dependencies = dependencies
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
            judged=partial(dependencies.judged, self) if dependencies.judged is not None else None,
        )
        self.state = dependencies.metrics.state = self._state(now)

    # What the stream tells (exporter.watch.reflector.ReflectorListener)

    def found(self, resource: Resource) -> None:
        """Discovery says what the resource is."""
        self._dependencies.found(resource)

    def relisting(self, reason: RelistReason) -> None:
        """Continuity is given up: events are not seen, so the objective cannot be met for a while."""
        # Its first events may come before `opened`.
        self._judge.relisting()
        self._continuity.relisting(reason, time.monotonic())
        if reason != "start":
            log.warning("relist", extra=self._labels(reason=reason))

    def start_failed(self, error: StartError) -> None:
        """A LIST or WATCH did not start; said once per cause, counted every time."""
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
        """The watch is open no more."""
        self._continuity.lost(at)

    def slept(self, seconds: float) -> None:
        """The machine was suspended: nobody looked, for so many seconds that our clock did not count."""
        self._continuity.slept(time.monotonic(), seconds)

    def ended(self, end: End, lived_seconds: float) -> None:
        """The watch that was lost ended for this reason."""
        self.counts.ends[end.reason] += 1
        self.counts.lifetime.observe(max(0.0, lived_seconds))
        if end.reason in FORCED:
            self.counts.forced_closes += 1
        level = logging.INFO if end.reason == "timeout" else logging.WARNING
        log.log(level, "watch ended", extra=self._labels(reason=end.reason, error=end.message, seconds=lived_seconds))

    def read(self, reading: Reading, arrival: Interval) -> None:
        """What came together on the watch: every event waits for its verdict from now on."""
        counts = self.counts
        counts.received_bytes += reading.size_bytes
        self._continuity.last_activity = time.time()
        if reading.undecodable:
            counts.undecodable += reading.undecodable
            # Each is an event of which nothing is known.
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
        if self._continuity.take_anothers_cache():
            self._dependencies.is_a_balancer()
        if newest.revision is not None:
            self._awaited.canaries.is_here(newest.revision)
            self._clocks.arrived(newest.revision, arrived, is_event=newest.event_type != "bookmark")

    # What the canary tells (exporter.service.canary)

    def canary_sending(self) -> None:
        """A write to an object of ours goes out that this stream should deliver."""
        self._awaited.sending()

    def canary_answered(self, canary: Canary | None) -> None:
        """That write was answered with success, or None: it was not, and nothing is to be expected."""
        if canary is not None and self.clock is not None:
            self.clock.arrived(canary.revision, canary.answered)
        self._awaited.answered(canary)

    def owe_no_canary(self) -> None:
        """What was written up to now need not come: its apiserver is leaving, and is written for no more."""
        self._awaited.canaries.forget()

    def owes_canary(self, sent_before: Instant) -> bool:
        """Whether a canary that was sent before this instant is awaited still: it comes or is lost."""
        return self._awaited.canaries.owes_of(sent_before)

    # What the clocks tell

    def use_clock(self, clock: RevisionPoller | None) -> None:
        """From now on `clock` dates the events, or nothing does."""
        if clock is self.clock:
            return
        if self.clock is not None:
            self.clock.unsubscribe(self.judge_settled, self.store_went_back)
        self._clocks.use_revision(clock)
        if clock is not None:
            clock.subscribe(self.judge_settled, self.store_went_back)

    def use_cache_clock(self, clock: CachePoller | None) -> None:
        """From now on `clock` says when revisions were in the watch cache of this apiserver, or nothing does."""
        self._clocks.cache = clock

    def cache_went_back(self, known_at: Instant) -> None:
        """A poll was answered from a cache that had less than was known of it at `known_at`."""
        self._continuity.cache_went_back(known_at)

    def store_went_back(self) -> None:
        """What arrived and is not judged belongs to revisions that exist no more: nothing can be said of it."""
        self._clocks.store_went_back()
        self._judge.dismiss_all(self._clocks.now())
        self._awaited.canaries.start_anew()
        self.on_restored_store()

    def date_contradicted(self) -> None:
        """A Date of this apiserver contradicts what its clock said before: not to be used for what is pending."""
        self.counts.contradictions["date"] += 1

    # What others ask

    def judge_settled(self) -> bool:
        """Judge every event about which nothing more will be learned, some in each turn of the loop.

        Returns whether any were pending.
        """
        is_any_pending = not self.is_settled
        if self._judge.judge_settled(time.monotonic(), self._clocks.now()):
            asyncio.get_running_loop().call_soon(self.judge_settled)
        return is_any_pending

    def refresh(self) -> None:
        """Bring everything that depends on the present moment up to it: just before a scrape, and every second."""
        now = time.monotonic()
        self.judge_settled()
        for latency in self._awaited.lose(now):
            log.warning("canary lost", extra=self._labels(seconds=latency.earliest))
        self._continuity.refresh(now)
        self.state = self._dependencies.metrics.state = self._state(now)

    @property
    def clock(self) -> RevisionPoller | None:
        """What dates the events; None while no clock is proven to read the same store."""
        return self._clocks.revision

    @property
    def coverage(self) -> Coverage:
        """Which time was watched."""
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
        """The window that ends now, with what is certain of the events that wait for their verdict."""
        is_covered = self.coverage.covers(self.window.since(now), now)
        undecided = self._judge.undecided(self._clocks.store)
        return self.window.report(now, undecided, is_covered=is_covered)

    @property
    def is_settled(self) -> bool:
        """Whether no event waits for its verdict."""
        return not self._judge.waiting

    def finish(self) -> None:
        """It is watched no more: what waits for its verdict gets it now."""
        self._judge.judge_all(self._clocks.now())
        self.use_clock(None)
        self.refresh()

    def not_ready(self, *, with_errors: bool) -> str | None:
        """Why it is not ready yet; None once the stream has had its answer, up or refused for good."""
        if self._continuity.has_answered or self.trouble is None:
            return None
        return f"{self.apiserver} {self.name}: {self.trouble if with_errors else self.trouble.reason}"

    def _state(self, now: Instant) -> StreamState:
        return StreamState(
            apiserver=self.apiserver,
            group=self.name.group,
            resource=self.name.plural,
            is_up=self.is_up,
            trouble=self.trouble,
            window=self.report(now),
            revision_clock=self._clocks.state(self.name),
            last_activity=self._continuity.last_activity,
            counts=self.counts.copy(),
        )

    def _labels(self, **more: object) -> dict[str, Any]:
        said = {key: value for key, value in more.items() if value not in {None, ""}}
        return {"fields": {"apiserver": self.apiserver, "resource": str(self.name), **said}}
