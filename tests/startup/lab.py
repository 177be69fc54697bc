"""Starts of pods on a cluster of real parts: kube-apiserver, scheduler, controller-manager, and kwok for the kubelets.

The truth comes from the apiserver's audit log, which has the answer to each write: its revision was committed between
the arrival of the request and its end. The obvious method reads the conditions' stamps, which are cut to seconds.
"""

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from exporter.measure.times import Interval, latency_between
from tests.live.rollout import deployment, quantile, rolled_out
from tests.real.api import Json
from tests.real.cluster import Cluster
from tests.real.whole import create_nodes, made_whole
from tests.support.observing import observed

POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: RequestResponse
    verbs: [create, patch, update]
    resources: [{group: "", resources: [pods, pods/binding, pods/status]}]
  - level: None
"""
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
ORDER = ("created", "scheduled", "sandbox", "initialized", "started", "ready")
CONDITIONS = {"PodReadyToStartContainers": "sandbox", "Initialized": "initialized", "Ready": "ready"}


@dataclass
class Truth:
    """One pod by the audit log: the first write that shows each stage, and the stamps in the object."""

    written: dict[str, Interval] = field(default_factory=dict)
    stamps: dict[str, float] = field(default_factory=dict)

    def durations(self) -> dict[str, Interval]:
        """Bounds of the true time of each stage, as the exporter has them."""
        shown = [stage for stage in ORDER if stage in self.written]
        durations, before = {}, "created"
        for stage in shown[1:]:
            same = self.written[stage] == self.written[before]
            between = latency_between(self.written[before], self.written[stage])
            durations[stage] = Interval(0.0, 0.0) if same else between
            before = stage
        durations["total"] = latency_between(self.written["created"], self.written["started"])
        return durations


@dataclass(frozen=True)
class Row:
    """One stage: of so many pods, in how many the interval contains the truth; the widths; and the errors of stamps."""

    stage: str
    pods: int
    contained: int
    true_p50_seconds: float
    true_p99_seconds: float
    lower_p99_seconds: float
    upper_p99_seconds: float
    width_p50_seconds: float
    stamps_p99_seconds: float | None
    """The 99th percentile as the obvious method has it; None if no stamp tells this stage."""
    stamps_worst_error_seconds: float | None


@dataclass(frozen=True)
class Lab:
    """What came of it."""

    version: str
    nodes: int
    pods: int
    seconds: float
    results: dict[str, int]
    watches_share: Interval
    rows: list[Row]
    missing: int
    """Pods of which the exporter told no total."""


def truths(lines: Iterator[str], wall_ahead: float) -> dict[str, Truth]:
    """By uid, on our monotonic clock."""
    pods: defaultdict[str, Truth] = defaultdict(Truth)
    uids: dict[str, str] = {}
    bound: dict[str, Interval] = {}
    for line in lines:
        event = json.loads(line)
        if event["responseStatus"]["code"] >= 300:
            continue
        began, ended = (_instant(event[name]) - wall_ahead for name in ("requestReceivedTimestamp", "stageTimestamp"))
        written, about = Interval(began, ended), event["objectRef"]
        if about.get("subresource") == "binding":
            bound[about["name"]] = written
            continue
        pod = event["responseObject"]
        uid = pod["metadata"]["uid"]
        uids[pod["metadata"]["name"]] = uid
        truth = pods[uid]
        if event["verb"] == "create":
            truth.written["created"] = written
            truth.stamps["created"] = _instant(pod["metadata"]["creationTimestamp"])
        for condition in pod["status"].get("conditions") or ():
            if condition["type"] == "PodScheduled" and condition["status"] == "True":
                truth.stamps.setdefault("scheduled", _instant(condition["lastTransitionTime"]))
        for stage, stamp in _shown(pod):
            if stage not in truth.written:
                truth.written[stage] = written
                truth.stamps[stage] = stamp
    for name, written in bound.items():
        pods[uids[name]].written["scheduled"] = written
    return {uid: truth for uid, truth in pods.items() if {"created", "scheduled", "started"} <= truth.written.keys()}


def _shown(pod: Json) -> Iterator[tuple[str, float]]:
    for condition in pod["status"].get("conditions") or ():
        if condition["status"] == "True" and condition["type"] in CONDITIONS:
            yield CONDITIONS[condition["type"]], _instant(condition["lastTransitionTime"])
    statuses = pod["status"].get("containerStatuses") or ()
    started = [status["state"].get("running", {}).get("startedAt") for status in statuses]
    if started and all(started):
        yield "started", max(map(_instant, started))


def _instant(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


async def play(parts: tuple[Path, Path], folder: Path, *, nodes: int, pods: int, say: Callable[[str], None]) -> Lab:
    """Start so many pods at once, on a cluster of its own in `folder`."""
    policy, log = folder / "policy.yaml", folder / "audit.log"
    policy.write_text(POLICY)
    flags = (f"--audit-policy-file={policy}", f"--audit-log-path={log}", "--audit-log-maxsize=100000")
    async with (
        Cluster(parts[0], folder, flags=flags) as cluster,
        cluster.client() as client,
        made_whole(cluster, *parts),
    ):
        await create_nodes(cluster, nodes)
        version = str((await client.get("/version"))["gitVersion"])
        kubeconfig = cluster.kubeconfig(folder / "exporter.kubeconfig")
        on = ("--kubeconfig", kubeconfig, "--apiserver", cluster.apiserver.url, "--resource", "pods", "--pod-startup")
        async with observed(*on) as exporter:
            await asyncio.sleep(3)  # the first poll after the start tells history from news
            began = time.monotonic()
            await client.post(DEPLOYMENTS, deployment(pods))

            await rolled_out(client, pods)
            seconds = time.monotonic() - began
            say(f"{pods} pods on {nodes} nodes are ready after {seconds:.0f} s")
            scrape = await exporter.wait_for(lambda scrape: scrape.sum("pods_starting") == 0, 60)
            await asyncio.sleep(12)
            scrape = await exporter.scrape()
        with log.open() as lines:
            true = truths(lines, time.time() - time.monotonic())
    found: defaultdict[str, dict[str, Interval]] = defaultdict(dict)
    for uid, stage, lasted in exporter.pod_stages:
        found[uid][stage] = lasted
    share = [
        scrape.sum(f"pod_startup_{bound}_seconds_sum", stage="watches")
        / scrape.sum(f"pod_startup_{other}_seconds_sum", stage="total")
        for bound, other in (("lower", "upper"), ("upper", "lower"))
    ]
    results = {
        labels["result"]: int(scrape.sum("pod_startups_total", **labels))
        for labels in scrape.labels("pod_startups_total")
    }
    return Lab(
        version=version,
        nodes=nodes,
        pods=pods,
        seconds=seconds,
        results={result: count for result, count in results.items() if count},
        watches_share=Interval(*share),
        rows=[row for stage in (*ORDER[1:], "total") if (row := _row(stage, true, found)) is not None],
        missing=len(true.keys() - found.keys()),
    )


def _row(stage: str, true: dict[str, Truth], found: dict[str, dict[str, Interval]]) -> Row | None:
    both = [
        (one.durations()[stage], found[uid][stage], one)
        for uid, one in true.items()
        if stage in found.get(uid, {}) and stage in one.durations()
    ]
    if not both:
        return None
    truth = [(duration.earliest + duration.latest) / 2 for duration, _, _ in both]
    stamped = [
        (seconds, true)
        for (_, _, one), true in zip(both, truth, strict=True)
        if (seconds := _by_stamps(stage, one)) is not None
    ]
    return Row(
        stage=stage,
        pods=len(both),
        contained=sum(
            said.earliest <= duration.latest and duration.earliest <= said.latest for duration, said, _ in both
        ),
        true_p50_seconds=quantile(truth, 0.5),
        true_p99_seconds=quantile(truth, 0.99),
        lower_p99_seconds=quantile([said.earliest for _, said, _ in both], 0.99),
        upper_p99_seconds=quantile([said.latest for _, said, _ in both], 0.99),
        width_p50_seconds=quantile([said.width for _, said, _ in both], 0.5),
        stamps_p99_seconds=quantile([seconds for seconds, _ in stamped], 0.99) if stamped else None,
        stamps_worst_error_seconds=max(abs(seconds - true) for seconds, true in stamped) if stamped else None,
    )


def _by_stamps(stage: str, one: Truth) -> float | None:
    """What the stamps of an object say, as exporters read them."""
    stamped = [name for name in ORDER if name in one.stamps]
    if stage == "total":
        return one.stamps["started"] - one.stamps["created"]
    return next((one.stamps[after] - one.stamps[before] for before, after in pairwise(stamped) if after == stage), None)
