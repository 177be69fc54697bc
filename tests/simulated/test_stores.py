"""Which clock dates what: stores of their own, refusals that pass, stores that read stale, addresses that are none."""

import asyncio
import itertools
import time
from pathlib import Path

import pytest

from exporter.clocks.rate_limit import RECOVERY_SECONDS
from exporter.simulator import Simulator, Workload
from exporter.simulator.faults import Rejection
from tests.support.kubeconfig import kubeconfig
from tests.support.observing import Observed, Scrape, observed
from tests.support.truth import HEALTHY_SECONDS, assert_contains_the_truth

SLOW_SECONDS = 2.0
FEW_SECONDS = 4.0


def reads(scrape: Scrape, resource: str) -> list[str]:
    """What dates a resource's events on each apiserver, as the metric says it."""
    return [
        labels["reads"]
        for labels, value in zip(scrape.labels("revision_clock"), scrape.values("revision_clock"), strict=True)
        if labels["resource"] == resource and value == 1
    ]


async def shows_a_lag(exporter: Observed, simulator: Simulator, name: str = "pods") -> None:
    """A watch cache that is two seconds behind its store makes everything late for certain."""
    simulator.faults.storage_to_cache.set(SLOW_SECONDS, name)
    await asyncio.sleep(SLOW_SECONDS + 0.5)
    begun = time.monotonic()
    await asyncio.sleep(FEW_SECONDS)
    simulator.faults.storage_to_cache.clear()
    await asyncio.sleep(1)
    during = [one for one in exporter.of(name) if begun < one.arrival.latest < begun + FEW_SECONDS - 1]
    late = [one for one in during if one.verdict == "late"]
    assert len(during) > 20
    assert len(late) == len(during)
    assert_contains_the_truth(exporter, simulator, name)


async def test_events_in_a_store_of_their_own_hide_no_lag(tmp_path: Path) -> None:
    async with Simulator(own_stores=("events",)) as simulator, Workload(simulator, rate_per_second=60):
        flags = ("--kubeconfig", kubeconfig(tmp_path, simulator.url), "--resource", "pods", "--resource", "nodes")
        async with observed(*flags) as exporter:
            scrape = await exporter.wait_for(lambda scrape: reads(scrape, "pods") == ["another_cache"])
            await asyncio.sleep(HEALTHY_SECONDS)
            await shows_a_lag(exporter, simulator)
            scrape = await exporter.scrape()
    assert reads(scrape, "nodes") == ["another_cache"]
    polled = {labels["resource"] for labels in scrape.labels("clock_polls_total") if labels["clock"] == "revision"}
    assert polled == {"events", "customresourcedefinitions"}, "one clock for all of the store"
    assert scrape.sum("events_judged_total", resource="nodes", verdict="late") == 0


@pytest.mark.timeout(120)
async def test_a_moment_of_401_takes_no_clock_away(tmp_path: Path) -> None:
    async with Simulator() as simulator, Workload(simulator, rate_per_second=60):
        flags = ("--kubeconfig", kubeconfig(tmp_path, simulator.url), "--resource", "pods")
        async with observed(*flags) as exporter:
            await exporter.wait_for(lambda scrape: reads(scrape, "pods") == ["store"])
            simulator.faults.rejection = Rejection(401)
            await asyncio.sleep(5)
            simulator.faults.rejection = None
            await asyncio.sleep(RECOVERY_SECONDS)  # until then the clock is slower, and intervals are wider
            assert reads(await exporter.scrape(), "pods") == ["store"]
            await shows_a_lag(exporter, simulator)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("forbidden_seconds", [0.5, 8.0])
async def test_the_best_clock_is_taken_up_again_when_it_answers(tmp_path: Path, forbidden_seconds: float) -> None:
    async with Simulator() as simulator, Workload(simulator, rate_per_second=60):
        flags = ("--kubeconfig", kubeconfig(tmp_path, simulator.url), "--resource", "pods")
        async with observed(*flags) as exporter:
            await exporter.wait_for(lambda scrape: reads(scrape, "pods") == ["store"])
            simulator.faults.deny("*", "events")
            if forbidden_seconds > 1:
                await exporter.wait_for(lambda scrape: reads(scrape, "pods") == ["another_cache"])
            else:
                await asyncio.sleep(forbidden_seconds)
            simulator.faults.allow("*", "events")
            await exporter.wait_for(lambda scrape: reads(scrape, "pods") == ["store"], seconds=60)
            await shows_a_lag(exporter, simulator)
            scrape = await exporter.scrape()
    assert scrape.sum("relists_total", reason="revision_went_back") == 0


