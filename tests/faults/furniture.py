"""What is in the cluster before anything happens: the exporter's rights, what it writes to, and what others ask for."""

import asyncio
from collections.abc import Callable

from tests.real.api import ApiClient, Json

EXPORTER_USER, OTHER_USER = "exporter", "other"
PODS = "/api/v1/namespaces/default/pods"
EVENTS = "/api/v1/namespaces/default/events"
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
NODES = "/api/v1/nodes"
GROUP_NODES = 20
AT_ONCE = 50
RBAC = "rbac.authorization.k8s.io"
ROLES = f"/apis/{RBAC}/v1/clusterroles"
BINDINGS = f"/apis/{RBAC}/v1/clusterrolebindings"
RULES = [
    {"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": [""], "resources": ["pods", "nodes"], "verbs": ["patch"]},
    {"nonResourceURLs": ["/metrics"], "verbs": ["get"]},
]


async def furnish(client: ApiClient, objects: int) -> None:
    """With so many pods and events."""
    await client.post(ROLES, {"metadata": {"name": EXPORTER_USER}, "rules": RULES})
    await allow(client)
    await client.post(NODES, {"metadata": {"name": "canary"}})
    await client.post(PODS, pod("canary"))
    await create_many(client, CONFIGMAPS, GROUP_NODES, lambda number: {"metadata": {"name": f"many-{number}"}})
    await create_many(client, NODES, GROUP_NODES, lambda number: {"metadata": {"name": f"many-{number}"}})
    await create_many(client, PODS, objects, lambda number: pod(f"many-{number}", f"many-{number % GROUP_NODES}"))
    await create_many(client, EVENTS, objects, lambda number: event(f"many-{number}"))


async def create_many(
    client: ApiClient, collection: str, count: int, make: Callable[[int], Json], *, at_once: int = AT_ONCE
) -> None:
    """Some at a time."""

    async def create(number: int) -> None:
        async with free:
            await client.post(collection, make(number))

    free = asyncio.Semaphore(at_once)
    await asyncio.gather(*(create(number) for number in range(count)))


async def allow(client: ApiClient) -> None:
    """The exporter gets its rights, and somebody else the same."""
    role = {"apiGroup": RBAC, "kind": "ClusterRole", "name": EXPORTER_USER}
    subjects = [{"apiGroup": RBAC, "kind": "User", "name": name} for name in (EXPORTER_USER, OTHER_USER)]
    await client.post(BINDINGS, {"metadata": {"name": EXPORTER_USER}, "roleRef": role, "subjects": subjects})


def pod(name: str, node: str = "node-1") -> Json:
    """One that runs nowhere."""
    return {"metadata": {"name": name}, "spec": {"nodeName": node, "containers": [{"name": "main", "image": "none"}]}}


def event(name: str) -> Json:
    """Kubernetes' own kind of that name."""
    about = {"kind": "Pod", "namespace": "default", "name": name}
    return {"metadata": {"name": name}, "involvedObject": about, "reason": "Made", "message": "x" * 300}
