"""The simulated etcd: one revision for all kinds, the newest state of every object, and the true time of each commit.

In: commits. Out: `Change` values to whoever observes. It can be frozen, compacted and restored to an older state.
Knows nothing of clocks on walls, caches or HTTP.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, Protocol

from exporter.simulator.encoding import encode, event_line, partial_metadata
from exporter.simulator.objects import Key, key_of, with_metadata

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from exporter.simulator.resources import JsonObject, Resource

ChangeType = Literal["ADDED", "MODIFIED", "DELETED"]
Objects = dict[Key, "JsonObject"]

# A real etcd counts from 1, but an apiserver has written some hundred objects before it serves anyone.
FIRST_REVISION = 1000

REVISIONS_REMEMBERED = 10_000


@dataclass(frozen=True)
class Change:
    """One committed write. `stamped_seconds` is when managedFields was stamped, None if this write moved no stamp.

    Both times are of `time.monotonic()`.
    """

    type: ChangeType
    resource: Resource
    object: JsonObject
    revision: int
    committed_seconds: float
    stamped_seconds: float | None

    @cached_property
    def key(self) -> Key:
        """Namespace and name."""
        return key_of(self.object)

    @cached_property
    def full_line(self) -> bytes:
        """The watch event with the whole object; encoded once for all watches."""
        return event_line(self.type, encode(self.object))

    @cached_property
    def metadata_line(self) -> bytes:
        """The watch event as PartialObjectMetadata; encoded once for all watches."""
        return event_line(self.type, encode(partial_metadata(self.object)))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A store's state, to come back to."""

    revision: int
    objects: dict[str, Objects]


class StoreObserver(Protocol):
    """Who wants to know at once: apiservers (which then let it pass through their delays) and the truth."""

    def changed(self, change: Change) -> None:
        """A write was committed."""

    def compacted(self, store: Store) -> None:
        """History up to now is gone."""

    def restored(self, store: Store) -> None:
        """The store's state was replaced by an older one."""


class Stores:
    """Where each resource's objects are: one store for nearly all, and others as with `--etcd-servers-overrides`."""

    def __init__(self, default: Store, overrides: Mapping[str, Store]) -> None:
        self._default = default
        self._overrides = dict(overrides)

    def of(self, resource: Resource) -> Store:
        """The store of this resource."""
        return self._overrides.get(resource.name, self._default)

    def __iter__(self) -> Iterator[Store]:
        return iter([self._default, *self._overrides.values()])


class Store:
    """One etcd. Objects that went in or came out are shared: nobody may change them."""

    def __init__(self) -> None:
        self.revision = FIRST_REVISION
        self._lately: deque[tuple[float, int]] = deque(maxlen=REVISIONS_REMEMBERED)
        self._objects: dict[str, Objects] = {}
        self._observers: list[StoreObserver] = []
        self._thawed = asyncio.Event()
        self._thawed.set()

    def observe(self, observer: StoreObserver) -> None:
        """Tell `observer` from now on."""
        self._observers.append(observer)

    def forget(self, observer: StoreObserver) -> None:
        """Tell `observer` no more."""
        self._observers.remove(observer)

    def objects(self, resource: Resource) -> Objects:
        """All objects of the resource by (namespace, name)."""
        return self._objects.setdefault(resource.name, {})

    async def reachable(self) -> None:
        """Wait until the store answers: at once, unless it is frozen."""
        await self._thawed.wait()

    def revision_ago(self, seconds: float) -> int:
        """The revision that it had so long ago, as far as it remembers."""
        if seconds <= 0:
            return self.revision
        then = time.monotonic() - seconds
        return next((revision for at, revision in reversed(self._lately) if at <= then), FIRST_REVISION)

    def commit(
        self,
        change_type: ChangeType,
        resource: Resource,
        obj: JsonObject,
        *,
        stamped_seconds: float | None = None,
    ) -> Change:
        """Write under the next revision, whatever was there before; the caller has waited until `reachable`."""
        self.revision += 1
        stored = with_metadata(obj, resourceVersion=str(self.revision))
        change = Change(change_type, resource, stored, self.revision, time.monotonic(), stamped_seconds)
        self._lately.append((change.committed_seconds, self.revision))
        if change_type == "DELETED":
            self.objects(resource).pop(change.key, None)
        else:
            self.objects(resource)[change.key] = stored
        for observer in list(self._observers):
            observer.changed(change)
        return change

    def freeze(self) -> None:
        """Let consistent reads and writes hang, as a stopped etcd does."""
        self._thawed.clear()

    def thaw(self) -> None:
        """Let everything that hangs go on."""
        self._thawed.set()

    def compact(self) -> None:
        """Drop the history. Unlike a real compaction it reaches the watch caches, as if they had just been filled."""
        for observer in list(self._observers):
            observer.compacted(self)

    def snapshot(self) -> Snapshot:
        """The present state."""
        return Snapshot(self.revision, {name: dict(objects) for name, objects in self._objects.items()})

    def restore(self, snapshot: Snapshot) -> None:
        """Come back to an older state: the revision goes back with it."""
        self.revision = snapshot.revision
        self._objects = {name: dict(objects) for name, objects in snapshot.objects.items()}
        for observer in list(self._observers):
            observer.restored(self)
