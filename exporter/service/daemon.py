"""The process: credentials, apiservers, the heartbeat and the HTTP server, from the start to a signal."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from msgspec.structs import replace

from exporter import descriptors, garbage
from exporter.audit.live_counts import NAMES, LiveCounts
from exporter.credentials import Credentials, CredentialsError, CredentialsSource
from exporter.history.recording import History
from exporter.kubernetes.writes import why_no_canary
from exporter.metrics.registry import Metrics
from exporter.service import logs, loop, status
from exporter.service.audit_file import AuditFile
from exporter.service.audit_intake import AuditIntake
from exporter.service.canary import too_few_alone
from exporter.service.dependencies import Dependencies
from exporter.service.diagnosing import Diagnosing
from exporter.service.fleet import Fleet
from exporter.service.recording import record
from exporter.service.serving import serving
from exporter.watch.heartbeat import Heartbeat
from exporter.web.page.look import Look, Objective

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence

    from exporter.config import Config
    from exporter.diagnosis.findings import Finding
    from exporter.measure.judging import Judgement
    from exporter.measure.stream_state import StreamState
    from exporter.measure.times import Interval
    from exporter.service.apiserver import Apiserver
    from exporter.service.stream import Stream
    from exporter.vocabulary import StartupStage
    from exporter.web.page.live import Demo

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
    garbage.keep_all()  # imported modules are never freed
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


def _metrics(config: Config) -> Metrics:
    metrics = Metrics(
        config.slo_threshold_seconds, config.slo_objective_ratio, config.slo_window_seconds, config.metrics_histograms
    )
    metrics.shards.set(config.shard.count)
    metrics.shard_index.set(config.shard.index)
    return metrics


class Exporter:
    """All parts of the daemon.

    `judged` is called with every judgement, and `pod_stage` with each stage of a pod's start, by the pod's uid.
    `advise` is called with suggestions about settings that have no effect now; by default they are logged. With `demo`
    the page lets people switch its scenarios.
    """

    def __init__(  # noqa: PLR0913 what it is made of, and who listens
        self,
        config: Config,
        credentials: Credentials,
        judged: Callable[[Stream, Judgement], None] | None = None,
        advise: Callable[[str], None] | None = None,
        *,
        pod_stage: Callable[[str, StartupStage, Interval], None] | None = None,
        demo: Demo | None = None,
    ) -> None:
        self._config = config
        self._credentials = credentials
        self.metrics = _metrics(config)
        self.metrics.before_render.append(self._count_tasks)
        self.history = History()
        self._demo = demo
        self.diagnosing = Diagnosing(self.metrics)
        audit = LiveCounts(NAMES[config.audit_user_names])
        self.metrics.read_audit(audit.totals)
        self._intake = AuditIntake(audit)
        dependencies = Dependencies(
            config,
            credentials,
            self.metrics,
            Heartbeat(self.metrics.loop_lag.observe),
            judged=judged,
            pod_stage=pod_stage,
            diagnosing=self.diagnosing,
            audit=audit if config.audit_files or config.audit_listen_addresses else None,
            advise=advise or log.warning,
        )
        self._fleet = Fleet(dependencies)
        self.listens_on: list[tuple[str, int]] = []
        """Host and port of each listening socket."""
        self.scheme = "http"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Exporter]:
        """Serve and watch until the block is left.

        Raises OSError if it cannot listen on an address, ConfigError if --web.config.file has become invalid.
        """
        async with serving(self._config, self._credentials, self, self._intake, self._demo) as served:
            self.scheme, self.listens_on = served.scheme, served.addresses
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(self._fleet.run(), name="watch")]
                running.append(tasks.create_task(descriptors.warn_when_few(), name="descriptors"))
                running.append(tasks.create_task(garbage.collect_when_grown(), name="garbage"))
                recording = record(self.history, self.states, lambda: self.findings)
                running.append(tasks.create_task(recording, name="history"))
                logs_followed = [AuditFile(path, self._intake) for path in self._config.audit_files]
                running += [tasks.create_task(one.follow(), name="audit log") for one in logs_followed]
                running += [tasks.create_task(one.follow(), name="web configuration") for one in served.files]
                try:
                    yield self
                finally:
                    for task in running:
                        task.cancel()

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

    @property
    def findings_lately(self) -> list[Finding]:
        """These, and then those that were withdrawn meanwhile."""
        now = {finding.key for finding in self.findings}
        return [*self.findings, *(one for key, one in self.diagnosing.lately.items() if key not in now)]

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
            past_findings=self.diagnosing.past,
            history=self.history,
            shard=(config.shard.index, config.shard.count),
            peers=config.web_peers,
            has_names=not config.web_no_object_names,
            has_errors=has_errors,
            scenarios=self._demo.scenarios() if self._demo is not None else None,
        )

    def status(self, *, has_errors: bool) -> Iterator[bytes]:
        """The status document in pieces."""
        return status.blocks(self.look(has_errors=has_errors))
