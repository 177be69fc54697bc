"""The apiserver's own watch latency beside ours, stage by stage: `python -m tests.accuracy.dispatch`.

From 1.37 on kube-apiserver has apiserver_watch_events_dispatch_duration_seconds: another witness of the same events, in
another program. `make versions` builds that version and calls this; the page of `make accuracy` shows what came out.
"""
# ruff: noqa: T201 it reports its progress

import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path
from typing import Literal, Self

from prometheus_client.parser import text_string_to_metric_families

from tests.accuracy.exporter_process import ExporterProcess, exporting
from tests.accuracy.troubles import WATCH_REQUEST
from tests.accuracy.worlds import CREATION_HELD_BACK_SECONDS, RealWorld
from tests.real.api import ApiClient
from tests.real.cluster import Cluster
from tests.real.custom_resources import CustomResource
from tests.real.proxy import Proxy
from tests.real.webhooks import Webhooks
from tests.support.observing import Scrape

METRIC = "apiserver_watch_events_dispatch_duration_seconds"
CONVERSION_SECONDS = 2.0
NETWORK_SECONDS = 1.5
EVENTS = 15
GROUP = "witness.test"
CONVERTED = f"gadgets.v2.{GROUP}"
LARGEST_BOUND = "60.0"
SLACK_SECONDS = 0.25
"""Ours begins with the commit, theirs when the store's event has come to the apiserver: so much may lie between."""

Name = Literal["healthy", "conversion", "network", "watch"]
SCENARIOS: dict[Name, str] = {
    "healthy": "nothing is wrong",
    "conversion": f"a conversion webhook that takes {CONVERSION_SECONDS:g} s",
    "network": f"all that the apiserver sends to us is {NETWORK_SECONDS:g} s on its way",
    "watch": f"only what comes over watches is {NETWORK_SECONDS:g} s on its way",
}
# What of theirs lies in which stage of ours, and the sum of both.
STAGES = {"storage_to_cache": "storage_to_cache", "cache_to_client": "cache_to_watcher", "both": "total"}


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: the apiserver's mean, and between which bounds ours certainly lies."""

    name: str
    theirs_seconds: float
    lower_seconds: float
    upper_seconds: float


@dataclass(frozen=True, slots=True)
class Compared:
    """One scenario. The means are of the same events, as both servers' pages tell them."""

    name: Name
    events: int
    stages: list[Stage]

    @property
    def holds(self) -> bool:
        """Whether nothing that the apiserver measured is more than we say that it was at most.

        And what is certainly in the watch cache's part, which has no network in it, is in theirs as well.
        """
        at_most = all(stage.theirs_seconds <= stage.upper_seconds for stage in self.stages)
        in_the_cache = self.stages[0]
        return at_most and in_the_cache.lower_seconds <= in_the_cache.theirs_seconds + SLACK_SECONDS


