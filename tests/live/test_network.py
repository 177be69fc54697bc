"""A network that is slow for polls and watch alike: only the apiserver's own Date can tell, and it does."""

import asyncio
import time
from pathlib import Path

import pytest

from tests.real.cluster import Cluster
from tests.real.proxy import Proxy
from tests.real.workload import Writer
from tests.support.observing import observed

HEALTHY_SECONDS = 30
DELAY_SECONDS = 2.5


@pytest.mark.timeout(240)
async def test_delayed_answers_violate_the_slo_and_recovery_meets_it_again(cluster: Cluster, tmp_path: Path) -> None:
    with Proxy(cluster.apiserver.url) as proxy:
        kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig", server=proxy.url)
        flags = ("--kubeconfig", kubeconfig, "--resource", "pods", "--resource", "nodes")
        async with (
            observed(*flags) as exporter,
            cluster.client() as client,
            Writer(client, rate_per_second=30, resources=("pods", "nodes")),
        ):
            await asyncio.sleep(HEALTHY_SECONDS)
            assert (await exporter.scrape()).state("pods") == "met"
            assert (await exporter.scrape()).sum("events_judged_total", verdict="late") == 0

            proxy.delay_to_client_seconds = DELAY_SECONDS
            began = time.monotonic()
            await exporter.wait_for(lambda scrape: scrape.state("pods") == "violated", seconds=20)
            await asyncio.sleep(began + 20 - time.monotonic())
            ended = time.monotonic()
            proxy.delay_to_client_seconds = 0.0

            # What was committed before the trouble was delivered in it only in part: look at its middle.
            await asyncio.sleep(12)
            in_trouble = [
                judgement
                for judgement in exporter.of("pods") + exporter.of("nodes")
                if began + DELAY_SECONDS + 0.5 < judgement.arrival.latest < ended
            ]
            late = sum(judgement.verdict == "late" for judgement in in_trouble)
            assert late > len(in_trouble) / 2
            assert not [judgement for judgement in in_trouble if judgement.verdict == "on_time"]

            await exporter.wait_for(lambda scrape: scrape.state("pods") == "met", seconds=ended + 75 - time.monotonic())
            scrape = await exporter.scrape()
            assert scrape.sum("contradictions_total") == 0
