"""What design section 7 promises, on the real apiserver: every trouble has its counter, and none is final."""

import asyncio
from pathlib import Path

import pytest

from tests.conftest import FreshCluster
from tests.real.cluster import Cluster
from tests.real.custom_resources import CustomResource
from tests.real.workload import Writer
from tests.support.observing import observed, started, until

HALF_A_RELIST_SECONDS = 1.0


async def test_a_frozen_etcd_makes_nothing_late_that_was_delivered_promptly(
    fresh_cluster: FreshCluster, tmp_path: Path
) -> None:
    cluster = await fresh_cluster()
    kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig")
    async with (
        observed("--kubeconfig", kubeconfig, "--resource", "nodes") as exporter,
        cluster.client() as client,
        Writer(client, rate_per_second=30, resources=("nodes",)) as writer,
    ):
        await asyncio.sleep(3)
        cluster.etcd.freeze()
        await asyncio.sleep(6)
        cluster.etcd.thaw()
        await asyncio.sleep(8)
        scrape = await exporter.scrape()
    assert max(write.answered_seconds - write.sent_seconds for write in writer.writes) > 4
    assert scrape.sum("events_judged_total", verdict="late") == 0
    assert scrape.sum("events_judged_total", verdict="on_time") > 100
    assert scrape.sum("contradictions_total") == 0


@pytest.mark.timeout(120)
async def test_a_killed_apiserver_ends_the_watch_and_its_restart_resumes_or_relists(
    fresh_cluster: FreshCluster, tmp_path: Path
) -> None:
    cluster = await fresh_cluster()
    kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig")
    async with observed("--kubeconfig", kubeconfig, "--resource", "nodes") as exporter:
        async with cluster.client() as client, Writer(client, rate_per_second=20, resources=("nodes",)):
            await asyncio.sleep(2)
        await cluster.apiserver.kill()
        down = await exporter.wait_for(lambda scrape: scrape.sum("stream_up") == 0)
        assert await exporter.ready(), "an apiserver that is away must not restart the exporter"
        await exporter.wait_for(lambda scrape: scrape.sum("init_events_errors_total", reason="connect") >= 2)
        await cluster.apiserver.start()
        up = await exporter.wait_for(lambda scrape: scrape.sum("stream_up") == 1, seconds=60)
        async with cluster.client() as client, Writer(client, rate_per_second=20, resources=("nodes",)):
            await asyncio.sleep(3)
        await asyncio.sleep(1)
        after = await exporter.scrape()
    assert up.sum("watch_ends_total", reason="transport_error") == 1
    assert up.sum("watch_ends_total") == 1
    assert up.sum("forced_closes_total") == 1
    assert up.sum("uncovered_seconds_total") > down.sum("uncovered_seconds_total") + 0.5
    assert up.sum("relist_seconds_count") + up.sum("rewatch_seconds_count") == 2
    assert after.sum("events_judged_total", verdict="on_time") > up.sum("events_judged_total", verdict="on_time")
    assert after.sum("events_judged_total", verdict="late") == 0


async def test_an_objective_is_not_met_by_events_that_nobody_delivers(
    fresh_cluster: FreshCluster, tmp_path: Path
) -> None:
    cluster = await fresh_cluster()
    kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig")
    async with observed("--kubeconfig", kubeconfig, "--resource", "nodes") as exporter:
        async with cluster.client() as client, Writer(client, rate_per_second=30, resources=("nodes",)):
            await exporter.wait_for(lambda scrape: scrape.state("nodes") == "met")
        await cluster.apiserver.kill()
        await exporter.wait_for(lambda scrape: scrape.state("nodes") != "met", seconds=10)
        for _ in range(20):
            scrape = await exporter.scrape()
            assert scrape.sum("stream_up") == 0
            assert scrape.state("nodes") == "unknown"
            assert scrape.sum("window_events") >= 50, "they were all on time"
            await asyncio.sleep(0.1)


async def test_an_apiserver_that_is_not_there_at_the_start_is_waited_for(
    fresh_cluster: FreshCluster, tmp_path: Path
) -> None:
    cluster = await fresh_cluster()
    await cluster.apiserver.kill()
    kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig")
    async with observed("--kubeconfig", kubeconfig, "--resource", "nodes", ready=False) as exporter:
        await exporter.wait_for(lambda scrape: scrape.sum("init_events_errors_total", reason="connect") >= 1)
        assert not await exporter.ready()
        await cluster.apiserver.start()
        await until(exporter.ready, seconds=60)
        scrape = await exporter.scrape()
    assert scrape.sum("stream_up") == 1
    assert scrape.sum("watch_ends_total") == 0, "what never was open cannot end"


