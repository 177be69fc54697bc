"""`make cost`: what the exporter costs a real kube-apiserver, by its own metrics, with and without us in turns.

`python -m tests.live.cost chart` measures only what the chart's defaults cost, in two minutes.
"""
# ruff: noqa: T201 it prints its result

import asyncio
import contextlib
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import BUILD_SERVERS
from tests.live.flood import create_objects, flood
from tests.real.api import ApiClient, Json
from tests.real.cluster import Cluster
from tests.real.custom_resources import CustomResource
from tests.real.workload import Writer
from tests.support.observing import Observed, started, until

ROUNDS = 3
TURN_SECONDS = 10.0
SETTLING_SECONDS = 2.0
WRITES_PER_SECOND = 100.0

FLOOD_ROUNDS = 6
FLOOD_WRITES_PER_SECOND = 300.0
"""What two cores bear beside exporter and writer; at full speed and with nobody watching they do 850."""

CHART_APISERVERS = 3
CHART_FLAGS = ("--canary.interval", "1", "--canary.custom-resource", "watchslo-0")
CANARIES = CustomResource(group="watchslo.dev", plural="canaries")
POD = {"metadata": {"name": "watchslo-0"}, "spec": {"containers": [{"name": "main", "image": "none"}]}}

WRITING_VERBS = ("POST", "PUT", "PATCH", "DELETE")

Rates = dict[str, float]

USER = "watchslo"
FLOW_SCHEMAS = "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas"
RESOURCES = """
pods nodes widgets.example.com configmaps secrets services endpoints serviceaccounts namespaces deployments.apps
replicasets.apps daemonsets.apps statefulsets.apps jobs.batch cronjobs.batch ingresses.networking.k8s.io limitranges
networkpolicies.networking.k8s.io persistentvolumes persistentvolumeclaims poddisruptionbudgets.policy podtemplates
resourcequotas horizontalpodautoscalers.autoscaling roles.rbac.authorization.k8s.io replicationcontrollers
rolebindings.rbac.authorization.k8s.io clusterroles.rbac.authorization.k8s.io storageclasses.storage.k8s.io
priorityclasses.scheduling.k8s.io
"""


@dataclass(frozen=True)
class Variant:
    """One way to run the exporter: how many resources, and whether its address is known to be one apiserver."""

    resources: int
    is_one_apiserver: bool = True

    def __str__(self) -> str:
        return f"{self.resources}" if self.is_one_apiserver else f"{self.resources}, behind a balancer"

    def flags(self, kubeconfig: Path, url: str) -> list[str]:
        """Its flags; all others keep their defaults."""
        named = ["--apiserver", url] if self.is_one_apiserver else []
        resources = [word for name in RESOURCES.split()[: self.resources] for word in ("--resource", name)]
        return ["--kubeconfig", str(kubeconfig), *named, *resources]


VARIANTS = (Variant(3, is_one_apiserver=False), Variant(3), Variant(10), Variant(30))


@dataclass(frozen=True)
class Reading:
    """Counters at one moment, the apiserver's and (0 without an exporter) ours."""

    at: float
    cpu_seconds: float
    requests: float
    request_seconds: float
    seats_of_requests: float
    list_bytes: float
    watch_bytes: float
    writes: float
    our_events: float
    our_requests: float
    our_request_seconds: float

    def per_second_since(self, before: "Reading") -> Rates:
        """How fast each grew."""
        seconds = self.at - before.at
        return {name: (value - getattr(before, name)) / seconds for name, value in vars(self).items() if name != "at"}


def total(text: str, name: str, **labels: str) -> float:
    """The sum of all samples with this name and these labels."""
    # Parsing all that an apiserver says takes a second, in which this process would write nothing.
    lines = "\n".join(line for line in text.splitlines() if line.startswith(name)) + "\n"
    samples = [sample for family in text_string_to_metric_families(lines) for sample in family.samples]
    return sum(sample.value for sample in samples if sample.name == name and labels.items() <= sample.labels.items())


