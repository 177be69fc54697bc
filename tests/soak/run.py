"""`watchslo run` in a process of its own, with a cluster that churns before it and everybody who comes behind it."""
# ruff: noqa: T201 it reports its progress

import asyncio
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import bcrypt

from tests.real.cluster import Cluster
from tests.soak.churn import PERIOD_SECONDS, Churn
from tests.soak.clients import PASSWORD, USER, Clients, credentials
from tests.soak.samples import QUANTITIES, Sample, Trend, counters, trend
from tests.support.observing import Process, started, until

SAMPLE_SECONDS = 10.0
LEAST_PERIODS = 4
PATIENCE_SECONDS = 60.0
FLAGS = (
    *("--apiserver.discover", "--resource", "pods", "--resource", "nodes", "--resource", "configmaps"),
    *("--custom-resources", "*.example.com", "--custom-resources.max", "5", "--cache-clock.hz", "1"),
)


@dataclass
class Soak:
    """What came of it."""

    minutes: float
    samples: list[Sample] = field(default_factory=list)
    counters: list[dict[str, float]] = field(default_factory=list)
    """With each sample."""
    unanswered: int = 0
    """Times that no sample could be taken, because the scrape for it was not answered."""
    churn: dict[str, int] = field(default_factory=dict)
    answers: dict[tuple[str, str], int] = field(default_factory=dict)
    exit_code: int | None = None
    log_bytes: int = 0
    tracebacks: int = 0

    @property
    def trends(self) -> list[Trend]:
        """Of everything that must be flat."""
        period_seconds = min(PERIOD_SECONDS, 60 * self.minutes / LEAST_PERIODS)
        return [trend(quantity, self.samples, period_seconds) for quantity in QUANTITIES]

    @property
    def faults(self) -> list[str]:
        """What is not as it should be."""
        found = [f"{one.quantity.name} grew by {one.rise:.1f}" for one in self.trends if not one.is_flat]
        if self.exit_code != 0:
            found.append(f"it ended with exit code {self.exit_code}")
        if self.unanswered:
            found.append(f"{self.unanswered} scrapes for samples were not answered")
        if self.tracebacks:
            found.append(f"{self.tracebacks} tracebacks in its log")
        judged = [counted["events_judged_total"] for counted in self.counters]
        if len(set(judged[len(judged) // 2 :])) < 2:
            found.append("no event was judged in the second half")
        return found


async def soak(binaries: Path, folder: Path, minutes: float) -> Soak:
    """Run it all for so long."""
    result = Soak(minutes)
    log = folder / "watchslo.log"
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(10)).decode()
    web = folder / "web.json"
    web.write_text(json.dumps({"basic_auth_users": {USER: hashed}}), encoding="utf-8")
    async with Cluster(binaries, folder, apiservers=2, users=("soak",)) as cluster, Churn(cluster) as churn:
        flags = ("--kubeconfig", churn.kubeconfig, "--web.config.file", web, *FLAGS)
        with started(*flags, log=log) as process:
            await until(process.ready, PATIENCE_SECONDS)
            address = urlsplit(process.url)
            clients = Clients(str(address.hostname), int(address.port or 0))
            visiting = [asyncio.create_task(visit) for visit in clients.all()]
            try:
                await sample(process, result)
            finally:
                for visit in visiting:
                    visit.cancel()
                await asyncio.gather(*visiting, return_exceptions=True)
            result.exit_code = await asyncio.to_thread(process.stop)
        result.churn, result.answers = churn.done, clients.answers
    text = log.read_text(encoding="utf-8", errors="replace")
    result.log_bytes, result.tracebacks = len(text), text.count("Traceback (most recent call last)")
    return result


async def sample(process: Process, result: Soak) -> None:
    """Look at the process every ten seconds, for as long as the run is."""
    began = time.monotonic()
    async with aiohttp.ClientSession(headers={"Authorization": credentials()}) as http:
        # The last one is after the end, so that the last period is complete.
        while time.monotonic() < began + 60 * result.minutes:
            await asyncio.sleep(SAMPLE_SECONDS)
            try:
                async with http.get(f"{process.url}/metrics") as response:
                    response.raise_for_status()
                    scrape = await response.text()
            except (aiohttp.ClientError, TimeoutError) as error:
                result.unanswered += 1
                print(f"no scrape: {error!r}", flush=True)
                continue
            result.samples.append(Sample.take(process.pid, began, scrape))
            result.counters.append(counters(scrape))
            print(line(result.samples[-1]), flush=True)


def line(sample: Sample) -> str:
    """For people at a terminal."""
    values = ", ".join(f"{quantity.name} {quantity.of(sample):.0f}" for quantity in QUANTITIES)
    return f"{sample.at_seconds / 60:6.1f} min: {values}"
