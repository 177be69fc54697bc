"""The exporter against the simulator, which knows when each event was committed and when it was sent."""

import asyncio
from pathlib import Path

import pytest

from exporter.measure.revisions import STALE_SECONDS
from exporter.simulator import Simulator, Workload
from tests.support.kubeconfig import kubeconfig
from tests.support.observing import observed
from tests.support.truth import HEALTHY_SECONDS, assert_contains_the_truth


async def test_every_interval_contains_the_truth_in_health_and_in_trouble(tmp_path: Path) -> None:
    async with Simulator() as simulator, Workload(simulator, rate_per_second=60):
        flags = ("--kubeconfig", kubeconfig(tmp_path, simulator.url), "--resource", "pods", "--resource", "nodes")
        async with observed(*flags, "--apiserver", simulator.url) as exporter:
            simulator.apiserver.clock.offset_seconds = -12.3
            await asyncio.sleep(HEALTHY_SECONDS)
            simulator.faults.network.to_client_seconds = 0.7
            await asyncio.sleep(HEALTHY_SECONDS)
            simulator.faults.network.to_client_seconds = 0.0
            simulator.faults.cache_to_watch.set(1.3, "pods")
            await asyncio.sleep(HEALTHY_SECONDS)
            simulator.faults.cache_to_watch.clear()
            await asyncio.sleep(HEALTHY_SECONDS)
            scrape = await exporter.scrape()
        for name in ("pods", "nodes"):
            assert assert_contains_the_truth(exporter, simulator, name) > 200
    assert scrape.sum("events_judged_total", resource="pods", verdict="late") > 0
    assert scrape.sum("contradictions_total", source="revision_clock") == 0


async def test_a_watch_cache_behind_its_store_is_certainly_late(tmp_path: Path) -> None:
    async with Simulator() as simulator, Workload(simulator, rate_per_second=60):
        flags = ("--kubeconfig", kubeconfig(tmp_path, simulator.url), "--resource", "pods", "--resource", "nodes")
        async with observed(*flags) as exporter:
            await asyncio.sleep(HEALTHY_SECONDS)
            simulator.faults.storage_to_cache.set(2.0, "pods")
            await asyncio.sleep(HEALTHY_SECONDS * 2)
            scrape = await exporter.scrape()
            assert_contains_the_truth(exporter, simulator)
    late = [judgement for judgement in exporter.of("pods") if judgement.verdict == "late"]
    assert len(late) > 50
    assert min(judgement.latency.earliest for judgement in late) > 1.5
    assert scrape.state("pods") == "violated"
    assert scrape.sum("events_judged_total", resource="nodes", verdict="late") == 0


@pytest.mark.parametrize("balanced", ["connection", "request"])
@pytest.mark.timeout(120)
async def test_two_clocks_behind_one_address_cause_no_false_verdict(tmp_path: Path, balanced: str) -> None:
    async with Simulator(apiservers=2, balanced=balanced) as simulator:  # type: ignore[arg-type]  # parametrized
        simulator.apiservers[1].clock.offset_seconds = 0.9
        flags = ("--kubeconfig", kubeconfig(tmp_path, simulator.url), "--resource", "pods", "--revision-clock.hz", "20")
        async with Workload(simulator, rate_per_second=40), observed(*flags) as exporter:
            await asyncio.sleep(HEALTHY_SECONDS * 4)
            assert simulator.balancer is not None
            simulator.balancer.network.to_client_seconds = 0.8
            await asyncio.sleep(HEALTHY_SECONDS * 2)
            assert assert_contains_the_truth(exporter, simulator) > 100
            scrape = await exporter.scrape()
    assert scrape.sum("events_judged_total", verdict="late") == 0
    # Each connection has learned its own server's clock, and so none contradicts itself. What a balancer of requests
    # answers says Via, and proves nothing.
    assert scrape.sum("contradictions_total", source="date") == 0
    assert (scrape.sum("evidence_total", source="date") > 0) == (balanced == "connection")