async def reading(client: ApiClient, exporter: Observed | None) -> Reading:
    """What both say now."""
    ours = await exporter.scrape() if exporter is not None else None
    text = await client.text("/metrics")
    us = {"flow_schema": USER}
    return Reading(
        at=time.monotonic(),
        cpu_seconds=total(text, "process_cpu_seconds_total"),
        requests=total(text, "apiserver_flowcontrol_dispatched_requests_total", **us),
        request_seconds=total(text, "apiserver_flowcontrol_request_execution_seconds_sum", **us),
        seats_of_requests=total(text, "apiserver_flowcontrol_work_estimated_seats_sum", **us),
        list_bytes=total(text, "apiserver_response_sizes_sum", verb="LIST"),
        watch_bytes=total(text, "apiserver_watch_events_sizes_sum"),
        writes=sum(total(text, "apiserver_request_total", verb=verb) for verb in WRITING_VERBS),
        our_events=ours.sum("events_total", phase="live") if ours else 0.0,
        our_requests=ours.sum("apiserver_requests_total") if ours else 0.0,
        our_request_seconds=ours.sum("apiserver_request_seconds_total") if ours else 0.0,
    )


async def turn(client: ApiClient, exporter: Observed | None) -> Rates:
    """How fast everything grows for a while."""
    await asyncio.sleep(SETTLING_SECONDS)
    before = await reading(client, exporter)
    await asyncio.sleep(TURN_SECONDS)
    return (await reading(client, exporter)).per_second_since(before)


async def turns(
    client: ApiClient, flags: dict[Variant, list[str]], rounds: int = ROUNDS
) -> dict[Variant | None, list[Rates]]:
    """The rates of every variant, and of none, in turns: what else the machine does meets them all."""
    rates: dict[Variant | None, list[Rates]] = defaultdict(list)
    for _ in range(rounds):
        rates[None].append(await turn(client, None))
        for variant, words in flags.items():
            with started(*words) as exporter:
                await until(exporter.ready)
                rates[variant].append(await turn(client, exporter))
    return rates


def flow_schema() -> Json:
    """One of our own, so that the apiserver counts our requests apart from all others."""
    everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": True, "namespaces": ["*"]}
    subjects = [{"kind": "User", "user": {"name": USER}}]
    paths = [{"verbs": ["*"], "nonResourceURLs": ["*"]}]
    spec = {
        "priorityLevelConfiguration": {"name": "workload-low"},
        "matchingPrecedence": 100,
        "distinguisherMethod": {"type": "ByUser"},
        "rules": [{"subjects": subjects, "resourceRules": [everything], "nonResourceRules": paths}],
    }
    return {"metadata": {"name": USER}, "spec": spec}


def print_table(rates: dict[Variant | None, list[Rates]]) -> None:
    """One row for each variant, in the markdown of docs/cost.md."""
    print("| resources | requests/s (ours) | LIST bytes/s | watch bytes/s | seats (ours) | CPU, of one core |")
    print("|---|---|---|---|---|---|")
    without = typical(rates[None])
    print(f"| no exporter | 0 | 0 | 0 | 0 | {without['cpu_seconds']:.1%} |")
    for variant in VARIANTS:
        ours = typical(rates[variant])
        seats = ours["request_seconds"] * ours["seats_of_requests"] / ours["requests"]
        cells = (
            f"{variant}",
            f"{ours['requests']:.1f} ({ours['our_requests']:.1f})",
            f"{ours['list_bytes'] - without['list_bytes']:.0f}",
            f"{ours['watch_bytes'] - without['watch_bytes']:.0f}",
            f"{seats:.3f} ({ours['our_request_seconds']:.3f})",
            f"{ours['cpu_seconds'] - without['cpu_seconds']:+.1%}",
        )
        print(f"| {' | '.join(cells)} |")


