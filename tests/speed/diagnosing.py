"""`python -m tests.speed.diagnosing`: CPU time of the diagnosis while all is well, and beside it of plain arithmetic.

Its parts are looks at the sockets, which are real, the facts and the rules. Every watch gets some events. Between two
moments all states are made anew, which is not timed, and empties the processor's caches as other work would.
"""
# ruff: noqa: T201 its output is what it is for

import itertools
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from statistics import median
from time import thread_time

from msgspec.structs import replace

from exporter import garbage
from exporter.diagnosis.diagnose import diagnose
from exporter.diagnosis.observing import LateRule, Observations, Snapshot
from exporter.diagnosis.server_facts import ServerFacts, Timed
from exporter.diagnosis.tracking import Tracker
from exporter.measure.apiserver_state import ApiserverState, PollCounts, PolledClock, WayBack
from exporter.measure.histogram import Histogram, NativeHistogram
from exporter.measure.process_state import ProcessState
from exporter.measure.stream_state import CacheAnswer, Delivered, RevisionClockState, StreamCounts, StreamState
from exporter.measure.times import Interval
from exporter.service.observer import PERIOD_SECONDS
from exporter.vocabulary import FINE_BOUNDS
from exporter.watch.tcp_info import socket_state
from tests.support.steps import at_once

APISERVERS = tuple(f"10.0.0.{number}:6443" for number in range(3))
KINDS = tuple(("example.com" if number else "", f"widgets{number}") for number in range(50))
STREAMS = len(APISERVERS) * len(KINDS)
EVENTS = 3
"""Of each stream, from one moment to the next."""

WARM_UP, ROUNDS, MOMENTS = 15, 11, 6
"""A round has MOMENTS, so that in each as many states are kept and dropped."""

PARTS = ("sockets", "facts", "rules")
ADDITIONS = 1000
"""Of the control."""

HEALTHY = ServerFacts(
    seconds=10.0,
    started_at=0.0,
    cpu_cores_used=0.4,
    cpu_cores=4.0,
    scheduling=Timed(1000, 0.0001, 0.001),
    requests={(verb, kind): Timed(1, 0.002, 0.01) for kind in KINDS for verb in ("LIST", "GET", "PUT")},
    queued_requests=0.0,
    open_watches=dict.fromkeys(KINDS, 50.0),
    open_watches_before=50.0 * len(KINDS),
    open_connections=2000.0,
    dispatch={kind: {"storage_to_cache": Timed(1, 0.002, 0.01), "total": Timed(1, 0.002, 0.01)} for kind in KINDS},
)
CASES: Mapping[str, tuple[type[Histogram], Mapping[str, ServerFacts]]] = {
    "by default": (Histogram, {}),
    "--apiserver.metrics": (Histogram, dict.fromkeys(APISERVERS, HEALTHY)),
    "--metrics.histograms native": (NativeHistogram, {}),
}


