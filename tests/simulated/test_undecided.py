"""What the window says of events that wait for their verdict, and what becomes of them when nobody waits any more."""

import asyncio
from math import inf
from pathlib import Path

import pytest

from exporter.service.daemon import Exporter, load_credentials
from exporter.simulator import Simulator, Workload
from tests.support.kubeconfig import kubeconfig
from tests.support.observing import config, observed
from tests.support.truth import HEALTHY_SECONDS
from tests.support.waiting import wait_until

SLOW_SECONDS = 2.2


async def test_with_few_polls_the_window_is_bounded_before_the_next_one_is_answered(tmp_path: Path) -> None:
    """At a poll every two seconds there is always an event that waits."""
    async with Simulator() as simulator, Workload(simulator, rate_per_second=60):
        flags = ("--kubeconfig", kubeconfig(tmp_path, simulator.url), "--resource", "pods", "--slo.threshold", "5")
        async with observed(*flags, "--revision-clock.hz", "0.5") as exporter:
            await exporter.wait_for(lambda scrape: scrape.state("pods") == "met")
            for _ in range(30):
                scrape = await exporter.scrape()
                assert scrape.state("pods") == "met"
                assert scrape.sum("p99_upper_seconds", resource="pods") < 5
                await asyncio.sleep(0.1)
            judged = scrape.sum("events_judged_total", resource="pods")
            assert scrape.sum("window_events", resource="pods") >= judged, "those that wait are there as well"


async def test_while_all_that_comes_is_slow_the_upper_end_is_near_the_truth(tmp_path: Path) -> None:
    async with Simulator() as simulator, Workload(simulator, rate_per_second=60):
        flags = (
            "--kubeconfig",
            kubeconfig(tmp_path, simulator.url),
            "--resource",
            "pods",
            "--apiserver",
            simulator.url,
        )
        async with observed(*flags) as exporter:
            await exporter.wait_for(lambda scrape: scrape.sum("events_judged_total", verdict="on_time") > 50)
            await asyncio.sleep(HEALTHY_SECONDS)
            simulator.faults.network.to_client_seconds = SLOW_SECONDS
            await exporter.wait_for(lambda scrape: scrape.state("pods") == "violated")
            for _ in range(40):
                scrape = await exporter.scrape()
                upper = scrape.sum("p99_upper_seconds", resource="pods")
                assert SLOW_SECONDS <= upper < inf
                assert scrape.state("pods") == "violated"
                await asyncio.sleep(0.1)
            await exporter.wait_for(lambda scrape: scrape.sum("p99_upper_seconds", resource="pods") < SLOW_SECONDS + 1)
        assert scrape.sum("events_judged_total", verdict="late") > 0


@pytest.mark.parametrize("delay_seconds", [0.5, 0.7])
async def test_a_path_that_is_slow_and_within_the_threshold_is_met_at_every_look(
    tmp_path: Path, delay_seconds: float
) -> None:
    """WatchLatencyUnknown needs `unknown` in more than half of 30 minutes; here it is in hardly any look."""
    async with Simulator() as simulator, Workload(simulator, rate_per_second=60):
        simulator.faults.network.to_client_seconds = delay_seconds
        flags = ("--kubeconfig", kubeconfig(tmp_path, simulator.url), "--resource", "pods", "--slo.window", "10")
        async with observed(*flags) as exporter:
            await exporter.wait_for(lambda scrape: scrape.state("pods") == "met")
            states = []
            for _ in range(60):
                states.append((await exporter.scrape()).state("pods"))
                await asyncio.sleep(0.25)
    assert states.count("met") >= 57, states
    assert "violated" not in states


async def test_a_resource_that_is_watched_no_more_leaves_no_event_uncounted(tmp_path: Path) -> None:
    async with Simulator() as simulator, Workload(simulator, rate_per_second=60):
        flags = (
            "--kubeconfig",
            kubeconfig(tmp_path, simulator.url),
            "--resource",
            "pods",
            "--revision-clock.hz",
            "0.2",
        )
        settled = config(*flags)
        exporter = Exporter(settled, await load_credentials(settled))
        counts = exporter.metrics.resource(simulator.url.removeprefix("http://"), "", "pods").counts

        def judged() -> int:
            return sum(counts.judged.values())

        async with exporter.running():
            await wait_until(lambda: judged() > 0, "something is judged")
            (target,) = exporter.apiservers[0].streams
            await wait_until(lambda: target._judge.waiting > 20, "events wait for the next poll")
            waiting, told = target._judge.waiting, judged()
            await exporter.apiservers[0].unwatch(target.name)
            assert judged() >= told + waiting
            assert target.is_settled
