"""Every apiserver of a cluster, found by its EndpointSlices and followed as they change."""

import asyncio
from functools import partial
from pathlib import Path

from exporter.simulator import Simulator, Workload
from tests.live.observing import Scrape, observed
from tests.simulated.test_exact_truth import HEALTHY_SECONDS, assert_contains_the_truth, kubeconfig


def is_up(apiserver: str, scrape: Scrape) -> bool:
    return scrape.values("stream_up", apiserver=apiserver) == [1.0]


async def test_every_apiserver_is_watched_and_their_clocks_together_narrow_by_stamps(tmp_path: Path) -> None:
    async with Simulator(apiservers=3, balanced="connection") as simulator:
        for number, apiserver in enumerate(simulator.apiservers):
            apiserver.clock.offset_seconds = 0.1 * number
        flags = ("--kubeconfig", kubeconfig(tmp_path, simulator.url), "--resource", "pods", "--apiserver.discover")
        async with observed(*flags) as exporter, Workload(simulator, rate_per_second=40):
            addresses = {f"{apiserver.host}:{apiserver.port}" for apiserver in simulator.apiservers}
            for address in addresses:
                await exporter.wait_for(partial(is_up, address))
            await asyncio.sleep(HEALTHY_SECONDS * 2)
            assert_contains_the_truth(exporter, simulator)
            scrape = await exporter.scrape()
    balancer = simulator.url.removeprefix("http://")
    assert not scrape.values("stream_up", apiserver=balancer)
    for address in addresses:
        assert scrape.sum("events_judged_total", apiserver=address, verdict="on_time") > 40
        assert scrape.sum("evidence_total", apiserver=address, source="managed_fields") > 10
    assert scrape.sum("events_judged_total", verdict="late") == 0
    assert scrape.sum("contradictions_total") == 0


async def test_an_apiserver_that_comes_later_is_found_and_one_that_goes_keeps_its_series_for_a_while(
    tmp_path: Path,
) -> None:
    async with Simulator(apiservers=2) as simulator, Workload(simulator, rate_per_second=40):
        one, other = (f"{apiserver.host}:{apiserver.port}" for apiserver in simulator.apiservers)
        await simulator.list_apiservers(1)
        flags = ("--kubeconfig", kubeconfig(tmp_path, simulator.url), "--resource", "pods", "--apiserver.discover")
        async with observed(*flags) as exporter:
            assert (await exporter.scrape()).values("stream_up") == [1.0]
            await simulator.list_apiservers(2)
            await exporter.wait_for(partial(is_up, other))
            await simulator.list_apiservers(1)
            await simulator.apiservers[1].stop()
            gone = await exporter.wait_for(lambda scrape: scrape.sum("watch_ends_total", apiserver=other) == 1)
            assert gone.sum("stream_up", apiserver=other) == 0
            assert gone.sum("stream_up", apiserver=one) == 1