@pytest.mark.timeout(120)
async def test_a_kind_in_another_store_takes_no_false_part_while_the_best_is_refused(tmp_path: Path) -> None:
    async with (
        Simulator(own_stores=("customresourcedefinitions.apiextensions.k8s.io", "configmaps")) as simulator,
        Workload(simulator, rate_per_second=60),
    ):
        flags = ("--kubeconfig", kubeconfig(tmp_path, simulator.url), "--resource", "pods")
        async with observed(*flags) as exporter:
            await exporter.wait_for(lambda scrape: reads(scrape, "pods") == ["store"])
            simulator.faults.deny("*", "events")
            scrape = await exporter.wait_for(lambda scrape: reads(scrape, "pods") == ["another_cache"])
            await asyncio.sleep(HEALTHY_SECONDS)
            scrape = await exporter.scrape()
            assert_contains_the_truth(exporter, simulator)
    assert scrape.sum("clock_polls_total", resource="leases", result="ok") > 0
    assert scrape.sum("relists_total", reason="revision_went_back") == 0
    assert scrape.sum("events_judged_total", verdict="late") == 0


async def test_an_aggregated_apis_date_says_nothing_of_the_apiservers_clock(tmp_path: Path) -> None:
    async with Simulator() as simulator, Workload(simulator, rate_per_second=60):
        simulator.faults.aggregated_clocks["widgets.example.com"] = -2.0
        flags = ("--kubeconfig", kubeconfig(tmp_path, simulator.url), "--apiserver", simulator.url)
        async with observed(*flags, "--resource", "pods", "--resource", "widgets.example.com") as exporter:
            await asyncio.sleep(HEALTHY_SECONDS * 3)
            scrape = await exporter.scrape()
            assert_contains_the_truth(exporter, simulator, "pods")
            assert_contains_the_truth(exporter, simulator, "widgets.example.com")
    assert scrape.sum("contradictions_total", source="date") == 0
    assert scrape.sum("date_evidence_enabled") == 1
    assert scrape.sum("evidence_total", source="date") > 0
    assert scrape.sum("clock_offset_upper_seconds") > -0.1
    assert scrape.sum("balancers_noticed_total") == 0


async def test_a_store_that_reads_stale_is_noticed_and_is_no_restored_one(tmp_path: Path) -> None:
    """Two servers on one database: what arrives through one shows that the other answers less than there is."""
    async with Simulator(apiservers=2) as simulator, Workload(simulator, rate_per_second=60):
        stale, fresh = (apiserver.address for apiserver in simulator.apiservers)
        named = [word for apiserver in simulator.apiservers for word in ("--apiserver", apiserver.url)]
        flags = ("--kubeconfig", kubeconfig(tmp_path, simulator.url), "--resource", "pods")
        async with observed(*flags, *named) as exporter:
            await asyncio.sleep(HEALTHY_SECONDS)
            simulator.apiservers[0].faults.stale_reads_seconds = 0.8
            await exporter.wait_for(lambda scrape: scrape.sum("stale_reads_total", apiserver=stale) > 0)
            noticed = time.monotonic()
            await asyncio.sleep(HEALTHY_SECONDS)
            scrape = await exporter.scrape()
        since = [
            one for target, one in exporter.judgements if target.apiserver == stale and one.arrival.earliest > noticed
        ]
        exporter.judgements[:] = [(target, one) for target, one in exporter.judgements if one in since]
        assert assert_contains_the_truth(exporter, simulator) > 50
    assert scrape.sum("relists_total", reason="revision_went_back") == 0
    assert scrape.sum("stale_reads_total", apiserver=fresh) == 0
    assert scrape.sum("events_judged_total", verdict="late") == 0


