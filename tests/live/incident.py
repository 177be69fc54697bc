"""The incident of operators' reports, remade: a controller lists the pods of each node of a group, over and over.

    python -m tests.live.incident --by file      # or webhook: where the audit log is; dump: there is none

There are 5000 pods and 100 nodes on a real apiserver with one core (objects: no kubelet runs). Nobody tells the
exporter anything but where the audit log is, if there is one. It prints who says it after how many seconds
from when the controller began.
"""

import argparse
import asyncio
import contextlib
import functools
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import aiohttp

from exporter.server_metrics.flow_reader import DUMP_REQUESTS
from tests.conftest import BUILD_SERVERS, FreshCluster
from tests.faults.furniture import BINDINGS, EXPORTER_USER, NODES, PODS, RBAC, ROLES, RULES, allow, create_many, pod
from tests.faults.laboratory import CROWD, running
from tests.live.auditing import audit_webhook, recorded
from tests.real.api import ApiClient
from tests.real.cluster import Cluster
from tests.real.workload import Writer
from tests.support.go import go_binary
from tests.support.observing import Process, started, until

NAMESPACE, NAME = "x", "nodegroup-controller"
CONTROLLER = f"system:serviceaccount:{NAMESPACE}:{NAME}"
ALL_PODS, GROUP_NODES = 5_000, 100
CONNECTIONS = 100
WRITES_PER_SECOND = 12.0
AS_BEFORE_1_31 = ("--emulated-version=1.33", "--feature-gates=ConsistentListFromCache=false")
"""Then such a LIST reads all pods from etcd; from the watch cache it reads those of its node, by an index."""
CALM_SECONDS = 5.0
NAMED_WITHIN_SECONDS = 60.0
REMEDY = "an informer"
DUMP_RULE = {"nonResourceURLs": [DUMP_REQUESTS], "verbs": ["get"]}

By = Literal["file", "webhook", "dump"]
"""How the exporter knows of requests: by an audit log, or by the apiserver's dump of those that it executes."""

SAID: dict[By, str] = {
    "file": f"{CONTROLLER}: ",
    "webhook": f"{CONTROLLER}: ",
    "dump": f"{CONTROLLER} (flow schema service-accounts) with ",
}


@dataclass
class Told:
    """After how many seconds each of them said who it is, and what it said; and when watches were certainly late."""

    seconds: dict[str, float] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    late_seconds: float | None = None


async def furnish(admin: ApiClient) -> str:
    """Pods and nodes, the exporter's rights, and the controller's token."""
    role = {"metadata": {"name": EXPORTER_USER}, "rules": [*RULES, DUMP_RULE]}
    await admin.post(ROLES, role)
    await allow(admin)
    # Few at once: these requests are in the audit log too, and are not to be what stands out in it.
    create = functools.partial(create_many, admin, at_once=4)
    await create(NODES, GROUP_NODES, lambda number: {"metadata": {"name": f"node-{number}"}})
    await create(PODS, ALL_PODS, lambda number: pod(f"pod-{number}", f"node-{number % GROUP_NODES}"))
    return await controllers_token(admin)