async def as_the_chart_sets_it(binaries: Path, folder: Path) -> None:
    """Prints what three apiservers take from the exporter as the chart sets it, and with its Pod as a canary too."""
    async with Cluster(binaries, folder, apiservers=CHART_APISERVERS, users=(USER,)) as cluster:
        await cluster.create_resource(CANARIES)
        await cluster.grant(USER, ["list", "watch", "patch"], "*", ["*"])
        async with contextlib.AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(cluster.client(server=apiserver.url))
                for apiserver in cluster.apiservers
            ]
            await clients[0].post(FLOW_SCHEMAS, flow_schema())
            await clients[0].post(CANARIES.path("default"), CANARIES.object("watchslo-0"))
            await clients[0].post("/api/v1/namespaces/default/pods", POD)
            kubeconfig = cluster.kubeconfig(folder / "kubeconfig", user=USER)
            addresses = [word for one in cluster.apiservers for word in ("--apiserver", one.url)]
            flags = ("--kubeconfig", str(kubeconfig), *addresses, *CHART_FLAGS)
            print(
                "| on three apiservers | polls/s | writes/s | requests a day | pods' watch events/s, to each informer |"
            )
            print("|---|---|---|---|---|")
            for variant, more in (
                ("as the chart sets it", ()),
                ("and `canary.pod=true`", ("--canary.pod", "watchslo-0")),
            ):
                with started(*flags, *more) as exporter:
                    await until(exporter.ready)
                    await asyncio.sleep(SETTLING_SECONDS)
                    before = [await reading(client, None) for client in clients]
                    ours = await exporter.scrape()
                    await asyncio.sleep(3 * TURN_SECONDS)
                    after = [await reading(client, None) for client in clients]
                    ours_after = await exporter.scrape()
                rates = [now.per_second_since(then) for now, then in zip(after, before, strict=True)]
                requests, seconds = sum(one["requests"] for one in rates), after[0].at - before[0].at
                writes, seen = (
                    (ours_after.sum(name, **labels) - ours.sum(name, **labels)) / seconds
                    for name, labels in (
                        ("apiserver_requests_total", {"purpose": "canary"}),
                        ("events_total", {"phase": "live", "resource": "pods"}),
                    )
                )
                cells = (f"{requests - writes:.1f}", f"{writes:.1f}", f"{requests * 86400 / 1e6:.1f} million")
                print(f"| {variant} | {' | '.join(cells)} | {seen / CHART_APISERVERS:.1f} |")


def print_flood(rates: dict[Variant | None, list[Rates]], variant: Variant) -> None:
    """One row for each side, in the markdown of docs/cost.md, and by how much they differ from round to round."""
    print("| exporter | writes/s | events/s (ours) | requests/s | LIST bytes/s | watch bytes/s | CPU of a write |")
    print("|---|---|---|---|---|---|---|")
    for name, one in (("none", typical(rates[None])), (f"{variant} resources", typical(rates[variant]))):
        numbers = (one[key] for key in ("writes", "our_events", "requests", "list_bytes", "watch_bytes"))
        print(f"| {name} | {' | '.join(f'{number:.0f}' for number in numbers)} | {1e3 * cpu_per_write(one):.2f} ms |")
    more = [cpu_per_write(ours) - cpu_per_write(none) for none, ours in zip(rates[None], rates[variant], strict=True)]
    share = median(more) / median(map(cpu_per_write, rates[None]))
    rounds = ", ".join(f"{1e3 * one:+.2f}" for one in sorted(more))
    print(f"\nwith us {share:+.1%} CPU for the same writes; ms a write, by rounds: {rounds}")


def cpu_per_write(rates: Rates) -> float:
    """CPU seconds: what the machine leaves over differs from turn to turn, and so does what is written."""
    return rates["cpu_seconds"] / rates["writes"]


def typical(rates: list[Rates]) -> Rates:
    """The median of all rounds: a neighbour's burst is none of our doing."""
    return {name: median(one[name] for one in rates) for name in rates[0]}


async def main(binaries: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        await as_the_chart_sets_it(binaries, Path(folder))
    if sys.argv[1:] == ["chart"]:
        return
    with tempfile.TemporaryDirectory() as folder:
        async with Cluster(binaries, Path(folder), users=(USER,)) as cluster, cluster.client() as client:
            await cluster.create_resource()
            await cluster.grant(USER, ["list", "watch"], "*", ["*"])
            await client.post(FLOW_SCHEMAS, flow_schema())
            kubeconfig = cluster.kubeconfig(Path(folder) / "kubeconfig", user=USER)
            flags = {variant: variant.flags(kubeconfig, cluster.apiserver.url) for variant in VARIANTS}
            print("idle\n")
            print_table(await turns(client, flags))
            async with Writer(client, rate_per_second=WRITES_PER_SECOND) as writer:
                rates = await turns(client, flags)
            print(f"\n{WRITES_PER_SECOND:.0f} writes/s, {writer.skipped} left out, {len(writer.failures)} failed\n")
            print_table(rates)
            few = VARIANTS[1]
            await create_objects(client)
            with flood(cluster, FLOOD_WRITES_PER_SECOND):
                rates = await turns(client, {few: flags[few]}, FLOOD_ROUNDS)
            print(f"\na flood of {FLOOD_WRITES_PER_SECOND:.0f} writes/s\n")
            print_flood(rates, few)


if __name__ == "__main__":
    built = subprocess.run([BUILD_SERVERS], check=True, stdout=subprocess.PIPE, text=True)
    asyncio.run(main(Path(built.stdout.splitlines()[-1])))
