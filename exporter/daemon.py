"""The process: credentials, apiservers, the heartbeat and the HTTP server, from the start to a signal."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import uvloop

from exporter import logs
from exporter.apiserver import Apiserver
from exporter.expose import http
from exporter.expose.metrics import Metrics
from exporter.kubernetes.credentials import Credentials, CredentialsError
from exporter.kubernetes.custom_resources import CustomResources
from exporter.kubernetes.endpoints import count_apiservers
from exporter.kubernetes.heartbeat import Heartbeat
from exporter.kubernetes.session import Server
from exporter.kubernetes.stores import keep_proving_peers
from exporter.measure.serverclock import hull

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from exporter.config import Config, ResourceName
    from exporter.measure.judging import Judgement
    from exporter.measure.serverclock import Offset
    from exporter.target import Target

log = logging.getLogger(__name__)

REFRESH_PERIOD_SECONDS = 1.0
LEAVING_SECONDS = 120.0
COUNTING_PERIOD_SECONDS = 60.0
CANNOT_START = 2


def run(config: Config, warnings: Sequence[str] = ()) -> int:
    """`watchslo run`: 0 after SIGTERM or SIGINT, 2 if it cannot start; the reason is one line on stderr."""
    logs.set_up(config)
    for warning in warnings:
        log.warning(warning)
    try:
        uvloop.run(_run_until_signal(config))
    except (CredentialsError, OSError) as error:
        print(f"watchslo: error: {error}", file=sys.stderr)  # noqa: T201 for the person who started it
        return CANNOT_START
    return 0


async def _run_until_signal(config: Config) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    credentials = await load_credentials(config)
    async with Exporter(config, credentials).running():
        await stopping.wait()
        log.info("stopping")


async def load_credentials(config: Config) -> Credentials:
    """Whoever the configuration says we are. Raises CredentialsError."""
    credentials = Credentials(config.kubeconfig, config.context, config.tls_server_name)
    await credentials.load()
    return credentials


def servers(config: Config, credentials: Credentials) -> list[Server]:
    """The addresses to watch: those that are named are apiservers, the kubeconfig's may be a balancer over several."""
    if config.apiservers:
        return [Server(url, is_one_apiserver=True) for url in config.apiservers]
    return [Server(credentials.server_url, is_one_apiserver=False)]