async def test_a_restored_store_is_relisted_and_accused_of_nothing(tmp_path: Path) -> None:
    async with Simulator() as simulator, Workload(simulator, rate_per_second=40):
        flags = ("--kubeconfig", kubeconfig(tmp_path, simulator.url), "--resource", "pods")
        async with observed(*flags) as exporter:
            await asyncio.sleep(HEALTHY_SECONDS)
            snapshot = simulator.store.snapshot()
            await asyncio.sleep(STALE_SECONDS + 1)  # what is less far behind may be a store that reads stale
            simulator.store.restore(snapshot)
            scrape = await exporter.wait_for(
                lambda scrape: scrape.sum("relists_total", reason="revision_went_back") == 1
            )
            await exporter.wait_for(lambda scrape: scrape.sum("stream_up") == 1)
            judged = len(exporter.judgements)
            await asyncio.sleep(HEALTHY_SECONDS)
            scrape = await exporter.scrape()
    assert len(exporter.judgements) > judged + 20, "it goes on measuring"
    assert scrape.sum("events_judged_total", verdict="late") == 0
    assert scrape.state("pods") != "met", "a gap lies in the window"
    assert scrape.sum("relists_total", reason="revision_went_back") == 1


async def test_events_lost_in_a_gap_forbid_met_although_all_others_were_on_time(tmp_path: Path) -> None:
    async with Simulator() as simulator, Workload(simulator, rate_per_second=60):
        flags = ("--kubeconfig", kubeconfig(tmp_path, simulator.url), "--resource", "pods")
        async with observed(*flags) as exporter:
            await exporter.wait_for(lambda scrape: scrape.state("pods") == "met")
            simulator.apiserver.reinitialize("pods", not_ready_seconds=1.0)
            await asyncio.sleep(0.5)
            simulator.compact()
            await exporter.wait_for(lambda scrape: scrape.sum("relists_total", reason="gone") >= 1)
            await asyncio.sleep(HEALTHY_SECONDS * 2)
            scrape = await exporter.wait_for(lambda scrape: scrape.sum("p99_upper_seconds") < 1)
    assert scrape.sum("events_judged_total", verdict="late") == 0
    assert scrape.sum("events_judged_total", verdict="ambiguous") == 0
    assert scrape.state("pods") == "unknown"


async def test_a_resource_in_another_store_gets_a_clock_of_its_own(tmp_path: Path) -> None:
    async with Simulator(own_stores=("nodes",)) as simulator, Workload(simulator, rate_per_second=40):
        flags = ("--kubeconfig", kubeconfig(tmp_path, simulator.url), "--resource", "pods", "--resource", "nodes")
        async with observed(*flags) as exporter:
            await exporter.wait_for(lambda scrape: bool(scrape.values("clock_polls_total", resource="nodes")))
            await asyncio.sleep(HEALTHY_SECONDS)
            assert_contains_the_truth(exporter, simulator, "nodes")
            assert_contains_the_truth(exporter, simulator, "pods")
            scrape = await exporter.scrape()
    for name in ("pods", "nodes"):
        assert exporter.of(name)[-1].verdict == "on_time"
    assert scrape.sum("events_judged_total", verdict="late") == 0


async def test_a_users_own_write_time_narrows_the_interval(tmp_path: Path) -> None:
    import time  # noqa: PLC0415 the wall clock is this test's own

    async with Simulator() as simulator:
        flags = ("--kubeconfig", kubeconfig(tmp_path, simulator.url), "--resource", "configmaps")
        more = ("--annotation", "example.com/written-at", "--annotation.clock-error", "0.01")
        async with observed(*flags, *more) as exporter:
            await asyncio.sleep(1)
            for number in range(10):
                annotations = {"example.com/written-at": str(time.time_ns())}
                await post(simulator, f"one-{number}", annotations)
                await asyncio.sleep(0.05)
            await post(simulator, "from-the-future", {"example.com/written-at": str(time.time() + 1000)})
            scrape = await exporter.wait_for(lambda scrape: scrape.sum("events_judged_total") == 11)
    assert scrape.sum("evidence_total", source="annotation") == 11
    assert scrape.sum("contradictions_total", source="annotation") == 1
    widths = [judgement.latency.width for judgement in exporter.of("configmaps")[:10]]
    assert max(widths) < 0.15, "the poll period is 0.2 s"


async def post(simulator: Simulator, name: str, annotations: dict[str, str]) -> None:
    import aiohttp  # noqa: PLC0415 only here

    body = {"metadata": {"name": name, "annotations": annotations}}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{simulator.url}/api/v1/namespaces/default/configmaps", json=body) as response,
    ):
        assert response.status == 201
