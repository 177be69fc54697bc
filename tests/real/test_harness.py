"""The harness does what the tests that use it take for granted."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from itertools import chain, count, product
from pathlib import Path

import aiohttp
import pytest

from tests.conftest import FreshCluster
from tests.real.api import ApiClient, ApiError, Json
from tests.real.cluster import Cluster
from tests.real.custom_resources import CustomResource
from tests.real.etcd import Etcd
from tests.real.process import ServerFailedError
from tests.real.proxy import Proxy
from tests.real.webhooks import Webhooks
from tests.real.workload import Write, Writer
from tests.support.waiting import wait_until

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
EVENTS = "/api/v1/namespaces/default/events"
CHECKOUT = Path(__file__).parents[2]

STARTS_ETCD_AND_IS_KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from tests.real.etcd import Etcd

async def main():
    etcd = Etcd(Path(sys.argv[1]), Path(sys.argv[2]))
    await etcd.create()
    print(etcd.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


# Resources and operations whose answer carries a revision, and those whose answer does not.
COMMON = product(("pods", "nodes", "widgets"), ("create", "annotate", "status", "unannotate"))
VERSIONED = {*COMMON, ("pods", "delete"), ("widgets", "scale")}
UNVERSIONED = {("pods", "bind"), ("nodes", "delete"), ("widgets", "delete")}


def kinds(*writes: list[Write]) -> set[tuple[str, str]]:
    return {(write.resource, write.operation) for write in chain(*writes)}


def named(name: str) -> Json:
    return {"metadata": {"name": name}}


async def latest(client: ApiClient, path: str = CONFIG_MAPS) -> str:
    answer = await client.get(path, limit="1")
    return str(answer["metadata"]["resourceVersion"])


async def first_event(client: ApiClient, path: str, resource_version: str) -> tuple[str, int]:
    """Type of the first event, and the code in it if it is an ERROR."""
    async with client.watch(path, resourceVersion=resource_version) as events:
        event = await anext(events)
        return event.type, event.object.get("code", 0)


async def answers(running: Cluster, url: str) -> bool:
    """Whether a new connection to `url` is answered. A POST: aiohttp may try what is idempotent twice."""
    review = {"spec": {"nonResourceAttributes": {"path": "/", "verb": "get"}}}
    async with running.client(server=url) as client:
        try:
            await client.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
        except aiohttp.ClientError:
            return False
        return True


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_the_version_is_the_one_that_was_built(cluster: Cluster) -> None:
    async with cluster.client() as client:
        assert (await client.get("/version"))["gitVersion"] == "v1.36.3"


def test_the_kubeconfig_is_what_kubectl_understands(cluster: Cluster, server_binaries: Path, tmp_path: Path) -> None:
    kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig", user="watcher", tls_server_name="kubernetes")
    kubectl = [str(server_binaries / "kubectl"), "--kubeconfig", str(kubeconfig)]
    command = [*kubectl, "auth", "whoami", "--output=jsonpath={.status.userInfo.username}"]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "watcher"


async def test_a_user_may_do_only_what_was_granted(cluster: Cluster) -> None:
    async with cluster.client("limited") as limited:
        with pytest.raises(ApiError, match="Forbidden"):
            await limited.get(CONFIG_MAPS)
        # Often, because a grant that is not waited for is late by a few milliseconds only.
        for _ in range(10):
            granted = await cluster.grant("limited", ["list"], "", ["configmaps"], namespace="default")
            assert (await limited.get(CONFIG_MAPS))["kind"] == "ConfigMapList"
            with pytest.raises(ApiError, match="Forbidden"):
                await limited.get("/api/v1/configmaps")
            await cluster.revoke(granted)
            with pytest.raises(ApiError, match="Forbidden"):
                await limited.get(CONFIG_MAPS)


async def test_a_grant_without_a_namespace_holds_everywhere(cluster: Cluster) -> None:
    granted = await cluster.grant("limited", ["get", "list"], "", ["pods", "pods/status"])
    async with cluster.client("limited") as limited:
        assert (await limited.get("/api/v1/pods"))["kind"] == "PodList"
    await cluster.revoke(granted)


async def test_every_write_of_the_workload_arrives_after_it_was_sent(cluster: Cluster) -> None:
    """Every revision that the writer was told arrives on a watch, not before its write was sent; every kind occurs."""
    widgets = await cluster.create_resource()
    paths = ["/api/v1/pods", "/api/v1/nodes", widgets.path(None)]
    arrivals: dict[int, float] = {}
    types: dict[int, str] = {}

    async def collect(path: str) -> None:
        async with cluster.client() as client, client.watch(path, resourceVersion=begin) as events:
            async for event in events:
                arrivals[event.resource_version] = event.received_seconds
                types[event.resource_version] = event.type

    async with cluster.client() as client:
        begin = await latest(client)
        watching = [asyncio.create_task(collect(path)) for path in paths]
        async with Writer(client, rate_per_second=60) as writer:
            done = (writer.writes, writer.unversioned)
            await wait_until(lambda: kinds(*done) >= VERSIONED | UNVERSIONED, "every kind was written")
        expected = {write.resource_version for write in writer.writes}
        await wait_until(lambda: expected <= arrivals.keys(), "every write has arrived")
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)

    assert writer.failures == []
    assert len(expected) == len(writer.writes), "every answered write has a revision of its own"
    assert all(write.sent_seconds <= arrivals[write.resource_version] for write in writer.writes)
    assert kinds(writer.writes) == VERSIONED
    assert kinds(writer.unversioned) == UNVERSIONED
    begun_seconds = 0.0
    for write in sorted(writer.writes, key=lambda write: write.resource_version):
        begun_seconds = max(begun_seconds, write.sent_seconds)
        assert begun_seconds <= write.answered_seconds, "what was answered before this was sent has a lower revision"
    deletions = {write.resource_version for write in writer.writes if write.operation == "delete"}
    assert {types[revision] for revision in deletions} == {"DELETED"}
    await cluster.delete_resource(widgets)


async def test_a_workload_records_what_was_refused(cluster: Cluster) -> None:
    async with cluster.client("limited") as limited, Writer(limited, resources=("nodes",)) as writer:
        await wait_until(lambda: len(writer.failures) > 0, "a write was refused")
    assert writer.writes == []
    assert "Forbidden" in writer.failures[0].reason


async def test_a_frozen_apiserver_answers_when_it_is_thawed(fresh_cluster: FreshCluster) -> None:
    running = await fresh_cluster()
    async with running.client() as client:
        running.apiserver.freeze()
        waiting = asyncio.create_task(client.get("/version"))
        done, _ = await asyncio.wait([waiting], timeout=0.5)
        assert not done
        running.apiserver.thaw()
        assert (await waiting)["major"] == "1"


async def test_killed_servers_come_back_with_their_data_and_too_old_watches_are_gone(
    fresh_cluster: FreshCluster, tmp_path: Path
) -> None:
    running = await fresh_cluster()
    async with running.client() as client:
        begin = await latest(client)
        await client.post(CONFIG_MAPS, named("kept"))
        url, pid = running.apiserver.url, running.apiserver.pid
        await running.apiserver.kill()
        assert not alive(pid)
        with pytest.raises(ServerFailedError, match="apiserver-1 does not run"):
            running.apiserver.freeze()
        with pytest.raises(aiohttp.ClientConnectorError):
            await client.get(CONFIG_MAPS)

        at_snapshot = await running.etcd.revision()
        snapshot = await running.etcd.snapshot(tmp_path / "snapshot")
        await running.apiserver.start()
        assert running.apiserver.url == url
        assert (await client.get(f"{CONFIG_MAPS}/kept"))["metadata"]["name"] == "kept"

        await running.etcd.compact()
        assert await first_event(client, EVENTS, begin) == ("ERROR", 410)
        assert await first_event(client, CONFIG_MAPS, begin) == ("ERROR", 410)

        assert await running.etcd.revision() > at_snapshot
        await running.apiserver.kill()
        await running.etcd.restore(snapshot)
        assert await running.etcd.revision() == at_snapshot


async def test_two_apiservers_share_one_store(fresh_cluster: FreshCluster) -> None:
    running = await fresh_cluster(apiservers=2)
    first, second = running.apiservers
    assert (first.address, second.address) == ("127.0.0.1", "127.0.0.2")
    async with running.client(server=first.url) as client:
        await client.post(CONFIG_MAPS, named("shared"))
    async with running.client(server=second.url) as client:
        assert (await client.get(f"{CONFIG_MAPS}/shared"))["metadata"]["name"] == "shared"
    with Proxy(first.url, second.url) as balancer:
        assert [await answers(running, balancer.url) for _ in range(4)] == [True] * 4
        await second.kill()
        assert sorted([await answers(running, balancer.url) for _ in range(4)]) == [False, False, True, True]


async def test_a_server_that_cannot_start_shows_its_log(fresh_cluster: FreshCluster) -> None:
    with pytest.raises(ServerFailedError, match="unknown flag: --no-such-flag"):
        await fresh_cluster(flags=["--no-such-flag"])


async def test_a_port_lost_to_another_program_is_a_reason_to_try_others(server_binaries: Path, tmp_path: Path) -> None:
    class UnluckyEtcd(Etcd):
        tries = 0

        def choose_ports(self) -> None:
            super().choose_ports()
            self.tries += 1
            if self.tries == 1:
                self.client_port = taken.getsockname()[1]

    with socket.create_server(("127.0.0.1", 0)) as taken:
        etcd = UnluckyEtcd(server_binaries, tmp_path)
        await etcd.create()
        assert await etcd.revision() >= 1
        await etcd.kill()
    assert etcd.tries == 2


async def test_servers_start_in_the_main_thread_only(server_binaries: Path, tmp_path: Path) -> None:
    etcd = Etcd(server_binaries, tmp_path)
    with pytest.raises(AssertionError, match="main thread"):
        await asyncio.to_thread(lambda: asyncio.run(etcd.create()))
    assert not etcd.running


async def test_nothing_is_left_after_the_end(server_binaries: Path, tmp_path: Path) -> None:
    async with Cluster(server_binaries, tmp_path) as running:
        pids = [running.etcd.pid, running.apiserver.pid]
        running.etcd.freeze()
        assert all(alive(pid) for pid in pids)
    assert not any(alive(pid) for pid in pids)
    assert not (tmp_path / "etcd-data").exists()


async def test_events_in_an_etcd_of_their_own_have_revisions_of_their_own(fresh_cluster: FreshCluster) -> None:
    split = await fresh_cluster(events_store=True)
    assert split.events_etcd is not None
    async with split.client() as client:
        before = await split.etcd.revision()
        for number in range(10):
            event = {"metadata": {"name": f"event-{number}"}, "involvedObject": {"namespace": "default"}}
            created = await client.post(EVENTS, event)
        assert int(created["metadata"]["resourceVersion"]) == await split.events_etcd.revision()
        assert int(await latest(client, EVENTS)) == await split.events_etcd.revision()
        await client.post(CONFIG_MAPS, named("elsewhere"))
        assert int(await latest(client)) > before
        assert await split.events_etcd.revision() < before


async def test_servers_die_with_the_program_that_started_them(server_binaries: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", STARTS_ETCD_AND_IS_KILLED, str(server_binaries), str(tmp_path)]
    program = await asyncio.create_subprocess_exec(*command, cwd=CHECKOUT, stdout=asyncio.subprocess.PIPE)
    output, _ = await program.communicate()
    assert program.returncode == -signal.SIGKILL
    await wait_until(lambda: not alive(int(output)), "etcd has gone")


async def test_an_event_of_a_converted_resource_is_as_late_as_its_conversion(cluster: Cluster, tmp_path: Path) -> None:
    delay_seconds = 0.8
    with Webhooks(tmp_path) as webhooks:
        gadgets = await webhooks.create_converted_resource(cluster)
        async with cluster.client() as client:
            first = await client.post(gadgets.path(), gadgets.object("first"))
            begin = first["metadata"]["resourceVersion"]
            async with client.watch(gadgets.path(version="v2"), resourceVersion=begin) as events:
                webhooks.conversion_delay_seconds = delay_seconds
                sent_seconds = time.monotonic()
                await client.post(gadgets.path(), gadgets.object("slow"))
                event = await anext(events)
                assert event.object["apiVersion"] == "example.com/v2"
                assert event.received_seconds - sent_seconds >= delay_seconds
                assert webhooks.conversions > 0
                webhooks.conversion_delay_seconds = 0.0
        await cluster.delete_resource(gadgets)


async def test_a_write_is_as_late_as_its_admission(cluster: Cluster, tmp_path: Path) -> None:
    delay_seconds = 0.5
    with Webhooks(tmp_path) as webhooks:
        gizmos = await cluster.create_resource(CustomResource(plural="gizmos"))
        async with cluster.client() as client:
            await webhooks.admit(client, "slow", "example.com", "v1", "gizmos")
            # The apiserver learns of its webhooks by a watch of its own.
            numbers = count()
            while not webhooks.admissions:
                await client.post(gizmos.path(), gizmos.object(f"gizmo-{next(numbers)}"))
            webhooks.admission_delay_seconds = delay_seconds
            sent_seconds = time.monotonic()
            await client.post(gizmos.path(), gizmos.object("late"))
            assert time.monotonic() - sent_seconds >= delay_seconds
            await webhooks.stop_admitting(client, "slow")
        await cluster.delete_resource(gizmos)
