"""One apiserver's watch cache for one resource: its objects, its recent events, the revision that it has reached.

In: a store's changes, each through two delay lines (storage to cache, cache to watches). Out: events to watches.
Knows nothing of HTTP.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from exporter.simulator.delay_line import DelayLine
from exporter.simulator.status import expired, not_ready

if TYPE_CHECKING:
    from exporter.simulator.faults import Faults
    from exporter.simulator.resources import Resource
    from exporter.simulator.store import Change, Store
    from exporter.simulator.watcher import Watcher

REMEMBERED_EVENTS = 10_000
FRESHNESS_TIMEOUT_SECONDS = 3.0  # kube-apiserver's blockTimeout


@dataclass(frozen=True, slots=True)
class CachedEvent:
    """A change, and when (`time.monotonic()`) this cache had it."""

    change: Change
    cached_seconds: float


class WatchCache:
    """Between the store and the watches of one resource."""

    def __init__(self, resource: Resource, store: Store, faults: Faults) -> None:
        # Thirteen: the state of a watch cache as Kubernetes has it.
        self.resource = resource
        self.store = store
        self.faults = faults
        self._watchers: set[Watcher] = set()
        self._from_storage = DelayLine(lambda: faults.storage_to_cache.of(resource.name))
        self._to_watchers = DelayLine(lambda: faults.cache_to_watch.of(resource.name))
        self._ready_at_seconds = 0.0
        self._advanced = asyncio.Event()
        self._fill()

    def _fill(self) -> None:
        self.revision = self.dispatched_revision = self._forgotten_revision = self.store.revision
        self.objects = dict(self.store.objects(self.resource))
        self._events: deque[CachedEvent] = deque()
        self._from_storage.clear()
        self._to_watchers.clear()

    # From the store.

    def receive(self, change: Change) -> None:
        """Take a change over, after the delay from storage to cache."""
        self._from_storage.put(partial(self._apply, change))

    def _apply(self, change: Change) -> None:
        if change.type == "DELETED":
            self.objects.pop(change.key, None)
        else:
            self.objects[change.key] = change.object
        self._advance(change.revision)
        self._to_watchers.put(partial(self._dispatch, CachedEvent(change, time.monotonic())))

    def _advance(self, revision: int) -> None:
        self.revision = max(self.revision, revision)
        self._advanced.set()
        self._advanced = asyncio.Event()

    def _progress(self, revision: int) -> None:
        self._advance(revision)
        self._to_watchers.put(partial(self._dispatch_progress, revision))

    def _dispatch_progress(self, revision: int) -> None:
        self.dispatched_revision = max(self.dispatched_revision, revision)

    def _dispatch(self, event: CachedEvent) -> None:
        if len(self._events) == REMEMBERED_EVENTS:
            self._forgotten_revision = self._events.popleft().change.revision
        self._events.append(event)
        self._dispatch_progress(event.change.revision)
        for watcher in list(self._watchers):
            watcher.offer(event)

    # For readers.

    async def reaches(self, revision: int) -> bool:
        """Ask the store for its progress and wait until the cache has `revision`; False if that takes over 3 s."""
        self._from_storage.put(partial(self._progress, min(revision, self.store.revision)))
        try:
            async with asyncio.timeout(FRESHNESS_TIMEOUT_SECONDS):
                while self.revision < revision:
                    await self._advanced.wait()
        except TimeoutError:
            return False
        return True

    @property
    def is_ready(self) -> bool:
        """Whether the cache is filled."""
        return time.monotonic() >= self._ready_at_seconds

    def require_ready(self) -> None:
        """Raise ApiError 429 while the cache is being filled."""
        if not self.is_ready:
            raise not_ready(max(1, round(self._ready_at_seconds - time.monotonic())))

    # For watches.

    def history_since(self, revision: int) -> list[CachedEvent]:
        """Dispatched events, among them all after `revision`. Raises ApiError 410 if some of those are forgotten."""
        if revision < self._forgotten_revision:
            raise expired(self.resource, revision, self._forgotten_revision)
        return list(self._events)

    def attach(self, watcher: Watcher) -> None:
        """Offer every further event to `watcher`."""
        self._watchers.add(watcher)

    def detach(self, watcher: Watcher) -> None:
        """Offer it no more."""
        self._watchers.discard(watcher)

    # What can happen to it.

    def send(self, line: bytes) -> None:
        """Put raw bytes on every watch."""
        for watcher in list(self._watchers):
            watcher.offer_line(line)

    def end_watches(self) -> None:
        """Let every watch end as a clean EOF, what is buffered included."""
        for watcher in list(self._watchers):
            watcher.end()

    def cut_watches(self) -> None:
        """Abort the connection of every watch."""
        for watcher in list(self._watchers):
            watcher.cut()

    def forget_history(self) -> None:
        """Answer 410 to every watch from a revision before this moment's."""
        self._events.clear()
        self._forgotten_revision = self.dispatched_revision

    def reinitialize(self, *, not_ready_seconds: float = 0.0) -> None:
        """Lose the store's watch: end all watches, answer 429 for a while, and come back without history."""
        self.end_watches()
        self._fill()
        self._ready_at_seconds = time.monotonic() + not_ready_seconds

    def retire(self) -> None:
        """Stop for good."""
        self.end_watches()
        self._from_storage.clear()
        self._to_watchers.clear()
