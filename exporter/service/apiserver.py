"""One apiserver address: its sessions, its clocks, and a stream for each resource that is watched there."""

from __future__ import annotations

import asyncio
import logging
import time
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
    from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence

    from exporter.config import Config, ResourceName
    from exporter.kubernetes.credentials import Credentials
    from exporter.kubernetes.errors import StartError
    from exporter.kubernetes.resources import Resource
    from exporter.kubernetes.session import Server
    from exporter.labels import ClockName, Purpose
    from exporter.measure.judging import Judgement
    from exporter.measure.serverclock import Offset
    from exporter.measure.times import Instant
    from exporter.metrics.registry import Metrics
    from exporter.watch.heartbeat import Heartbeat

log = logging.getLogger(__name__)


class CountedCost(Cost):
    """Counts what is sent to one address, also after its series were dropped: then from 0 again."""

    def __init__(self, metrics: Metrics, server: Server) -> None:
        self._metrics = metrics
        self._address = server.name
        metrics.cost(self._address)

    def request_sent(self, purpose: Purpose) -> None:
        """A request goes out."""
        self._metrics.cost(self._address).requests[purpose].inc()

    def request_over(self, purpose: Purpose, seconds: float) -> None:
        """It was in flight for so long."""
        self._metrics.cost(self._address).request_seconds[purpose].inc(seconds)

    def answer_read(self, purpose: Purpose, size_bytes: int) -> None:
        """So much was read."""
        self._metrics.cost(self._address).response_bytes[purpose].inc(size_bytes)


