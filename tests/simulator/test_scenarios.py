import asyncio
from itertools import pairwise

import aiohttp
import pytest

from exporter.simulator import SCENARIOS, Simulator, Workload
from tests.contract.server import Server
from tests.support.waiting import wait_until

PODS = "/api/v1/pods"


@pytest.mark.parametrize("name", sorted(SCENARIOS))
async def test_every_scenario_alternates_between_health_and_one_trouble(simulator: Simulator, name: str) -> None:
    seen = [simulator.condition]
    async with SCENARIOS[name].playing(simulator, phase_seconds=0.05), asyncio.timeout(30):
        while len(seen) < 5 and name != "healthy":
            await asyncio.sleep(0.01)
            if simulator.condition != seen[-1]:
                seen.append(simulator.condition)
    assert set(seen[::2]) == {"healthy"}
    assert all(one != other for one, other in pairwise(seen))
    assert len(set(seen)) == (1 if name == "healthy" else 2)
    assert SCENARIOS[name].description


@pytest.mark.parametrize(("name", "late_seconds"), [("slow-apiserver", 1.5), ("slow-network", 2.5)])
async def test_slow_scenarios_are_later_than_any_sensible_threshold(
    simulator: Simulator, client: Server, name: str, late_seconds: float
) -> None:
    async with Workload(simulator, rate_per_second=100), client.watch(PODS, resourceVersion="0"):
        await asyncio.sleep(0.2)
        healthy_p99_seconds = simulator.truth.p99_seconds("pods")
        async with SCENARIOS[name].playing(simulator, phase_seconds=0.2):
            await wait_until(lambda: (simulator.truth.p99_seconds("pods") or 0.0) >= late_seconds, "events are late")
    assert healthy_p99_seconds is not None
    assert healthy_p99_seconds < late_seconds


async def test_forced_close_ends_and_cuts_watches_by_turns(simulator: Simulator, client: Server) -> None:
    ends: set[str] = set()
    async with SCENARIOS["forced-close"].playing(simulator, phase_seconds=0.5), asyncio.timeout(30):
        while len(ends) < 2:
            try:
                async with client.watch(PODS, resourceVersion="0") as watch:
                    await watch.rest()
                ends.add("clean")
            except aiohttp.ClientError:
                ends.add("cut")
    assert ends == {"clean", "cut"}


async def test_relist_makes_old_revisions_too_old(simulator: Simulator, client: Server) -> None:
    old_revision = simulator.store.revision
    codes: list[int] = []
    async with SCENARIOS["relist"].playing(simulator, phase_seconds=0.2), Workload(simulator, rate_per_second=100):
        async with asyncio.timeout(30):
            while codes[-1:] != [410]:
                await asyncio.sleep(0.05)
                query = {"resourceVersion": str(old_revision), "timeoutSeconds": "1"}
                async with client.watch(PODS, **query) as watch:
                    event = await watch.event() if watch.response.status == 200 else None
                if event is not None and event["type"] == "ERROR":
                    codes.append(event["object"]["code"])


async def test_etcd_freeze_stops_writes_and_lets_them_go_on(simulator: Simulator) -> None:
    freeze = SCENARIOS["etcd-freeze"]
    async with Workload(simulator, rate_per_second=200), freeze.playing(simulator, phase_seconds=1.0):
        await wait_until(lambda: simulator.condition != "healthy", "etcd is frozen")
        frozen_revision = simulator.store.revision
        await asyncio.sleep(0.1)
        assert simulator.store.revision == frozen_revision
        await wait_until(lambda: simulator.store.revision > frozen_revision, "writes go on")
        assert simulator.condition == "healthy"
