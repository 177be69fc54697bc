"""A Deployment's rollout on a cluster of real parts: who binds, reports, evicts and renews is not ours; all is dated.

A watch of our own tells what each event was; what the exporter says of the same revision is counted under that.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path

from tests.accuracy.exporter_process import ExporterProcess, exporting
from tests.accuracy.observation import Observation
from tests.real.api import ApiClient, ApiError, Json, WatchEvent
from tests.real.cluster import Cluster
from tests.real.whole import create_nodes, made_whole
from tests.support.waiting import wait_until

NODES = 200
PODS = 2000
EVICTIONS = 50
PATIENCE_SECONDS = 900.0
SETTLING_SECONDS = 15.0
ASK_AGAIN_SECONDS = 1.0

DEPLOYMENT = "/apis/apps/v1/namespaces/default/deployments/rolled"
PODS_PATH = "/api/v1/namespaces/default/pods"
WATCHED = {
    "pods": "/api/v1/pods",
    "nodes": "/api/v1/nodes",
    "leases": "/apis/coordination.k8s.io/v1/leases",
}
RESOURCES = ("--resource", "pods", "--resource", "nodes", "--resource", "leases.coordination.k8s.io")


@dataclass(frozen=True, slots=True)
class Dated:
    """What the exporter said of all events of one kind."""

    kind: str
    events: int
    on_time: int
    ambiguous: int
    late: int
    unjudged: int
    width_p50_seconds: float
    width_p99_seconds: float
    upper_p99_seconds: float


@dataclass(frozen=True, slots=True)
class Rollout:
    """What came of it."""

    version: str
    nodes: int
    pods: int
    seconds: float
    """From the rollout's restart until its last old pod is gone."""
    contradictions: int
    evidence: dict[str, int]
    dated: list[Dated]

    @property
    def holds(self) -> bool:
        """Whether it is as promised: nothing late or contradictory, and every kind of write is dated."""
        seen = {one.kind for one in self.dated if one.on_time}
        late = sum(one.late + one.unjudged for one in self.dated)
        return late == 0 and self.contradictions == 0 and seen >= {"pod bound", "pod status", "pod evicted", "lease"}


@dataclass
class Kinds:
    """Tells what each event of a watch was, from how its object was before."""

    evicted: set[str] = field(default_factory=set)
    of_revision: dict[int, str] = field(default_factory=dict)
    _before: dict[str, Json] = field(default_factory=dict)

    def take(self, plural: str, event: WatchEvent) -> None:
        """Remember one event."""
        singular = plural.removesuffix("s")
        if event.type in {"ADDED", "DELETED"}:
            kind = f"{singular} {'created' if event.type == 'ADDED' else 'gone'}"
        elif plural == "pods":
            kind = self._of_pod(event)
        else:
            kind = singular if plural == "leases" else f"{singular} status"
        self._before[event.object["metadata"]["uid"]] = event.object
        self.of_revision[event.resource_version] = kind

    def are_all_gone(self) -> bool:
        """Whether no pod is left that was told to go."""
        counts = Counter(self.of_revision.values())
        return counts["pod gone"] == counts["pod deleted"] + counts["pod evicted"]

    def _of_pod(self, event: WatchEvent) -> str:
        before, now = self._before[event.object["metadata"]["uid"]], event.object
        if "nodeName" not in before["spec"] and "nodeName" in now["spec"]:
            return "pod bound"
        if "deletionTimestamp" in now["metadata"] and "deletionTimestamp" not in before["metadata"]:
            return "pod evicted" if event.name in self.evicted else "pod deleted"
        return "pod status" if before["status"] != now["status"] else "pod otherwise"


def deployment(pods: int) -> Json:
    """One that rolls as Deployments do by default."""
    labels = {"app": "rolled"}
    container = {"name": "only", "image": "registry.example.com/rolled:1", "resources": {"requests": {"cpu": "100m"}}}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": pods, "selector": {"matchLabels": labels}, "template": template}
    return {"metadata": {"name": "rolled"}, "spec": spec}


async def rolled_out(client: ApiClient, pods: int) -> None:
    """Wait until every pod is the newest template's and ready, and no other is left."""

    async def is_done() -> bool:
        found = await client.get(DEPLOYMENT)
        status = found["status"]
        counts = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "readyReplicas")]
        done = counts == [pods] * 3 and status.get("observedGeneration") == found["metadata"]["generation"]
        if not done:
            await asyncio.sleep(ASK_AGAIN_SECONDS)
        return done

    await wait_until(is_done, "the rollout is over", timeout_seconds=PATIENCE_SECONDS)


async def evict(client: ApiClient, kinds: Kinds, count: int) -> None:
    """Evict as `kubectl drain` does."""
    listed = await client.get(PODS_PATH, limit=str(count))
    for pod in listed["items"]:
        metadata = {"name": pod["metadata"]["name"], "namespace": "default"}
        kinds.evicted.add(metadata["name"])
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
        await client.post(f"{PODS_PATH}/{metadata['name']}/eviction", body)


