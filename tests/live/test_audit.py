"""The audit log of a real apiserver against what its clients know themselves: relists, starts, and who fights."""

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import Self

import aiohttp
import pytest

from exporter.audit.live_counts import LiveCounts
from exporter.diagnosis.seen import ComparedRequests, share
from exporter.service.audit_file import LOOK_SECONDS, AuditFile
from exporter.service.audit_intake import AuditIntake
from tests.conftest import FreshCluster
from tests.live.auditing import WAIT_SECONDS, audit_webhook, recorded
from tests.real.api import ApiClient, ApiError
from tests.real.cluster import Cluster
from tests.real.proxy import Proxy
from tests.server_metrics.test_real import facts_of
from tests.speed.consumers import has_go, informer_binary
from tests.support.observing import observed
from tests.support.waiting import wait_until

NOWHERE = "https://127.0.0.1:1"
PATH = "/api/v1/namespaces/default"


class Informer:
    """Reflectors of client-go in a process. They say themselves how often they have listed anew."""

    def __init__(self, kubeconfig: Path, agent: str, *resources: str, streaming: bool, timeout: int = 300) -> None:
        self.agent = agent
        self.resources = resources
        self.replaced: Counter[str] = Counter()
        self._words = (
            "-kubeconfig",
            kubeconfig,
            "-agent",
            agent,
            "-resources",
            ",".join(resources),
            "-timeout",
            timeout,
        )
        self._environ = {**os.environ, "KUBE_FEATURE_WatchListClient": str(streaming).lower()}

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            informer_binary("./relisting"),
            *map(str, self._words),
            env=self._environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._reading = asyncio.create_task(self._read())
        await self.reaches(dict.fromkeys(self.resources, 1))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._process.terminate()
        await self._process.wait()
        await self._reading

    async def reaches(self, wanted: dict[str, int]) -> None:
        def enough() -> bool:
            return all(self.replaced[resource] >= times for resource, times in wanted.items())

        await wait_until(enough, f"{self.agent} has listed {wanted}", timeout_seconds=WAIT_SECONDS)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.replaced[line.decode().strip()] += 1


async def write_some(cluster: Cluster, name: str) -> None:
    """So that every watch's revision is history."""
    involved = {"kind": "Pod", "namespace": "default", "name": "x"}
    async with cluster.client() as client:
        for number in range(5):
            metadata = {"name": f"{name}-{number}", "namespace": "default"}
            await client.post(f"{PATH}/configmaps", {"metadata": metadata})
            await client.post(f"{PATH}/events", {"metadata": metadata, "involvedObject": involved})


async def lose_history(cluster: Cluster, proxy: Proxy, name: str) -> None:
    """While those behind the proxy are away, the apiserver and etcd forget what they have missed."""
    upstreams, proxy.upstreams = proxy.upstreams, (NOWHERE,)
    proxy.cut_all()
    await write_some(cluster, name)
    await cluster.apiserver.kill()
    await cluster.etcd.compact()
    await cluster.apiserver.start()
    proxy.upstreams = upstreams


async def be_kubectl(binaries: Path, kubeconfig: Path) -> None:
    """People list, watch for a moment, and wait for what is there already."""

    async def kubectl(*words: str, seconds: float = 30.0) -> None:
        process = await asyncio.create_subprocess_exec(
            binaries / "kubectl",
            "--kubeconfig",
            kubeconfig,
            *words,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), seconds)
        if process.returncode is None:
            process.kill()
            await process.wait()

    for _ in range(3):
        await kubectl("get", "configmaps")
        await kubectl("get", "configmaps", "--watch", seconds=1.0)
        await kubectl("wait", "--for=jsonpath={.metadata.name}=first-0", "configmap/first-0", "--timeout=20s")


async def poll(client: ApiClient) -> None:
    for number in range(10):
        await client.get(f"{PATH}/configmaps", resourceVersion="0")
        await client.get(f"{PATH}/secrets", resourceVersion=str(number + 1))


