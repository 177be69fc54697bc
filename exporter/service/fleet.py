"""The apiservers that are watched and the custom resources on them, as both come and go.

What goes leaves in two steps: its watches end by themselves, which a scrape must see, then its series are dropped.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections import Counter
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from exporter.clocks.same_store import keep_proving_peers
from exporter.config import ResourceName
from exporter.kubernetes.backoff import Backoff
from exporter.kubernetes.endpoints import MOST_APISERVERS, count_apiservers, find_apiservers
from exporter.kubernetes.errors import StartError
from exporter.kubernetes.failures import RepeatedFailure
from exporter.kubernetes.session import ApiSession, Server
from exporter.kubernetes.writes import canary_objects
from exporter.measure.serverclock import hull
from exporter.service.apiserver import Apiserver, CountedCost
from exporter.service.canary import CanaryKeeper
from exporter.service.stream import CURABLE_ONLY_BY_PEOPLE
from exporter.watch.custom_resources import CustomResources
from exporter.watch.places import Allowance, newcomers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from exporter.config import Config
    from exporter.kubernetes.credentials import Credentials
    from exporter.labels import StartReason
    from exporter.measure.judging import Judgement
    from exporter.measure.serverclock import Offset
    from exporter.metrics.registry import Metrics
    from exporter.metrics.series import Gauge
    from exporter.service.stream import Stream
    from exporter.watch.heartbeat import Heartbeat

log = logging.getLogger(__name__)

REFRESH_PERIOD_SECONDS = 1.0
DISCOVERY_PERIOD_SECONDS = 10.0
FORGETTING_SECONDS = 60.0
"""After this time nobody holds anything of an apiserver that went; a proof that asks it waits for half as long."""

LEAVING_SECONDS = 120.0

START_PERIOD_SECONDS = 2.0
"""Custom resources that come, or come back, are watched one after the other, once as many as may be watched have."""


def home_of(credentials: Credentials) -> Server:
    """The address that the credentials name: asked what there is, and watched if nothing else is named."""
    return Server(credentials.server_url, is_one_apiserver=False)


def named_servers(config: Config) -> list[Server]:
    """The addresses that are named are apiservers, each."""
    return [Server(url, is_one_apiserver=True) for url in config.apiservers]


def _why(error: StartError, *, with_errors: bool) -> str:
    """Its reason, and what others have said of it."""
    return f"{error.reason}: {error}" if with_errors else error.reason


class Fleet:
    """Keeps one Apiserver running for each address that is to be watched."""

    def __init__(  # noqa: PLR0913 the daemon's things, handed down
        self,
        config: Config,
        credentials: Credentials,
        *,
        metrics: Metrics,
        heartbeat: Heartbeat,
        judged: Callable[[Stream, Judgement], None] | None,
        advise: Callable[[str], None] | None,
    ) -> None:
        self._config = config
        self._credentials = credentials
        self._metrics = metrics
        self._heartbeat = heartbeat
        self._judged = judged
        self._advise = advise or log.warning
        self._apiservers: dict[Server, Apiserver] = {}
        self._running: dict[Server, asyncio.Task[None]] = {}
        self._matching: dict[ResourceName, None] = {}
        self._custom: set[ResourceName] = set()
        self._starts = Allowance(config.custom_resources_max, START_PERIOD_SECONDS)
        self._leaving: dict[Server | ResourceName, asyncio.Task[None]] = {}
        self._ending: Counter[type] = Counter()
        """How many of those that have left have not ended yet."""
        self._tasks = asyncio.TaskGroup()
        self._is_complete = False
        self._all_clocks: Offset | None = None
        home = home_of(credentials)
        self._session = ApiSession(home, credentials, cost=CountedCost(metrics, home))
        self._endpoints = RepeatedFailure("apiservers cannot be found", self._count_discovery_error)
        self._knows_definitions = False
        self._definitions = RepeatedFailure("custom resources cannot be followed", self._count_discovery_error)
        metrics.before_render.append(self.refresh)

    @property
    def apiservers(self) -> list[Apiserver]:
        """Those that are watched now."""
        return list(self._apiservers.values())

    @property
    def unfollowed(self) -> str | None:
        """Why it is not known which custom resources there are to watch; None where it is, or none are asked for."""
        return self._unfollowed(with_errors=True)

    def _unfollowed(self, *, with_errors: bool) -> str | None:
        if not self._config.custom_resources or self._knows_definitions:
            return None
        error = self._definitions.error
        if error is None:
            return "custom resources: no list"
        return f"custom resources cannot be followed: {_why(error, with_errors=with_errors)}"

    def not_ready(self, *, with_errors: bool) -> list[str]:
        """One sentence for each stream that has had no answer yet, or why none is known."""
        if self._apiservers:
            reasons = [
                stream.not_ready(with_errors=with_errors)
                for apiserver in self.apiservers
                for stream in apiserver.streams
            ]
            error = self._definitions.error
            if error is None or error.reason not in CURABLE_ONLY_BY_PEOPLE:
                reasons.append(self._unfollowed(with_errors=with_errors))
            return [reason for reason in reasons if reason is not None]
        error = self._endpoints.error
        if error is None:
            return ["no apiserver found yet" if self._config.discover_apiservers else "not started yet"]
        if error.reason in CURABLE_ONLY_BY_PEOPLE:
            return []
        return [f"no apiserver found: {_why(error, with_errors=with_errors)}"]

    async def run(self) -> None:
        """Watch until cancelled."""
        try:
            async with self._tasks as tasks:
                tasks.create_task(self._heartbeat.run())
                tasks.create_task(self._follow_apiservers())
                tasks.create_task(keep_proving_peers(lambda: [apiserver.stores for apiserver in self.apiservers]))
                for what in canary_objects(self._config, self._credentials):
                    interval_seconds = self._config.canary_interval_seconds
                    keeper = CanaryKeeper(what, interval_seconds, self._staying)
                    tasks.create_task(keeper.run())
                if self._config.custom_resources:
                    tasks.create_task(self._follow_custom_resources())
                while True:
                    await asyncio.sleep(REFRESH_PERIOD_SECONDS)
                    self._all_clocks = self._bound_all_clocks()
                    self._fill_places()
                    for _ in self.refresh():
                        await asyncio.sleep(0)
        finally:
            await self._session.close()

    def _staying(self) -> list[Apiserver]:
        """Those that are endpoints still: what is being shut down owes us nothing."""
        return [apiserver for apiserver in self.apiservers if apiserver.server not in self._leaving]

    def refresh(self) -> Iterator[None]:
        """Bring all gauges up to the present moment, in steps: many streams at once would hold the event loop."""
        for apiserver in self.apiservers:
            yield from apiserver.refresh()

    async def _follow_apiservers(self) -> None:
        config = self._config
        if not config.discover_apiservers:
            self._use_apiservers(named_servers(config) or [self._session.server])
            while config.apiservers:
                self._is_complete = await count_apiservers(self._session) == len(config.apiservers)
                await asyncio.sleep(DISCOVERY_PERIOD_SECONDS)
            return
        backoff = Backoff()
        while True:
            try:
                servers, is_whole = await find_apiservers(self._session)
            except StartError as error:
                self._is_complete = False
                self._endpoints.met(error)
                await asyncio.sleep(backoff.after_failure(error.retry_after_seconds))
                continue
            backoff.succeeded()
            self._endpoints.over()
            with_places = self._with_places(servers)
            if servers:
                self._use_apiservers(with_places)
            self._is_complete = bool(servers) and is_whole and len(with_places) == len(servers)
            await asyncio.sleep(DISCOVERY_PERIOD_SECONDS)

    def _count_discovery_error(self, reason: StartReason) -> None:
        self._metrics.discovery_errors[reason].inc()

    def _with_places(self, servers: list[Server]) -> list[Server]:
        """Those that are watched already, and others as far as there are places; whatever still ends holds one."""
        new = newcomers(servers, self._running, MOST_APISERVERS - self._ending[Server])
        with_places = [server for server in servers if server in self._running or server in new]
        left_out = len(servers) - len(with_places)
        _say_left_out("more apiservers than are watched", self._metrics.apiservers_left_out, left_out)
        return with_places

    def _use_apiservers(self, servers: list[Server]) -> None:
        for server in servers:
            self._stay(server)
            if server not in self._running:
                log.info("apiserver found", extra={"fields": {"apiserver": server.name}})
                self._running[server] = self._tasks.create_task(self._watch(server))
        for server in self._running.keys() - set(servers) - self._leaving.keys():
            log.warning("apiserver is no endpoint any more", extra={"fields": {"apiserver": server.name}})
            if server in self._apiservers:
                self._apiservers[server].leaves()
            self._leaving[server] = self._tasks.create_task(self._leave_apiserver(server))

    async def _watch(self, server: Server) -> None:
        """Everything that watches one address, until this is cancelled."""
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
            apiserver = Apiserver(
                server,
                config=self._config,
                credentials=self._credentials,
                metrics=self._metrics,
                heartbeat=self._heartbeat,
                tasks=tasks,
                clocks_of_all=lambda: self._all_clocks,
                clocks_are_doubtful=self._doubt_all_clocks,
                judged=self._judged,
            )
            stack.push_async_callback(apiserver.close)  # after its tasks have ended
            self._apiservers[server] = apiserver
            stack.callback(self._forget, apiserver)
            for name in (*self._config.resources, *sorted(self._custom, key=str)):
                self._share(apiserver, name)
                await asyncio.sleep(0)  # to make the series of one resource takes a millisecond
            gc.freeze()  # They stay: to look through those of many resources would hold the loop for 100 ms.
            await asyncio.Event().wait()

    async def _leave_apiserver(self, server: Server) -> None:
        await asyncio.sleep(LEAVING_SECONDS)
        del self._leaving[server]
        await self._stop(server)
        if server not in self._running:  # else it is back, and its series go on
            self._metrics.remove_apiserver(server.name)
        await asyncio.sleep(FORGETTING_SECONDS)
        # Once for each that goes, a tenth of a second: what is left of it is found nowhere else.
        gc.unfreeze()
        gc.collect()
        gc.freeze()

    async def _stop(self, server: Server) -> None:
        """In a function of its own, because a task that has ended still holds what it ran with.

        It is out of everybody's sight before it begins to end: nothing more can be watched there, and if it is back
        before it has ended, that is another one.
        """
        self._apiservers.pop(server, None)
        running = self._running.pop(server)
        self._ending[Server] += 1
        running.cancel()
        await asyncio.wait({running})
        self._ending[Server] -= 1

    def _forget(self, apiserver: Apiserver) -> None:
        """It has ended; another one may be at its address already."""
        if self._apiservers.get(apiserver.server) is apiserver:
            del self._apiservers[apiserver.server]

    def _doubt_all_clocks(self) -> None:
        """What is known of one of them counts no more: no stamp is dated before all are bounded anew."""
        self._all_clocks = None

    def _bound_all_clocks(self) -> Offset | None:
        """Bounds on every clock that may have stamped an object; None unless every apiserver is watched and known."""
        offsets = [apiserver.stamps_offset for apiserver in self.apiservers]
        known = [offset for offset in offsets if offset is not None]
        return hull(known) if self._is_complete and known and len(known) == len(offsets) else None

    async def _follow_custom_resources(self) -> None:
        config = self._config
        follower = CustomResources(
            config.custom_resources,
            session=self._session,
            heartbeat=self._heartbeat,
            trouble=self._definitions,
            advise=self._advise,
        )
        await follower.follow(self._use_custom_resources)

    def _use_custom_resources(self, names: Iterable[ResourceName]) -> None:
        self._knows_definitions = True
        self._matching = dict.fromkeys(name for name in names if not self._config.watches(name.group, name.plural))
        for name in self._custom - self._matching.keys():
            self._leaving[name] = self._tasks.create_task(self._leave_custom_resource(name))
        self._custom &= self._matching.keys()
        self._fill_places()

    def _fill_places(self) -> None:
        """Watch what matches as far as there are places, and not too many at once. Whatever still ends holds a place.

        What is back goes first: it has one.
        """
        leaving = [one for one in self._leaving if not isinstance(one, Server)]
        back = [name for name in leaving if name in self._matching]
        most = self._config.custom_resources_max - self._ending[ResourceName]
        new = newcomers(self._matching, self._custom.union(leaving), most)
        now = time.monotonic()
        coming = [*back, *new][: self._starts.left(now)]
        self._starts = self._starts.taken(now, len(coming))
        for name in coming:
            is_leaving = self._stay(name)
            for apiserver in self.apiservers:
                if is_leaving:
                    apiserver.look_anew(name)  # its stream may be in the middle of a long wait
                self._share(apiserver, name)
        self._custom.update(coming)
        left_out = len(self._matching) - len(self._custom)
        gauge = self._metrics.custom_resources_left_out
        _say_left_out("more custom resources match than may be watched, or come at once", gauge, left_out)

    def _share(self, apiserver: Apiserver, name: ResourceName) -> None:
        """Watch the kind on this apiserver, unless that falls to another shard."""
        if self._config.shard.owns(apiserver.server.name, name.group, name.plural):
            apiserver.watch(name)

    async def _leave_custom_resource(self, name: ResourceName) -> None:
        await asyncio.sleep(LEAVING_SECONDS)
        del self._leaving[name]
        self._ending[ResourceName] += 1
        await asyncio.gather(*[apiserver.unwatch(name) for apiserver in self.apiservers])
        self._ending[ResourceName] -= 1
        if name in self._custom or name in self._leaving:
            return  # it was back, and its series go on
        for apiserver in self.apiservers:
            self._metrics.remove_resource(apiserver.server.name, name.group, name.plural)

    def _stay(self, one: Server | ResourceName) -> bool:
        """It is here again: it does not leave. Whether it was about to."""
        leaving = self._leaving.pop(one, None)
        if leaving is not None:
            leaving.cancel()
        return leaving is not None


def _say_left_out(what: str, gauge: Gauge, count: int) -> None:
    """Once, until all have places again."""
    if count and not gauge.value:
        log.warning(what, extra={"fields": {"left_out": count}})
    gauge.set(count)
