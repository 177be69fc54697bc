"""`python -m tests.speed.record`: three watches of the same pods on a real kube-apiserver, as bytes into recorded/.

The pods are written as a cluster's own components write them: created by a controller, bound by a scheduler, given a
status by a kubelet, labelled by an operator with server-side apply, annotated by a mesh, some of them deleted.
"""
# ruff: noqa: T201 it reports what it recorded

import asyncio
import gzip
import random
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from tests.accuracy.__main__ import server_binaries
from tests.real.api import PATCH_TYPES, ApiClient, Json
from tests.real.cluster import Cluster
from tests.speed import protobuf
from tests.speed.recording import FIRST_REVISION, FORMATS, RECORDED, Format, Frame, split
from tests.support.waiting import wait_until

PODS = 100
LABELLED, ANNOTATED, DELETED = 90, 60, 10
WRITES_AT_ONCE = 4
SECONDS_BETWEEN_PHASES = 1.1
"""Longer than a stamp's resolution: the next phase moves the stamps of the pods that it writes to."""

NAMESPACE = "/api/v1/namespaces/default/pods"
LAST_MARK = "the-last-one"


def pod_name(number: int) -> str:
    """The name of a pod. A replay replaces its last seven digits."""
    return f"checkout-7d9f8b6c5d-{number:07d}"


def new_pod(number: int) -> Json:
    """A pod of a Deployment, of medium size."""
    owner = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "name": "checkout-7d9f8b6c5d",
        "uid": "6f1f0f5e-3b0c-4f0e-9d3a-0c1f6a2b7d11",
        "controller": True,
        "blockOwnerDeletion": True,
    }
    labels = {
        "app.kubernetes.io/name": "checkout",
        "app.kubernetes.io/part-of": "shop",
        "app.kubernetes.io/version": "4.17.2",
        "pod-template-hash": "7d9f8b6c5d",
    }
    annotations = {"prometheus.io/scrape": "true", "prometheus.io/port": "9102", "checksum/config": f"{number:064x}"}
    metadata = {"name": pod_name(number), "labels": labels, "annotations": annotations, "ownerReferences": [owner]}
    spec = {
        "containers": [container("checkout", 8080), container("proxy", 15001)],
        "priority": 0,
        "terminationGracePeriodSeconds": 30,
        "volumes": [{"name": "config", "configMap": {"name": "checkout"}}, {"name": "cache", "emptyDir": {}}],
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "topology.kubernetes.io/zone",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {"app.kubernetes.io/name": "checkout"}},
            }
        ],
    }
    return {"metadata": metadata, "spec": spec}


def container(name: str, port: int) -> Json:
    """Its container, with typical settings."""
    probe = {"httpGet": {"path": "/healthz", "port": port}, "periodSeconds": 10, "timeoutSeconds": 2}
    variables = ["LOG_LEVEL", "REGION", "DATABASE_HOST", "QUEUE_HOST"]
    return {
        "name": name,
        "image": f"registry.example.com/shop/{name}:4.17.2",
        "args": ["--listen", f":{port}", "--config", "/etc/checkout/config.yaml"],
        "ports": [{"name": "http", "containerPort": port, "protocol": "TCP"}],
        "env": [{"name": variable, "value": f"{variable.lower()}.example.com"} for variable in variables],
        "resources": {
            "requests": {"cpu": "250m", "memory": "256Mi"},
            "limits": {"memory": "512Mi"},
        },
        "readinessProbe": probe,
        "livenessProbe": probe,
        "volumeMounts": [{"name": "config", "mountPath": "/etc/checkout", "readOnly": True}],
        "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True},
    }


def status(*, ready: bool) -> Json:
    """The status that a kubelet reports while the containers start, and when they run."""
    said = "True" if ready else "False"
    times = "2026-01-01T00:00:00Z"
    conditions = [
        {"type": name, "status": said, "lastProbeTime": None, "lastTransitionTime": times}
        for name in ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    ]
    state = {"running": {"startedAt": times}} if ready else {"waiting": {"reason": "ContainerCreating"}}
    containers = [
        {
            "name": name,
            "image": f"registry.example.com/shop/{name}:4.17.2",
            "imageID": f"registry.example.com/shop/{name}@sha256:{'5' * 64}",
            "containerID": f"containerd://{'a' * 64}" if ready else "",
            "ready": ready,
            "started": ready,
            "restartCount": 0,
            "state": state,
        }
        for name in ("checkout", "proxy")
    ]
    addresses = {"hostIP": "10.0.3.17", "podIP": "10.244.5.9", "podIPs": [{"ip": "10.244.5.9"}]} if ready else {}
    phase = "Running" if ready else "Pending"
    return {"status": {"phase": phase, "conditions": conditions, "containerStatuses": containers, **addresses}}