@dataclass(frozen=True, slots=True)
class Dispatch:
    """What the section shows."""

    version: str
    compared: list[Compared]
    date: str = ""

    def text(self) -> str:
        """As JSON."""
        rounded = json.loads(json.dumps(asdict(self)), parse_float=lambda text: round(float(text), 4))
        return json.dumps(rounded, indent=1) + "\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """What `text` gave."""
        fields = json.loads(text)
        compared = [
            Compared(one["name"], one["events"], [Stage(**stage) for stage in one["stages"]])
            for one in fields["compared"]
        ]
        return cls(fields["version"], compared, fields["date"])

    def section(self) -> str:
        """The table, in the page's markdown."""
        title = f"On {self.version}, {self.date}:"
        head = "scenario", "events", "stage", "the apiserver's mean", "ours, between"
        lines = [title, "", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
        for one in self.compared:
            for stage in one.stages:
                first = stage is one.stages[0]
                between = f"{stage.lower_seconds:.3f} and {stage.upper_seconds:.3f} s"
                theirs = f"`{STAGES[stage.name]}` {stage.theirs_seconds:.3f} s"
                who = f"**{one.name}**: {SCENARIOS[one.name]}" if first else ""
                lines.append(f"| {who} | {one.events if first else ''} | `{stage.name}` | {theirs} | {between} |")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Means:
    """Sums and counts at one moment; a mean is of what came between two of them."""

    sums: dict[str, float]
    counts: dict[str, float]

    def since(self, before: Self) -> dict[str, float]:
        """The mean of each, infinite where nothing came."""
        counts = {key: count - before.counts.get(key, 0.0) for key, count in self.counts.items()}
        return {
            key: (self.sums[key] - before.sums.get(key, 0.0)) / count if count else inf for key, count in counts.items()
        }


def theirs(text: str, resource: CustomResource) -> Means:
    """The apiserver's metric for one resource, by stage."""
    lines = "\n".join(line for line in text.splitlines() if line.startswith(METRIC)) + "\n"
    found: dict[str, dict[str, float]] = {"_sum": {}, "_count": {}}
    for family in text_string_to_metric_families(lines):
        for sample in family.samples:
            ending = sample.name.removeprefix(METRIC)
            if ending in found and sample.labels["group"] == resource.group:
                found[ending][sample.labels["stage"]] = sample.value
    return Means(found["_sum"], found["_count"])


def ours(scrape: Scrape) -> Means:
    """Our bounds, by stage and end."""
    sums, counts = {}, {}
    for end in ("lower", "upper"):
        for stage in STAGES:
            name, labels = f"stage_{end}_seconds", {"stage": stage}
            if stage == "both":
                name, labels = f"apiserver_time_span_{end}_seconds", {}
            sums[f"{stage} {end}"] = scrape.sum(f"{name}_sum", **labels)
            # An event without such a limit is in no sum.
            counts[f"{stage} {end}"] = scrape.sum(f"{name}_bucket", le=LARGEST_BOUND, **labels)
    return Means(sums, counts)


@dataclass(frozen=True, slots=True)
class Scene:
    """Both witnesses of one resource, and what may be made to go wrong between them."""

    client: ApiClient
    resource: CustomResource
    webhooks: Webhooks
    proxy: Proxy
    exporter: ExporterProcess

    async def means(self) -> tuple[Means, Means]:
        """What the apiserver says now, and what we do."""
        return theirs(await self.client.text("/metrics"), self.resource), ours(await self.exporter.scrape())


async def compare(binaries: Path) -> Dispatch:
    """Play all, on a cluster of its own."""
    compared = []
    with tempfile.TemporaryDirectory() as name, Webhooks(Path(name)) as webhooks:
        async with Cluster(binaries, Path(name)) as cluster, cluster.client() as client:
            version = str((await client.get("/version"))["gitVersion"])
            gadgets = await webhooks.create_converted_resource(cluster, group=GROUP)
            await asyncio.sleep(CREATION_HELD_BACK_SECONDS)
            world = RealWorld(cluster)
            for scenario in SCENARIOS:
                with Proxy(world.url, tls=world.tls) as proxy:
                    kubeconfig = world.kubeconfig(Path(name) / "kubeconfig", proxy.url)
                    at = ("--kubeconfig", kubeconfig, "--apiserver", proxy.url, "--log.level", "error")
                    async with exporting(*at, "--resource", CONVERTED, environ={}) as exporter:
                        await asyncio.sleep(3)  # the first poll after the start tells history from news
                        compared.append(await play(Scene(client, gadgets, webhooks, proxy, exporter), scenario))
                print(compared[-1], flush=True)
    return Dispatch(version, compared)


async def play(scene: Scene, scenario: Name) -> Compared:
    """The trouble, some events one after the other, and what both witnesses say of these."""
    their_before, our_before = await scene.means()
    with trouble(scenario, scene.proxy, scene.webhooks):
        for number in range(EVENTS):
            next_write = time.monotonic() + CONVERSION_SECONDS * 1.1
            await scene.client.post(scene.resource.path(), scene.resource.object(f"{scenario}-{number}"))
            # One after the other: written faster than the webhook answers, the lag would grow.
            await asyncio.sleep(max(0.0, next_write - time.monotonic()))
        await asyncio.sleep(CONVERSION_SECONDS + 1)
    their_now, our_now = await scene.means()
    their_means, our_means = their_now.since(their_before), our_now.since(our_before)
    stages = [
        Stage(stage, their_means[their_name], our_means[f"{stage} lower"], our_means[f"{stage} upper"])
        for stage, their_name in STAGES.items()
    ]
    return Compared(scenario, len(scene.exporter.observations), stages)


@contextlib.contextmanager
def trouble(scenario: Name, proxy: Proxy, webhooks: Webhooks) -> Iterator[None]:
    """What goes wrong."""
    webhooks.conversion_delay_seconds = CONVERSION_SECONDS if scenario == "conversion" else 0.0
    proxy.only_if_request_contains = WATCH_REQUEST if scenario == "watch" else None
    proxy.delay_to_client_seconds = NETWORK_SECONDS if scenario in {"network", "watch"} else 0.0
    yield
    webhooks.conversion_delay_seconds = proxy.delay_to_client_seconds = 0.0


if __name__ == "__main__":
    found = asyncio.run(compare(Path(sys.argv[1])))
    print(found.section())
    sys.exit(not all(one.holds for one in found.compared))
