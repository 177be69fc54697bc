"""On a real apiserver: what we miss because we may not watch is not late."""

import asyncio
from pathlib import Path

import pytest

from tests.real.cluster import Cluster
from tests.real.proxy import Proxy
from tests.real.workload import Writer
from tests.support.observing import observed

FORBIDDEN_SECONDS = 9.0


@pytest.mark.timeout(180)
async def test_a_permission_that_is_taken_away_for_a_while_makes_no_event_late(
    cluster: Cluster, tmp_path: Path
) -> None:
    may = (["list", "watch"], "", ["nodes", "events"])
    granted = await cluster.grant("watcher", *may)
    with Proxy(cluster.apiserver.url) as proxy:
        kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig", user="watcher", server=proxy.url)
        async with (
            observed("--kubeconfig", kubeconfig, "--resource", "nodes") as exporter,
            cluster.client() as client,
            Writer(client, rate_per_second=60, resources=("nodes",)) as writer,
        ):
            await exporter.wait_for(lambda scrape: scrape.sum("events_judged_total", verdict="on_time") > 50)
            await cluster.revoke(granted)
            proxy.cut_all()
            await exporter.wait_for(lambda scrape: scrape.sum("init_events_errors_total", reason="forbidden") > 0)
            await asyncio.sleep(FORBIDDEN_SECONDS)
            granted = await cluster.grant("watcher", *may)
            up = await exporter.wait_for(lambda scrape: scrape.sum("stream_up") == 1, seconds=60)
            judged = up.sum("events_judged_total")
            scrape = await exporter.wait_for(lambda scrape: scrape.sum("events_judged_total") > judged + 500)
    await cluster.revoke(granted)
    assert not writer.failures
    assert scrape.sum("events_judged_total", verdict="late") == 0
    assert scrape.sum("events_judged_total", verdict="ambiguous") > 100
    assert scrape.sum("contradictions_total") == 0
