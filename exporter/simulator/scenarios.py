"""Named troubles for the demo: each a script that turns the simulator's knobs in cycles of health and trouble.

In: a running simulator. Out: nothing but its condition; a script runs until it is cancelled, and leaves no trouble.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from exporter.simulator.faults import Rejection
from exporter.simulator.objects import merge_patch
from exporter.simulator.resources import PODS
from exporter.simulator.status import ApiError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from exporter.simulator.faults import NetworkDelay
    from exporter.simulator.simulator import Simulator

HEALTHY = "healthy"
PHASE_SECONDS = 25.0
FOREVER_SECONDS = 3600.0
WRITES_AT_ONCE = 20
STORM_PERIOD_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Scenario:
    """A phase of health and one of trouble take turns."""

    name: str
    description: str
    condition: str
    """What is the matter while there is trouble, in words."""
    trouble: Callable[[Simulator, float], Awaitable[None]]
    """Makes trouble for so many seconds, and ends it, also when it is cancelled."""

    async def run(self, simulator: Simulator, phase_seconds: float, first_seconds: float | None = None) -> None:
        """Until cancelled; the first phase of health may be shorter than the others."""
        healthy_seconds = phase_seconds if first_seconds is None else first_seconds
        try:
            while True:
                simulator.condition = HEALTHY
                await asyncio.sleep(healthy_seconds)
                simulator.condition = self.condition
                await self.trouble(simulator, phase_seconds)
                healthy_seconds = phase_seconds
        finally:
            simulator.condition = HEALTHY

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


async def _healthy(_: Simulator, seconds: float) -> None:
    await asyncio.sleep(seconds)


async def _slow_apiserver(simulator: Simulator, seconds: float) -> None:
    for apiserver in simulator.apiservers:
        apiserver.faults.storage_to_cache.set(1.5, "pods")
        apiserver.faults.cache_to_watch.set(2.0)
        apiserver.faults.cache_to_watch.set(0.0, "pods")
    try:
        await asyncio.sleep(seconds)
    finally:
        for apiserver in simulator.apiservers:
            apiserver.faults.storage_to_cache.clear()
            apiserver.faults.cache_to_watch.clear()


async def _cache_behind(simulator: Simulator, seconds: float) -> None:
    for apiserver in simulator.apiservers:
        apiserver.faults.storage_to_cache.set(3.0, "pods")
    try:
        await asyncio.sleep(seconds)
    finally:
        for apiserver in simulator.apiservers:
            apiserver.faults.storage_to_cache.clear()


async def _cache_stuck(simulator: Simulator, seconds: float) -> None:
    for apiserver in simulator.apiservers:
        apiserver.faults.storage_to_cache.set(FOREVER_SECONDS, "nodes")
    try:
        await asyncio.sleep(seconds)
    finally:
        for apiserver in simulator.apiservers:
            apiserver.faults.storage_to_cache.clear()
            apiserver.reinitialize("nodes")  # as a restart does, which is what people do about it


async def _slow_network(simulator: Simulator, seconds: float) -> None:
    networks = _networks(simulator)
    for network in networks:
        network.to_client_seconds = 2.5
    try:
        await asyncio.sleep(seconds)
    finally:
        for network in networks:
            network.to_client_seconds = 0.0


async def _connection_dropped(simulator: Simulator, seconds: float) -> None:
    networks = _networks(simulator)
    for network in networks:
        network.watch_to_client_seconds = FOREVER_SECONDS
    try:
        await asyncio.sleep(seconds)
    finally:
        for network in networks:
            network.watch_to_client_seconds = 0.0
        for apiserver in simulator.apiservers:
            apiserver.cut_watches()  # what is on its way on them never comes


async def _forced_close(simulator: Simulator, seconds: float) -> None:
    closes = 5
    for number in range(closes):
        for apiserver in simulator.apiservers:
            if number % 2:
                apiserver.cut_watches()
            else:
                apiserver.end_watches()
        await asyncio.sleep(seconds / closes)


async def _relist(simulator: Simulator, seconds: float) -> None:
    for apiserver in simulator.apiservers:
        apiserver.reinitialize(not_ready_seconds=min(2.0, seconds / 4))
    await asyncio.sleep(seconds / 2)
    simulator.compact()
    await asyncio.sleep(seconds / 2)


async def _etcd_freeze(simulator: Simulator, seconds: float) -> None:
    simulator.store.freeze()
    try:
        await asyncio.sleep(min(6.0, seconds / 2))
    finally:
        simulator.store.thaw()


async def _slow_admission(simulator: Simulator, seconds: float) -> None:
    for apiserver in simulator.apiservers:
        apiserver.faults.commit_seconds = 3.0
    try:
        await asyncio.sleep(seconds)
    finally:
        for apiserver in simulator.apiservers:
            apiserver.faults.commit_seconds = 0.0


async def _write_storm(simulator: Simulator, seconds: float) -> None:
    """Two controllers fight over one object."""
    registry, name = simulator.apiserver.registry, ("default", "fought-over")
    until = time.monotonic() + seconds
    with suppress(ApiError):  # it is there since the last time
        await registry.create(PODS, {"metadata": {"namespace": name[0], "name": name[1]}}, manager="controller")
    number = 0
    while time.monotonic() < until:
        for _ in range(WRITES_AT_ONCE):
            number += 1
            patch = {"metadata": {"annotations": {"example.com/owner": str(number)}}}
            await registry.update(PODS, name, partial(merge_patch, patch=patch), manager="other")
        await asyncio.sleep(STORM_PERIOD_SECONDS)


async def _throttled(simulator: Simulator, seconds: float) -> None:
    for apiserver in simulator.apiservers:
        apiserver.faults.rejection = Rejection(429, verbs=frozenset({"watch"}))
        apiserver.end_watches()
    try:
        await asyncio.sleep(seconds)
    finally:
        for apiserver in simulator.apiservers:
            apiserver.faults.rejection = None


async def _forbidden(simulator: Simulator, seconds: float) -> None:
    for apiserver in simulator.apiservers:
        apiserver.faults.deny("watch", "pods")
        apiserver.end_watches("pods")
    try:
        await asyncio.sleep(seconds)
    finally:
        for apiserver in simulator.apiservers:
            apiserver.faults.allow("watch", "pods")


async def _restart(simulator: Simulator, seconds: float) -> None:
    for apiserver in simulator.apiservers:
        await apiserver.stop()
    try:
        await asyncio.sleep(min(5.0, seconds / 2))
    finally:
        for apiserver in simulator.apiservers:
            await apiserver.start()


def _networks(simulator: Simulator) -> list[NetworkDelay]:
    networks = [apiserver.faults.network for apiserver in simulator.apiservers]
    return networks if simulator.balancer is None else [*networks, simulator.balancer.network]


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("healthy", "nothing is wrong", HEALTHY, _healthy),
        Scenario(
            "slow-apiserver",
            "the watch cache is late now and then: storage to cache, or cache to watch",
            "pods reach the watch cache 1.5 s late, all else leaves it 2 s late",
            _slow_apiserver,
        ),
        Scenario(
            "cache-behind",
            "the watch cache of pods is behind its store now and then",
            "pods reach the watch cache 3 s late",
            _cache_behind,
        ),
        Scenario(
            "cache-stuck",
            "the watch cache of nodes stands still now and then, until it is filled anew",
            "the watch cache of nodes stands still",
            _cache_stuck,
        ),
        Scenario(
            "slow-network",
            "after a healthy start every byte arrives 2.5 s later, polls and watches alike",
            "every answer and every event is 2.5 s on its way",
            _slow_network,
        ),
        Scenario(
            "connection-dropped",
            "connections of watches are dropped silently on the way: they stay open, and nothing comes",
            "nothing that watches are sent arrives, and nobody says so",
            _connection_dropped,
        ),
        Scenario(
            "forced-close",
            "watches are closed or cut long before the time they asked for",
            "watches are closed early, again and again",
            _forced_close,
        ),
        Scenario(
            "relist",
            "the apiserver loses its history, so resumes are answered with 410 and watches relist",
            "history is dropped while watches are away, so they must relist",
            _relist,
        ),
        Scenario("restart", "the apiserver restarts now and then", "the apiserver is down, then starts anew", _restart),
        Scenario(
            "etcd-freeze",
            "etcd stops for some seconds: writes are slow, watches are not",
            "etcd does not answer: writes hang, and nothing is late",
            _etcd_freeze,
        ),
        Scenario(
            "slow-admission",
            "a webhook holds up writes before their commit: watches are not late",
            "writes take 3 s in admission, and nothing is late",
            _slow_admission,
        ),
        Scenario(
            "write-storm",
            "two controllers fight over one pod",
            "one pod is written some hundred times a second",
            _write_storm,
        ),
        Scenario(
            "throttled",
            "watches end, and new ones are answered with 429",
            "watches are refused with 429",
            _throttled,
        ),
        Scenario("forbidden", "nobody may watch pods now and then", "watches of pods are forbidden", _forbidden),
    )
}