async def poll_as_admin(cluster: Cluster) -> None:
    async with cluster.client() as client:
        await poll(client)


async def token_of_a_pod(admin: ApiClient, name: str) -> str:
    """A Pod, its ServiceAccount, and a token as the kubelet mounts it: bound to the Pod."""
    await admin.post(f"{PATH}/serviceaccounts", {"metadata": {"name": name}})
    container = {"name": "main", "image": "none"}
    spec = {"serviceAccountName": name, "containers": [container]}
    pod = await admin.post(f"{PATH}/pods", {"metadata": {"name": f"{name}-1"}, "spec": spec})
    bound = {"apiVersion": "v1", "kind": "Pod", "name": f"{name}-1", "uid": pod["metadata"]["uid"]}
    answer = await admin.post(f"{PATH}/serviceaccounts/{name}/token", {"spec": {"boundObjectRef": bound}})
    token: str = answer["status"]["token"]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    subjects = [{"kind": "ServiceAccount", "name": name, "namespace": "default"}]
    binding = {"metadata": {"name": name}, "roleRef": role, "subjects": subjects}
    await admin.post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)
    return token


@pytest.mark.timeout(400)
@pytest.mark.skipif(not has_go(), reason="the informers are not there: install Go")
async def test_every_relist_of_real_informers_is_found_and_none_is_invented(
    fresh_cluster: FreshCluster, server_binaries: Path, tmp_path: Path
) -> None:
    async with recorded(fresh_cluster, tmp_path) as (cluster, log):
        direct = cluster.kubeconfig(tmp_path / "direct")
        with Proxy(cluster.apiserver.url) as proxy:
            behind = cluster.kubeconfig(tmp_path / "behind", server=proxy.url)
            disturbed = [
                Informer(behind, "disturbed-streaming", "configmaps", "pods", streaming=True),
                Informer(behind, "disturbed-listing", "configmaps", "pods", streaming=False),
                Informer(behind, "disturbed-twins", "configmaps", streaming=False),
                Informer(behind, "disturbed-twins", "configmaps", streaming=False),
                Informer(behind, "disturbed-streaming-twins", "configmaps", streaming=True),
                Informer(behind, "disturbed-streaming-twins", "configmaps", streaming=True),
                Informer(behind, "disturbed-events", "events", streaming=False),
                Informer(behind, "disturbed-streaming-events", "events", streaming=True),
            ]
            timed = [
                Informer(direct, "timed-streaming", "configmaps", "pods", streaming=True, timeout=3),
                Informer(direct, "timed-listing", "configmaps", "pods", streaming=False, timeout=3),
            ]
            restarting = [Informer(direct, "restarting", "configmaps", streaming=number % 2 > 0) for number in range(4)]
            await write_some(cluster, "first")
            async with contextlib.AsyncExitStack() as stack:
                await asyncio.gather(*(stack.enter_async_context(one) for one in (*disturbed, *timed)))
                for _ in range(2):
                    watches = Counter({one.agent: log.watches(one.agent) for one in disturbed})
                    proxy.cut_all()
                    await log.resumed_after(disturbed, watches)
                await asyncio.gather(be_kubectl(server_binaries, direct), poll_as_admin(cluster))
                for one in restarting:
                    async with one:
                        await asyncio.sleep(0.5)
                for number in (1, 2):
                    before = [one.replaced.copy() for one in disturbed]
                    await lose_history(cluster, proxy, f"lost-{number}")
                    for one, replaced in zip(disturbed, before, strict=True):
                        await one.reaches({resource: replaced[resource] + 1 for resource in one.resources})
                for _ in range(2):  # so that none is ended in the middle of a relist
                    watches = Counter({one.agent: log.watches(one.agent) for one in timed})
                    await log.resumed_after(timed, watches)
        informers = [*disturbed, *timed, *restarting]
    found = {client["agent"]: client["counts"] for client in log.report()["clients"]}
    table = {}
    for agent in dict.fromkeys(one.agent for one in informers):
        processes = [one for one in informers if one.agent == agent]
        started = sum(len(one.resources) for one in processes)
        told = sum(one.replaced.total() for one in processes) - started
        inferred = sum(found[agent].get("relists", {}).values())
        table[agent] = (told, inferred, started, found[agent]["inferred"].get("informers started", 0))
    heading = f"{'client':<28}{'relists: told':>14}{'inferred':>10}{'starts: told':>14}{'inferred':>10}"
    rows = "\n".join(
        f"{agent:<28}{row[0]:>14}{row[1]:>10.0f}{row[2]:>14}{row[3]:>10.0f}" for agent, row in table.items()
    )
    sys.stdout.write(f"{heading}\n{rows}\n")
    assert all(told == inferred and started == begun for told, inferred, started, begun in table.values()), f"\n{rows}"
    assert sum(row[0] for row in table.values()) >= 2 * sum(len(one.resources) for one in disturbed)
    others = [
        counts for agent, counts in found.items() if agent not in table and not agent.startswith("kube-apiserver")
    ]
    assert any("newest_pages" in counts.get("lists", {}) for counts in others), "kubectl"
    assert not [counts for counts in others if "relists" in counts or "broken streams" in counts.get("inferred", {})]
    for agent in ("disturbed-streaming", "disturbed-listing"):
        assert found[agent]["inferred"]["broken streams"] >= 4
    for one in timed:
        assert found[one.agent]["ends"]["timeout"] >= 2


