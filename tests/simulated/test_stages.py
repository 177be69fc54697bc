"""Where the time goes: what is slow before the watch cache and what is slow after it are told apart, from outside."""

import asyncio
from pathlib import Path

from exporter.simulator import Simulator, Workload
from tests.support.kubeconfig import kubeconfig
from tests.support.observing import Scrape, observed
from tests.support.scrapes import SLOW_SECONDS, certainly_slow, perhaps_slow
from tests.support.truth import HEALTHY_SECONDS, assert_contains_the_truth


async def measured(tmp_path: Path, slow_stage: str | None) -> tuple[Scrape, int]:
    async with Simulator() as simulator, Workload(simulator, rate_per_second=60):
        flags = ("--kubeconfig", kubeconfig(tmp_path, simulator.url), "--resource", "pods")
        async with observed(*flags, "--apiserver", simulator.url) as exporter:
            await asyncio.sleep(1)
            if slow_stage is not None:
                getattr(simulator.faults, slow_stage).set(SLOW_SECONDS, "pods")
            await asyncio.sleep(HEALTHY_SECONDS * 2)
            scrape = await exporter.scrape()
            return scrape, assert_contains_the_truth(exporter, simulator)


async def test_in_health_no_stage_is_slow_and_every_event_has_its_stages(tmp_path: Path) -> None:
    scrape, _ = await measured(tmp_path, None)
    for stage in ("storage_to_cache", "cache_to_client"):
        assert perhaps_slow(scrape, stage) == 0
        assert scrape.sum("stage_upper_seconds_count", stage=stage) == scrape.sum("events_judged_total")
    assert scrape.sum("clock_polls_total", clock="cache", resource="pods", result="ok") > 10


async def test_a_cache_that_is_late_is_slow_before_the_cache_only(tmp_path: Path) -> None:
    scrape, _ = await measured(tmp_path, "storage_to_cache")
    assert certainly_slow(scrape, "storage_to_cache") > 50
    assert perhaps_slow(scrape, "cache_to_client") == 0


async def test_a_watch_that_is_late_is_slow_after_the_cache_only(tmp_path: Path) -> None:
    scrape, _ = await measured(tmp_path, "cache_to_watch")
    assert certainly_slow(scrape, "cache_to_client") > 50
    assert perhaps_slow(scrape, "storage_to_cache") == 0


async def test_behind_a_balancer_the_stages_stay_empty(tmp_path: Path) -> None:
    async with Simulator() as simulator, Workload(simulator, rate_per_second=60):
        flags = ("--kubeconfig", kubeconfig(tmp_path, simulator.url), "--resource", "pods")
        async with observed(*flags) as exporter:
            await asyncio.sleep(HEALTHY_SECONDS)
            scrape = await exporter.scrape()
    assert scrape.sum("events_judged_total") > 50
    assert scrape.sum("stage_upper_seconds_count") == 0
    assert not scrape.values("clock_polls_total", clock="cache")


async def test_a_slow_admission_is_slow_before_the_commit_and_no_part_of_the_time_span(tmp_path: Path) -> None:
    async with Simulator() as simulator:
        flags = ("--kubeconfig", kubeconfig(tmp_path, simulator.url), "--resource", "pods")
        async with observed(*flags, "--apiserver", simulator.url) as exporter:
            await asyncio.sleep(HEALTHY_SECONDS * 2)  # the server's clock is being learned
            simulator.faults.commit_seconds = 3.0
            async with Workload(simulator, rate_per_second=40):
                await asyncio.sleep(HEALTHY_SECONDS * 2)
            await asyncio.sleep(1)
            scrape = await exporter.scrape()
            assert_contains_the_truth(exporter, simulator)
    assert certainly_slow(scrape, "write") > 20
    assert perhaps_slow(scrape, "storage_to_cache") == 0
    assert perhaps_slow(scrape, "cache_to_client") == 0
    assert scrape.sum("events_judged_total", verdict="late") == 0
    assert scrape.sum("evidence_total", source="managed_fields") > 0
