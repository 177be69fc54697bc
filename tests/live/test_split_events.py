"""Events in an etcd of their own, as every cluster of some size keeps them: what lags is shown all the same."""

from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import FreshCluster
from tests.real.webhooks import Webhooks
from tests.support.observing import observed
from tests.support.slow_conversion import CONVERSION_SECONDS, WRITES, write_slowly


@pytest.mark.timeout(180)
async def test_a_slow_watch_cache_is_late_although_events_are_in_another_etcd(
    fresh_cluster: FreshCluster, tmp_path: Path
) -> None:
    cluster = await fresh_cluster(events_store=True)
    kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig")
    with Webhooks(tmp_path) as webhooks:
        gadgets = await webhooks.create_converted_resource(cluster, group="split.test", plural="gadgets")
        watched = ("--resource", "gadgets.v2.split.test", "--resource", "nodes", "--resource", "events")
        flags = ("--kubeconfig", kubeconfig, *watched, "--apiserver", cluster.apiserver.url)
        async with observed(*flags) as exporter, cluster.client() as client:
            await exporter.wait_for(
                lambda scrape: scrape.sum("revision_clock", resource="gadgets", reads="another_cache") == 1
            )
            await write_slowly(client, webhooks, gadgets)
            scrape = await exporter.scrape()
    late = [judgement for judgement in exporter.of("gadgets") if judgement.verdict == "late"]
    assert len(exporter.of("gadgets")) == WRITES
    assert len(late) >= WRITES - 1, "in fifteen of fifteen cases it was ambiguous once"
    assert all(judgement.latency.earliest > CONVERSION_SECONDS * 0.75 for judgement in late)
    slow = {"resource": "gadgets", "stage": "storage_to_cache"}
    in_the_first = scrape.sum("stage_lower_seconds_count", **slow)
    in_the_first -= scrape.sum("stage_lower_seconds_bucket", le="1.5", **slow)
    assert in_the_first >= len(late) - 2  # the machine is shared: a poll may come late
    assert scrape.sum("revision_clock", resource="nodes", reads="another_cache") == 1
    assert scrape.sum("revision_clock", resource="events", reads="store") == 1
    polled = {labels["resource"] for labels in scrape.labels("clock_polls_total") if labels["clock"] == "revision"}
    assert polled == {"events", "customresourcedefinitions"}, "one clock for each store"
    verdicts = Counter(judgement.verdict for judgement in exporter.of("nodes"))
    assert verdicts["late"] == 0
    assert verdicts["on_time"] > 20 * verdicts["ambiguous"]
