"""`python -m tests.deploy.footprint`: what the exporter costs, for the chart's requests and limits.

With the arguments and the token of the plain manifests, and a custom resource more, it watches a real kube-apiserver on
which all of that is written; with several apiservers each event arrives from each of them.
"""
# ruff: noqa: T201 it prints its result

import asyncio
import subprocess
import tempfile
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import BUILD_SERVERS
from tests.deploy.site import Installed, first_pod_of, install_plain, prepared
from tests.real.workload import Writer
from tests.support.observing import started, until

APISERVERS = (1, 3)
WRITES_PER_SECOND = (1, 60)
SECONDS = 30.0


async def totals(url: str) -> dict[str, float]:
    """The sum of each metric's series."""
    async with aiohttp.ClientSession() as http, http.get(f"{url}/metrics") as response:
        families = text_string_to_metric_families(await response.text())
    sums: dict[str, float] = {}
    for sample in (sample for family in families for sample in family.samples):
        sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    return sums


async def measure(installed: Installed, writes_per_second: float) -> None:
    """Runs the exporter while so much is written, and prints a line."""
    watched = f"{installed.environment['WATCHSLO_RESOURCE']},widgets.example.com"
    with started(*installed.flags, environ={**installed.environment, "WATCHSLO_RESOURCE": watched}) as exporter:
        await until(exporter.ready)
        async with (
            installed.site.cluster.client() as client,
            Writer(client, rate_per_second=writes_per_second),
        ):
            await asyncio.sleep(5)
            before = await totals(exporter.url)
            await asyncio.sleep(SECONDS)
            after = await totals(exporter.url)
    events, cpu_seconds = (
        after[name] - before[name] for name in ("watchslo_events_total", "process_cpu_seconds_total")
    )
    memory_mebibytes = after["process_resident_memory_bytes"] / 2**20
    apiservers = len(installed.site.cluster.apiservers)
    print(
        f"{apiservers:>10}{events / SECONDS:>10.0f}{cpu_seconds / SECONDS:>12.3f}{memory_mebibytes:>10.0f} MiB",
        flush=True,
    )


async def main(binaries: Path) -> None:
    print(f"{'apiservers':>10}{'events/s':>10}{'CPU cores':>12}{'memory':>14}")
    for apiservers in APISERVERS:
        with tempfile.TemporaryDirectory() as folder:
            async with prepared(binaries, Path(folder), apiservers=apiservers) as site:
                await site.cluster.create_resource()
                installed = await first_pod_of(await install_plain(site), site, Path(folder))
                for writes_per_second in WRITES_PER_SECOND:
                    await measure(installed, writes_per_second)


if __name__ == "__main__":
    built = subprocess.run([BUILD_SERVERS], check=True, capture_output=True, text=True).stdout
    asyncio.run(main(Path(built.splitlines()[-1])))
