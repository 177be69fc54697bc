import time

from exporter.simulator import Resource
from tests.contract.server import (
    CONFIGMAPS,
    CRDS,
    LEASES,
    PATIENCE_SECONDS,
    PODS,
    Json,
    Server,
    annotate,
    configmap,
    revision_of,
    unique,
)


def types_of(events: list[Json]) -> list[str]:
    return [event["type"] for event in events]


def revisions_of(events: list[Json]) -> list[int]:
    return [revision_of(event["object"]) for event in events]


async def test_watch_from_a_revision_delivers_exactly_what_came_later_in_order(server: Server) -> None:
    name = unique("order")
    path, selector = f"{CONFIGMAPS}/{name}", f"metadata.name={name}"
    before = await server.create(CONFIGMAPS, configmap(unique("before")))
    created = await server.create(CONFIGMAPS, configmap(name, a="1"))
    query = {"resourceVersion": str(before.revision), "fieldSelector": selector}
    async with server.watch(CONFIGMAPS, **query) as watch:
        changed = await server.patch(path, annotate(b="2"))
        emptied = await server.patch(path, annotate(b=None))
        await server.delete(path)
        events = await watch.events(4)
    assert types_of(events) == ["ADDED", "MODIFIED", "MODIFIED", "DELETED"]
    assert revisions_of(events)[:3] == [created.revision, changed.revision, emptied.revision]
    assert revisions_of(events)[3] > emptied.revision


async def test_watch_repeats_nothing_of_its_own_revision(server: Server) -> None:
    first = await server.create(CONFIGMAPS, configmap(unique("first")))
    async with server.watch(CONFIGMAPS, resourceVersion=str(first.revision)) as watch:
        second = await server.create(CONFIGMAPS, configmap(unique("second")))
        (event,) = await watch.events(1)
    assert revision_of(event["object"]) == second.revision


async def test_watch_of_metadata_carries_all_metadata_and_nothing_else(server: Server) -> None:
    revision = await server.revision()
    created = await server.create(CONFIGMAPS, configmap(unique("metadata"), a="1"))
    async with server.watch(CONFIGMAPS, resourceVersion=str(revision)) as watch:
        assert watch.response.headers["Content-Type"] == "application/json"
        assert watch.response.headers["Transfer-Encoding"] == "chunked"
        (event,) = await watch.events(1)
    assert set(event) == {"type", "object"}
    assert event["object"]["kind"] == "PartialObjectMetadata"
    assert event["object"]["apiVersion"] == "meta.k8s.io/v1"
    assert event["object"]["metadata"] == created.json["metadata"]
    assert set(event["object"]) == {"kind", "apiVersion", "metadata"}


async def test_watch_of_whole_objects_carries_what_the_write_was_answered(server: Server) -> None:
    revision = await server.revision()
    created = await server.create(CONFIGMAPS, configmap(unique("whole")))
    async with server.watch(CONFIGMAPS, accept="application/json", resourceVersion=str(revision)) as watch:
        (event,) = await watch.events(1)
    assert event["object"] == created.json


async def test_watch_of_a_namespace_leaves_out_the_others(server: Server) -> None:
    revision = await server.revision()
    async with server.watch(
        "/api/v1/namespaces/none/configmaps", resourceVersion=str(revision), timeoutSeconds="1"
    ) as watch:
        await server.create(CONFIGMAPS, configmap(unique("elsewhere")))
        assert await watch.rest() == []


async def test_bookmark_comes_shortly_before_the_deadline_and_then_a_clean_end(server: Server) -> None:
    revision = await server.revision()
    query = {"resourceVersion": str(revision), "timeoutSeconds": "3", "allowWatchBookmarks": "true"}
    began_seconds = time.monotonic()
    async with server.watch(CONFIGMAPS, **query) as watch:
        created = await server.create(CONFIGMAPS, configmap(unique("bookmark")))
        events = await watch.rest()
    assert 2.9 < time.monotonic() - began_seconds < PATIENCE_SECONDS
    added, *_, bookmark = events
    assert (added["type"], bookmark["type"]) == ("ADDED", "BOOKMARK")
    assert bookmark["object"]["kind"] == "PartialObjectMetadata"
    assert bookmark["object"]["metadata"] == {"resourceVersion": bookmark["object"]["metadata"]["resourceVersion"]}
    assert revision_of(bookmark["object"]) >= created.revision


async def test_no_bookmark_tells_a_revision_that_the_watch_began_with(server: Server, custom: Resource) -> None:
    """The cache of a quiet kind stays behind the store, and a bookmark tells the cache's revision."""
    written = await server.create(LEASES, {"metadata": {"name": unique("ahead")}})
    query = {"resourceVersion": str(written.revision), "timeoutSeconds": "3", "allowWatchBookmarks": "true"}
    async with server.watch(f"/apis/{custom.api_version}/gadgets", **query) as watch:
        assert await watch.rest() == []


