"""Three exporters share two real apiservers: each pair of apiserver and kind is watched by exactly one of them."""

import asyncio
import contextlib
from collections import Counter
from functools import partial
from pathlib import Path

from tests.conftest import FreshCluster
from tests.real.workload import Writer
from tests.support.observing import Process, Scrape, started, until

KINDS = ("pods", "nodes", "configmaps", "leases")
SHARDS = 3


async def start(stack: contextlib.ExitStack, *flags: str | Path) -> Process:
    """A process that is ready; started outside of the event loop, which the writer shares."""
    process = await asyncio.to_thread(stack.enter_context, started(*flags))
    await until(process.ready)
    return process


def watched(scrape: Scrape) -> set[tuple[str, str]]:
    return {(labels["apiserver"], labels["resource"]) for labels in scrape.labels("stream_up")}


def has_judged(events: float, scrape: Scrape) -> bool:
    return scrape.sum("events_judged_total", verdict="on_time") > events


async def test_each_pair_is_watched_by_one_shard_and_comes_back_with_it(
    fresh_cluster: FreshCluster, tmp_path: Path
) -> None:
    cluster = await fresh_cluster(apiservers=2)
    flags: list[str | Path] = ["--kubeconfig", cluster.kubeconfig(tmp_path / "kubeconfig")]
    for kind in (*KINDS[:-1], "leases.coordination.k8s.io"):
        flags += ["--resource", kind]
    for apiserver in cluster.apiservers:
        flags += ["--apiserver", apiserver.url]
    with contextlib.ExitStack() as stack:
        shards = [await start(stack, *flags, "--shard", f"{index}/{SHARDS}") for index in range(SHARDS)]
        async with cluster.client() as client, Writer(client, rate_per_second=30, resources=("pods", "nodes")):
            scrapes = [await shard.scrape() for shard in shards]
            pairs = [watched(scrape) for scrape in scrapes]
            said = [(scrape.sum("shard_index"), scrape.sum("shards")) for scrape in scrapes]
            assert said == [(index, SHARDS) for index in range(SHARDS)], "which tells whether one is missing"
            hosts = {apiserver.url.removeprefix("https://") for apiserver in cluster.apiservers}
            assert Counter(pair for part in pairs for pair in part) == {(h, kind): 1 for h in hosts for kind in KINDS}

            busy = next(index for index, part in enumerate(pairs) if {kind for _, kind in part} & {"pods", "nodes"})
            await shards[busy].wait_for(partial(has_judged, 50))
            assert shards[busy].stop() == 0
            again = await start(stack, *flags, "--shard", f"{busy}/{SHARDS}")
            scrape = await again.wait_for(partial(has_judged, 50))
            assert watched(scrape) == pairs[busy], "what fell to it falls to it again"
            assert scrape.sum("events_judged_total", verdict="late") == 0
            assert scrape.sum("uncovered_seconds_total") > 0
