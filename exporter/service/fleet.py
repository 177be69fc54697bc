"""The apiservers that are watched, as they come and go."""

from __future__ import annotations

import asyncio
import gc
import logging
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, NoReturn

from exporter.clocks.same_store import keep_proving_peers
from exporter.kubernetes.apiservers import MOST_APISERVERS, count_apiservers, find_apiservers, why_unreached
from exporter.kubernetes.backoff import Backoff
from exporter.kubernetes.errors import StartError
from exporter.kubernetes.failures import RepeatedFailure
from exporter.kubernetes.session import ApiSession, Server
from exporter.kubernetes.writes import canary_objects
from exporter.measure.serverclock import hull
from exporter.service.apiserver import AllClocks, Apiserver, CountedCost
from exporter.service.canary import CanaryKeeper
from exporter.service.custom_resources import CustomResources, say_left_out, why
from exporter.service.leaving import Leaving
from exporter.service.stream import CURABLE_ONLY_BY_PEOPLE
from exporter.watch.places import newcomers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.config import Config
    from exporter.kubernetes.credentials import Credentials
    from exporter.measure.serverclock import Offset
    from exporter.service.dependencies import Dependencies

log = logging.getLogger(__name__)

REFRESH_PERIOD_SECONDS = 1.0
DISCOVERY_PERIOD_SECONDS = 10.0
FORGETTING_SECONDS = 60.0
"""After this time nobody holds anything of an apiserver that went; a proof that asks it waits for half as long."""


def home_of(credentials: Credentials) -> Server:
    """The address that the credentials name: asked what there is, and watched if nothing else is named."""
    return Server(credentials.server_url, is_one_apiserver=False)


def named_servers(config: Config) -> list[Server]:
    """The addresses that are named are apiservers, each."""
    return [Server(url, is_one_apiserver=True) for url in config.apiservers]


