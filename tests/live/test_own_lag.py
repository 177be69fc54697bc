"""A starved exporter is a slow client: what it reads late must become ambiguous, never late, and be counted once."""

import asyncio
import random
from pathlib import Path

import pytest

from tests.conftest import FreshCluster
from tests.real.api import ApiClient
from tests.real.cluster import Cluster
from tests.real.workload import Writer
from tests.support.observing import Process, Scrape, started, until

SETTLING_SECONDS = 1.0


def judged(scrape: Scrape) -> float:
    return scrape.sum("events_judged_total")


async def all_counted(exporter: Process, events: int) -> Scrape:
    """Waits until as many events are judged as were made; more would be twice counted ones."""
    scrape = await exporter.wait_for(lambda scrape: judged(scrape) >= events)
    await asyncio.sleep(SETTLING_SECONDS)
    scrape = await exporter.scrape()
    assert judged(scrape) == events
    return scrape


async def freeze_once(exporter: Process) -> None:
    await asyncio.sleep(2)
    exporter.freeze()
    await asyncio.sleep(3)
    exporter.thaw()
    await asyncio.sleep(2)


async def freeze_again_and_again(exporter: Process) -> None:
    await asyncio.sleep(2)
    slices = random.Random(1)
    for _ in range(8):
        exporter.freeze()
        await asyncio.sleep(1.5)
        exporter.thaw()
        await asyncio.sleep(slices.uniform(0.005, 0.06))
    await asyncio.sleep(2)


@pytest.mark.parametrize("ordeal", [freeze_once, freeze_again_and_again])
async def test_a_frozen_exporter_calls_no_event_late(cluster: Cluster, tmp_path: Path, ordeal: object) -> None:
    assert callable(ordeal)
    kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig")
    with started("--kubeconfig", kubeconfig, "--resource", "nodes") as exporter:
        await until(exporter.ready)
        await asyncio.sleep(SETTLING_SECONDS)
        async with cluster.client() as client, Writer(client, rate_per_second=60, resources=("nodes",)) as writer:
            await ordeal(exporter)
        scrape = await all_counted(exporter, len(writer.writes) + len(writer.unversioned))
    assert not writer.failures
    assert scrape.sum("events_judged_total", verdict="late") == 0
    assert scrape.sum("events_judged_total", verdict="ambiguous") > 0, "it was not starved at all"
    assert scrape.sum("events_judged_total", verdict="on_time") > 0
    assert scrape.sum("contradictions_total") == 0


async def flood(client: ApiClient, count: int, size: int) -> None:
    """Writes `count` annotations of `size` bytes, as fast as the apiserver takes them."""
    names = [f"flood-{number}" for number in range(8)]

    async def write(name: str) -> None:
        await client.post("/api/v1/nodes", {"metadata": {"name": name}})
        for step in range(count // len(names) - 1):
            text = random.Random(step).randbytes(size // 2).hex()
            await client.patch(f"/api/v1/nodes/{name}", {"metadata": {"annotations": {"flood": text}}})

    await asyncio.gather(*(write(name) for name in names))


@pytest.mark.timeout(240)
async def test_an_exporter_frozen_until_its_watch_is_closed_calls_no_event_late(
    fresh_cluster: FreshCluster, tmp_path: Path
) -> None:
    cluster = await fresh_cluster()
    kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig")
    events = 4000
    with started("--kubeconfig", kubeconfig, "--resource", "nodes") as exporter:
        await until(exporter.ready)
        await asyncio.sleep(SETTLING_SECONDS)
        exporter.freeze()
        async with cluster.client() as client:
            await flood(client, events, size=16_000)
            terminated = await client.text("/metrics")
        await asyncio.sleep(SETTLING_SECONDS)
        exporter.thaw()
        scrape = await exporter.wait_for(lambda scrape: judged(scrape) >= events, seconds=60)
        await asyncio.sleep(SETTLING_SECONDS)
        scrape = await exporter.scrape()
    # One or two: the apiserver watches nodes as well, and may be too slow for itself.
    assert 'apiserver_terminated_watchers_total{group="",resource="nodes"}' in terminated
    assert judged(scrape) + scrape.sum("events_total", phase="replayed") == events
    assert scrape.sum("events_judged_total", verdict="late") == 0
    assert scrape.sum("watch_ends_total", reason="early_eof") == 1
    assert scrape.sum("forced_closes_total") == 1