async def test_a_running_exporter_counts_who_asks_and_names_nobody_unless_it_may(
    fresh_cluster: FreshCluster, tmp_path: Path
) -> None:
    async with recorded(fresh_cluster, tmp_path, "red", "blue") as (cluster, log):
        kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig")
        await cluster.grant("red", ["list"], "", ["configmaps", "secrets"], "default")
        words = ("--kubeconfig", kubeconfig, "--resource=pods", f"--audit.file={log.path}")
        seconds, requests = "audit_request_seconds_total", "audit_requests_total"
        async with (
            observed(*words) as silent,
            observed(*words, "--audit.user-names=plain") as plain,
            observed(*words, "--audit.user-names=hashed") as hashed,
            cluster.client("red") as red,
        ):
            await poll(red)
            asked = {"verb": "list", "resource": "configmaps"}
            scrape = await plain.wait_for(lambda scrape: scrape.values(requests, user="red", **asked) == [10])
            assert 0 < scrape.sum(seconds, user="red", **asked) < 10
            digest = sha256(b"red").hexdigest()[:16]
            await hashed.wait_for(lambda scrape: scrape.values(requests, user=digest, **asked) == [10])
            await silent.wait_for(lambda scrape: scrape.values(requests, user="", **asked) == [10])
            for exporter, may_be_there in ((silent, False), (hashed, False), (plain, True)):
                async with aiohttp.ClientSession() as http, http.get(f"{exporter.url}/metrics") as response:
                    assert ('user="red"' in await response.text()) is may_be_there


async def test_an_apiserver_s_webhook_is_counted_as_its_file_is(fresh_cluster: FreshCluster, tmp_path: Path) -> None:
    webhook = audit_webhook(tmp_path)
    async with recorded(fresh_cluster, tmp_path, "red", flags=webhook.of_apiserver) as (cluster, log):
        kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig")
        await cluster.grant("red", ["list"], "", ["configmaps", "secrets"], "default")
        words = ("--kubeconfig", kubeconfig, "--resource=pods", "--audit.user-names=plain")
        async with (
            observed(*words, *webhook.of_exporter, f"--audit.file={log.path}") as both,
            cluster.client("red") as red,
        ):
            await poll(red)
            asked = {"user": "red", "verb": "list", "resource": "configmaps"}
            await both.wait_for(lambda scrape: scrape.values("audit_requests_total", **asked) == [10])
            async with cluster.client() as admin:
                await write_some(cluster, "more")
                await admin.get(f"{PATH}/configmaps", resourceVersion="0")
            created = {"verb": "create", "resource": "configmaps"}
            scrape = await both.wait_for(lambda scrape: scrape.values("audit_requests_total", **created) == [5])
            assert scrape.values("audit_requests_total", **asked) == [10]
        async with observed(*words, *webhook.of_exporter) as webhook_alone:
            async with cluster.client("red") as red:
                await poll(red)
            await webhook_alone.wait_for(lambda scrape: scrape.values("audit_requests_total", **asked) == [10])