async def roll_out(
    binaries: Path,
    control_plane: Path,
    kwok: Path,
    folder: Path,
    *,
    nodes: int = NODES,
    pods: int = PODS,
    say: Callable[[str], None],
) -> Rollout:
    """Play it, on a cluster of its own in `folder`."""
    kinds = Kinds()
    async with (
        Cluster(binaries, folder) as cluster,
        cluster.client() as client,
        made_whole(cluster, control_plane, kwok),
    ):
        version = str((await client.get("/version"))["gitVersion"])
        await create_nodes(cluster, nodes)
        await client.post("/apis/apps/v1/namespaces/default/deployments", deployment(pods))
        began = time.monotonic()
        await rolled_out(client, pods)
        say(f"{pods} pods on {nodes} nodes run after {time.monotonic() - began:.0f} s")
        at = ("--kubeconfig", cluster.kubeconfig(folder / "exporter"), "--apiserver", cluster.apiserver.url)
        async with exporting(*at, "--log.level", "error", *RESOURCES, environ={}) as exporter:
            await asyncio.sleep(3)  # the first poll after the start tells history from news
            watching = [await watch(client, kinds, plural) for plural in WATCHED]
            began = time.monotonic()
            restarted = {"kubectl.kubernetes.io/restartedAt": "now"}
            await client.patch(
                DEPLOYMENT, {"spec": {"template": {"metadata": {"annotations": restarted}}}}, kind="merge"
            )
            await asyncio.sleep(5)
            await rolled_out(client, pods)
            seconds = time.monotonic() - began
            say(f"rolled over after {seconds:.0f} s")
            await evict(client, kinds, EVICTIONS)
            await asyncio.sleep(1)
            await rolled_out(client, pods)
            await wait_until(kinds.are_all_gone, "the old pods are gone", timeout_seconds=PATIENCE_SECONDS)
            for task in watching:
                task.cancel()
            until = time.monotonic()
            await settled(exporter, kinds)
            scrape = await exporter.scrape()
    said = {observation.revision: observation for observation in exporter.observations}
    say(f"{len(kinds.of_revision)} events, settled {time.monotonic() - until:.0f} s later")
    by_kind: dict[str, list[Observation | None]] = defaultdict(list)
    for revision, kind in kinds.of_revision.items():
        by_kind[kind].append(said.get(revision))
    evidence = {
        source: int(scrape.sum("evidence_total", source=source))
        for source in sorted({labels["source"] for labels in scrape.labels("evidence_total")})
    }
    return Rollout(
        version=version,
        nodes=nodes,
        pods=pods,
        seconds=seconds,
        contradictions=int(scrape.sum("contradictions_total")),
        evidence=evidence,
        dated=[dated(kind, found) for kind, found in sorted(by_kind.items())],
    )


async def watch(client: ApiClient, kinds: Kinds, plural: str) -> "asyncio.Task[None]":
    """Follow one resource from now on, with all that there is remembered."""
    listed = await client.get(WATCHED[plural])
    begin = listed["metadata"]["resourceVersion"]
    for item in listed["items"]:
        kinds.take(plural, WatchEvent("ADDED", item, 0.0))
    for item in listed["items"]:
        del kinds.of_revision[int(item["metadata"]["resourceVersion"])]

    async def follow() -> None:
        nonlocal begin
        while True:
            async with client.watch(WATCHED[plural], resourceVersion=begin) as events:
                async for event in events:
                    if event.type == "ERROR":
                        raise ApiError(int(event.object["code"]), event.object["reason"], event.object["message"])
                    kinds.take(plural, event)
                    begin = str(event.resource_version)

    return asyncio.create_task(follow())


async def settled(exporter: ExporterProcess, kinds: Kinds) -> None:
    """Wait until all that was seen is judged, or that takes too long."""
    deadline = time.monotonic() + SETTLING_SECONDS
    while kinds.of_revision.keys() - {said.revision for said in exporter.observations}:
        if time.monotonic() > deadline:
            return
        await asyncio.sleep(0.2)


def dated(kind: str, found: list[Observation | None]) -> Dated:
    """The row of one kind."""
    said = [one for one in found if one is not None]
    verdicts = [one.verdict for one in said]
    widths = [one.latency.latest - one.latency.earliest for one in said]
    return Dated(
        kind=kind,
        events=len(found),
        on_time=verdicts.count("on_time"),
        ambiguous=verdicts.count("ambiguous"),
        late=verdicts.count("late"),
        unjudged=len(found) - len(said),
        width_p50_seconds=quantile(widths, 0.5),
        width_p99_seconds=quantile(widths, 0.99),
        upper_p99_seconds=quantile([one.latency.latest for one in said], 0.99),
    )


def quantile(values: list[float], ratio: float) -> float:
    """0 of none."""
    return sorted(values)[ceil(ratio * len(values)) - 1] if values else 0.0
