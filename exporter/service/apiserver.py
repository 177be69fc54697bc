"""One apiserver address: its sessions, its pollers, and a stream for each watched resource."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec.structs import replace

from exporter.clocks.pollers import CachePoller, ServerPolls
from exporter.clocks.same_store import Stores
from exporter.kubernetes.cost import Cost
from exporter.kubernetes.resources import EVENTS, LEASES, PODS, QUIET_KINDS
from exporter.kubernetes.session import ApiSession
from exporter.measure.apiserver_state import ApiserverState, PolledClock
from exporter.measure.events import EventDecoder
from exporter.service.pulls import PullListener, pull_reflector
from exporter.service.server_readers import ServerReaders
from exporter.service.stream import Stream, StreamDependencies
from exporter.vocabulary import CLOCKS
from exporter.watch.reflector import Reflector
from exporter.watch.watch import WatchDependencies

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Iterator

    from exporter.config import Config, ResourceName
    from exporter.kubernetes.errors import StartError
    from exporter.kubernetes.resources import Resource
    from exporter.kubernetes.session import Server
    from exporter.measure.pod_starts import PodStarts
    from exporter.measure.serverclock import Offset
    from exporter.measure.stream_state import StreamState
    from exporter.measure.times import Instant
    from exporter.metrics.registry import ClockMetrics, Metrics
    from exporter.service.dependencies import Dependencies
    from exporter.vocabulary import ClockName, ClockReads, Purpose
    from exporter.watch.watch import WatchedPart

log = logging.getLogger(__name__)


class CountedCost(Cost):
    """Counts the requests to one address. After its series were removed it counts from 0 again."""

    def __init__(self, metrics: Metrics, server: Server) -> None:
        self._metrics = metrics
        self._address = server.name

    def request_sent(self, purpose: Purpose) -> None:
        """A request was sent."""
        self._metrics.cost(self._address).requests[purpose].inc()

    def request_over(self, purpose: Purpose, seconds: float) -> None:
        """The request was in flight for this time."""
        self._metrics.cost(self._address).request_seconds[purpose].inc(seconds)

    def answer_read(self, purpose: Purpose, size_bytes: int) -> None:
        """This many bytes were read."""
        self._metrics.cost(self._address).response_bytes[purpose].inc(size_bytes)


class AllClocks:
    """Common bounds on the clocks of all apiservers that may have stamped an object; None unless all are known."""

    def __init__(self) -> None:
        self.offset: Offset | None = None

    def doubt(self) -> None:
        """Discard the bounds, because a clock may have changed: no stamp is used until all clocks are bounded again."""
        self.offset = None


class _Watched(msgspec.Struct):
    """One stream and its tasks."""

    stream: Stream
    reflector: Reflector
    decoder: EventDecoder
    reflecting: asyncio.Task[None]
    proving: asyncio.Task[None] | None = None
    cache_polling: asyncio.Task[None] | None = None
    pulls: asyncio.Task[None] | None = None

    @property
    def clocks(self) -> list[asyncio.Task[None]]:
        """The tasks of its pollers."""
        return [task for task in (self.proving, self.cache_polling) if task is not None]


class Apiserver:
    """All watches and polls of one address. It implements ClockListener for its pollers."""

    def __init__(
        self, server: Server, dependencies: Dependencies, tasks: asyncio.TaskGroup, all_clocks: AllClocks
    ) -> None:
        config, credentials, metrics = dependencies.config, dependencies.credentials, dependencies.metrics
        self.server = server
        self._dependencies = dependencies
        self._metrics = metrics.apiserver(server.name)
        self._tasks = tasks
        self._all_clocks = all_clocks
        cost = CountedCost(metrics, server)
        metrics.cost(server.name)  # there with 0 before the first request
        self._session = ApiSession(server, credentials, cost=cost)
        # A watch uses its connection alone for minutes and then closes it: there is nothing to keep alive.
        self._watches = ApiSession(server, credentials, force_close=True, cost=cost)
        self._polls = ServerPolls(
            server,
            credentials,
            most_hz=config.clock_max_requests_hz,
            drift=config.clock_drift_ppm * 1e-6,
            listener=self,
            cost=cost,
        )
        if config.revision_clock_hz:
            # The series exist, with the value 0, before the first answer.
            self._clock_metrics(QUIET_KINDS[0], "revision")
        self.stores = Stores(self._polls, self._session, config.namespace, config.revision_clock_hz, tasks)
        self._watched: dict[ResourceName, _Watched] = {}
        self._is_noticed_balancer = False
        reads = self._metrics.server_metrics_reads
        self.server_readers = ServerReaders(server, config, self._session, reads, tasks)
        dependencies.heartbeat.sleepers.add(self)

    @property
    def session(self) -> ApiSession:
        """The session for requests other than watches and polls."""
        return self._session

    @property
    def offset(self) -> Offset | None:
        """Bounds on this apiserver's clock; None until enough answers agree."""
        return self._polls.clocks.hull(time.monotonic())

    @property
    def stamps_offset(self) -> Offset | None:
        """Bounds that also hold for stamps that this apiserver made before its clock stepped.

        None too if the address is a load balancer, because not all clocks behind it are known.
        """
        return None if self._is_noticed_balancer else self._polls.clocks.hull_of_stamps(time.monotonic())

    @property
    def streams(self) -> Iterable[Stream]:
        """The streams of this address."""
        return [watched.stream for watched in self._watched.values()]

    def stream(self, group: str, plural: str) -> Stream | None:
        """The stream of this kind, in any version; None if it is not watched here."""
        return next(
            (one.stream for name, one in self._watched.items() if (name.group, name.plural) == (group, plural)), None
        )

    def watch(self, name: ResourceName) -> None:
        """Watch one more resource, unless another shard owns it."""
        around = self._dependencies
        if name in self._watched or not around.config.shard.owns(self.server.name, name.group, name.plural):
            return
        reads = _what_a_watch_reads(name, around.config)
        stream = Stream(name, self.server.name, self._stream_dependencies(name, follows_pods=reads == "pods"))
        decoder = EventDecoder(around.config.annotation)
        reflector = Reflector(
            name,
            around.config.namespace,
            session=self._session,
            watches=self._watches,
            dependencies=WatchDependencies(decoder, stream.arrivals, around.heartbeat, reads=reads),
            listener=stream,
        )
        stream.on_restored_store = reflector.store_went_back
        watched = _Watched(stream, reflector, decoder, self._tasks.create_task(reflector.run()))
        self._watched[name] = watched
        if stream.pod_starts is not None:
            watched.pulls = self._tasks.create_task(self._pulls_for(stream.pod_starts).run())

    def _stream_dependencies(self, name: ResourceName, *, follows_pods: bool) -> StreamDependencies:
        around = self._dependencies
        return StreamDependencies(
            config=around.config,
            metrics=around.metrics.resource(self.server.name, name.group, name.plural),
            apiserver_clocks=lambda: self._all_clocks.offset,
            found=lambda resource: self._found(name, resource),
            is_a_balancer=lambda: self._noticed_balancer("cache"),
            judged=around.judged,
            startup_counts=around.metrics.startup(self.server.name).counts if follows_pods else None,
            pod_stage=around.pod_stage,
        )

    def _pulls_for(self, starts: PodStarts) -> Reflector:
        errors = self._dependencies.metrics.startup(self.server.name).pull_watch_errors
        return pull_reflector(
            PullListener(self.server.name, starts, errors),
            self._dependencies.config.namespace,
            session=self._session,
            watches=self._watches,
            heartbeat=self._dependencies.heartbeat,
        )

    def look_anew(self, name: ResourceName) -> None:
        """Try again now: a resource that was not found, or was forbidden, may be available again."""
        if name in self._watched:
            self._watched[name].reflector.look_anew()

    def unwatch(self, name: ResourceName) -> Coroutine[Any, Any, None]:
        """Stop watching a resource. Await the result until its tasks have ended; `watch` may be called before that.

        Its series stay until they are removed from the metrics.
        """
        watched = self._watched.pop(name, None)
        if watched is not None:
            watched.reflecting.cancel()
        return _ended(watched)

    def leaves(self) -> None:
        """The address is no longer an endpoint of the cluster."""
        for stream in self.streams:
            stream.owe_no_canary()

    def refresh(self) -> Iterator[None]:
        """Update the gauges, those of one stream in each step."""
        has_names = not self._dependencies.config.web_no_object_names
        for name in tuple(self._watched):
            watched = self._watched.get(name)
            if watched is not None:  # it may have been removed since the previous step
                watched.stream.refresh()
                # The names of the first late events are not known then, and what is on time pays nothing for names.
                watched.decoder.reads_names = has_names and watched.stream.state.window.late > 0
                yield
        now = time.monotonic()
        offset = self.offset
        ours = time.time() - time.monotonic()
        self._metrics.clock_offset_lower.set(offset.lower - ours if offset else None)
        self._metrics.clock_offset_upper.set(offset.upper - ours if offset else None)
        self._metrics.date_evidence_enabled.set(int(self._polls.clocks.is_trusted(now)))

    def stream_states(self) -> Iterator[StreamState]:
        """The state of each stream as of its last refresh, with what the kernel says of its connection now."""
        heartbeat = self._dependencies.heartbeat
        for stream in tuple(self.streams):
            yield replace(stream.state, socket=heartbeat.socket_of(stream.arrivals))

    def state(self) -> ApiserverState:
        """What our polls say of this apiserver, now."""
        polls = {
            PolledClock(clock, group, resource, _what_is_read(clock, group, resource)): counts.copy()
            for clock in CLOCKS
            for (group, resource), counts in self._dependencies.metrics.poll_counts(self.server.name, clock)
        }
        return ApiserverState(
            apiserver=self.server.name,
            at=time.monotonic(),
            is_one_apiserver=self.server.is_one_apiserver
            and not self._is_noticed_balancer
            and not self.server_readers.are_of_several,
            polls=polls,
            waiting_since=self._waiting_since(),
            ways_back=tuple(self._polls.ways_back),
        )

    def _waiting_since(self) -> dict[PolledClock, Instant]:
        since: dict[PolledClock, Instant] = {}
        for clock, kind, sent in self._polls.under_way.values():
            reads = _what_is_read(clock, kind.group, kind.plural)
            since.setdefault(PolledClock(clock, kind.group, kind.plural, reads), sent)  # the oldest comes first
        return since

    # Callbacks of the heartbeat (exporter.watch.heartbeat.Sleeper)

    def stood_still(self, began: Instant, ended: Instant) -> None:
        """Nothing to do: polls that were delayed have wider bounds, which are still correct."""

    def slept(self, began: Instant, woke: Instant, seconds: float) -> None:  # noqa: ARG002 a Sleeper's
        """Forget the bounds on the apiserver's clock: they are relative to our monotonic clock, which stood still."""
        self._polls.clocks.forget(woke)
        self._all_clocks.doubt()

    async def close(self) -> None:
        """Close all connections. The tasks have been cancelled before."""
        self._dependencies.heartbeat.sleepers.discard(self)
        await self._session.close()
        await self._watches.close()
        await self._polls.close()

    # Callbacks of the pollers (exporter.clocks.pollers.ClockListener)

    def poll_answered(self, kind: Resource, clock: ClockName, seconds: float) -> None:
        """A poll was answered after this time."""
        self._clock_metrics(kind, clock).counts.seconds.observe(seconds)

    def poll_failed(self, kind: Resource, clock: ClockName, error: StartError) -> None:
        """A poll failed."""
        self._clock_metrics(kind, clock).counts.failed[error.reason] += 1
        log.debug("poll failed", extra={"fields": {"apiserver": self.server.name, "reason": error.reason}})

    def date_contradicted(self) -> None:
        """A Date header contradicts earlier ones of the same clock. This concerns the address, not one resource."""
        log.warning("the apiserver's clock contradicts itself", extra={"fields": {"apiserver": self.server.name}})
        self._all_clocks.doubt()
        for stream in self.streams:
            stream.date_contradicted()

    def several_clocks(self) -> None:
        """The Date headers of this address come from several clocks."""
        self._noticed_balancer("date")

    def read_stale(self, kind: Resource) -> None:
        """A poll returned a revision older than the store's: logged once, counted every time."""
        if not self._metrics.stale_reads.value:
            fields = {"apiserver": self.server.name, "polled": str(kind)}
            log.warning(
                "the store reads stale: upper bounds of latencies are 5 s wider",
                extra={"fields": fields},
            )
        self._metrics.stale_reads.inc()

    def _noticed_balancer(self, sign: Literal["cache", "date"]) -> None:
        """The address is a load balancer and not one apiserver: treat it as such from now on."""
        if self._is_noticed_balancer or not self.server.is_one_apiserver:
            return
        self._is_noticed_balancer = True
        self._all_clocks.doubt()
        self._metrics.balancers_noticed[sign].inc()
        fields = {"apiserver": self.server.name, "sign": sign}
        log.warning("the address stands before several apiservers: no stages are measured", extra={"fields": fields})
        self._polls.is_a_balancer()
        self.server_readers.is_a_balancer()
        for watched in self._watched.values():
            watched.stream.use_cache_clock(None)
            if watched.cache_polling is not None:
                watched.cache_polling.cancel()
                watched.cache_polling = None

    def _found(self, name: ResourceName, resource: Resource) -> None:
        """Discovery found the resource: choose its revision clock again, and poll its watch cache."""
        watched, config = self._watched[name], self._dependencies.config
        for clock in watched.clocks:
            clock.cancel()
        stream = watched.stream
        watched.proving = self._tasks.create_task(self.stores.keep_proving(resource, stream.use_clock))
        watched.cache_polling = None
        # Behind a load balancer, polls may reach a different watch cache than the watch does.
        if self.server.is_one_apiserver and not self._is_noticed_balancer and config.cache_clock_hz > 0:
            self._clock_metrics(resource, "cache")
            cache_clock = CachePoller(
                self._polls, resource, config.namespace, config.cache_clock_hz, stream.cache_went_back
            )
            watched.cache_polling = self._tasks.create_task(cache_clock.run())
            stream.use_cache_clock(cache_clock)

    def _clock_metrics(self, kind: Resource, clock: ClockName) -> ClockMetrics:
        return self._dependencies.metrics.clock(self.server.name, kind.group, kind.plural, clock)


def _what_a_watch_reads(name: ResourceName, config: Config) -> WatchedPart:
    """A Lease's spec contains the time of a write; a pod shows how far its start is."""
    kind = (name.group, name.plural)
    if kind == (LEASES.group, LEASES.plural):
        return "leases"
    return "pods" if config.pod_startup and kind == (PODS.group, PODS.plural) else "metadata"


def _what_is_read(clock: ClockName, group: str, resource: str) -> ClockReads:
    """What the apiserver reads to answer such a poll."""
    if (group, resource) == (EVENTS.group, EVENTS.plural):
        return "store"  # there is no watch cache of them
    return "own_cache" if clock == "cache" else "another_cache"


async def _ended(watched: _Watched | None) -> None:
    """Wait for the stream, judge its pending events, then stop its pollers, whose evidence those events need."""
    if watched is None:
        return
    await asyncio.wait({watched.reflecting})
    watched.stream.finish()
    if watched.pulls is not None:
        await _cancelled(watched.pulls)
    for clock in watched.clocks:
        await _cancelled(clock)


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