class Exporter:
    """All parts of the daemon; `judged`, if given, is told of every judgement."""

    def __init__(
        self, config: Config, credentials: Credentials, judged: Callable[[Target, Judgement], None] | None = None
    ) -> None:
        self._config = config
        self._credentials = credentials
        self._judged = judged
        self._custom: set[ResourceName] = set()
        self._leaving: dict[ResourceName, asyncio.Task[None]] = {}
        self.metrics = Metrics(config.slo_threshold_seconds, config.slo_objective_ratio, config.slo_window_seconds)
        self._watches_every_apiserver = False
        self._all_clocks: Offset | None = None
        self.heartbeat = Heartbeat(self.metrics.loop_lag.observe)
        self.apiservers: list[Apiserver] = []
        self.listens_on: list[tuple[str, int]] = []
        """Host and port of each listening socket."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Exporter]:
        """Serve and watch until the block is left. Raises OSError if an address cannot be listened on."""
        app = http.application(self.metrics, self.not_ready, self.status)
        runner = await http.serve(app, self._config.listen_addresses)
        self.listens_on = [address[:2] for address in runner.addresses]
        for host, port in self.listens_on:
            log.info("listening", extra={"fields": {"address": f"{host}:{port}"}})
        try:
            async with asyncio.TaskGroup() as tasks:
                everything = tasks.create_task(self._watch(), name="watch")
                try:
                    yield self
                finally:
                    everything.cancel()
        finally:
            # The server goes last: a scrape that has begun is finished.
            await runner.cleanup()

    async def _watch(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.heartbeat.run())
                for server in servers(self._config, self._credentials):
                    self._add_apiserver(server, tasks)
                if len(self.apiservers) > 1:
                    tasks.create_task(keep_proving_peers([apiserver.stores for apiserver in self.apiservers]))
                if self._config.apiservers:
                    tasks.create_task(self._keep_counting_apiservers())
                if self._config.custom_resources:
                    tasks.create_task(self._follow_custom_resources())
                self.metrics.before_render += [apiserver.refresh for apiserver in self.apiservers]
                while True:
                    await asyncio.sleep(REFRESH_PERIOD_SECONDS)
                    self._all_clocks = self._bound_all_clocks()
                    for apiserver in self.apiservers:
                        apiserver.refresh()
        finally:
            for leaving in self._leaving.values():
                leaving.cancel()
            for apiserver in self.apiservers:
                await apiserver.close()

    def _add_apiserver(self, server: Server, tasks: asyncio.TaskGroup) -> None:
        apiserver = Apiserver(
            server,
            config=self._config,
            credentials=self._credentials,
            metrics=self.metrics,
            heartbeat=self.heartbeat,
            tasks=tasks,
            clocks_of_all=lambda: self._all_clocks,
            judged=self._judged,
        )
        self.apiservers.append(apiserver)
        for name in self._config.resources:
            apiserver.watch(name)

    def _bound_all_clocks(self) -> Offset | None:
        """Bounds on every clock that may have stamped an object; None unless every apiserver is watched and known."""
        offsets = [apiserver.offset for apiserver in self.apiservers]
        known = [offset for offset in offsets if offset is not None]
        if not self._watches_every_apiserver or len(known) < len(offsets):
            return None
        return hull(known)

    async def _keep_counting_apiservers(self) -> None:
        while True:
            count = await count_apiservers(self.apiservers[0].session)
            self._watches_every_apiserver = count == len(self._config.apiservers)
            await asyncio.sleep(COUNTING_PERIOD_SECONDS)

    async def _follow_custom_resources(self) -> None:
        config = self._config
        session = self.apiservers[0].session
        follower = CustomResources(config.custom_resources, config.custom_resources_max, session, self.heartbeat)
        await follower.follow(self._use_custom_resources)

    async def _use_custom_resources(self, names: set[ResourceName]) -> None:
        named = {(name.plural, name.group) for name in self._config.resources}
        wanted = {name for name in names if (name.plural, name.group) not in named}
        for name in self._custom - wanted:
            self._leaving[name] = asyncio.create_task(self._leave(name))
        for name in sorted(wanted - self._custom, key=str):
            leaving = self._leaving.pop(name, None)
            if leaving is not None:
                leaving.cancel()
                await self._unwatch(name)
            for apiserver in self.apiservers:
                apiserver.watch(name)
        self._custom = wanted

    async def _leave(self, name: ResourceName) -> None:
        """The definition is gone: its watch ends by itself, which a scrape must see before its series go."""
        await asyncio.sleep(LEAVING_SECONDS)
        del self._leaving[name]
        await self._unwatch(name)
        for apiserver in self.apiservers:
            self.metrics.remove_resource(apiserver.server.name, name.group, name.plural)

    async def _unwatch(self, name: ResourceName) -> None:
        for apiserver in self.apiservers:
            await apiserver.unwatch(name)

    def not_ready(self) -> list[str]:
        """One sentence for each stream that has had no answer yet."""
        if not self.apiservers:
            return ["not started yet"]
        reasons = [target.not_ready for apiserver in self.apiservers for target in apiserver.targets]
        return [reason for reason in reasons if reason is not None]

    def status(self) -> dict[str, Any]:
        """The status document."""
        config = self._config
        return {
            "version": self.metrics.version,
            "slo": {
                "threshold_seconds": config.slo_threshold_seconds,
                "objective_ratio": config.slo_objective_ratio,
                "window_seconds": config.slo_window_seconds,
            },
            "streams": [row for apiserver in self.apiservers for row in apiserver.status()],
        }