class Cluster:
    """Streams that are on time, on apiservers of one store."""

    def __init__(self, histogram: type[Histogram], servers: Mapping[str, ServerFacts] | None = None) -> None:
        self.now = 1000.0
        self._servers = servers or {}
        self._revision = 1000
        self._counts = [StreamCounts.none(1.0, histogram) for _ in range(STREAMS)]
        self._polls = {name: self._clocks(histogram) for name in APISERVERS}
        self._loop_lag = histogram(FINE_BOUNDS)

    @staticmethod
    def _clocks(histogram: type[Histogram]) -> dict[PolledClock, PollCounts]:
        clocks = [PolledClock("cache", *kind, "own_cache") for kind in KINDS]
        return {one: PollCounts.none(histogram) for one in (PolledClock("revision", "", "events", "store"), *clocks)}

    def later(self) -> Snapshot:
        """The moment after PERIOD_SECONDS; nobody has looked at the sockets."""
        self.now += PERIOD_SECONDS
        self._revision += EVENTS
        self._loop_lag.observe(0.001, 200)
        for counts in self._counts:
            self._count(counts)
        for polls in self._polls.values():
            for one in polls.values():
                one.seconds.observe(0.003, 2)
        places = itertools.product(APISERVERS, KINDS)
        return Snapshot(
            now=self.now,
            wall=self.now + 1e9,
            streams=[self._state(*place, counts) for place, counts in zip(places, self._counts, strict=True)],
            apiservers=[self._apiserver(name) for name in APISERVERS],
            process=ProcessState(at=self.now, loop_lag=self._loop_lag.copy()),
            servers=self._servers,
        )

    def _count(self, counts: StreamCounts) -> None:
        counts.events["modified", "live"] += EVENTS
        counts.judged["on_time"] += EVENTS
        counts.received_bytes += EVENTS * 1200
        stages = (*counts.stage_lower.values(), *counts.stage_upper.values())
        for number in range(EVENTS):
            for histogram in (counts.time_span, counts.time_span_lower, counts.time_span_upper, *stages):
                histogram.observe(0.02 * (number + 1))

    def _state(self, apiserver: str, kind: tuple[str, str], counts: StreamCounts) -> StreamState:
        group, resource = kind
        others = tuple(name for name in APISERVERS if name != apiserver)
        return StreamState(
            apiserver=apiserver,
            at=self.now - 0.1,
            group=group,
            resource=resource,
            is_up=True,
            trouble=None,
            revision_clock=RevisionClockState("events", "store", same_store=others),
            delivered=Delivered(self._revision, self._revision),
            cache_answer=CacheAnswer(self._revision, self.now - 1, self.now - 0.2),
            counts=counts.copy(),
        )

    def _apiserver(self, name: str) -> ApiserverState:
        ways_back = tuple(WayBack(self.now - ago, Interval(0.0, 0.5)) for ago in range(20))
        polls = {one: counts.copy() for one, counts in self._polls[name].items()}
        return ApiserverState(apiserver=name, at=self.now, polls=polls, ways_back=ways_back)


class Diagnosis:
    """All parts of it, in the order in which they are done."""

    def __init__(self) -> None:
        self._observations, self._tracker = Observations(LateRule(1.0, 0.99)), Tracker()
        self.seconds: list[tuple[float, ...]] = []
        """Of each part, and of the control, in each moment."""

    def take(self, moment: Snapshot, sockets: Sequence[socket.socket]) -> None:
        """One moment."""
        at = [thread_time()]
        looks = zip(moment.streams, sockets, strict=True)
        streams = [replace(state, socket=socket_state(one.fileno(), 0.0)) for state, one in looks]
        at.append(thread_time())
        facts = at_once(self._observations.take(replace(moment, streams=streams)))
        at.append(thread_time())
        changes = self._tracker.update(moment.wall, at_once(diagnose(facts)), facts.troubled_since)
        at.append(thread_time())
        for _ in range(STREAMS):
            sum(range(ADDITIONS))
        at.append(thread_time())
        assert not changes, changes
        self.seconds.append(tuple(after - before for before, after in itertools.pairwise(at)))


def measured(histogram: type[Histogram], servers: Mapping[str, ServerFacts]) -> list[float]:
    """Microseconds for a stream: of each part, and of the control. The median of rounds of a few moments."""
    diagnosis, cluster = Diagnosis(), Cluster(histogram, servers)
    with _connections(STREAMS) as sockets:
        for _ in range(WARM_UP + ROUNDS * MOMENTS):
            diagnosis.take(cluster.later(), sockets)
    rounds = [diagnosis.seconds[first : first + MOMENTS] for first in range(WARM_UP, len(diagnosis.seconds), MOMENTS)]
    means = [[sum(part) / MOMENTS for part in zip(*one, strict=True)] for one in rounds]
    return [median(part) / STREAMS * 1e6 for part in zip(*means, strict=True)]


@contextmanager
def _connections(number: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as opened, socket.create_server(("127.0.0.1", 0)) as listening:
        sockets = []
        for _ in range(number):
            sockets.append(opened.enter_context(socket.create_connection(listening.getsockname())))
            opened.enter_context(listening.accept()[0])
        yield sockets


def main() -> None:
    """Print it for each of CASES."""
    garbage.keep_all()  # as the command does when it starts
    for name, (histogram, servers) in CASES.items():
        *parts, control = measured(histogram, servers)
        total = sum(parts)
        said = ", ".join(f"{part} {microseconds:.1f}" for part, microseconds in zip(PARTS, parts, strict=True))
        print(
            f"{name}: {total * STREAMS / PERIOD_SECONDS / 1000:.2f} ms a second for {STREAMS} streams; for each "
            f"{total:.1f} µs ({said}), {total / control:.1f} times as much as the control's {control:.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
