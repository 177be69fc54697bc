"""The process: credentials, apiservers, the heartbeat and the HTTP server, from the start to a signal."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
from contextlib import asynccontextmanager
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from exporter import descriptors
from exporter.audit.live import NAMES, LiveCounts
from exporter.config import ConfigError, ListenAddress
from exporter.config.wording import quoted
from exporter.kubernetes.credentials import Credentials, CredentialsError, Source
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
from exporter.service.fleet import Fleet, home_of
from exporter.watch.heartbeat import Heartbeat
from exporter.web import audit_webhook, http
from exporter.web.auth_filter import AuthFilter
from exporter.web.connections import Limits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence
    from pathlib import Path

    from exporter.config import Config
    from exporter.measure.judging import Judgement
    from exporter.measure.stream_state import StreamState
    from exporter.service.apiserver import Apiserver
    from exporter.service.stream import Stream
    from exporter.web.connections import WebServer
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
    """Its sentence, without the number that an OSError has before it."""
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
    gc.freeze()  # What is imported by now stays: looking through it again would hold the loop for 25 ms each time.
    async with Exporter(config, credentials).running():
        await stopping.wait()
        log.info("stopping")


async def load_credentials(config: Config) -> Credentials:
    """Whoever the configuration says we are. Raises CredentialsError, also if that leaves a canary without object,
    or if an address that is known already must not be told who we are.
    """
    source = Source(config.kubeconfig, config.context, expects_verification=config.discover_apiservers)
    credentials = Credentials(source, config.tls_server_name, allow_insecure_token=config.allow_insecure_token)
    await credentials.load()
    for url in (credentials.server_url, *config.apiservers):
        await credentials.headers(url)
    sentence = why_no_canary(config, credentials)
    if sentence is not None:
        raise CredentialsError(sentence)
    return credentials


def _web_files(flag: str, path: Path | None, *, without_users: bool = False) -> WebFiles | None:
    if path is None:
        return None
    from exporter.web.reload import WebFiles  # noqa: PLC0415 most have none, and it brings bcrypt along

    try:
        return WebFiles(path, without_users=without_users)
    except ValueError as error:
        raise ConfigError(f"{flag}: {quoted(str(path))} {error}") from None


def tokens_in_the_clear(scheme: str, hosts: Iterable[str]) -> str | None:
    """What is to be said of --web.auth-filter if whoever is on the way to these addresses can read tokens."""
    if scheme == "https" or all(ip_address(host).is_loopback for host in hosts):
        return None
    return "--web.auth-filter without TLS: whoever is on the way can read tokens; --web.config.file gives a certificate"


class Exporter:
    """All parts of the daemon; `judged`, if given, is told of every judgement, and `advise` what else goes to the log.

    Advice is a sentence about a setting that does nothing now, and what may have been meant.
    """

    def __init__(
        self,
        config: Config,
        credentials: Credentials,
        judged: Callable[[Stream, Judgement], None] | None = None,
        advise: Callable[[str], None] | None = None,
    ) -> None:
        self._config = config
        self._credentials = credentials
        self.metrics = Metrics(config.slo_threshold_seconds, config.slo_objective_ratio, config.slo_window_seconds)
        self.metrics.shards.set(config.shard.count)
        self.metrics.shard_index.set(config.shard.index)
        heartbeat = Heartbeat(self.metrics.loop_lag.observe)
        self._fleet = Fleet(Dependencies(config, credentials, self.metrics, heartbeat, judged, advise or log.warning))
        self.audit = LiveCounts(NAMES[config.audit_user_names])
        """Who asks for how much, by audit logs that we follow."""
        if config.audit_files or config.audit_listen_addresses:
            self.metrics.read_audit(self.audit.totals)
        self._intake = AuditIntake(self.audit)
        self.listens_on: list[tuple[str, int]] = []
        """Host and port of each listening socket."""
        self.scheme = "http"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Exporter]:
        """Serve and watch until the block is left.

        Raises OSError if an address cannot be listened on, ConfigError if --web.config.file cannot be used any more.
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
            # The server goes last: a scrape that has begun is finished.
            await server.cleanup()
            if webhook is not None:
                await webhook.cleanup()
            if reviews is not None:
                await reviews.close()

    async def _serve(self, files: WebFiles | None, reviews: ApiSession | None) -> WebServer:
        """Listen on every address, and say so. Raises as `running` does."""
        auth_filter = AuthFilter(Reviews(reviews).status) if reviews is not None else None
        # Probes are never authenticated: they tell everybody, so not what others have said.
        not_ready = partial(self.not_ready, with_errors=False)
        app = http.application(self.metrics, not_ready, self.status, files.access if files else None, auth_filter)
        # Whatever clients do, half of the descriptors is for watches.
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
        """One of its own: who asks us must not hold up what we measure."""
        home = home_of(self._credentials)
        return ApiSession(home, self._credentials, cost=CountedCost(self.metrics, home))

    @property
    def apiservers(self) -> list[Apiserver]:
        """Those that are watched now."""
        return self._fleet.apiservers

    @property
    def unfollowed(self) -> str | None:
        """Why it is not known which custom resources there are to watch; None where it is, or none are asked for."""
        return self._fleet.unfollowed

    def not_ready(self, *, with_errors: bool = True) -> list[str]:
        """One sentence for each stream that has had no answer yet, or why none is known.

        `with_errors` adds what others, such as apiservers, have said of it.
        """
        return self._fleet.not_ready(with_errors=with_errors)

    def states(self) -> list[StreamState]:
        """The state of each stream, as of its last refresh."""
        return [stream.state for apiserver in self.apiservers for stream in apiserver.streams]

    def status(self) -> dict[str, Any]:
        """The status document."""
        return status.document(self.metrics.version, self._config, self.states())