class Fleet:
    """Keeps one Apiserver running for each address that is to be watched."""

    def __init__(self, dependencies: Dependencies) -> None:
        metrics = dependencies.metrics
        self._dependencies = dependencies
        self._config = dependencies.config
        self._apiservers: dict[Server, Apiserver] = {}
        self._running: dict[Server, asyncio.Task[None]] = {}
        self._tasks = asyncio.TaskGroup()
        self._leaving = Leaving(self._tasks, self._stop, self._drop)
        self._is_complete = False
        self._all_clocks = AllClocks()
        self._session = self._session_to(home_of(dependencies.credentials))
        self._endpoints = RepeatedFailure("apiservers cannot be found", dependencies.count_discovery_error)
        self._custom = CustomResources(dependencies, self._session, self._tasks, lambda: self.apiservers)
        metrics.before_render.append(self.refresh)

    @property
    def apiservers(self) -> list[Apiserver]:
        """Those that are watched now."""
        return list(self._apiservers.values())

    @property
    def unfollowed(self) -> str | None:
        """Why it is not known which custom resources there are to watch; None where it is, or none are asked for."""
        return self._custom.unfollowed(with_errors=True)

    def not_ready(self, *, with_errors: bool) -> list[str]:
        """One sentence for each stream that has had no answer yet, or why none is known."""
        if self._apiservers:
            reasons = [
                stream.not_ready(with_errors=with_errors)
                for apiserver in self.apiservers
                for stream in apiserver.streams
            ]
            reasons.append(self._custom.not_ready(with_errors=with_errors))
            return [reason for reason in reasons if reason is not None]
        error = self._endpoints.error
        if error is None:
            return ["no apiserver found yet" if self._config.discover_apiservers else "not started yet"]
        if error.reason in CURABLE_ONLY_BY_PEOPLE:
            return []
        return [f"no apiserver found: {why(error, with_errors=with_errors)}"]

    async def run(self) -> None:
        """Watch until cancelled."""
        try:
            async with self._tasks as tasks:
                tasks.create_task(self._dependencies.heartbeat.run())
                tasks.create_task(self._follow_apiservers())
                tasks.create_task(keep_proving_peers(lambda: [apiserver.stores for apiserver in self.apiservers]))
                for what in canary_objects(self._config, self._dependencies.credentials):
                    interval_seconds = self._config.canary_interval_seconds
                    keeper = CanaryKeeper(what, interval_seconds, self._staying)
                    tasks.create_task(keeper.run())
                tasks.create_task(self._custom.follow())
                while True:
                    await asyncio.sleep(REFRESH_PERIOD_SECONDS)
                    self._all_clocks.offset = self._bound_all_clocks()
                    self._custom.fill_places()
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
        if config.discover_apiservers:
            await self._discover()
        self._use_apiservers(named_servers(config) or [self._session.server])
        while config.apiservers:
            self._is_complete = await count_apiservers(self._session) == len(config.apiservers)
            await asyncio.sleep(DISCOVERY_PERIOD_SECONDS)

    async def _discover(self) -> NoReturn:
        backoff, reaching = Backoff(), Backoff()
        while True:
            try:
                found, is_whole = await find_apiservers(self._session)
            except StartError as error:
                self._is_complete = False
                self._endpoints.met(error)
                await asyncio.sleep(backoff.after_failure(error.retry_after_seconds))
                continue
            backoff.succeeded()
            self._endpoints.over()
            chosen = await self._choose(found)
            if found:
                self._use_apiservers(chosen)
            self._is_complete = bool(found) and is_whole and chosen == found
            if set(chosen) <= set(found):
                reaching.succeeded()
                await asyncio.sleep(DISCOVERY_PERIOD_SECONDS)
            else:
                await asyncio.sleep(DISCOVERY_PERIOD_SECONDS + reaching.after_failure())

    async def _choose(self, found: list[Server]) -> list[Server]:
        """Those that are watched already, and others as far as there are places; whatever still ends holds one.

        The configured server instead, if none of them answers and none is watched: only to begin with is out of reach
        told from down. An address that is watched stays as it is, whatever it is found to be: none is watched twice.
        """
        running = {server.name: server for server in self._running}
        servers = [running.get(server.name, server) for server in found]
        new = newcomers(servers, self._running, MOST_APISERVERS - self._leaving.ending)
        chosen = [server for server in servers if server in self._running or server in new]
        home, left_out = self._session.server, self._dependencies.metrics.apiservers_left_out
        is_reached = not running.keys().isdisjoint(server.name for server in found)
        if not is_reached and (reason := await why_unreached(home, chosen, self._session_to)) is not None:
            what = "no endpoint answers: the configured server is watched instead"
            say_left_out(what, left_out, len(found), apiserver=home.name, error=reason)
            for server in chosen:
                self._dependencies.metrics.remove_apiserver(server.name)
            return [running.get(home.name, home)]
        say_left_out("more apiservers than are watched", left_out, len(found) - len(chosen))
        return chosen

    def _session_to(self, server: Server) -> ApiSession:
        around = self._dependencies
        return ApiSession(server, around.credentials, cost=CountedCost(around.metrics, server))

    def _use_apiservers(self, servers: list[Server]) -> None:
        for server in servers:
            self._leaving.stay(server)
            if server not in self._running:
                log.info("apiserver found", extra={"fields": {"apiserver": server.name}})
                self._running[server] = self._tasks.create_task(self._watch(server))
        for server in self._running.keys() - set(servers) - set(self._leaving):
            is_home = server == self._session.server
            what = "the configured server gives way to endpoints" if is_home else "apiserver is no endpoint any more"
            log.warning(what, extra={"fields": {"apiserver": server.name}})
            if server in self._apiservers:
                self._apiservers[server].leaves()
            self._leaving.leave(server)

    async def _watch(self, server: Server) -> None:
        """Everything that watches one address, until this is cancelled."""
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
            apiserver = Apiserver(server, self._dependencies, tasks, self._all_clocks)
            stack.push_async_callback(apiserver.close)  # after its tasks have ended
            self._apiservers[server] = apiserver
            stack.callback(self._forget, apiserver)
            for name in (*self._config.resources, *self._custom.watched):
                apiserver.watch(name)
                await asyncio.sleep(0)  # to make the series of one resource takes a millisecond
            gc.freeze()  # They stay: to look through those of many resources would hold the loop for 100 ms.
            await asyncio.Event().wait()

    async def _stop(self, server: Server) -> None:
        """In a function of its own, because a task that has ended still holds what it ran with.

        It is out of everybody's sight before it begins to end: nothing more can be watched there, and if it is back
        before it has ended, that is another one.
        """
        self._apiservers.pop(server, None)
        running = self._running.pop(server)
        running.cancel()
        await asyncio.wait({running})

    async def _drop(self, server: Server) -> None:
        if server not in self._running:  # else it is back, and its series go on
            self._dependencies.metrics.remove_apiserver(server.name)
        await asyncio.sleep(FORGETTING_SECONDS)
        # Once for each that goes, a tenth of a second: what is left of it is found nowhere else.
        gc.unfreeze()
        gc.collect()
        gc.freeze()

    def _forget(self, apiserver: Apiserver) -> None:
        """It has ended; another one may be at its address already."""
        if self._apiservers.get(apiserver.server) is apiserver:
            del self._apiservers[apiserver.server]

    def _bound_all_clocks(self) -> Offset | None:
        """Bounds on every clock that may have stamped an object; None unless every apiserver is watched and known."""
        known = [offset for apiserver in self.apiservers if (offset := apiserver.stamps_offset) is not None]
        return hull(known) if self._is_complete and known and len(known) == len(self._running) else None
