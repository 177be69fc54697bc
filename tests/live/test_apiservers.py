"""Several apiservers on one etcd: each has its own streams, clocks and series, and one's trouble is not another's."""

import asyncio
from pathlib import Path

from tests.conftest import FreshCluster
from tests.live.observing import observed
from tests.real.workload import Writer


async def test_a_frozen_apiserver_spoils_its_own_series_only(fresh_cluster: FreshCluster, tmp_path: Path) -> None:
    cluster = await fresh_cluster(apiservers=2)
    healthy, troubled = cluster.apiservers
    kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig")
    flags = ("--kubeconfig", kubeconfig, "--resource", "nodes")
    both = ("--apiserver", healthy.url, "--apiserver", troubled.url)
    async with (
        observed(*flags, *both) as exporter,
        cluster.client(server=healthy.url) as client,
        Writer(client, rate_per_second=40, resources=("nodes",)),
    ):
        await asyncio.sleep(4)
        troubled.freeze()
        await asyncio.sleep(5)
        troubled.thaw()
        await asyncio.sleep(3)
        scrape = await exporter.scrape()
    names = {server: server.url.removeprefix("https://") for server in (healthy, troubled)}
    assert scrape.sum("events_judged_total", apiserver=names[healthy], verdict="on_time") > 300
    assert scrape.sum("events_judged_total", apiserver=names[healthy], verdict="late") == 0
    assert scrape.sum("events_judged_total", apiserver=names[healthy], verdict="ambiguous") == 0
    # Its own polls were frozen with it: what arrived on the other's watch is what proves it late.
    assert scrape.sum("events_judged_total", apiserver=names[troubled], verdict="late") > 50
    assert scrape.sum("evidence_total", apiserver=names[troubled], source="arrival") > 50
    assert scrape.sum("stream_up") == 2
