import asyncio
import time

from exporter.simulator import WIDGETS, Simulator, Workload
from exporter.simulator.resources import NODES, PODS
from exporter.simulator.workload import MOST_WRITES_IN_FLIGHT
from tests.contract.server import Server
from tests.support.waiting import wait_until

WIDGETS_PATH = "/apis/example.com/v1/widgets"


async def until_revision(simulator: Simulator, revision: int) -> None:
    await wait_until(lambda: simulator.store.revision >= revision, f"revision {revision} is reached")


async def test_every_kind_of_write_happens_to_every_resource(simulator: Simulator, client: Server) -> None:
    first_revision = simulator.store.revision
    async with Workload(simulator, rate_per_second=1000):
        async with client.watch(WIDGETS_PATH, resourceVersion="0") as watch:
            events = await watch.events(400)
        await until_revision(simulator, first_revision + 1200)
    assert {event["type"] for event in events} == {"ADDED", "MODIFIED", "DELETED"}
    managers = [
        {(entry["manager"], entry.get("subresource")) for entry in event["object"]["metadata"]["managedFields"]}
        for event in events
    ]
    assert any({("kubelet", "status"), ("controller", None)} <= of_event for of_event in managers)
    for resource in (PODS, NODES, WIDGETS):
        commits = [
            commit
            for revision in range(first_revision, simulator.store.revision)
            if (commit := simulator.truth.committed(resource.name, revision))
        ]
        assert {commit.stamped_seconds is None for commit in commits} == {True, False}
        assert simulator.store.objects(resource)


async def test_writes_come_no_faster_than_asked_for(simulator: Simulator) -> None:
    first_revision = simulator.store.revision
    began_seconds = time.monotonic()
    async with Workload(simulator, rate_per_second=200, resources=[PODS]):
        await until_revision(simulator, first_revision + 60)
    # A write is at most two events: the forced delete of a pod.
    assert time.monotonic() - began_seconds > 60 / 200 / 2


async def test_writes_that_hang_do_not_pile_up(simulator: Simulator) -> None:
    simulator.store.freeze()
    revision = simulator.store.revision
    async with Workload(simulator, rate_per_second=5000, resources=[PODS]):
        await asyncio.sleep(0.3)
        tasks = [task for task in asyncio.all_tasks() if "Workload._write" in repr(task.get_coro())]
        assert simulator.store.revision == revision
        assert 0 < len(tasks) <= MOST_WRITES_IN_FLIGHT + 1
    assert not [task for task in asyncio.all_tasks() if "Workload._write" in repr(task.get_coro())]