class Apiserver:
    """Everything that watches one address. It implements ClockListener for its own clocks."""

    def __init__(  # noqa: PLR0913 the daemon's things, handed down
        self,
        server: Server,
        *,
        config: Config,
        credentials: Credentials,
        metrics: Metrics,
        heartbeat: Heartbeat,
        tasks: asyncio.TaskGroup,
        clocks_of_all: Callable[[], Offset | None],
        clocks_are_doubtful: Callable[[], None],
        judged: Callable[[Stream, Judgement], None] | None = None,
    ) -> None:
        self.server = server
        self._config = config
        self._metrics = metrics
        self._apiserver_metrics = metrics.apiserver(server.name)
        self._heartbeat = heartbeat
        self._tasks = tasks
        self._clocks_of_all = clocks_of_all
        self._clocks_are_doubtful = clocks_are_doubtful
        self._judged = judged
        cost = CountedCost(metrics, server)
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
            metrics.clock(server.name, QUIET_KINDS[0].group, QUIET_KINDS[0].plural, "revision")
        self.stores = Stores(self._polls, self._session, config.namespace, config.revision_clock_hz, tasks)
        self._decoder = EventDecoder(config.annotation)
        heartbeat.sleepers.add(self)
        self._streams: dict[ResourceName, Stream] = {}
        self._reflectors: dict[ResourceName, Reflector] = {}
        self._running: dict[ResourceName, list[asyncio.Task[None]]] = {}
        self._cache_polling: dict[ResourceName, asyncio.Task[None]] = {}
        self._is_noticed_balancer = False

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
        return self._streams.values()

    def stream(self, group: str, plural: str) -> Stream | None:
        """What watches this kind here, in whatever version; None if nothing does."""
        return next((one for name, one in self._streams.items() if (name.group, name.plural) == (group, plural)), None)

    def watch(self, name: ResourceName) -> None:
        """Watch one more resource, whatever becomes of the others."""
        if name in self._streams:
            return
        dependencies = StreamDependencies(
            config=self._config,
            metrics=self._metrics.resource(self.server.name, name.group, name.plural),
            apiserver_clocks=self._clocks_of_all,
            found=lambda resource: self._found(name, resource),
            is_a_balancer=lambda: self._noticed_balancer("cache"),
            judged=self._judged,
        )
        stream = self._streams[name] = Stream(name, self.server.name, dependencies)
        reflector = self._reflectors[name] = Reflector(
            name,
            self._config.namespace,
            session=self._session,
            watches=self._watches,
            dependencies=WatchDependencies(self._decoder, stream.arrivals, self._heartbeat),
            listener=stream,
        )
        stream.on_restored_store = reflector.store_went_back
        self._running[name] = [self._tasks.create_task(reflector.run())]

    def look_anew(self, name: ResourceName) -> None:
        """There may be again what a resource's stream has found gone, or refused."""
        if name in self._reflectors:
            self._reflectors[name].look_anew()

    def unwatch(self, name: ResourceName) -> Coroutine[Any, Any, None]:
        """Watch a resource no more, from now on: it may be watched anew before all has ended, which is to be awaited.

        Its series stay until the metrics are told to drop them.
        """
        stream = self._streams.pop(name, None)
        self._reflectors.pop(name, None)
        running = [*self._running.pop(name, ()), *self._polling_of_cache(name)]
        for reflector in running[:1]:
            reflector.cancel()  # it finds nothing more
        return _ended(stream, running)

    def leaves(self) -> None:
        """It is no endpoint any more."""
        for stream in self._streams.values():
            stream.owe_no_canary()

    def refresh(self) -> Iterator[None]:
        """Bring gauges up to the present moment, those of one stream in each step."""
        for name in tuple(self._streams):
            stream = self._streams.get(name)
            if stream is not None:  # it may have gone since the step before
                stream.refresh()
                yield
        now = time.monotonic()
        offset = self.offset
        ours = time.time() - time.monotonic()
        self._apiserver_metrics.clock_offset_lower.set(offset.lower - ours if offset else None)
        self._apiserver_metrics.clock_offset_upper.set(offset.upper - ours if offset else None)
        self._apiserver_metrics.date_evidence_enabled.set(int(self._polls.clocks.is_trusted(now)))

    # What the heartbeat tells (exporter.watch.heartbeat.Sleeper)

    def stood_still(self, began: Instant, ended: Instant) -> None:
        """Polls that took longer for it say less, and nothing that is wrong."""

    def slept(self, began: Instant, woke: Instant, seconds: float) -> None:  # noqa: ARG002 a Sleeper's
        """What was known of the apiserver's clock was known beside ours, which stood still."""
        self._polls.clocks.forget(woke)
        self._clocks_are_doubtful()

    async def close(self) -> None:
        """Close all connections; the tasks are cancelled before."""
        self._heartbeat.sleepers.discard(self)
        await self._session.close()
        await self._watches.close()
        await self._polls.close()

    # What the clocks tell (exporter.clocks.pollers.ClockListener)

    def poll_answered(self, kind: Resource, clock: ClockName, seconds: float) -> None:
        """A poll took this long."""
        metrics = self._metrics.clock(self.server.name, kind.group, kind.plural, clock)
        metrics.polls["ok"].inc()
        metrics.poll_seconds.observe(seconds)

    def poll_failed(self, kind: Resource, clock: ClockName, error: StartError) -> None:
        """A poll got no answer, or not the one it asked for."""
        self._metrics.clock(self.server.name, kind.group, kind.plural, clock).polls["error"].inc()
        log.debug("poll failed", extra={"fields": {"apiserver": self.server.name, "reason": error.reason}})

    def date_contradicted(self) -> None:
        """A Date contradicts what its clock said before: said of the address, not of a resource's events."""
        log.warning("the apiserver's clock contradicts itself", extra={"fields": {"apiserver": self.server.name}})
        self._clocks_are_doubtful()
        for stream in self._streams.values():
            stream.date_contradicted()

    def several_clocks(self) -> None:
        """The Dates of this address come from several clocks."""
        self._noticed_balancer("date")

    def read_stale(self, kind: Resource) -> None:
        """A poll was answered with less than the store had: said once, counted every time."""
        if not self._apiserver_metrics.stale_reads.value:
            fields = {"apiserver": self.server.name, "polled": str(kind)}
            log.warning(
                "the store reads stale: upper bounds of latencies are 5 s wider",
                extra={"fields": fields},
            )
        self._apiserver_metrics.stale_reads.inc()

    def _noticed_balancer(self, sign: Literal["cache", "date"]) -> None:
        """What was taken for one apiserver stands before several: from now on it is treated so."""
        if self._is_noticed_balancer or not self.server.is_one_apiserver:
            return
        self._is_noticed_balancer = True
        self._clocks_are_doubtful()
        self._apiserver_metrics.balancers_noticed[sign].inc()
        fields = {"apiserver": self.server.name, "sign": sign}
        log.warning("the address stands before several apiservers: no stages are measured", extra={"fields": fields})
        self._polls.is_a_balancer()
        for name, stream in self._streams.items():
            stream.use_cache_clock(None)
            for polling in self._polling_of_cache(name):
                polling.cancel()

    def _polling_of_cache(self, name: ResourceName) -> list[asyncio.Task[None]]:
        """What polls the watch cache of a resource, to be ended."""
        polling = self._cache_polling.pop(name, None)
        return [polling] if polling is not None else []

    def _found(self, name: ResourceName, resource: Resource) -> None:
        """Prove anew which clock is good for what discovery found, and follow its watch cache."""
        reflector, *others = self._running[name]
        for other in (*others, *self._polling_of_cache(name)):
            other.cancel()
        stream = self._streams[name]
        prover = self._tasks.create_task(self.stores.keep_proving(resource, stream.use_clock))
        self._running[name] = [reflector, prover]
        config = self._config
        # Behind a balancer the polls may ask another apiserver's cache than the one that serves the watch.
        if self.server.is_one_apiserver and not self._is_noticed_balancer and config.cache_clock_hz > 0:
            self._metrics.clock(self.server.name, resource.group, resource.plural, "cache")
            cache_clock = CachePoller(
                self._polls, resource, config.namespace, config.cache_clock_hz, stream.cache_went_back
            )
            self._cache_polling[name] = self._tasks.create_task(cache_clock.run())
            stream.use_cache_clock(cache_clock)


async def _ended(stream: Stream | None, running: Sequence[asyncio.Task[None]]) -> None:
    """What the stream had is judged once it has ended, by what its clocks know, which end after it."""
    if stream is None:
        return
    reflector, *clocks = running
    await asyncio.wait({reflector})
    stream.finish()
    for clock in clocks:
        await _cancelled(clock)


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
