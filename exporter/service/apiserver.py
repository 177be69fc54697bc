"""One apiserver address: its sessions, its clocks, and a stream for each resource that is watched there."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from exporter.clocks.pollers import CachePoller, ServerPolls
from exporter.clocks.same_store import Stores
from exporter.kubernetes.cost import Cost
from exporter.kubernetes.resources import QUIET_KINDS
from exporter.kubernetes.session import ApiSession
from exporter.measure.events import EventDecoder
from exporter.service.stream import Stream, StreamDependencies
from exporter.watch.reflector import Reflector
from exporter.watch.watch import WatchDependencies

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Iterator

    from exporter.config import ResourceName
    from exporter.kubernetes.errors import StartError
    from exporter.kubernetes.resources import Resource
    from exporter.kubernetes.session import Server
    from exporter.labels import ClockName, Purpose
    from exporter.measure.serverclock import Offset
    from exporter.measure.times import Instant
    from exporter.metrics.registry import ClockMetrics, Metrics
    from exporter.service.dependencies import Dependencies

log = logging.getLogger(__name__)


class CountedCost(Cost):
    """Counts what is sent to one address, also after its series were dropped: then from 0 again."""

    def __init__(self, metrics: Metrics, server: Server) -> None:
        self._metrics = metrics
        self._address = server.name

    def request_sent(self, purpose: Purpose) -> None:
        """A request goes out."""
        self._metrics.cost(self._address).requests[purpose].inc()

    def request_over(self, purpose: Purpose, seconds: float) -> None:
        """It was in flight for so long."""
        self._metrics.cost(self._address).request_seconds[purpose].inc(seconds)

    def answer_read(self, purpose: Purpose, size_bytes: int) -> None:
        """So much was read."""
        self._metrics.cost(self._address).response_bytes[purpose].inc(size_bytes)


class AllClocks:
    """Bounds on every clock that may have stamped an object; None while they are not all known."""

    def __init__(self) -> None:
        self.offset: Offset | None = None

    def doubt(self) -> None:
        """What is known of one of them counts no more: no stamp is dated before all are bounded anew."""
        self.offset = None


@dataclass(slots=True)
class _Watched:
    """One stream, and what runs for it."""

    stream: Stream
    reflector: Reflector
    reflecting: asyncio.Task[None]
    proving: asyncio.Task[None] | None = None
    cache_polling: asyncio.Task[None] | None = None

    @property
    def clocks(self) -> list[asyncio.Task[None]]:
        """What runs for its clocks."""
        return [task for task in (self.proving, self.cache_polling) if task is not None]


class Apiserver:
    """Everything that watches one address. It implements ClockListener for its own clocks."""

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
        # A watch keeps its connection to itself for minutes and then ends it: there is nothing to keep alive.
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
            # There with 0 before the first answer.
            self._clock_metrics(QUIET_KINDS[0], "revision")
        self.stores = Stores(self._polls, self._session, config.namespace, config.revision_clock_hz, tasks)
        self._decoder = EventDecoder(config.annotation)
        self._watched: dict[ResourceName, _Watched] = {}
        self._is_noticed_balancer = False
        dependencies.heartbeat.sleepers.add(self)

    @property
    def session(self) -> ApiSession:
        """For requests that are no watch and no poll."""
        return self._session

    @property
    def offset(self) -> Offset | None:
        """Bounds on this apiserver's clock, once enough of its answers agree."""
        return self._polls.clocks.hull(time.monotonic())

    @property
    def stamps_offset(self) -> Offset | None:
        """The same for every clock that this apiserver may have stamped an object by, also before it stepped.

        None as well where the address turned out to stand before several: not all of their clocks are known.
        """
        return None if self._is_noticed_balancer else self._polls.clocks.hull_of_stamps(time.monotonic())

    @property
    def streams(self) -> Iterable[Stream]:
        """Everything that is watched here."""
        return [watched.stream for watched in self._watched.values()]

    def stream(self, group: str, plural: str) -> Stream | None:
        """What watches this kind here, in whatever version; None if nothing does."""
        return next(
            (one.stream for name, one in self._watched.items() if (name.group, name.plural) == (group, plural)), None
        )

    def watch(self, name: ResourceName) -> None:
        """Watch one more resource, unless that falls to another shard, whatever becomes of the others."""
        around = self._dependencies
        if name in self._watched or not around.config.shard.owns(self.server.name, name.group, name.plural):
            return
        dependencies = StreamDependencies(
            config=around.config,
            metrics=around.metrics.resource(self.server.name, name.group, name.plural),
            apiserver_clocks=lambda: self._all_clocks.offset,
            found=lambda resource: self._found(name, resource),
            is_a_balancer=lambda: self._noticed_balancer("cache"),
            judged=around.judged,
        )
        stream = Stream(name, self.server.name, dependencies)
        reflector = Reflector(
            name,
            around.config.namespace,
            session=self._session,
            watches=self._watches,
            dependencies=WatchDependencies(self._decoder, stream.arrivals, around.heartbeat),
            listener=stream,
        )
        stream.on_restored_store = reflector.store_went_back
        self._watched[name] = _Watched(stream, reflector, self._tasks.create_task(reflector.run()))

    def look_anew(self, name: ResourceName) -> None:
        """There may be again what a resource's stream has found gone, or refused."""
        if name in self._watched:
            self._watched[name].reflector.look_anew()

    def unwatch(self, name: ResourceName) -> Coroutine[Any, Any, None]:
        """Watch a resource no more, from now on: it may be watched anew before all has ended, which is to be awaited.

        Its series stay until the metrics are told to drop them.
        """
        watched = self._watched.pop(name, None)
        if watched is not None:
            watched.reflecting.cancel()  # it finds nothing more
        return _ended(watched)

    def leaves(self) -> None:
        """It is no endpoint any more."""
        for stream in self.streams:
            stream.owe_no_canary()

    def refresh(self) -> Iterator[None]:
        """Bring gauges up to the present moment, those of one stream in each step."""
        for name in tuple(self._watched):
            watched = self._watched.get(name)
            if watched is not None:  # it may have gone since the step before
                watched.stream.refresh()
                yield
        now = time.monotonic()
        offset = self.offset
        ours = time.time() - time.monotonic()
        self._metrics.clock_offset_lower.set(offset.lower - ours if offset else None)
        self._metrics.clock_offset_upper.set(offset.upper - ours if offset else None)
        self._metrics.date_evidence_enabled.set(int(self._polls.clocks.is_trusted(now)))

    # What the heartbeat tells (exporter.watch.heartbeat.Sleeper)

    def stood_still(self, began: Instant, ended: Instant) -> None:
        """Polls that took longer for it say less, and nothing that is wrong."""

    def slept(self, began: Instant, woke: Instant, seconds: float) -> None:  # noqa: ARG002 a Sleeper's
        """What was known of the apiserver's clock was known beside ours, which stood still."""
        self._polls.clocks.forget(woke)
        self._all_clocks.doubt()

    async def close(self) -> None:
        """Close all connections; the tasks are cancelled before."""
        self._dependencies.heartbeat.sleepers.discard(self)
        await self._session.close()
        await self._watches.close()
        await self._polls.close()

    # What the clocks tell (exporter.clocks.pollers.ClockListener)

    def poll_answered(self, kind: Resource, clock: ClockName, seconds: float) -> None:
        """A poll took this long."""
        metrics = self._clock_metrics(kind, clock)
        metrics.polls["ok"].inc()
        metrics.poll_seconds.observe(seconds)

    def poll_failed(self, kind: Resource, clock: ClockName, error: StartError) -> None:
        """A poll got no answer, or not the one it asked for."""
        self._clock_metrics(kind, clock).polls["error"].inc()
        log.debug("poll failed", extra={"fields": {"apiserver": self.server.name, "reason": error.reason}})

    def date_contradicted(self) -> None:
        """A Date contradicts what its clock said before: said of the address, not of a resource's events."""
        log.warning("the apiserver's clock contradicts itself", extra={"fields": {"apiserver": self.server.name}})
        self._all_clocks.doubt()
        for stream in self.streams:
            stream.date_contradicted()

    def several_clocks(self) -> None:
        """The Dates of this address come from several clocks."""
        self._noticed_balancer("date")

    def read_stale(self, kind: Resource) -> None:
        """A poll was answered with less than the store had: said once, counted every time."""
        if not self._metrics.stale_reads.value:
            fields = {"apiserver": self.server.name, "polled": str(kind)}
            log.warning(
                "the store reads stale: upper bounds of latencies are 5 s wider",
                extra={"fields": fields},
            )
        self._metrics.stale_reads.inc()

    def _noticed_balancer(self, sign: Literal["cache", "date"]) -> None:
        """What was taken for one apiserver stands before several: from now on it is treated so."""
        if self._is_noticed_balancer or not self.server.is_one_apiserver:
            return
        self._is_noticed_balancer = True
        self._all_clocks.doubt()
        self._metrics.balancers_noticed[sign].inc()
        fields = {"apiserver": self.server.name, "sign": sign}
        log.warning("the address stands before several apiservers: no stages are measured", extra={"fields": fields})
        self._polls.is_a_balancer()
        for watched in self._watched.values():
            watched.stream.use_cache_clock(None)
            if watched.cache_polling is not None:
                watched.cache_polling.cancel()
                watched.cache_polling = None

    def _found(self, name: ResourceName, resource: Resource) -> None:
        """Prove anew which clock is good for what discovery found, and follow its watch cache."""
        watched, config = self._watched[name], self._dependencies.config
        for clock in watched.clocks:
            clock.cancel()
        stream = watched.stream
        watched.proving = self._tasks.create_task(self.stores.keep_proving(resource, stream.use_clock))
        watched.cache_polling = None
        # Behind a balancer the polls may ask another apiserver's cache than the one that serves the watch.
        if self.server.is_one_apiserver and not self._is_noticed_balancer and config.cache_clock_hz > 0:
            self._clock_metrics(resource, "cache")
            cache_clock = CachePoller(
                self._polls, resource, config.namespace, config.cache_clock_hz, stream.cache_went_back
            )
            watched.cache_polling = self._tasks.create_task(cache_clock.run())
            stream.use_cache_clock(cache_clock)

    def _clock_metrics(self, kind: Resource, clock: ClockName) -> ClockMetrics:
        return self._dependencies.metrics.clock(self.server.name, kind.group, kind.plural, clock)


async def _ended(watched: _Watched | None) -> None:
    """What the stream had is judged once it has ended, by what its clocks know, which end after it."""
    if watched is None:
        return
    await asyncio.wait({watched.reflecting})
    watched.stream.finish()
    for clock in watched.clocks:
        await _cancelled(clock)


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
