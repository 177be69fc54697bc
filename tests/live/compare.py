"""`make compare`: the obvious method beside ours, on a real and healthy kube-apiserver, in one run."""
# ruff: noqa: T201 it prints its result

import asyncio
import subprocess
import tempfile
import time
from math import ceil
from pathlib import Path

from exporter.measure.write_times import apiserver_stamps
from tests.conftest import BUILD_SERVERS
from tests.real.cluster import Cluster
from tests.real.workload import Writer
from tests.support.observing import observed

SECONDS = 30.0
WRITES_PER_SECOND = 60.0
RESOURCES = ("--resource", "pods", "--resource", "nodes", "--resource", "widgets.example.com")


def quantile(values: list[float], ratio: float) -> float:
    return sorted(values)[ceil(ratio * len(values)) - 1]


def row(name: str, values: list[float]) -> str:
    return f"{name:<44}{quantile(values, 0.5):>10.3f} s{quantile(values, 0.99):>10.3f} s"


async def main(binaries: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with Cluster(binaries, Path(folder)) as cluster:
            await cluster.create_resource()
            await asyncio.sleep(3)
            kubeconfig = cluster.kubeconfig(Path(folder) / "kubeconfig")
            async with observed("--kubeconfig", kubeconfig, *RESOURCES) as exporter:
                await asyncio.sleep(1)
                async with cluster.client() as client, Writer(client, rate_per_second=WRITES_PER_SECOND) as writer:
                    await asyncio.sleep(SECONDS)
                await asyncio.sleep(1)
                scrape = await exporter.scrape()
    wall_clock = time.time() - time.monotonic()
    judged = {judgement.event.revision: judgement for _, judgement in exporter.judgements}
    known = [(judged[write.resource_version], write) for write in writer.writes]
    naive = [
        judgement.arrival.latest + wall_clock - stamp.time
        for judgement, _ in known
        for stamp in apiserver_stamps(judgement.event.stamps)
        if stamp.source == "managed_fields"
    ]
    print(f"{len(judged)} events of pods, nodes and a custom resource, written at {WRITES_PER_SECOND:.0f}/s\n")
    print(f"{'':<44}{'P50':>12}{'P99':>12}")
    print(row("the writer: sent to arrival, at most", [j.arrival.latest - w.sent_seconds for j, w in known]))
    print(row("the obvious way: now - managedFields.time", naive))
    print(row("watchslo, lower end", [j.latency.earliest for j, _ in known]))
    print(row("watchslo, upper end", [j.latency.latest for j, _ in known]))
    print(f"\nlate {scrape.sum('events_judged_total', verdict='late'):.0f}, ambiguous ", end="")
    print(f"{scrape.sum('events_judged_total', verdict='ambiguous'):.0f}, ", end="")
    print(f"contradictions {scrape.sum('contradictions_total'):.0f}")


if __name__ == "__main__":
    built = subprocess.run([BUILD_SERVERS], check=True, stdout=subprocess.PIPE, text=True)
    asyncio.run(main(Path(built.stdout.splitlines()[-1])))
