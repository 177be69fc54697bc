"""Named troubles for the demo: each a script that turns the simulator's knobs in cycles of health and trouble.

In: a running simulator. Out: nothing but its condition; a script runs until it is cancelled.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from exporter.simulator.faults import NetworkDelay
    from exporter.simulator.simulator import Simulator

PHASE_SECONDS = 25.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """`run(simulator, phase_seconds)` never returns; a phase of health and one of trouble take turns."""

    name: str
    description: str
    run: Callable[[Simulator, float], Coroutine[None, None, None]]

    @asynccontextmanager
    async def playing(self, simulator: Simulator, *, phase_seconds: float = PHASE_SECONDS) -> AsyncIterator[None]:
        """Run the script beside the block, until its end."""
        script = asyncio.create_task(self.run(simulator, phase_seconds))
        try:
            yield
        finally:
            script.cancel()
            with suppress(asyncio.CancelledError):
                await script


async def _healthy(simulator: Simulator, phase_seconds: float) -> None:
    while True:
        simulator.condition = "healthy"
        await asyncio.sleep(phase_seconds)


async def _slow_apiserver(simulator: Simulator, phase_seconds: float) -> None:
    while True:
        simulator.condition = "healthy"
        await asyncio.sleep(phase_seconds)
        simulator.condition = "pods reach the watch cache 1.5 s late, all else leaves it 2 s late"
        for apiserver in simulator.apiservers:
            apiserver.faults.storage_to_cache.set(1.5, "pods")
            apiserver.faults.cache_to_watch.set(2.0)
            apiserver.faults.cache_to_watch.set(0.0, "pods")
        await asyncio.sleep(phase_seconds)
        for apiserver in simulator.apiservers:
            apiserver.faults.storage_to_cache.clear()
            apiserver.faults.cache_to_watch.clear()


async def _slow_network(simulator: Simulator, phase_seconds: float) -> None:
    while True:
        simulator.condition = "healthy"
        await asyncio.sleep(phase_seconds)
        simulator.condition = "every answer and every event is 2.5 s on its way"
        networks = _networks(simulator)
        for network in networks:
            network.to_client_seconds = 2.5
        await asyncio.sleep(phase_seconds)
        for network in networks:
            network.to_client_seconds = 0.0


async def _forced_close(simulator: Simulator, phase_seconds: float) -> None:
    closes = 5
    while True:
        simulator.condition = "healthy"
        await asyncio.sleep(phase_seconds)
        simulator.condition = "watches are closed early, again and again"
        for number in range(closes):
            for apiserver in simulator.apiservers:
                if number % 2:
                    apiserver.cut_watches()
                else:
                    apiserver.end_watches()
            await asyncio.sleep(phase_seconds / closes)


async def _relist(simulator: Simulator, phase_seconds: float) -> None:
    while True:
        simulator.condition = "healthy"
        await asyncio.sleep(phase_seconds)
        simulator.condition = "history is dropped while watches are away, so they must relist"
        for apiserver in simulator.apiservers:
            apiserver.reinitialize(not_ready_seconds=min(2.0, phase_seconds / 4))
        await asyncio.sleep(phase_seconds / 2)
        simulator.compact()
        await asyncio.sleep(phase_seconds / 2)


async def _etcd_freeze(simulator: Simulator, phase_seconds: float) -> None:
    while True:
        simulator.condition = "healthy"
        await asyncio.sleep(phase_seconds)
        simulator.condition = "etcd does not answer: writes hang, and nothing is late"
        simulator.store.freeze()
        try:
            await asyncio.sleep(min(6.0, phase_seconds / 2))
        finally:
            simulator.store.thaw()


def _networks(simulator: Simulator) -> list[NetworkDelay]:
    networks = [apiserver.faults.network for apiserver in simulator.apiservers]
    return networks if simulator.balancer is None else [*networks, simulator.balancer.network]


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("healthy", "nothing is wrong", _healthy),
        Scenario(
            "slow-apiserver",
            "the watch cache is late now and then: storage to cache, or cache to watch",
            _slow_apiserver,
        ),
        Scenario(
            "slow-network",
            "after a healthy start every byte takes 2.5 s to reach us, polls and watches alike",
            _slow_network,
        ),
        Scenario("forced-close", "watches are closed or cut long before the time they asked for", _forced_close),
        Scenario(
            "relist", "the apiserver loses its history, so resumes are answered with 410 and watches relist", _relist
        ),
        Scenario("etcd-freeze", "etcd stops for some seconds: writes are slow, watches are not", _etcd_freeze),
    )
}