async def test_timeout_without_events_is_a_clean_end(server: Server) -> None:
    began_seconds = time.monotonic()
    revision = await server.revision()
    query = {"resourceVersion": str(revision), "timeoutSeconds": "1", "fieldSelector": "metadata.name=nothing"}
    async with server.watch(CONFIGMAPS, **query) as watch:
        assert await watch.rest() == []
    assert time.monotonic() - began_seconds > 0.9


async def test_watch_from_0_begins_with_what_is_there(server: Server) -> None:
    created = await server.create(CONFIGMAPS, configmap(name := unique("initial")))
    await server.get(CONFIGMAPS, limit="1")  # a consistent LIST: afterwards the cache has the object
    query = {"resourceVersion": "0", "fieldSelector": f"metadata.name={name}", "allowWatchBookmarks": "true"}
    async with server.watch(CONFIGMAPS, **query) as watch:
        changed = await server.patch(f"{CONFIGMAPS}/{name}", annotate(a="1"))
        events = await watch.events(3)
    assert types_of(events) == ["ADDED", "BOOKMARK", "MODIFIED"]
    assert revisions_of(events)[::2] == [created.revision, changed.revision]


async def test_initial_events_end_with_a_marked_bookmark(server: Server) -> None:
    created = await server.create(CONFIGMAPS, configmap(name := unique("marked")))
    query = {"fieldSelector": f"metadata.name={name}", "allowWatchBookmarks": "true", "timeoutSeconds": "1"}
    async with server.watch(CONFIGMAPS, **query) as watch:
        added, bookmark = await watch.rest()
    assert (added["type"], revision_of(added["object"])) == ("ADDED", created.revision)
    assert bookmark["type"] == "BOOKMARK"
    assert bookmark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert revision_of(bookmark["object"]) >= created.revision


async def test_watch_from_a_forgotten_revision_is_one_error_event_and_a_clean_end(
    server: Server, custom: Resource
) -> None:
    async with server.watch(f"/apis/{custom.api_version}/gadgets", resourceVersion="1") as watch:
        events = await watch.rest()
        assert watch.response.status == 200
    (error,) = events
    assert error["type"] == "ERROR"
    status = error["object"]
    message = status.pop("message")
    assert message.startswith("too old resource version: 1 (")
    assert status == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "reason": "Expired",
        "code": 410,
    }


async def test_watch_from_the_future_says_nothing(server: Server) -> None:
    future = await server.revision() + 1_000_000
    async with server.watch(CONFIGMAPS, resourceVersion=str(future), timeoutSeconds="1") as watch:
        await server.create(CONFIGMAPS, configmap(unique("future")))
        assert await watch.rest() == []


async def test_forced_delete_of_a_pod_on_a_node_makes_two_events(server: Server) -> None:
    path = f"{PODS}/{(name := unique('forced'))}"
    spec = {"nodeName": "none", "containers": [{"name": "main", "image": "example.com/main"}]}
    created = await server.create(PODS, {"metadata": {"name": name}, "spec": spec})
    async with server.watch(
        PODS, resourceVersion=str(created.revision), fieldSelector=f"metadata.name={name}"
    ) as watch:
        await server.delete(path, gracePeriodSeconds=0)
        events = await watch.events(2)
    assert types_of(events) == ["MODIFIED", "DELETED"]
    assert events[0]["object"]["metadata"]["deletionGracePeriodSeconds"] == 0
    assert revisions_of(events)[0] < revisions_of(events)[1]


async def test_last_finalizer_goes_with_the_object(server: Server) -> None:
    path = f"{CONFIGMAPS}/{(name := unique('finalizer'))}"
    obj = configmap(name)
    obj["metadata"]["finalizers"] = ["example.com/wait"]
    created = await server.create(CONFIGMAPS, obj)
    query = {"resourceVersion": str(created.revision), "fieldSelector": f"metadata.name={name}"}
    async with server.watch(CONFIGMAPS, **query) as watch:
        deleted = await server.delete(path)
        await server.patch(path, {"metadata": {"finalizers": None}})
        marked, gone = await watch.events(2)
    assert (marked["type"], gone["type"]) == ("MODIFIED", "DELETED")
    assert revision_of(marked["object"]) == deleted.revision
    assert marked["object"]["metadata"]["deletionTimestamp"]
    assert marked["object"]["metadata"]["managedFields"] == created.json["metadata"]["managedFields"]
    assert revision_of(gone["object"]) > deleted.revision


async def test_deleted_definition_deletes_its_objects_and_ends_its_watches(server: Server, custom: Resource) -> None:
    collection = f"/apis/{custom.api_version}/namespaces/default/gadgets"
    created = await server.create(
        collection, {"apiVersion": custom.api_version, "kind": "Gadget", "metadata": {"name": "one"}, "spec": {"a": 1}}
    )
    async with server.watch(f"/apis/{custom.api_version}/gadgets", resourceVersion=str(created.revision)) as watch:
        await server.delete(f"{CRDS}/{custom.name}")
        (deleted,) = await watch.rest()
    assert deleted["type"] == "DELETED"
    assert revision_of(deleted["object"]) > created.revision
    gone = await server.get(collection, limit="1")
    assert (gone.status, gone.content) == (404, b"404 page not found\n")
