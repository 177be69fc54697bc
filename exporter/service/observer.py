"""The facts of the last seconds, again and again: the states of everything that is watched, to whoever judges them."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from exporter.diagnosis.observing import LateRule, Observations, Snapshot
from exporter.measure.process_state import ProcessState
from exporter.service.conversions import Conversions
from exporter.service.cpu_limit import CpuLimit
from exporter.service.persistent import Persistent
from exporter.turns import in_turns, let_go

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from exporter.audit.live_counts import AuditSpell
    from exporter.diagnosis.facts import FlowFacts
    from exporter.diagnosis.server_facts import ServerFacts
    from exporter.kubernetes.session import ApiSession
    from exporter.measure.apiserver_state import ApiserverState
    from exporter.measure.stream_state import StreamState
    from exporter.measure.times import WallTime
    from exporter.service.apiserver import Apiserver
    from exporter.service.dependencies import Dependencies
    from exporter.service.diagnosing import Diagnosing, Troubled

PERIOD_SECONDS = 2.0
ASKED_BEFORE_SECONDS = 60.0


class Observer:
    """Makes facts of the states of these apiservers, and tells them."""

    def __init__(
        self,
        dependencies: Dependencies,
        session: ApiSession,
        apiservers: Callable[[], Sequence[Apiserver]],
        diagnosing: Diagnosing,
    ) -> None:
        config = dependencies.config
        self._dependencies = dependencies
        self._apiservers = apiservers
        self._diagnosing = diagnosing
        self._cpu_limit = CpuLimit()
        self._conversions = Conversions(session)
        self._observations = Observations(LateRule(config.slo_threshold_seconds, config.slo_objective_ratio))

    async def run(self) -> None:
        """Observe until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._conversions.run())
            diagnosis = Persistent("diagnosis")
            while True:
                await asyncio.sleep(PERIOD_SECONDS)
                if not await diagnosis.succeeds(self._observe()):
                    self._notice(self._diagnosing.give_up())

    async def _observe(self) -> None:
        moment = await in_turns(self._moment())
        self._conversions.facts = facts = await in_turns(self._observations.take(moment))
        troubled = await self._diagnosing.take(facts)
        await let_go(moment.streams)
        self._notice(troubled)

    def _notice(self, troubled: Troubled) -> None:
        for apiserver in self._apiservers():
            name = apiserver.server.name
            apiserver.server_readers.notice(
                is_trouble=name in troubled.somehow, wants_flows=name in troubled.by_somebody
            )

    def _moment(self) -> Generator[None, None, Snapshot]:
        """All states as they are now, in steps."""
        streams: list[StreamState] = []
        servers: dict[str, ServerFacts] = {}
        members: dict[str, tuple[ServerFacts, ...]] = {}
        flows: dict[str, tuple[FlowFacts, ...]] = {}
        apiservers: list[ApiserverState] = []
        for apiserver in self._apiservers():
            for state in apiserver.stream_states():
                streams.append(state)
                yield
            apiservers.append(apiserver.state())
            readers = apiserver.server_readers
            flows[apiserver.server.name] = readers.flows
            members[apiserver.server.name] = readers.members
            if (said := readers.facts) is not None:
                servers[apiserver.server.name] = said
            yield
        return Snapshot(
            now=time.monotonic(),
            wall=time.time(),
            streams=streams,
            apiservers=apiservers,
            process=self._process_state(),
            servers=servers,
            members=members,
            flows=flows,
            askers=self._askers(time.time()),
            logged=audit.requests if (audit := self._dependencies.audit) is not None else None,
            converting=self._conversions.known,
        )

    def _askers(self, now: WallTime) -> tuple[AuditSpell, ...]:
        """Who stands out since something is wrong, or a minute before."""
        audit, since = self._dependencies.audit, self._conversions.facts.troubled_since.values()
        return audit.spells(min(since, default=now) - ASKED_BEFORE_SECONDS, now) if audit is not None else ()

    def _process_state(self) -> ProcessState:
        heartbeat = self._dependencies.heartbeat
        return ProcessState(
            at=time.monotonic(),
            loop_lag=self._dependencies.metrics.loop_lag.copy(),
            stalled_seconds=heartbeat.stalled_seconds,
            suspended_seconds=heartbeat.suspended_seconds,
            throttled_seconds=self._cpu_limit.throttled_seconds(),
        )
