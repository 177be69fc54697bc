import pytest

from exporter.simulator import Resource
from tests.contract.server import (
    CONFIGMAPS,
    CRDS,
    EVENTS,
    LIST_METADATA,
    Server,
    configmap,
    unique,
)

# The cheap forms that a revision clock may use.
NOTHING = {
    "events by name": (EVENTS, {"fieldSelector": "metadata.name=nothing"}),
    "pods of a namespace that does not exist": ("/api/v1/namespaces/none/pods", {}),
    "nodes by name": ("/api/v1/nodes", {"fieldSelector": "metadata.name=nothing"}),
    "definitions by name": (CRDS, {"fieldSelector": "metadata.name=nothing"}),
}


@pytest.mark.parametrize("form", NOTHING)
async def test_consistent_list_of_nothing_tells_the_revision_of_the_newest_write(server: Server, form: str) -> None:
    path, query = NOTHING[form]
    written = await server.create(CONFIGMAPS, configmap(unique("newest")))
    listed = await server.get(path, accept=LIST_METADATA, limit="1", **query)
    assert listed.status == 200
    assert listed.json["kind"] == "PartialObjectMetadataList"
    assert listed.json["apiVersion"] == "meta.k8s.io/v1"
    assert listed.json["items"] is None
    assert listed.revision >= written.revision
    assert listed.revision <= (await server.create(CONFIGMAPS, configmap(unique("later")))).revision


async def test_empty_list_of_whole_objects_has_an_empty_array(server: Server) -> None:
    listed = await server.get("/api/v1/namespaces/none/pods", limit="1")
    assert (listed.json["kind"], listed.json["apiVersion"], listed.json["items"]) == ("PodList", "v1", [])


@pytest.mark.parametrize("form", NOTHING)
async def test_list_at_revision_0_of_nothing_tells_a_revision(server: Server, form: str) -> None:
    path, query = NOTHING[form]
    listed = await server.get(path, accept=LIST_METADATA, limit="1", resourceVersion="0", **query)
    assert listed.status == 200
    assert not listed.json["items"]
    assert 0 < listed.revision <= await server.revision()


async def test_list_at_revision_0_is_no_older_than_what_a_watch_has_delivered(server: Server) -> None:
    revision = await server.revision()
    async with server.watch(CONFIGMAPS, resourceVersion=str(revision)) as watch:
        await server.create(CONFIGMAPS, configmap(unique("cache")))
        event = await watch.event()
        listed = await server.get(
            CONFIGMAPS, accept=LIST_METADATA, resourceVersion="0", fieldSelector="metadata.name=x"
        )
    assert event is not None
    assert listed.revision >= int(event["object"]["metadata"]["resourceVersion"])


async def test_limit_gives_pages(server: Server, custom: Resource) -> None:
    path = f"/apis/{custom.api_version}/namespaces/default/gadgets"
    for name in ("a", "b"):
        kind = {"apiVersion": custom.api_version, "kind": custom.kind}
        await server.create(path, {**kind, "metadata": {"name": name}})
    first = await server.get(path, limit="1")
    token = first.json["metadata"]["continue"]
    second = await server.get(path, limit="1", **{"continue": token})
    assert [item["metadata"]["name"] for item in first.json["items"]] == ["a"]
    assert [item["metadata"]["name"] for item in second.json["items"]] == ["b"]
    assert not second.json["metadata"].get("continue")
    # A LIST that may be stale comes out of the watch cache, and that knows no pages.
    stale = await server.get(path, limit="1", resourceVersion="0")
    assert len(stale.json["items"]) == 2
    assert not stale.json["metadata"].get("continue")


async def test_items_of_a_built_in_kind_do_not_repeat_it(server: Server) -> None:
    name = unique("item")
    await server.create(CONFIGMAPS, configmap(name))
    listed = await server.get(CONFIGMAPS, fieldSelector=f"metadata.name={name}", limit="1")
    (item,) = listed.json["items"]
    assert (listed.json["kind"], set(item)) == ("ConfigMapList", {"metadata", "data"})


async def test_items_of_a_metadata_list_are_metadata(server: Server) -> None:
    name = unique("item")
    await server.create(CONFIGMAPS, configmap(name))
    listed = await server.get(CONFIGMAPS, accept=LIST_METADATA, fieldSelector=f"metadata.name={name}", limit="1")
    (item,) = listed.json["items"]
    assert set(item) == {"kind", "apiVersion", "metadata"}
    assert item["kind"] == "PartialObjectMetadata"
    assert item["metadata"]["managedFields"]


async def test_list_at_a_revision_that_does_not_exist_yet_times_out(server: Server) -> None:
    future = await server.revision() + 1_000_000
    listed = await server.get(CONFIGMAPS, resourceVersion=str(future), limit="1")
    assert (listed.status, listed.json["reason"]) == (504, "Timeout")
    assert listed.json["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"
    assert listed.headers["Retry-After"] == "1"