class Components:
    """The clients of a cluster that write pods, each as its own field manager."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    async def create(self, number: int) -> None:
        await self._client.request(
            "POST", NAMESPACE, body=new_pod(number), query={"fieldManager": "kube-controller-manager"}
        )

    async def bind(self, number: int) -> None:
        node = {"apiVersion": "v1", "kind": "Node", "name": "node-17"}
        body = {"metadata": {"name": pod_name(number)}, "target": node}
        await self._client.post(f"{NAMESPACE}/{pod_name(number)}/binding", body)

    async def label(self, number: int) -> None:
        labels = {"topology.example.com/zone": "a", "topology.example.com/rack": f"r{number % 40:02d}"}
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": labels}}
        await self._client.apply(f"{NAMESPACE}/{pod_name(number)}", body, manager="rollout-operator")

    async def annotate(self, number: int) -> None:
        annotations = {"mesh.example.com/status": "injected", "mesh.example.com/revision": "1-24-3"}
        await self._patch(f"{pod_name(number)}", {"metadata": {"annotations": annotations}}, "mesh-controller")

    async def report_starting(self, number: int) -> None:
        await self._patch(f"{pod_name(number)}/status", status(ready=False), "kubelet")

    async def report_running(self, number: int) -> None:
        await self._patch(f"{pod_name(number)}/status", status(ready=True), "kubelet")

    async def delete(self, number: int) -> None:
        await self._client.delete(f"{NAMESPACE}/{pod_name(number)}", {"gracePeriodSeconds": 0})

    async def mark(self) -> None:
        """A last write to wait for, which is not recorded."""
        await self._client.post(NAMESPACE, {**new_pod(0), "metadata": {"name": LAST_MARK}})

    async def _patch(self, path: str, body: Json, manager: str) -> None:
        content_type = PATCH_TYPES["strategic-merge"]
        query = {"fieldManager": manager}
        await self._client.request("PATCH", f"{NAMESPACE}/{path}", body=body, query=query, content_type=content_type)


async def write_pods(components: Components) -> None:
    """Write phase by phase, the pods of each phase in a different order."""
    numbers = list(range(PODS))
    phases = (
        (components.create, PODS),
        (components.label, LABELLED),
        (components.bind, PODS),
        (components.report_starting, PODS),
        (components.annotate, ANNOTATED),
        (components.report_running, PODS),
        (components.delete, DELETED),
    )
    for write, count in phases:
        random.shuffle(numbers)
        chosen = [number for number in numbers if number < count]
        for start in range(0, len(chosen), WRITES_AT_ONCE):
            await asyncio.gather(*map(write, chosen[start : start + WRITES_AT_ONCE]))
        await asyncio.sleep(SECONDS_BETWEEN_PHASES)


@asynccontextmanager
async def listening(cluster: Cluster, form: Format) -> AsyncIterator[bytearray]:
    """All bytes of one watch of pods, as received."""
    taken = bytearray()
    headers = {"Authorization": f"Bearer {cluster.token()}", "Accept": form.accept, "Accept-Encoding": "identity"}
    connector = aiohttp.TCPConnector(ssl=cluster.client_context)
    async with (
        aiohttp.ClientSession(headers=headers, connector=connector) as session,
        session.get(f"{cluster.apiserver.url}/api/v1/pods", params={"watch": "1"}) as response,
    ):
        assert response.status == 200
        print(f"{form.name}: answered with {response.headers['Content-Type']}")

        async def listen() -> None:
            async for chunk in response.content.iter_any():
                taken.extend(chunk)

        listens = asyncio.create_task(listen())
        try:
            yield taken
        finally:
            listens.cancel()
            await asyncio.wait({listens})


def with_long_revision(form: Format, frame: bytes) -> bytes:
    """The frame with a revision of ten digits: a replay overwrites it without changing a length."""
    if not form.is_protobuf:
        longer = re.compile(rb'("resourceVersion":")(\d+)')
        return longer.sub(lambda found: found[1] + b"%d" % (FIRST_REVISION + int(found[2])), frame, count=1)
    event = frame[4:]
    envelope = protobuf.inside(event, 2, 1)
    magic, unknown = envelope[:4], envelope[4:]
    revision = protobuf.inside(unknown, 2, 1, 6)
    unknown = protobuf.replaced(unknown, (2, 1, 6), b"%d" % (FIRST_REVISION + int(revision)))
    event = protobuf.replaced(event, (2, 1), magic + unknown)
    return len(event).to_bytes(4, "big") + event


def save(form: Format, taken: bytes) -> None:
    """Everything before the last write, compressed."""
    frames = [frame for frame in split(form, taken) if LAST_MARK.encode() not in frame]
    frames = [with_long_revision(form, frame) for frame in frames]
    content = gzip.compress(b"".join(frames), compresslevel=9, mtime=0)
    form.file.write_bytes(content)
    sizes = [len(frame) for frame in frames]
    print(f"{form.name}: {len(frames)} events of {sum(sizes) / len(sizes):.0f} bytes, compressed {len(content)} bytes")
    if form.name == "metadata":
        entries = sum(frame.count(b'"fieldsType"') for frame in frames) / len(frames)
        objects = {Frame.parse(form, frame).pod for frame in frames}
        print(f"{form.name}: {entries:.2f} managedFields entries per event, {len(objects)} objects")


async def main() -> None:
    """Record all formats at the same time, so that they contain the same events."""
    with tempfile.TemporaryDirectory() as folder:
        async with Cluster(server_binaries(), Path(folder)) as cluster, cluster.client() as client:
            components = Components(client)
            metadata, pods, protobuf_metadata = FORMATS
            async with (
                listening(cluster, metadata) as one,
                listening(cluster, pods) as two,
                listening(cluster, protobuf_metadata) as three,
            ):
                await write_pods(components)
                await components.mark()
                mark = LAST_MARK.encode()
                await wait_until(lambda: mark in one and mark in two and mark in three, "the last write is seen")
                await asyncio.sleep(SECONDS_BETWEEN_PHASES)
    RECORDED.mkdir(exist_ok=True)
    for form, taken in zip(FORMATS, (one, two, three), strict=True):
        save(form, bytes(taken))


if __name__ == "__main__":
    asyncio.run(main())
