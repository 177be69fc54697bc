"""States by hand, and the facts that observations make of them."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from exporter.diagnosis.facts import ApiserverFacts, Facts, StreamFacts
from exporter.diagnosis.observing import LateRule, Observations, Snapshot
from exporter.measure.apiserver_state import ApiserverState, PollCounts, PolledClock, WayBack
from exporter.measure.histogram import Histogram
from exporter.measure.process_state import ProcessState
from exporter.measure.stream_state import Delivered, RevisionClockState, StreamCounts, StreamState
from exporter.vocabulary import FINE_BOUNDS, ClockName, ClockReads
from tests.support.steps import at_once

if TYPE_CHECKING:
    from exporter.diagnosis.server_facts import ServerFacts

WALL_AHEAD = 1_700_000_000.0


@dataclass
class Stream:
    """A stream whose counts go on; `more` are the other fields of its state."""

    apiserver: str = "a:1"
    group: str = ""
    resource: str = "pods"
    counts: StreamCounts = field(default_factory=lambda: StreamCounts.none(1.0))
    more: dict[str, Any] = field(default_factory=lambda: {"is_up": True, "trouble": None})

    def judges(self, *, on_time: int = 0, late: int = 0, seconds: float = 0.02) -> None:
        """So many events came and got their verdict; what is late took ten seconds."""
        for events, took in ((on_time, seconds), (late, 10.0)):
            self.counts.events["modified", "live"] += events
            self.counts.received_bytes += 300 * events
            self.counts.time_span_lower.observe(0.9 * took, events)
            self.counts.time_span_upper.observe(took, events)
        self.counts.judged["on_time"] += on_time
        self.counts.judged["late"] += late

    def is_in_store_with(self, *others: str, up_to: int, newest_event: int) -> None:
        """It has delivered so much; these apiservers read the same store."""
        self.more["delivered"] = Delivered(up_to, newest_event)
        self.more["revision_clock"] = RevisionClockState("events", "store", same_store=others)

    def state(self, at: float) -> StreamState:
        return StreamState(
            apiserver=self.apiserver,
            at=at,
            group=self.group,
            resource=self.resource,
            counts=self.counts.copy(),
            **self.more,
        )


class World:
    """Streams, apiservers and the process, observed again and again."""

    def __init__(self, *streams: Stream, ratio: float = 0.99) -> None:
        self.now = 1000.0
        self.streams = list(streams)
        self.polls: dict[str, dict[PolledClock, PollCounts]] = {}
        self.ways_back: tuple[WayBack, ...] = ()
        self.loop_lag = Histogram(FINE_BOUNDS)
        self.process: dict[str, float | None] = {}
        self.servers: dict[str, ServerFacts] = {}
        self.converting: dict[tuple[str, str], bool] = {}
        self.observations = Observations(LateRule(1.0, ratio))

    def clock(
        self, clock: ClockName, apiserver: str = "a:1", resource: str = "events", reads: ClockReads = "store"
    ) -> PollCounts:
        """The counts of a clock, which go on."""
        key = PolledClock(clock, "", resource, reads)
        return self.polls.setdefault(apiserver, {}).setdefault(key, PollCounts.none())

    def observe(self, after: float = 2.0) -> Facts:
        """The facts so many seconds later."""
        self.now += after
        apiservers = [
            ApiserverState(
                apiserver=name,
                at=self.now,
                polls={key: counts.copy() for key, counts in polls.items()},
                ways_back=self.ways_back,
            )
            for name, polls in self.polls.items()
        ]
        moment = Snapshot(
            now=self.now,
            wall=self.now + WALL_AHEAD,
            streams=[stream.state(self.now) for stream in self.streams],
            apiservers=apiservers,
            process=ProcessState(at=self.now, loop_lag=self.loop_lag.copy(), **self.process),  # type: ignore[arg-type]
            servers=self.servers,
            converting=self.converting,
        )
        return at_once(self.observations.take(moment))

    def stream(self, after: float = 2.0) -> StreamFacts:
        """The facts of the first stream, so many seconds later."""
        return self.observe(after).streams[0]

    def apiserver(self, after: float = 2.0) -> ApiserverFacts:
        """The facts of the first apiserver, so many seconds later."""
        return self.observe(after).apiservers[0]