async def controllers_token(admin: ApiClient) -> str:
    """Of a ServiceAccount that may read all."""
    accounts = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts"
    await admin.post("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    await admin.post(accounts, {"metadata": {"name": NAME}})
    role = {"apiGroup": RBAC, "kind": "ClusterRole", "name": EXPORTER_USER}
    subjects = [{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}]
    await admin.post(BINDINGS, {"metadata": {"name": NAME}, "roleRef": role, "subjects": subjects})
    answer = await admin.post(f"{accounts}/{NAME}/token", {"spec": {}})
    token: str = answer["status"]["token"]
    return token


@contextlib.contextmanager
def bad_controller(cluster: Cluster, token: str) -> Iterator[None]:
    """It asks for the pods of one node after the other."""
    authority = cluster.folder / "crowd.crt"
    authority.write_bytes(cluster.authority.bundle)
    paths = ",".join(f"/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-{number}" for number in range(GROUP_NODES))
    who = [f"-url={cluster.apiserver.url}", f"-token={token}", f"-ca={authority}"]
    with running([str(go_binary(CROWD)), *who, "-do=list", f"-clients={CONNECTIONS}", f"-paths={paths}"]):
        yield


@contextlib.asynccontextmanager
async def incident(fresh_cluster: FreshCluster, folder: Path, *, by: By = "file") -> AsyncIterator[Process]:
    """The exporter, from when the controller begins."""
    webhook = audit_webhook(folder) if by == "webhook" else None
    flags = (*AS_BEFORE_1_31, *(webhook.of_apiserver if webhook else ()))
    async with (
        recorded(fresh_cluster, folder, EXPORTER_USER, flags=flags, cores=1) as (cluster, log),
        cluster.client() as admin,
    ):
        token = await furnish(admin)
        kubeconfig = cluster.kubeconfig(folder / "exporter.kubeconfig", user=EXPORTER_USER)
        source = webhook.of_exporter if webhook else (f"--audit.file={log.path}",) if by == "file" else ()
        words = (
            f"--apiserver={cluster.apiserver.url}",
            "--resource=pods",
            "--resource=nodes",
            "--apiserver.metrics=on",
            "--audit.user-names=plain",
            *source,
        )
        async with Writer(admin, rate_per_second=WRITES_PER_SECOND, resources=("pods", "nodes")):
            with started("--kubeconfig", kubeconfig, *words) as exporter:
                await until(exporter.ready)
                await asyncio.sleep(CALM_SECONDS)
                with bad_controller(cluster, token):
                    yield exporter


async def told(exporter: Process, by: By = "file", *, until_late: bool = False) -> Told:
    """Ask page, command, document and metrics until each has said who it is, or time is over.

    With `until_late` also until watches were certainly late.
    """
    asks: dict[str, Callable[[], Awaitable[str]]] = {
        "/api/v1/diagnosis": lambda: read(f"{exporter.url}/api/v1/diagnosis"),
        "the page": lambda: read(f"{exporter.url}/"),
        "/metrics": exporter.exposition,
        "watchslo why --url": lambda: why(exporter),
    }
    if by == "dump":
        del asks["/metrics"]  # no user is in it without an audit log
    found, began = Told(), time.monotonic()
    while time.monotonic() < began + NAMED_WITHIN_SECONDS:
        for name in asks.keys() - found.seconds.keys():
            found.said[name] = await asks[name]()
            if is_named(name, by, found.said[name]):
                found.seconds[name] = time.monotonic() - began
        if found.late_seconds is None and (await exporter.scrape()).sum("events_judged_total", verdict="late"):
            found.late_seconds = time.monotonic() - began
        if len(found.seconds) == len(asks) and not (until_late and found.late_seconds is None):
            break
        await asyncio.sleep(0.5)
    return found


def is_named(place: str, by: By, said: str) -> bool:
    """Whether it says who, what and, where people read it, what to do."""
    if place == "/metrics":
        return f'{{user="{CONTROLLER}",verb="list",resource="pods"}}' in said
    did = "seats in use" if by == "dump" else "to list pods by spec.nodeName"
    return SAID[by] in said and did in said and REMEDY in said


async def why(exporter: Process) -> str:
    """What the command says of it."""
    words = [sys.executable, "-m", "exporter", "why", "--url", exporter.url]
    process = await asyncio.create_subprocess_exec(*words, stdout=subprocess.PIPE)
    output, _ = await process.communicate()
    return output.decode()


async def read(url: str) -> str:
    """The body."""
    async with aiohttp.ClientSession() as http, http.get(url) as response:
        return await response.text()


async def _main(binaries: Path, by: By) -> None:
    async with contextlib.AsyncExitStack() as stack:
        ours, clusters = (Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(2))

        async def fresh(**options: Any) -> Cluster:
            return await stack.enter_async_context(Cluster(binaries, clusters, **options))

        async with incident(fresh, ours, by=by) as exporter:
            found = await told(exporter, by, until_late=True)
    late = "never" if found.late_seconds is None else f"after {found.late_seconds:.0f} s"
    named = [f"{name}: after {seconds:.0f} s" for name, seconds in sorted(found.seconds.items())]
    sys.stdout.write("\n".join([f"watches certainly late: {late}", *named, found.said["watchslo why --url"]]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--by", choices=get_args(By), default="file")
    built = subprocess.run([BUILD_SERVERS], check=True, capture_output=True, text=True)
    asyncio.run(_main(Path(built.stdout.splitlines()[-1]), parser.parse_args().by))
