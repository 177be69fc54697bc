"""The main job on the real apiserver: what the writer knows of its own writes must agree with what is measured."""

import asyncio
from math import ceil
from pathlib import Path

from tests.real.cluster import Cluster
from tests.real.workload import Writer
from tests.support.observing import observed

RESOURCES = ("--resource", "pods", "--resource", "nodes", "--resource", "widgets.example.com")
POLL_PERIOD_SECONDS = 0.2


def p99(values: list[float]) -> float:
    return sorted(values)[ceil(0.99 * len(values)) - 1]


async def test_every_write_is_judged_once_and_agrees_with_its_writer(cluster: Cluster, tmp_path: Path) -> None:
    await cluster.create_resource()
    kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig")
    async with observed("--kubeconfig", kubeconfig, *RESOURCES) as exporter:
        await asyncio.sleep(1)  # the first poll after the start tells history from news
        async with cluster.client() as client, Writer(client, rate_per_second=60) as writer:
            await asyncio.sleep(20)
        await asyncio.sleep(1)
        scrape = await exporter.scrape()

    assert len(writer.writes) > 600
    judged = {judgement.event.revision: judgement for _, judgement in exporter.judgements}
    assert len(judged) == len(exporter.judgements), "an event was judged twice"
    for write in writer.writes:
        judgement = judged[write.resource_version]
        commit, arrival, latency = judgement.dated.commit, judgement.arrival, judgement.latency
        assert commit.earliest <= write.answered_seconds, write
        assert commit.latest >= write.sent_seconds, write
        assert latency.earliest <= arrival.latest - write.sent_seconds, write
        assert latency.latest >= arrival.latest - write.answered_seconds, write

    assert {write.operation for write in writer.writes} >= {"annotate", "unannotate", "status", "delete", "scale"}
    assert {write.operation for write in writer.unversioned} >= {"bind", "delete"}
    assert {judgement.verdict for judgement in judged.values()} == {"on_time"}
    assert scrape.sum("events_judged_total", verdict="on_time") == len(judged)
    assert scrape.sum("events_judged_total", verdict="late") == 0
    assert scrape.sum("contradictions_total") == 0
    assert scrape.sum("events_unmeasured_total") == 0
    assert scrape.sum("apiserver_time_span_upper_seconds_count") == len(judged)
    assert scrape.sum("events_total", phase="live") == len(judged)
    # Each write makes one event, but for the deletion of a pod that has a node: it is marked first.
    marked = sum(write.operation == "delete" and write.resource == "pods" for write in writer.writes)
    assert len(judged) <= len(writer.writes) + len(writer.unversioned) + marked
    assert len(judged) >= len(writer.writes) + len(writer.unversioned)
    for resource in ("pods", "nodes", "widgets"):
        assert scrape.state(resource) == "met"

    true_p99 = p99([judged[write.resource_version].arrival.latest - write.sent_seconds for write in writer.writes])
    measured_p99 = p99([judgement.latency.latest for judgement in judged.values()])
    slack = 2  # the machine is shared and slow polls are wide ones
    assert measured_p99 <= true_p99 + slack * 1.5 * POLL_PERIOD_SECONDS
