"""What one apiserver says of itself: its own metrics, and whose requests it executes, read while that is wanted."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from exporter.audit.live_counts import NAMES
from exporter.server_metrics.flow_reader import FlowReader
from exporter.server_metrics.reader import Listener, Reader
from exporter.server_metrics.sources import OF_APISERVERS, OF_PROMETHEUS, ask_apiserver, ask_prometheus

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

    from exporter.config import Config
    from exporter.diagnosis.facts import FlowFacts
    from exporter.diagnosis.server_facts import ServerFacts
    from exporter.kubernetes.session import ApiSession, Server
    from exporter.metrics.series import Counter
    from exporter.server_metrics.between import ServerReading

log = logging.getLogger(__name__)

NOT_OF_ONE = "the apiserver's own metrics are not read from Prometheus: the address may stand before several apiservers"


class ServerReaders:
    """The readers of one address. Behind a balancer each answer may be of another apiserver."""

    def __init__(
        self,
        server: Server,
        config: Config,
        session: ApiSession,
        reads: Mapping[str, Counter],
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._metrics = _metrics_reader(server, config, session, reads)
        self._flows = _flow_reader(server, config, session)
        for reader in (self._metrics, self._flows):
            if reader is not None:
                tasks.create_task(reader.run())

    @property
    def facts(self) -> ServerFacts | None:
        """What its own metrics say of the last time; None where they are not read, or say nothing now."""
        return self._metrics.facts if self._metrics is not None else None

    @property
    def members(self) -> tuple[ServerFacts, ...]:
        """The same of each apiserver behind a balancer."""
        return self._metrics.members if self._metrics is not None else ()

    @property
    def are_of_several(self) -> bool:
        """Whether several processes have answered at the address of one apiserver, or may."""
        return self._metrics is not None and self._metrics.is_of_several

    @property
    def flows(self) -> tuple[FlowFacts, ...]:
        """Whose requests it executes; empty where that is not known."""
        return self._flows.facts if self._flows is not None else ()

    def notice(self, *, is_trouble: bool, wants_flows: bool) -> None:
        """Whether something is wrong at this apiserver, and whether somebody's requests may be the cause."""
        if self._metrics is not None:
            self._metrics.is_trouble = is_trouble
        if self._flows is not None:
            self._flows.is_wanted = wants_flows

    def is_a_balancer(self) -> None:
        """The address stands before several apiservers."""
        if self._metrics is not None:
            self._metrics.becomes_of_several()
        if self._flows is not None:
            self._flows.is_wanted = False
        self._flows = None


def _metrics_reader(server: Server, config: Config, session: ApiSession, reads: Mapping[str, Counter]) -> Reader | None:
    listener = Listener(server.name, lambda result: reads[result].inc(), is_wanted=config.apiserver_metrics == "on")
    if config.prometheus_url is not None:
        if server.is_one_apiserver:
            ask = partial(ask_prometheus, config.prometheus_url, server.name)
            return Reader(ask, OF_PROMETHEUS, listener._replace(is_wanted=True), tells_apart=False)
        log.warning(NOT_OF_ONE, extra={"fields": {"apiserver": server.name}})
        return None
    if config.apiserver_metrics == "off":
        return None
    return Reader(partial(_ask_anew, session), OF_APISERVERS, listener, is_of_several=not server.is_one_apiserver)


async def _ask_anew(session: ApiSession) -> ServerReading:
    own = session.anew()
    try:
        return await ask_apiserver(own)
    finally:
        await own.close()


def _flow_reader(server: Server, config: Config, session: ApiSession) -> FlowReader | None:
    """None where the apiserver's own metrics are left alone."""
    if config.apiserver_metrics == "off" or not server.is_one_apiserver:
        return None
    return FlowReader(session, server.name, NAMES[config.audit_user_names])
