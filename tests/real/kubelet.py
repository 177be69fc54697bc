"""Starts of pods on the real apiserver, with a scheduler and a kubelet that are played here: they know their writes."""

import asyncio
import time
from dataclasses import dataclass, field

from exporter.measure.times import Interval, latency_between
from tests.real.api import ApiClient, Json

PODS = "/api/v1/namespaces/default/pods"
EVENTS = "/api/v1/namespaces/default/events"
NODE = "played-node"


@dataclass
class Played:
    """One pod, and when each of its stages was written: sent and answered."""

    name: str
    uid: str = ""
    written: dict[str, Interval] = field(default_factory=dict)

    def between(self, before: str, after: str) -> Interval:
        """Bounds of the true time from the one to the other."""
        return latency_between(self.written[before], self.written[after])


class Kubelet:
    """Writes what a scheduler and a kubelet write for a pod, and how long each write took."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    async def start(self, name: str, *, spec: Json, init: Json, pulled_seconds: float | None) -> Played:
        """From the creation until it is ready."""
        pod = Played(name)
        began = time.monotonic()
        containers = {"containers": [{"name": "c", "image": "example.com/c:1"}], **spec}
        created = await self._client.post(PODS, {"metadata": {"name": name}, "spec": containers})
        pod.uid = created["metadata"]["uid"]
        pod.written["created"] = Interval(began, time.monotonic())
        await asyncio.sleep(0.2)
        binding = {"metadata": {"name": name}, "target": {"kind": "Node", "name": NODE}}
        began = time.monotonic()
        await self._client.post(f"{PODS}/{name}/binding", binding)
        pod.written["scheduled"] = Interval(began, time.monotonic())
        await asyncio.sleep(0.5)
        conditions = {"PodReadyToStartContainers": "True"}
        await self._report(pod, "sandbox", conditions)
        conditions["Initialized"] = "True"
        await self._report(pod, "initialized", conditions, **init)
        if pulled_seconds is not None:
            await self._pulled(pod, pulled_seconds)
        await asyncio.sleep(0.7)
        running = {"name": "c", "ready": True, "restartCount": 0, "image": "c", "imageID": "c"}
        running["state"] = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
        await self._report(pod, "started", conditions, phase="Running", containerStatuses=[running], **init)
        conditions["Ready"] = "True"
        await self._report(pod, "ready", conditions, phase="Running", containerStatuses=[running], **init)
        return pod

    async def _report(self, pod: Played, stage: str, conditions: dict[str, str], **status: object) -> None:
        now = "2026-01-01T00:00:00Z"
        said = [{"type": kind, "status": value, "lastTransitionTime": now} for kind, value in conditions.items()]
        began = time.monotonic()
        patch = {"status": {"conditions": said, **status}}
        await self._client.patch(f"{PODS}/{pod.name}/status", patch, kind="strategic-merge")
        pod.written[stage] = Interval(began, time.monotonic())

    async def _pulled(self, pod: Played, seconds: float) -> None:
        message = f'Successfully pulled image "example.com/c:1" in {seconds}s ({seconds}s including waiting).'
        involved = {"kind": "Pod", "namespace": "default", "name": pod.name, "uid": pod.uid}
        event = {"metadata": {"generateName": f"{pod.name}."}, "involvedObject": involved, "type": "Normal"}
        await self._client.post(EVENTS, {**event, "reason": "Pulled", "message": message})
