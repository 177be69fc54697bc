"""The watched apiservers, following the endpoints of the cluster."""

from __future__ import annotations

import asyncio
import gc
import logging
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, NoReturn

from exporter import garbage
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
from exporter.service.observer import Observer
from exporter.service.stream import CURABLE_ONLY_BY_PEOPLE
from exporter.turns import in_turns
from exporter.watch.places import newcomers

if TYPE_CHECKING:
    from collections.abc import Generator

    from exporter.config import Config
    from exporter.credentials import Credentials
    from exporter.measure.serverclock import Offset
    from exporter.service.dependencies import Dependencies

log = logging.getLogger(__name__)

REFRESH_PERIOD_SECONDS = 1.0
DISCOVERY_PERIOD_SECONDS = 10.0
FORGETTING_SECONDS = 60.0
"""After this time nothing refers to a removed apiserver any more: a proof that polls it waits for half as long."""


def home_of(credentials: Credentials) -> Server:
    """The server of the credentials: used for discovery, and watched if no apiservers are configured or found."""
    return Server(credentials.server_url, is_one_apiserver=False)


def named_servers(config: Config) -> list[Server]:
    """The configured addresses, each of which is one apiserver."""
    return [Server(url, is_one_apiserver=True) for url in config.apiservers]


class Fleet:
    """Runs one Apiserver for each watched address."""

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
        """The apiservers that are watched now."""
        return list(self._apiservers.values())

    @property
    def unfollowed(self) -> str | None:
        """Why the matching custom resources are unknown; None if they are known or none are configured."""
        return self._custom.unfollowed(with_errors=True)

    def not_ready(self, *, with_errors: bool) -> list[str]:
        """One sentence for each stream without an answer so far, or the reason why no apiserver is known."""
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
                if (diagnosing := self._dependencies.diagnosing) is not None:
                    observer = Observer(self._dependencies, self._session, lambda: self.apiservers, diagnosing)
                    tasks.create_task(observer.run())
                while True:
                    await asyncio.sleep(REFRESH_PERIOD_SECONDS)
                    self._all_clocks.offset = self._bound_all_clocks()
                    self._custom.fill_places()
                    await in_turns(self.refresh())
        finally:
            await self._session.close()

    def _staying(self) -> list[Apiserver]:
        """The apiservers that are still endpoints: from those being shut down no canary is expected."""
        return [apiserver for apiserver in self.apiservers if apiserver.server not in self._leaving]

    def refresh(self) -> Generator[None, None, None]:
        """Update all gauges in steps, because many streams at once would block the event loop."""
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
        """The servers that are watched already, and new ones up to the maximum; those still ending count as well.

        If none of them answers and none is watched, the configured server instead: only before the first answer can
        "out of reach" be told from "down". An address that is watched already stays as it is: none is watched twice.
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
        """Run all watches of one address until cancelled."""
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
            apiserver = Apiserver(server, self._dependencies, tasks, self._all_clocks)
            stack.push_async_callback(apiserver.close)  # after its tasks have ended
            self._apiservers[server] = apiserver
            stack.callback(self._forget, apiserver)
            for name in (*self._config.resources, *self._custom.watched):
                apiserver.watch(name)
                await asyncio.sleep(0)  # creating the series of one resource takes a millisecond
            gc.freeze()  # They are long-lived: scanning those of many resources would block the loop for 100 ms.
            await asyncio.Event().wait()

    async def _stop(self, server: Server) -> None:
        """Stop watching a server. A function of its own, because a finished task keeps its local variables alive.

        The server is removed before its tasks end, so that nothing new is watched there; if the address comes back
        meanwhile, it gets a new Apiserver.
        """
        self._apiservers.pop(server, None)
        running = self._running.pop(server)
        running.cancel()
        await asyncio.wait({running})

    async def _drop(self, server: Server) -> None:
        if server not in self._running:  # else it came back, and its series continue
            self._dependencies.metrics.remove_apiserver(server.name)
        await asyncio.sleep(FORGETTING_SECONDS)
        garbage.free_kept()  # its objects are freed in no other way

    def _forget(self, apiserver: Apiserver) -> None:
        """Remove an apiserver that has ended, unless a new one has replaced it."""
        if self._apiservers.get(apiserver.server) is apiserver:
            del self._apiservers[apiserver.server]

    def _bound_all_clocks(self) -> Offset | None:
        """Common bounds on all clocks that may have stamped an object; None unless all apiservers' clocks are known."""
        known = [offset for apiserver in self.apiservers if (offset := apiserver.stamps_offset) is not None]
        return hull(known) if self._is_complete and known and len(known) == len(self._running) else None