@pytest.mark.parametrize(("unseen", "least", "most"), [(None, 0.95, 1.0), ("secrets", 0.2, 0.4)])
async def test_the_log_s_share_of_all_requests_is_what_the_policy_leaves_of_them(
    fresh_cluster: FreshCluster, tmp_path: Path, unseen: str | None, least: float, most: float
) -> None:
    async with recorded(fresh_cluster, tmp_path, unseen=unseen) as (cluster, log):
        live, compared = LiveCounts(), ComparedRequests()
        following = asyncio.create_task(AuditFile(log.path, AuditIntake(live)).follow())
        async with facts_of(cluster, tmp_path) as since, cluster.client() as admin:
            compared.compare(time.monotonic() - 1, live.requests, ["it"], {})
            for _ in range(100):
                await admin.get(f"{PATH}/configmaps")
                await admin.get(f"{PATH}/secrets")
                await admin.get(f"{PATH}/secrets", resourceVersion="0")
            await write_some(cluster, "some")
            for number in range(20):
                await admin.patch(f"{PATH}/configmaps/some-0", {"data": {"number": str(number)}})
            await asyncio.sleep(2 * LOOK_SECONDS)
            seen = compared.compare(time.monotonic(), live.requests, ["it"], {"it": await since()})
        following.cancel()
    assert least <= (share(seen, {"list"}) or 0.0) <= most, seen
    assert share(seen, {"patch"}) == pytest.approx(1, abs=0.05), seen


async def test_who_fights_polls_and_conflicts_is_named_on_a_real_apiserver(
    fresh_cluster: FreshCluster, tmp_path: Path
) -> None:
    async with recorded(fresh_cluster, tmp_path, "red", "blue") as (cluster, log):
        for user in ("red", "blue"):
            await cluster.grant(user, ["patch", "update"], "", ["configmaps"], "default")
        async with cluster.client() as admin, cluster.client("red") as red, cluster.client("blue") as blue:
            await write_some(cluster, "first")
            stale = await admin.get(f"{PATH}/configmaps/first-0")
            for number in range(12):
                await red.patch(f"{PATH}/configmaps/first-0", {"data": {"of": f"red-{number}"}})
                await blue.patch(f"{PATH}/configmaps/first-0", {"data": {"of": f"blue-{number}"}})
                with contextlib.suppress(ApiError):
                    await blue.put(f"{PATH}/configmaps/first-0", stale)
            token = await token_of_a_pod(admin, "poller")
            async with ApiClient(cluster.apiserver.url, token, cluster.client_context) as poller:

                async def may_list() -> bool:
                    with contextlib.suppress(ApiError):
                        return bool(await poller.get(f"{PATH}/pods"))
                    return False

                await wait_until(may_list, "the Pod's token is good for something")
                await poll(poller)
    report = log.report()
    [fight] = report["in_turns"]
    assert (fight["resource"], fight["name"], fight["turns"]) == ("configmaps", "first-0", 22)
    assert [writer["user"] for writer in fight["writers"]] == ["blue", "red"]
    by_user = {client["user"]: client for client in report["clients"] if "aiohttp" in client["agent"]}
    assert by_user["blue"]["counts"]["codes"] == {"409": 12}
    assert "409" not in by_user["red"]["counts"].get("codes", {})
    client = by_user["system:serviceaccount:default:poller"]
    assert client["pods"] == ["poller-1"]
    polled = {activity["resource"]: activity["polls"] for activity in client["resources"]}
    assert [poll["lists"] for poll in polled["configmaps"]] == [10]
    assert [poll["lists"] for poll in polled["secrets"]] == [10]
