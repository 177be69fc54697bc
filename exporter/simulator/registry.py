"""The writes of one apiserver: admission, the server's stamps, the commit.

In: objects and changes to objects, from HTTP handlers or straight from a workload. Out: the object as stored.
Raises ApiError as the real one refuses. Knows nothing of HTTP.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from exporter.simulator import objects, status
from exporter.simulator.resources import CRDS, defined_by, established

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.simulator.clock import WallClock
    from exporter.simulator.faults import Faults
    from exporter.simulator.objects import Key
    from exporter.simulator.resources import JsonObject, Resource
    from exporter.simulator.store import Store, Stores

DEFAULT_GRACE_SECONDS = 30


class Registry:
    """Writes through one apiserver: its clock stamps them, its admission delays them."""

    def __init__(self, stores: Stores, clock: WallClock, faults: Faults) -> None:
        self._stores = stores
        self._clock = clock
        self._faults = faults

    async def create(self, resource: Resource, obj: JsonObject, *, manager: str) -> JsonObject:
        """Store a new object; ApiError 409 if it is there."""
        stamped_seconds, timestamp = time.monotonic(), self._clock.timestamp()
        await self._admit()
        obj = {"kind": resource.kind, "apiVersion": resource.api_version, **obj}
        if resource == CRDS:
            obj = established(obj, timestamp=timestamp)
        # A real apiserver stamps managedFields before admission and creationTimestamp after it.
        obj = objects.stamped(obj, manager=manager, subresource=None, timestamp=timestamp)
        obj = objects.created(obj, timestamp=self._clock.timestamp())
        store = self._stores.of(resource)
        await store.reachable()
        key = objects.key_of(obj)
        if key in store.objects(resource):
            raise status.already_exists(resource, key[1])
        return store.commit("ADDED", resource, obj, stamped_seconds=stamped_seconds).object

    async def update(
        self,
        resource: Resource,
        key: Key,
        transform: Callable[[JsonObject], JsonObject],
        *,
        manager: str,
        subresource: str | None = None,
    ) -> JsonObject:
        """Store what `transform` makes of the present object; writes nothing if that is the same.

        Raises ApiError 404 if there is none, 409 if the result names another resourceVersion than the present one.
        """
        stamped_seconds, timestamp = time.monotonic(), self._clock.timestamp()
        await self._admit()
        store = self._stores.of(resource)
        await store.reachable()
        before = self._present(store, resource, key)
        after = transform(before)
        if after["metadata"].get("resourceVersion", before["metadata"]["resourceVersion"]) != _revision(before):
            raise status.conflict(resource, key[1])
        if objects.as_clients_see(after) == objects.as_clients_see(before) and _stamps(after) == _stamps(before):
            return before
        if _is_being_deleted(before) and not after["metadata"].get("finalizers"):
            return store.commit("DELETED", resource, before).object
        if not objects.adds_or_changes(objects.as_clients_see(before), objects.as_clients_see(after)):
            return store.commit("MODIFIED", resource, after).object
        after = objects.stamped(after, manager=manager, subresource=subresource, timestamp=timestamp)
        return store.commit("MODIFIED", resource, after, stamped_seconds=stamped_seconds).object

    async def bind(self, resource: Resource, key: Key, node_name: str) -> JsonObject:
        """Put a pod on a node, as the scheduler asks for: a write that moves no managedFields time."""
        await self._admit()
        store = self._stores.of(resource)
        await store.reachable()
        before = self._present(store, resource, key)
        after = {**before, "spec": {**before.get("spec", {}), "nodeName": node_name}}
        return store.commit("MODIFIED", resource, after).object

    async def delete(self, resource: Resource, key: Key, *, grace_seconds: int | None = None) -> JsonObject:
        """Delete, or only mark as being deleted where grace or finalizers ask for it. Moves no managedFields time."""
        await self._admit()
        store = self._stores.of(resource)
        await store.reachable()
        obj = self._present(store, resource, key)
        has_grace = resource.deleted_gracefully and bool(obj.get("spec", {}).get("nodeName"))
        grace = (DEFAULT_GRACE_SECONDS if grace_seconds is None else grace_seconds) if has_grace else 0
        finalized = bool(obj["metadata"].get("finalizers"))
        if _is_being_deleted(obj) and (finalized or grace):
            return obj
        if has_grace or finalized:
            timestamp = self._clock.timestamp(plus_seconds=grace)
            obj = objects.marked_deleted(obj, timestamp=timestamp, grace_seconds=grace)
            obj = store.commit("MODIFIED", resource, obj).object
        if grace or finalized:
            return obj
        if resource == CRDS:
            self._delete_all(defined_by(obj))
        return store.commit("DELETED", resource, obj).object

    def _delete_all(self, resource: Resource) -> None:
        store = self._stores.of(resource)
        for obj in list(store.objects(resource).values()):
            store.commit("DELETED", resource, obj)

    async def _admit(self) -> None:
        if self._faults.commit_seconds > 0:
            await asyncio.sleep(self._faults.commit_seconds)

    def _present(self, store: Store, resource: Resource, key: Key) -> JsonObject:
        if key not in store.objects(resource):
            raise status.not_found(resource, key[1])
        return store.objects(resource)[key]


def _revision(obj: JsonObject) -> str:
    return str(obj["metadata"]["resourceVersion"])


def _stamps(obj: JsonObject) -> object:
    return obj["metadata"].get("managedFields")


def _is_being_deleted(obj: JsonObject) -> bool:
    return "deletionTimestamp" in obj["metadata"]
