"""`python -m tests.live.steady [SECONDS]`: what a healthy, quiet cluster is said to be, once a second for ten minutes.

One real kube-apiserver, the exporter as the command that users start, and for each rate a kind of its own. After the
first minute no sample may be unknown, and none may have a P99 without a limit: exit code 1 if one has.
"""
# ruff: noqa: T201 it prints its result

import asyncio
import contextlib
import subprocess
import sys
import tempfile
import time
from collections import Counter
from math import inf
from pathlib import Path

from tests.conftest import BUILD_SERVERS
from tests.real.api import PATCH_TYPES, ApiClient
from tests.real.cluster import Cluster
from tests.support.observing import Scrape, started

RATES = {"configmaps": 1.0, "serviceaccounts": 2.0, "secrets": 5.0, "endpoints": 10.0}
"""Events per second of each kind. Nobody else writes to these in a cluster without controllers."""

WARM_UP_SECONDS = 60.0
DEFAULT_SECONDS = 600.0


async def write(client: ApiClient, plural: str, rate_per_second: float) -> None:
    """One object of the kind, changed at this rate for ever."""
    collection = f"/api/v1/namespaces/default/{plural}"
    await client.post(collection, {"metadata": {"name": "steady"}})
    number = 0
    begun = time.monotonic()
    while True:
        number += 1
        await asyncio.sleep(begun + number / rate_per_second - time.monotonic())
        body = {"metadata": {"annotations": {"tests.example.com/number": str(number)}}}
        await client.request("PATCH", f"{collection}/steady", body=body, content_type=PATCH_TYPES["merge"])


def sampled(scrape: Scrape, plural: str) -> tuple[str, float]:
    """The state and the upper P99."""
    upper = scrape.values("p99_upper_seconds", resource=plural)
    return scrape.state(plural), upper[0] if upper else 0.0


async def main(seconds: float, binaries: Path) -> int:
    """0 if no sample after the first minute is in doubt."""
    states: dict[str, Counter[str]] = {plural: Counter() for plural in RATES}
    unlimited = dict.fromkeys(RATES, 0)
    longest = dict.fromkeys(RATES, 0.0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with (
            Cluster(binaries, folder) as cluster,
            cluster.client() as client,
            contextlib.AsyncExitStack() as stack,
        ):
            flags = [word for plural in RATES for word in ("--resource", plural)]
            kubeconfig = cluster.kubeconfig(folder / "kubeconfig")
            exporter = stack.enter_context(
                started("--kubeconfig", kubeconfig, "--apiserver", cluster.apiserver.url, *flags)
            )
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            writers = [tasks.create_task(write(client, plural, rate)) for plural, rate in RATES.items()]
            await asyncio.sleep(WARM_UP_SECONDS)
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                scrape = await exporter.scrape()
                for plural in RATES:
                    state, upper = sampled(scrape, plural)
                    states[plural][state] += 1
                    unlimited[plural] += upper == inf
                    longest[plural] = max(longest[plural], upper)
                await asyncio.sleep(1)
            for writer in writers:
                writer.cancel()
    print(f"a healthy kube-apiserver, {seconds:.0f} s after the first minute, a sample a second\n")
    print(f"{'events/s':>8}  {'met':>5}  {'quiet':>5}  {'unknown':>7}  {'violated':>8}  no limit  largest upper P99")
    for plural, rate in RATES.items():
        counts = [states[plural][state] for state in ("met", "quiet", "unknown", "violated")]
        print("{:>8g}  {:>5}  {:>5}  {:>7}  {:>8}".format(rate, *counts), end="")
        print(f"  {unlimited[plural]:>8}  {longest[plural]:>15.3f} s")
    in_doubt = sum(counts["unknown"] + counts["violated"] for counts in states.values()) + sum(unlimited.values())
    return 1 if in_doubt else 0


if __name__ == "__main__":
    built = subprocess.run([BUILD_SERVERS], check=True, stdout=subprocess.PIPE, text=True)
    servers = Path(built.stdout.splitlines()[-1])
    sys.exit(asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_SECONDS, servers)))
