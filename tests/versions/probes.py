"""How servers differ where the measurement feels it: a folder of binaries in, what such a server does out."""

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.accuracy.dispatch import METRIC
from tests.accuracy.worlds import CREATION_HELD_BACK_SECONDS
from tests.real.api import ApiClient
from tests.real.cluster import Cluster
from tests.real.workload import Writer
from tests.support.observing import Scrape, observed

SECONDS = 20.0
WRITES_PER_SECOND = 40.0
LISTS = 5
CONSISTENT_READS = "apiserver_watch_cache_consistent_read_total"
LISTED = {
    "events": "/api/v1/namespaces/default/events",
    "pods": "/api/v1/namespaces/default/pods",
    "nodes": "/api/v1/nodes",
    "configmaps": "/api/v1/namespaces/default/configmaps",
    "leases": "/apis/coordination.k8s.io/v1/namespaces/default/leases",
    "customresourcedefinitions": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "widgets": "/apis/example.com/v1/namespaces/default/widgets",
}


@dataclass(frozen=True, slots=True)
class Probe:
    """What one server does."""

    version: str
    lists_from_cache: list[str]
    """Kinds whose consistent LIST is answered by a watch cache, once that has caught up."""
    has_dispatch_metric: bool
    evidence: dict[str, int]
    """By source, of how many events it said something."""
    verdicts: dict[str, int]
    contradictions: int

    def share(self, source: str) -> str:
        """Of how many of the events one source of evidence said something."""
        events = sum(self.verdicts.values())
        return f"{self.evidence.get(source, 0) / events:.0%}" if events else "-"


async def probe(binaries: Path) -> Probe:
    """Write for a while, and look at both servers' pages."""
    with tempfile.TemporaryDirectory() as name:
        async with Cluster(binaries, Path(name)) as cluster, cluster.client() as client:
            await cluster.create_resource()
            await asyncio.sleep(CREATION_HELD_BACK_SECONDS)
            flags = ("--apiserver", cluster.apiserver.url, "--resource", "pods", "--resource", "nodes")
            kubeconfig = cluster.kubeconfig(Path(name) / "kubeconfig")
            async with observed("--kubeconfig", kubeconfig, *flags, "--resource", "widgets.example.com") as exporter:
                await asyncio.sleep(1)  # the first poll after the start tells history from news
                async with Writer(client, rate_per_second=WRITES_PER_SECOND):
                    await asyncio.sleep(SECONDS)
                await asyncio.sleep(2)
                scrape = await exporter.scrape()
            cached = [plural for plural, path in LISTED.items() if await is_listed_from_cache(client, plural, path)]
            version = str((await client.get("/version"))["gitVersion"])
            has_metric = METRIC in await client.text("/metrics")
    return Probe(
        version=version,
        lists_from_cache=cached,
        has_dispatch_metric=has_metric,
        evidence=by_label(scrape, "evidence_total", "source"),
        verdicts=by_label(scrape, "events_judged_total", "verdict"),
        contradictions=int(scrape.sum("contradictions_total")),
    )


def by_label(scrape: Scrape, name: str, label: str) -> dict[str, int]:
    """A counter's sums by the values of one label."""
    values = sorted({labels[label] for labels in scrape.labels(name)})
    return {value: int(scrape.sum(name, **{label: value})) for value in values}


async def is_listed_from_cache(client: ApiClient, plural: str, path: str) -> bool:
    """Whether the apiserver counts the LISTs that a revision clock may send among the reads of its cache."""
    before = await consistent_reads(client, plural)
    for _ in range(LISTS):
        await client.get(path, limit="1", fieldSelector="metadata.name=nothing")
    return await consistent_reads(client, plural) >= before + LISTS


async def consistent_reads(client: ApiClient, plural: str) -> float:
    """How many LISTs of one resource its watch cache has answered, having waited until it was new enough."""
    text = await client.text("/metrics")
    lines = "\n".join(line for line in text.splitlines() if line.startswith(CONSISTENT_READS)) + "\n"
    return sum(
        sample.value
        for family in text_string_to_metric_families(lines)
        for sample in family.samples
        if sample.labels["resource"].split(".", 1)[0] == plural and sample.labels["fallback"] == "false"
    )