async def test_a_balancer_that_is_named_as_an_apiserver_is_noticed_by_its_caches(tmp_path: Path) -> None:
    async with Simulator(apiservers=2, balanced="connection") as simulator, Workload(simulator, rate_per_second=60):
        flags = ("--kubeconfig", kubeconfig(tmp_path, simulator.url), "--apiserver", simulator.url)
        async with observed(*flags, "--resource", "pods", "--resource", "nodes") as exporter:
            await asyncio.sleep(HEALTHY_SECONDS)
            # Which of the two serves a watch and which its polls is a matter of turns: each is slow for a while.
            slow = asyncio.create_task(slow_in_turns(simulator))
            await exporter.wait_for(lambda scrape: scrape.sum("balancers_noticed_total", sign="cache") == 1)
            await asyncio.sleep(1)
            stages = (await exporter.scrape()).sum("stage_lower_seconds_count", stage="storage_to_cache")
            await asyncio.sleep(HEALTHY_SECONDS)
            slow.cancel()
            scrape = await exporter.scrape()
            assert_contains_the_truth(exporter, simulator)
    assert scrape.sum("stage_lower_seconds_count", stage="storage_to_cache") == stages
    assert scrape.sum("events_judged_total", verdict="on_time") > 0


async def slow_in_turns(simulator: Simulator) -> None:
    for apiserver in itertools.cycle(simulator.apiservers):
        apiserver.faults.storage_to_cache.set(0.5)
        await asyncio.sleep(2)
        apiserver.faults.storage_to_cache.clear()


@pytest.mark.timeout(180)
async def test_a_balancer_that_is_named_as_an_apiserver_is_noticed_by_its_clocks(tmp_path: Path) -> None:
    async with Simulator(apiservers=2, balanced="connection") as simulator, Workload(simulator, rate_per_second=60):
        simulator.apiservers[1].clock.offset_seconds = 0.4
        flags = ("--kubeconfig", kubeconfig(tmp_path, simulator.url), "--apiserver", simulator.url)
        async with observed(*flags, "--resource", "pods", "--revision-clock.hz", "20") as exporter:
            scrape = await exporter.wait_for(
                lambda scrape: scrape.sum("balancers_noticed_total", sign="date") == 1, seconds=90
            )
            assert scrape.sum("date_evidence_enabled") == 1
            await asyncio.sleep(HEALTHY_SECONDS * 2)
            scrape = await exporter.scrape()
            assert_contains_the_truth(exporter, simulator)
    assert scrape.sum("events_judged_total", verdict="late") == 0


async def test_an_apiserver_that_is_started_anew_is_taken_for_no_balancer(tmp_path: Path) -> None:
    async with Simulator() as simulator, Workload(simulator, rate_per_second=60):
        flags = ("--kubeconfig", kubeconfig(tmp_path, simulator.url), "--apiserver", simulator.url)
        async with observed(*flags, "--resource", "pods") as exporter:
            await asyncio.sleep(HEALTHY_SECONDS)
            simulator.faults.storage_to_cache.set(0.5, "pods")
            for _ in range(3):
                await asyncio.sleep(1.5)
                simulator.apiserver.clock.offset_seconds += 0.7
                await simulator.apiserver.stop()
                await simulator.apiserver.start()
            await asyncio.sleep(HEALTHY_SECONDS)
            scrape = await exporter.scrape()
    assert scrape.sum("balancers_noticed_total") == 0


@pytest.mark.timeout(120)
async def test_stamps_say_nothing_once_the_clock_that_made_them_contradicts_itself(tmp_path: Path) -> None:
    """The very answer that shows it settles what was stamped since the step."""
    async with Simulator() as simulator, Workload(simulator, rate_per_second=20):
        flags = ("--kubeconfig", kubeconfig(tmp_path, simulator.url), "--resource", "pods", "--cache-clock.hz", "0")
        async with observed(*flags, "--apiserver", simulator.url) as exporter:
            await exporter.wait_for(lambda scrape: scrape.sum("evidence_total", source="managed_fields") > 0, 60)
            simulator.faults.cache_to_watch.set(SLOW_SECONDS, "pods")
            simulator.faults.rejection = Rejection(503, 1, frozenset({"list"}), "events")
            await asyncio.sleep(0.5)
            simulator.apiserver.clock.offset_seconds = 3.2
            await asyncio.sleep(5)
            simulator.faults.rejection = None
            await exporter.wait_for(lambda scrape: scrape.sum("contradictions_total", source="date") > 0)
            await asyncio.sleep(HEALTHY_SECONDS)
            assert assert_contains_the_truth(exporter, simulator) > 50
