"""`python -m tests.live.narrowing`: what stamps are worth where polls are few, on a real kube-apiserver, in one run."""
# ruff: noqa: T201 it prints its result

import asyncio
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from exporter.measure.judging import Judgement
from tests.conftest import BUILD_SERVERS
from tests.live.compare import quantile
from tests.live.holders import Holder
from tests.real.cluster import Cluster
from tests.real.workload import Writer
from tests.support.observing import Observed, observed

SECONDS = 40.0
WRITES_PER_SECOND = 20.0
POLLS_HZ = 0.2
LEASES = "leases.coordination.k8s.io"


@dataclass(frozen=True)
class Narrowing:
    """What was judged of the same time, by what the judgements rest on."""

    polls_alone: list[Judgement]
    and_stamps: list[Judgement]
    and_renew_times: list[Judgement]


def on_time_ratio(judgements: list[Judgement]) -> float:
    return sum(judgement.verdict == "on_time" for judgement in judgements) / len(judgements)


async def narrowing(cluster: Cluster, folder: Path, seconds: float) -> Narrowing:
    """Two exporters beside each other: one may not ask how many apiservers there are, so no stamp says it anything."""
    flags = ("--apiserver", cluster.apiserver.url, "--revision-clock.hz", str(POLLS_HZ), "--resource", "pods")
    granted = await cluster.grant("limited", ["list", "watch"], "", ["pods", "events"])
    ignorant = ("--kubeconfig", cluster.kubeconfig(folder / "limited", user="limited"))
    knowing = ("--kubeconfig", cluster.kubeconfig(folder / "admin"), "--resource", LEASES)
    async with (
        observed(*ignorant, *flags) as without_stamps,
        observed(*knowing, *flags) as with_stamps,
        cluster.client() as client,
        Writer(client, rate_per_second=WRITES_PER_SECOND, resources=("pods",)),
        Holder("narrow").renewing(client),
    ):
        await with_stamps.wait_for(lambda scrape: scrape.sum("evidence_total", source="managed_fields") > 0)
        await without_stamps.wait_for(lambda scrape: scrape.sum("events_judged_total") > 0)
        began = time.monotonic()
        await asyncio.sleep(seconds)
        ended = time.monotonic()
        for exporter in (without_stamps, with_stamps):
            await exporter.wait_for(lambda _scrape: exporter.of("pods")[-1].arrival.latest > ended)  # noqa: B023 now
    await cluster.revoke(granted)

    def of(exporter: Observed, plural: str) -> list[Judgement]:
        return [judgement for judgement in exporter.of(plural) if began <= judgement.arrival.latest <= ended]

    return Narrowing(of(without_stamps, "pods"), of(with_stamps, "pods"), of(with_stamps, "leases"))


def row(name: str, judgements: list[Judgement]) -> str:
    ends = [judgement.latency.latest for judgement in judgements]
    quantiles = "".join(f"{quantile(ends, ratio):>8.2f} s" for ratio in (0.5, 0.99))
    return f"{name:<52}{quantiles}{on_time_ratio(judgements):>10.0%}"


async def main(binaries: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with Cluster(binaries, folder) as cluster:
            await cluster.list_apiservers(cluster.apiserver.url)
            measured = await narrowing(cluster, folder, SECONDS)
    print("Upper ends of the time span, on a healthy kube-apiserver\n")
    print(f"{f'a poll of the revision every {1 / POLLS_HZ:.0f} s':<52}{'P50':>10}{'P99':>10}{'on time':>10}")
    print(row("pods: polls alone", measured.polls_alone))
    print(row("pods: and the stamps of apiservers, whole seconds", measured.and_stamps))
    print(row("leases: and their renewTime, microseconds", measured.and_renew_times))
    everything = [*measured.polls_alone, *measured.and_stamps, *measured.and_renew_times]
    contradictions = sum(len(judgement.dated.contradictions) for judgement in everything)
    print(f"\n{len(everything)} judgements, contradictions {contradictions}")


if __name__ == "__main__":
    built = subprocess.run([BUILD_SERVERS], check=True, stdout=subprocess.PIPE, text=True)
    asyncio.run(main(Path(built.stdout.splitlines()[-1])))
