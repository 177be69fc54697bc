"""The process: credentials, apiservers, the heartbeat and the HTTP server, from the start to a signal."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from exporter import descriptors
from exporter.audit.live import NAMES, LiveCounts
from exporter.config import ConfigError, ListenAddress
from exporter.credentials import Credentials, CredentialsError, CredentialsSource
from exporter.diagnosis.sentences import sentence
from exporter.history.recording import History
from exporter.kubernetes.reviews import Reviews
from exporter.kubernetes.session import ApiSession
from exporter.kubernetes.writes import why_no_canary
from exporter.metrics.registry import Metrics
from exporter.service import logs, loop, status
from exporter.service.apiserver import CountedCost
from exporter.service.audit_file import AuditFile
from exporter.service.audit_intake import AuditIntake
from exporter.service.canary import too_few_alone
from exporter.service.dependencies import Dependencies
from exporter.service.diagnosing import Diagnosing
from exporter.service.fleet import Fleet, home_of
from exporter.service.recording import record
from exporter.watch.heartbeat import Heartbeat
from exporter.web import audit_webhook, http
from exporter.web.auth_filter import AuthFilter
from exporter.web.connections import Limits
from exporter.web.page.live import Page
from exporter.web.page.look import Look, Objective
from exporter.wording.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence
    from pathlib import Path

    from exporter.config import Config
    from exporter.diagnosis.findings import Finding
    from exporter.diagnosis.tracking import Change
    from exporter.measure.judging import Judgement
    from exporter.measure.stream_state import StreamState
    from exporter.service.apiserver import Apiserver
    from exporter.service.stream import Stream
    from exporter.web.connections import WebServer
    from exporter.web.page.live import Demo
    from exporter.web.reload import WebFiles

log = logging.getLogger(__name__)

CANNOT_START = 2


def run(config: Config, warnings: Sequence[str] = ()) -> int:
    """`watchslo run`: 0 after SIGTERM or SIGINT, 2 if it cannot start; the reason is one line on stderr."""
    logs.set_up(config)
    descriptors.raise_limit()
    for warning in (*warnings, too_few_alone(config, config.slo_window_seconds)):
        if warning is not None:
            log.warning(warning)
    try:
        loop.run(_run_until_signal(config))
    except (CredentialsError, OSError) as error:
        print(f"watchslo: error: {reason_of(error)}", file=sys.stderr)  # noqa: T201 for the person who started it
        return CANNOT_START
    return 0


def reason_of(error: Exception) -> str:
    """The message of an error, without the number that an OSError puts before it."""
    return str(getattr(error, "strerror", None) or error)


async def _run_until_signal(config: Config) -> None:
    stopping = asyncio.Event()
    loading = asyncio.ensure_future(load_credentials(config))

    def stop() -> None:
        stopping.set()
        loading.cancel()  # an exec plugin may hang

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    await asyncio.wait({loading})
    if loading.cancelled():
        return
    credentials = loading.result()
    gc.collect()
    gc.freeze()  # Imported modules are never freed: scanning them in each collection would block the loop for 25 ms.
    async with Exporter(config, credentials).running():
        await stopping.wait()
        log.info("stopping")


async def load_credentials(config: Config) -> Credentials:
    """Load the configured credentials. Raises CredentialsError, also if canaries are enabled without an object to write
    to, or if the token must not be sent to one of the configured addresses.
    """
    source = CredentialsSource(config.kubeconfig, config.context, expects_verification=config.discover_apiservers)
    credentials = Credentials(source, config.tls_server_name, allow_insecure_token=config.allow_insecure_token)
    await credentials.load()
    for url in (credentials.server_url, *config.apiservers):
        await credentials.headers(url)
    sentence = why_no_canary(config, credentials)
    if sentence is not None:
        raise CredentialsError(sentence)
    return credentials


def serving_nowhere(config: Config) -> Config:
    """The same for a command that measures by itself."""
    return replace(config, listen_addresses=(), web_config_file=None, audit_files=(), audit_listen_addresses=())


def _web_files(flag: str, path: Path | None, *, without_users: bool = False) -> WebFiles | None:
    if path is None:
        return None
    from exporter.web.reload import WebFiles  # noqa: PLC0415 it imports bcrypt, which few users need

    try:
        return WebFiles(path, without_users=without_users)
    except ValueError as error:
        raise ConfigError(f"{flag}: {quoted(str(path))} {error}") from None


def tokens_in_the_clear(scheme: str, hosts: Iterable[str]) -> str | None:
    """A warning if --web.auth-filter is used without TLS on addresses that others can reach."""
    if scheme == "https" or all(ip_address(host).is_loopback for host in hosts):
        return None
    return "--web.auth-filter without TLS: whoever is on the way can read tokens; --web.config.file gives a certificate"


class Exporter:
    """All parts of the daemon. `judged` is called with every judgement, `changed` with every finding that begins,
    changes or ends.

    `advise` is called with suggestions about settings that have no effect now; by default they are logged. With `demo`
    the page lets people switch its scenarios.
    """

    def __init__(  # noqa: PLR0913 what to watch, and who wants to be told of what
        self,
        config: Config,
        credentials: Credentials,
        judged: Callable[[Stream, Judgement], None] | None = None,
        advise: Callable[[str], None] | None = None,
        *,
        changed: Callable[[Change], None] | None = None,
        demo: Demo | None = None,
    ) -> None:
        self._config = config
        self._credentials = credentials
        self.metrics = Metrics(config.slo_threshold_seconds, config.slo_objective_ratio, config.slo_window_seconds)
        self.metrics.shards.set(config.shard.count)
        self.metrics.shard_index.set(config.shard.index)
        self.metrics.before_render.append(self._count_tasks)
        heartbeat = Heartbeat(self.metrics.loop_lag.observe)
        self.history = History()
        self._demo = demo
        self.audit = LiveCounts(NAMES[config.audit_user_names])
        """Who asks for how much, by audit logs that we follow."""
        self.diagnosing = Diagnosing(self.metrics, changed)
        self._fleet = Fleet(
            Dependencies(
                config,
                credentials,
                self.metrics,
                heartbeat,
                judged=judged,
                advise=advise or log.warning,
                diagnose=self.diagnosing.take,
                askers=self.audit.spells if config.audit_files or config.audit_listen_addresses else None,
            )
        )
        if config.audit_files or config.audit_listen_addresses:
            self.metrics.read_audit(self.audit.totals)
        self._intake = AuditIntake(self.audit)
        self.listens_on: list[tuple[str, int]] = []
        """Host and port of each listening socket."""
        self.scheme = "http"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Exporter]:
        """Serve and watch until the block is left.

        Raises OSError if it cannot listen on an address, ConfigError if --web.config.file has become invalid.
        """
        config = self._config
        files = _web_files("--web.config.file", config.web_config_file, without_users=config.auth_filter)
        webhook_files = _web_files("--audit.web-config.file", config.audit_web_config_file)
        reviews = self._reviews_session() if config.auth_filter else None
        server = await self._serve(files, reviews)
        webhook: WebServer | None = None
        try:
            if webhook_files is not None and config.audit_listen_addresses:
                webhook = await self._serve_webhook(webhook_files)
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(self._fleet.run(), name="watch")]
                running.append(tasks.create_task(descriptors.warn_when_few(), name="descriptors"))
                recording = record(self.history, self.states, lambda: self.findings)
                running.append(tasks.create_task(recording, name="history"))
                logs_followed = [AuditFile(path, self._intake) for path in config.audit_files]
                running += [tasks.create_task(one.follow(), name="audit log") for one in logs_followed]
                for followed in (files, webhook_files):
                    if followed is not None:
                        running.append(tasks.create_task(followed.follow(), name="web configuration"))
                try:
                    yield self
                finally:
                    for task in running:
                        task.cancel()
        finally:
            # The server stops last, so that a scrape in progress is finished.
            await server.cleanup()
            if webhook is not None:
                await webhook.cleanup()
            if reviews is not None:
                await reviews.close()

    async def _serve(self, files: WebFiles | None, reviews: ApiSession | None) -> WebServer:
        """Listen on every address, and log it. Raises what `running` raises."""
        auth_filter = AuthFilter(Reviews(reviews).status) if reviews is not None else None
        # Probes need no authentication, so their answers contain no messages from apiservers.
        not_ready = partial(self.not_ready, with_errors=False)
        access = files.access if files else None
        is_protected = http.protection(access, auth_filter)
        page = Page(lambda: self.look(has_errors=is_protected()), self._demo)
        app = http.application(self.metrics, not_ready, self.status, access, auth_filter, page)
        # Half of the file descriptors is reserved for watches, whatever clients do.
        connections = min(self._config.web_max_connections, max(1, descriptors.limit() // 2))
        limits = Limits(connections=connections, requests=self._config.web_max_requests)
        server = await http.serve(app, self._config.listen_addresses, files.tls if files else None, limits)
        self.listens_on = [address[:2] for address in server.addresses]
        self.scheme = "https" if files and files.tls else "http"
        for host, port in self.listens_on:
            log.info("listening", extra={"fields": {"scheme": self.scheme, "address": str(ListenAddress(host, port))}})
        readable = tokens_in_the_clear(self.scheme, [host for host, _ in self.listens_on])
        if reviews is not None and readable is not None:
            log.warning(readable)
        return server

    async def _serve_webhook(self, files: WebFiles) -> WebServer:
        """Listen for audit webhooks, and say so. Raises as `running` does."""
        app = audit_webhook.application(self.metrics, self._intake.take)
        files.access.guard(app)
        server = await http.serve(app, self._config.audit_listen_addresses, files.tls, audit_webhook.LIMITS)
        for host, port, *_ in server.addresses:
            log.info("listening for audit webhooks", extra={"fields": {"address": str(ListenAddress(host, port))}})
        return server

    def _reviews_session(self) -> ApiSession:
        """A session of its own, so that our clients' requests do not delay measurements."""
        home = home_of(self._credentials)
        return ApiSession(home, self._credentials, cost=CountedCost(self.metrics, home))

    def _count_tasks(self) -> Iterable[None]:
        self.metrics.tasks.set(len(asyncio.all_tasks()))
        return ()

    @property
    def apiservers(self) -> list[Apiserver]:
        """The apiservers that are watched now."""
        return self._fleet.apiservers

    @property
    def unfollowed(self) -> str | None:
        """Why the matching custom resources are unknown; None if they are known or none are configured."""
        return self._fleet.unfollowed

    def not_ready(self, *, with_errors: bool = True) -> list[str]:
        """One sentence for each stream without an answer so far, or the reason why no apiserver is known.

        `with_errors` adds error messages, such as those of apiservers.
        """
        return self._fleet.not_ready(with_errors=with_errors)

    def states(self) -> list[StreamState]:
        """The state of each stream, as of its last refresh."""
        return [stream.state for apiserver in self.apiservers for stream in apiserver.streams]

    @property
    def findings(self) -> list[Finding]:
        """The faults that are found now, the most certain and most exact first."""
        return self.diagnosing.findings

    def look(self, *, has_errors: bool) -> Look:
        """What the page shows now; `has_errors` if whoever asks may read what apiservers say."""
        config = self._config
        return Look(
            now=time.time(),
            version=self.metrics.version,
            objective=Objective(
                ratio=config.slo_objective_ratio,
                threshold_seconds=config.slo_threshold_seconds,
                window_seconds=config.slo_window_seconds,
            ),
            states=self.states(),
            findings=self.findings,
            history=self.history,
            shard=(config.shard.index, config.shard.count),
            has_names=not config.web_no_object_names,
            has_errors=has_errors,
            scenarios=self._demo.scenarios() if self._demo is not None else None,
        )

    def status(self) -> dict[str, Any]:
        """The status document."""
        states = self.states()
        said = sentence(states, self.findings, time.time())
        return status.document(self.metrics.version, self._config, said, states)
