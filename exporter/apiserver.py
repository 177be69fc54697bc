"""One apiserver address: its sessions, its clocks, and a target for each resource that is watched there."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from exporter.kubernetes.clocks import ServerPolls
from exporter.kubernetes.endpoints import count_apiservers
from exporter.kubernetes.session import ApiSession
from exporter.kubernetes.stores import Stores
from exporter.kubernetes.stream import Stream
from exporter.measure.events import EventDecoder
from exporter.target import Surroundings, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from exporter.config import Config, ResourceName
    from exporter.expose.metrics import Metrics
    from exporter.kubernetes.clocks import RevisionClockwork
    from exporter.kubernetes.heartbeat import Heartbeat
    from exporter.kubernetes.resources import Resource
    from exporter.kubernetes.session import Credentials, Server
    from exporter.kubernetes.watch import StartError
    from exporter.measure.judging import Judgement
    from exporter.measure.serverclock import Offset

log = logging.getLogger(__name__)

COUNTING_PERIOD_SECONDS = 60.0


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
        judged: Callable[[Target, Judgement], None] | None = None,
    ) -> None:
        self.server = server
        self._config = config
        self._metrics = metrics
        self._apiserver_metrics = metrics.apiserver(server.name)
        self._heartbeat = heartbeat
        self._tasks = tasks
        self._judged = judged
        self._session = ApiSession(server, credentials)
        # A watch keeps its connection to itself for minutes and then ends it: there is nothing to keep alive.
        self._watches = ApiSession(server, credentials, force_close=True)
        self._polls = ServerPolls(
            server,
            credentials,
            most_hz=config.clock_max_requests_hz,
            drift=config.clock_drift_ppm * 1e-6,
            listener=self,
        )
        self._stores = Stores(self._polls, self._session, config.namespace, config.revision_clock_hz, tasks)
        self._decoder = EventDecoder(config.annotation)
        self._is_the_only_apiserver = False
        self._targets: dict[ResourceName, Target] = {}
        self._running: dict[ResourceName, list[asyncio.Task[None]]] = {}
        if server.is_one_apiserver:
            tasks.create_task(self._keep_counting_apiservers())

    @property
    def session(self) -> ApiSession:
        """For requests that are no watch and no poll."""
        return self._session

    @property
    def targets(self) -> Iterable[Target]:
        """Everything that is watched here."""
        return self._targets.values()

    def watch(self, name: ResourceName) -> None:
        """Watch one more resource, whatever becomes of the others."""
        if name in self._targets:
            return
        around = Surroundings(
            config=self._config,
            metrics=self._metrics.resource(self.server.name, name.group, name.plural),
            apiserver_clocks=self._clocks_of_all_apiservers,
            found=lambda resource: self._found(name, resource),
            judged=self._judged,
        )
        target = self._targets[name] = Target(name, self.server.name, around)
        stream = Stream(
            name,
            self._config.namespace,
            session=self._session,
            watches=self._watches,
            decoder=self._decoder,
            arrivals=target.arrivals,
            heartbeat=self._heartbeat,
            listener=target,
        )
        target.on_restored_store = stream.store_went_back
        self._running[name] = [self._tasks.create_task(stream.run())]

    async def unwatch(self, name: ResourceName) -> None:
        """Stop watching a resource; its series stay until the metrics are told to drop them."""
        for task in self._running.pop(name, []):
            task.cancel()
            await asyncio.wait({task})
        target = self._targets.pop(name, None)
        if target is not None:
            target.use_clock(None)
            target.refresh()

    def refresh(self) -> None:
        """Bring gauges up to the present moment."""
        for target in tuple(self._targets.values()):
            target.refresh()
        now = time.monotonic()
        offset = self._polls.clocks.hull(now)
        ours = time.time() - now
        self._apiserver_metrics.clock_offset_lower.set(offset.lower - ours if offset else None)
        self._apiserver_metrics.clock_offset_upper.set(offset.upper - ours if offset else None)
        self._apiserver_metrics.date_evidence_enabled.set(int(self._polls.clocks.is_trusted(now)))

    def status(self) -> list[dict[str, Any]]:
        """What the status document says of each stream."""
        return [target.status() for target in self._targets.values()]

    async def close(self) -> None:
        """Close all connections; the tasks are cancelled before."""
        await self._session.close()
        await self._watches.close()
        await self._polls.pool.close()

    # What the clocks tell (exporter.kubernetes.clocks.ClockListener)

    def poll_answered(self, kind: Resource, seconds: float) -> None:
        """A poll took this long."""
        clock = self._metrics.clock(self.server.name, kind.group, kind.plural, "revision")
        clock.polls["ok"].inc()
        clock.poll_seconds.observe(seconds)

    def poll_failed(self, kind: Resource, error: StartError) -> None:
        """A poll got no answer, or not the one it asked for."""
        self._metrics.clock(self.server.name, kind.group, kind.plural, "revision").polls["error"].inc()
        log.debug("poll failed", extra={"fields": {"apiserver": self.server.name, "reason": error.reason}})

    def date_contradicted(self) -> None:
        """A Date contradicts what its clock said before: said of the address, not of a resource's events."""
        log.warning("the apiserver's clock contradicts itself", extra={"fields": {"apiserver": self.server.name}})
        for target in self._targets.values():
            target.date_contradicted()

    def _found(self, name: ResourceName, resource: Resource) -> None:
        """Prove anew which clock is good for what discovery found."""
        stream, *provers = self._running[name]
        for prover in provers:
            prover.cancel()
        target = self._targets[name]

        def use(clock: RevisionClockwork | None) -> None:
            target.use_clock(clock)

        prover = self._tasks.create_task(self._stores.keep_proving(resource, use))
        self._running[name] = [stream, prover]

    def _clocks_of_all_apiservers(self) -> Offset | None:
        """Bounds on every clock that may have stamped an object: known only where there is one apiserver, this one."""
        return self._polls.clocks.hull(time.monotonic()) if self._is_the_only_apiserver else None

    async def _keep_counting_apiservers(self) -> None:
        while True:
            self._is_the_only_apiserver = await count_apiservers(self._session) == 1
            await asyncio.sleep(COUNTING_PERIOD_SECONDS)
