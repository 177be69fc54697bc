"""The pollers that date one stream's events, and what its arrivals tell them in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.kubernetes.resources import EVENTS
from exporter.measure.judge import Clocks
from exporter.measure.stream_state import RevisionClockState

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.clocks.pollers import CachePoller, RevisionPoller
    from exporter.config import ResourceName
    from exporter.measure.serverclock import Offset
    from exporter.measure.store import Store
    from exporter.measure.stream_state import CacheAnswer
    from exporter.measure.times import Instant


class StreamClocks:
    """At most one poller of the store and one of the watch cache, either of which may be exchanged at any time."""

    def __init__(self, apiservers: Callable[[], Offset | None]) -> None:
        self._apiservers = apiservers
        self.revision: RevisionPoller | None = None
        """None while no clock is proven to read the same store."""
        self.cache: CachePoller | None = None
        self._newest: dict[bool, tuple[int, Instant]] = {}
        """The newest revision that has arrived, and when: of an event (True), and of a bookmark."""

    @property
    def store(self) -> Store | None:
        """What is known of the store."""
        return self.revision.store if self.revision is not None else None

    def now(self) -> Clocks:
        """Whatever dates events now."""
        return Clocks(self.store, self.cache.revisions if self.cache is not None else None, self._apiservers())

    def arrived(self, revision: int, at: Instant, *, is_event: bool) -> None:
        """What is newest here is committed; an event was in the watch cache of the apiserver that serves this watch."""
        self._newest[is_event] = revision, at
        if self.revision is not None:
            self.revision.arrived(revision, at)
        if self.cache is not None and is_event:
            self.cache.revisions.arrived(revision, at)

    def use_revision(self, poller: RevisionPoller | None) -> None:
        """If its store was restored while nobody polled it, only what has arrived shows it."""
        self.revision = poller
        if poller is not None and self._newest:
            poller.store.polls.arrived(*max(self._newest.values()))

    def store_went_back(self) -> None:
        """What has arrived is of a history that is gone."""
        self._newest.clear()

    @property
    def newest_event(self) -> int:
        """The newest revision of an event that has arrived; 0 if none has."""
        return self._newest[True][0] if True in self._newest else 0

    @property
    def cache_answer(self) -> CacheAnswer | None:
        """What the watch cache has answered last; None while nothing polls it."""
        return self.cache.answer if self.cache is not None else None

    def state(self, name: ResourceName) -> RevisionClockState:
        """What dates the events of the resource."""
        if self.revision is None:
            return RevisionClockState()
        kind, reads_stale = self.revision.kind, self.revision.store.reads_stale
        same_store = tuple(peer.polls.server.name for peer in self.revision.peers)
        if kind == EVENTS:
            return RevisionClockState(str(kind), "store", reads_stale, same_store)
        is_own = (kind.group, kind.plural) == (name.group, name.plural)
        return RevisionClockState(str(kind), "own_cache" if is_own else "another_cache", reads_stale, same_store)
