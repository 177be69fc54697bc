import asyncio

from exporter.simulator import Simulator
from tests.contract.server import CONFIGMAPS, LIST_METADATA, Server, annotate, configmap


async def test_frozen_store_lets_writes_and_consistent_reads_hang_and_nothing_else(
    simulator: Simulator, client: Server
) -> None:
    revision = simulator.store.revision
    simulator.store.freeze()
    hanging = [
        asyncio.create_task(client.create(CONFIGMAPS, configmap("written"))),
        asyncio.create_task(client.get(CONFIGMAPS, accept=LIST_METADATA, limit="1")),
        asyncio.create_task(client.revision()),
        asyncio.create_task(client.get(f"{CONFIGMAPS}/nothing")),
    ]
    cached = await client.get(CONFIGMAPS, accept=LIST_METADATA, resourceVersion="0")
    assert cached.status == 200
    await asyncio.sleep(0.1)
    assert simulator.store.revision == revision
    assert not any(request.done() for request in hanging)
    simulator.store.thaw()
    async with asyncio.timeout(10):
        await asyncio.gather(*hanging)
    assert simulator.store.revision == revision + 1


async def test_restore_takes_the_revision_back_and_ends_watches(simulator: Simulator, client: Server) -> None:
    await client.create(CONFIGMAPS, configmap("kept"))
    snapshot = simulator.store.snapshot()
    async with client.watch(CONFIGMAPS, resourceVersion=str(snapshot.revision)) as watch:
        await client.create(CONFIGMAPS, configmap("lost"))
        await client.patch(f"{CONFIGMAPS}/kept", annotate(lost="1"))
        await watch.events(2)
        simulator.store.restore(snapshot)
        assert await watch.rest() == []
    assert await client.revision() == snapshot.revision
    listed = await client.get(CONFIGMAPS, resourceVersion="0")
    assert [item["metadata"]["name"] for item in listed.json["items"]] == ["kept"]
    assert "lost" not in listed.json["items"][0]["metadata"]["annotations"]


async def test_snapshot_is_not_touched_by_later_writes(simulator: Simulator, client: Server) -> None:
    snapshot = simulator.store.snapshot()
    await client.create(CONFIGMAPS, configmap("later"))
    assert ("default", "later") not in snapshot.objects.get("configmaps", {})


async def test_resource_with_a_store_of_its_own_has_revisions_of_its_own() -> None:
    async with Simulator(own_stores=("configmaps",)) as simulator, Server(simulator.url, context=True) as client:
        for number in range(3):
            await client.create(CONFIGMAPS, configmap(f"object-{number}"))
        listed = await client.get(CONFIGMAPS, accept=LIST_METADATA, limit="1")
        assert listed.revision == simulator.own_stores["configmaps"].revision
        assert listed.revision > await client.revision() == simulator.store.revision
