"""Stages of pods' starts on the real apiserver, beside the writes of a scheduler and a kubelet that are played."""

import asyncio
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

from exporter.measure.times import Interval
from tests.real.cluster import Cluster
from tests.real.kubelet import PODS, Kubelet
from tests.support.observing import observed


async def test_each_stage_contains_the_truth_and_the_sli_leaves_out_what_it_should(
    cluster: Cluster, tmp_path: Path
) -> None:
    kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig")
    ended = {"startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:01Z", "exitCode": 0}
    container = {"name": "i", "ready": True, "restartCount": 0, "image": "i", "imageID": "i"}
    init = {"initContainerStatuses": [{**container, "state": {"terminated": ended}}]}
    async with (
        observed("--kubeconfig", kubeconfig, "--resource", "pods", "--pod-startup") as exporter,
        cluster.client() as client,
    ):
        await asyncio.sleep(1)  # the first poll after the start tells history from news
        kubelet = Kubelet(client)
        starts = [kubelet.start(f"pulled-{number}", spec={}, init={}, pulled_seconds=0.6) for number in range(10)]
        starts.append(kubelet.start("unknown", spec={}, init={}, pulled_seconds=None))
        inits = {"initContainers": [{"name": "i", "image": "i"}]}
        starts.append(kubelet.start("with-init", spec=inits, init=init, pulled_seconds=None))
        claim = {"volumes": [{"name": "v", "hostPath": {"path": "/var"}}]}
        starts.append(kubelet.start("stateful", spec=claim, init={}, pulled_seconds=0.1))
        pods = {pod.uid: pod for pod in await asyncio.gather(*starts)}
        scrape = await exporter.wait_for(lambda scrape: scrape.sum("pod_startups_total") == len(pods))
        await asyncio.sleep(0.5)
        for name in [pod.name for pod in pods.values()]:
            await client.delete(f"{PODS}/{name}", gracePeriodSeconds="0")

    assert scrape.values("pod_startups_total", result="sli") == [10]
    assert scrape.values("pod_startups_total", result="sli_pull_unknown") == [2]
    assert scrape.values("pod_startups_total", result="stateful") == [1]
    found: defaultdict[str, dict[str, Interval]] = defaultdict(dict)
    for uid, stage, seconds in exporter.pod_stages:
        assert stage not in found[uid], "a stage is told once"
        found[uid][stage] = seconds
    for uid, pod in pods.items():
        stages = found[uid]
        order = ["created", "scheduled", "sandbox", "initialized", "started", "ready"]
        truths = {after: pod.between(before, after) for before, after in pairwise(order)}
        truths["total"] = pod.between("created", "started")
        for name, truth in truths.items():
            assert _overlap(stages[name], truth), (pod.name, name, stages[name], truth)
            assert stages[name].width < 1.5, (pod.name, name, stages[name])
        assert ("sli" in stages) is (pod.name != "stateful")
        if pod.name.startswith("pulled"):
            without_pulls = Interval(truths["total"].earliest - 0.6, truths["total"].latest - 0.6)
            assert _overlap(stages["sli"], without_pulls), pod.name
            assert stages["sli"].latest < stages["total"].latest - 0.5
        if pod.name == "unknown":
            assert stages["sli"].latest == stages["total"].latest
            assert stages["sli"].earliest < truths["scheduled"].latest
    shares = scrape.sum("pod_startup_upper_seconds_sum", stage="watches")
    assert 0 < shares < scrape.sum("pod_startup_upper_seconds_sum", stage="total")
    assert scrape.values("pod_startup_p99_upper_seconds", stage="total")


def _overlap(one: Interval, other: Interval) -> bool:
    return one.earliest <= other.latest and other.earliest <= one.latest
