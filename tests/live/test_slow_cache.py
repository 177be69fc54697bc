"""A watch cache that lags behind its store: certainly late, and nobody else's fault."""

from collections import Counter
from pathlib import Path

import pytest

from tests.real.cluster import Cluster
from tests.real.webhooks import Webhooks
from tests.support.observing import observed
from tests.support.slow_conversion import CONVERSION_SECONDS, WRITES, write_slowly


@pytest.mark.timeout(120)
async def test_a_slow_conversion_webhook_makes_its_resource_late_and_no_other(cluster: Cluster, tmp_path: Path) -> None:
    kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig")
    with Webhooks(tmp_path) as webhooks:
        gadgets = await webhooks.create_converted_resource(cluster, group="slow.test", plural="gadgets")
        # Named, so known to be one apiserver: its watch caches may be asked as well.
        flags = ("--resource", "gadgets.v2.slow.test", "--resource", "nodes", "--apiserver", cluster.apiserver.url)
        async with observed("--kubeconfig", kubeconfig, *flags) as exporter, cluster.client() as client:
            await write_slowly(client, webhooks, gadgets)
            scrape = await exporter.scrape()
        await cluster.delete_resource(gadgets)
    late = [judgement for judgement in exporter.of("gadgets") if judgement.verdict == "late"]
    assert len(exporter.of("gadgets")) == WRITES
    assert len(late) >= WRITES - 1
    assert all(judgement.latency.earliest > CONVERSION_SECONDS * 0.75 for judgement in late)
    assert scrape.state("gadgets") == "violated"
    slow = {"resource": "gadgets", "stage": "storage_to_cache"}
    prompt = {"resource": "gadgets", "stage": "cache_to_client"}
    in_the_first = scrape.sum("stage_lower_seconds_count", **slow)
    in_the_first -= scrape.sum("stage_lower_seconds_bucket", le="1.5", **slow)
    most = len(late) - 2  # the machine is shared: a poll may come late
    assert in_the_first >= most
    assert scrape.sum("stage_upper_seconds_bucket", le="0.75", **prompt) >= most
    verdicts = Counter(judgement.verdict for judgement in exporter.of("nodes"))
    assert verdicts["late"] == 0
    assert verdicts["on_time"] > 20 * verdicts["ambiguous"]
