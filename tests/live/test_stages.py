"""Where the seconds go, on the real apiserver: each delay appears in the stage that it belongs to, and in no other."""

import asyncio
import ssl
from pathlib import Path

import pytest

from tests.real.cluster import Cluster
from tests.real.proxy import Proxy, Tls
from tests.real.webhooks import Webhooks
from tests.real.workload import Writer
from tests.support.observing import Observed, Scrape, observed

LONG_SECONDS = 1.0
"""One of the histograms' bounds; everything here is either far quicker or far slower."""

WATCH_DELAY_SECONDS = 2.0
ADMISSION_SECONDS = 3.0
"""A stamp is cut to whole seconds, so the bounds of `write` are more than a second apart."""

FREEZE_SECONDS = 6.0
"""Longer than polls are sent without an answer: some bounds become wide."""


def certainly_long(scrape: Scrape, stage: str) -> float:
    """How many events certainly spent long in the stage."""
    return _longer(scrape, "stage_lower_seconds", stage=stage)


def perhaps_long(scrape: Scrape, stage: str) -> float:
    """How many events may have spent long in the stage."""
    return _longer(scrape, "stage_upper_seconds", stage=stage)


def few(scrape: Scrape) -> float:
    """So many events may be measured badly on a machine that is busy with other things."""
    return scrape.sum("events_judged_total") / 10


def _longer(scrape: Scrape, histogram: str, **labels: str) -> float:
    return scrape.sum(f"{histogram}_count", **labels) - scrape.sum(
        f"{histogram}_bucket", le=str(LONG_SECONDS), **labels
    )


async def all_judged(exporter: Observed, writer: Writer) -> Scrape:
    """A scrape after all that was written has been judged."""
    written = len(writer.writes) + len(writer.unversioned)
    assert not writer.failures
    return await exporter.wait_for(lambda scrape: scrape.sum("events_judged_total") >= written)


def seen_in_the_clear(cluster: Cluster) -> Tls:
    """What a proxy needs to stand between the exporter and this cluster and to tell a watch from other requests."""
    certificate = cluster.authority.issue("proxy")
    as_server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    as_server.load_cert_chain(certificate.certificate_file, certificate.key_file)
    return Tls(as_server, cluster.client_context)


async def test_a_delay_of_the_watch_alone_is_between_cache_and_client(listed_cluster: Cluster, tmp_path: Path) -> None:
    cluster = listed_cluster
    with Proxy(cluster.apiserver.url, only_if_request_contains=b"watch=true", tls=seen_in_the_clear(cluster)) as proxy:
        kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig", server=proxy.url)
        flags = ("--kubeconfig", kubeconfig, "--resource", "nodes", "--apiserver", proxy.url)
        async with observed(*flags) as exporter, cluster.client() as client:
            await exporter.wait_for(lambda scrape: scrape.sum("clock_polls_total", clock="cache", result="ok") > 5)
            proxy.delay_to_client_seconds = WATCH_DELAY_SECONDS
            async with Writer(client, rate_per_second=30, resources=("nodes",)) as writer:
                await asyncio.sleep(4)
            scrape = await all_judged(exporter, writer)
    assert len(writer.writes) > 50
    assert certainly_long(scrape, "cache_to_client") > 50
    assert certainly_long(scrape, "storage_to_cache") == 0
    assert perhaps_long(scrape, "storage_to_cache") < few(scrape)
    assert scrape.sum("events_judged_total", verdict="late") > 50
    assert scrape.sum("events_judged_total", verdict="on_time") == 0
    assert scrape.sum("contradictions_total") == 0


@pytest.mark.timeout(120)
async def test_a_slow_admission_webhook_is_before_the_commit_and_no_part_of_the_time_span(
    listed_cluster: Cluster, tmp_path: Path
) -> None:
    cluster = listed_cluster
    flags = ("--kubeconfig", cluster.kubeconfig(tmp_path / "kubeconfig"), "--apiserver", cluster.apiserver.url)
    with Webhooks(tmp_path) as webhooks:
        async with observed(*flags, "--resource", "pods") as exporter, cluster.client() as client:
            await webhooks.admit(client, "slow", "", "v1", "pods")
            try:
                async with Writer(client, rate_per_second=20, resources=("pods",)):
                    await exporter.wait_for(lambda scrape: scrape.sum("stage_upper_seconds_count", stage="write") > 20)
                    await exporter.wait_for(lambda _scrape: webhooks.admissions > 0)
                quick = await exporter.scrape()
                webhooks.admission_delay_seconds = ADMISSION_SECONDS
                async with Writer(client, rate_per_second=20, resources=("pods",)) as writer:
                    await asyncio.sleep(ADMISSION_SECONDS + 1)
                scrape = await all_judged(exporter, writer)
            finally:
                webhooks.admission_delay_seconds = 0.0
                await webhooks.stop_admitting(client, "slow")
    assert min(write.answered_seconds - write.sent_seconds for write in writer.writes) > ADMISSION_SECONDS
    assert certainly_long(quick, "write") == 0
    assert certainly_long(scrape, "write") > 20
    for stage in ("storage_to_cache", "cache_to_client"):
        assert certainly_long(scrape, stage) == 0
        assert perhaps_long(scrape, stage) < few(scrape)
    assert _longer(scrape, "apiserver_time_span_upper_seconds") < few(scrape)
    assert scrape.sum("events_judged_total", verdict="late") == 0


async def test_a_frozen_etcd_is_not_between_cache_and_client(listed_cluster: Cluster, tmp_path: Path) -> None:
    cluster = listed_cluster
    flags = ("--kubeconfig", cluster.kubeconfig(tmp_path / "kubeconfig"), "--apiserver", cluster.apiserver.url)
    async with observed(*flags, "--resource", "nodes") as exporter, cluster.client() as client:
        await exporter.wait_for(lambda scrape: scrape.sum("clock_polls_total", clock="cache", result="ok") > 5)
        async with Writer(client, rate_per_second=30, resources=("nodes",)) as writer:
            await asyncio.sleep(2)
            cluster.etcd.freeze()
            try:
                await asyncio.sleep(FREEZE_SECONDS)
            finally:
                cluster.etcd.thaw()
            await asyncio.sleep(2)
        scrape = await all_judged(exporter, writer)
    hung = [write for write in writer.writes if write.answered_seconds - write.sent_seconds > FREEZE_SECONDS / 2]
    assert len(hung) > 10
    assert scrape.sum("stage_upper_seconds_count", stage="cache_to_client") > 50
    # Polls hang as well, so some bounds are wide; what is said for certain accuses nobody.
    assert certainly_long(scrape, "cache_to_client") == 0
    assert certainly_long(scrape, "storage_to_cache") == 0
    assert scrape.sum("events_judged_total", verdict="late") == 0