@pytest.mark.timeout(120)
async def test_a_missing_permission_holds_up_nothing_and_is_used_when_it_is_given(
    cluster: Cluster, tmp_path: Path
) -> None:
    await cluster.create_resource()
    grants = [
        await cluster.grant("limited", ["list", "watch"], "", ["pods"]),
        await cluster.grant("limited", ["list", "watch"], "example.com", ["widgets"]),
        await cluster.grant("limited", ["list"], "", ["events"], "default"),
    ]
    kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig", user="limited")
    flags = ("--resource", "pods", "--resource", "nodes", "--resource", "widgets.example.com")
    async with observed("--kubeconfig", kubeconfig, *flags) as exporter:
        assert await exporter.ready()
        async with cluster.client() as client, Writer(client, rate_per_second=30):
            await asyncio.sleep(2)
        await asyncio.sleep(1)
        scrape = await exporter.scrape()
        assert scrape.sum("stream_up", resource="nodes") == 0
        assert scrape.sum("init_events_errors_total", resource="nodes", reason="forbidden") >= 1
        for resource in ("pods", "widgets"):
            assert scrape.sum("events_judged_total", resource=resource, verdict="on_time") > 10
        grants.append(await cluster.grant("limited", ["list", "watch"], "", ["nodes"]))
        await exporter.wait_for(lambda scrape: scrape.sum("stream_up", resource="nodes") == 1, seconds=60)
    for grant in grants:
        await cluster.revoke(grant)


@pytest.mark.timeout(120)
async def test_without_permission_to_list_events_another_kind_tells_the_revision(
    cluster: Cluster, tmp_path: Path
) -> None:
    grants = [
        await cluster.grant("watcher", ["list", "watch"], "", ["nodes"]),
        await cluster.grant("watcher", ["list"], "", ["configmaps"], "default"),
    ]
    kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig", user="watcher")
    async with observed("--kubeconfig", kubeconfig, "--resource", "nodes") as exporter:
        await asyncio.sleep(3)
        async with cluster.client() as client, Writer(client, rate_per_second=30, resources=("nodes",)):
            await asyncio.sleep(2)
        await asyncio.sleep(1)
        scrape = await exporter.scrape()
    for grant in grants:
        await cluster.revoke(grant)
    assert scrape.sum("clock_polls_total", resource="configmaps", result="ok") > 0
    assert scrape.sum("events_judged_total", verdict="on_time") > 10


@pytest.mark.timeout(120)
async def test_custom_resources_are_followed_as_their_definitions_come_and_go(cluster: Cluster, tmp_path: Path) -> None:
    kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig")
    gadgets = CustomResource(group="gadgets.test", plural="gadgets")
    flags = ("--custom-resources", "*.gadgets.test", "--resource", "nodes")
    async with observed("--kubeconfig", kubeconfig, *flags) as exporter:
        await cluster.create_resource(gadgets)
        await exporter.wait_for(lambda scrape: scrape.values("stream_up", resource="gadgets") == [1.0])
        await asyncio.sleep(HALF_A_RELIST_SECONDS)
        async with cluster.client() as client:
            await client.post(gadgets.path(), gadgets.object("one"))
        await exporter.wait_for(lambda scrape: scrape.sum("events_judged_total", resource="gadgets") == 1)
        await cluster.delete_resource(gadgets)
        gone = await exporter.wait_for(lambda scrape: scrape.sum("stream_up", resource="gadgets") == 0)
        assert gone.sum("stream_up", resource="nodes") == 1
        await cluster.create_resource(gadgets)
        await exporter.wait_for(lambda scrape: scrape.values("stream_up", resource="gadgets") == [1.0])
    await cluster.delete_resource(gadgets)


@pytest.mark.timeout(120)
async def test_a_named_resource_may_come_after_the_start_and_go_again(cluster: Cluster, tmp_path: Path) -> None:
    kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig")
    gizmos = CustomResource(group="gizmos.test", plural="gizmos")
    async with observed("--kubeconfig", kubeconfig, "--resource", "gizmos.gizmos.test") as exporter:
        assert (await exporter.scrape()).sum("init_events_errors_total", reason="not_found") >= 1
        await cluster.create_resource(gizmos)
        await exporter.wait_for(lambda scrape: scrape.sum("stream_up") == 1, seconds=60)
        await cluster.delete_resource(gizmos)
        scrape = await exporter.wait_for(lambda scrape: scrape.sum("watch_ends_total", reason="not_found") == 1)
        assert scrape.sum("forced_closes_total") == 0


async def test_compaction_while_away_is_a_relist_and_not_a_met_objective(
    fresh_cluster: FreshCluster, tmp_path: Path
) -> None:
    cluster = await fresh_cluster()
    kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig")
    async with observed("--kubeconfig", kubeconfig, "--resource", "nodes") as exporter:
        async with cluster.client() as client, Writer(client, rate_per_second=60, resources=("nodes",)) as writer:
            await asyncio.sleep(3)
        await exporter.wait_for(lambda scrape: scrape.state("nodes") == "met")
        newest = max(write.resource_version for write in writer.writes)
        await cluster.apiserver.kill()
        await cluster.etcd.compact(newest)
        await cluster.apiserver.start()
        async with cluster.client() as client, Writer(client, rate_per_second=60, resources=("nodes",)):
            await exporter.wait_for(lambda scrape: scrape.sum("stream_up") == 1, seconds=30)
            await asyncio.sleep(3)
        scrape = await exporter.scrape()
    if scrape.sum("relists_total", reason="gone"):
        assert scrape.state("nodes") in {"unknown", "quiet"}
    assert scrape.sum("events_judged_total", verdict="late") == 0


def test_stopping_is_quick_and_clean(cluster: Cluster, tmp_path: Path) -> None:
    kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig")
    log = tmp_path / "log"
    with started("--kubeconfig", kubeconfig, log=log) as exporter:
        assert exporter.stop() == 0
