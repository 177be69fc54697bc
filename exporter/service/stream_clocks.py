"""The pollers that date one stream's events. Arrivals on the stream are evidence for the pollers in turn."""

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
    """At most one poller of the store and one of the watch cache; either may be replaced at any time."""

    def __init__(self, apiservers: Callable[[], Offset | None]) -> None:
        self._apiservers = apiservers
        self.revision: RevisionPoller | None = None
        """None while no revision clock is proven to read the same store."""
        self.cache: CachePoller | None = None
        self._newest: dict[bool, tuple[int, Instant]] = {}
        """The newest revision that has arrived, and its arrival time: of an event (True), and of a bookmark."""

    @property
    def store(self) -> Store | None:
        """The evidence about the store's revisions."""
        return self.revision.store if self.revision is not None else None

    def now(self) -> Clocks:
        """The clocks that date events now."""
        return Clocks(self.store, self.cache.revisions if self.cache is not None else None, self._apiservers())

    def arrived(self, revision: int, at: Instant, *, is_event: bool) -> None:
        """A revision that arrives is committed. If it is an event's, it is also in this apiserver's watch cache."""
        self._newest[is_event] = revision, at
        if self.revision is not None:
            self.revision.arrived(revision, at)
        if self.cache is not None and is_event:
            self.cache.revisions.arrived(revision, at)

    def use_revision(self, poller: RevisionPoller | None) -> None:
        """Use `poller`. The newest arrival shows it whether the store was restored while nobody polled."""
        self.revision = poller
        if poller is not None and self._newest:
            poller.store.polls.arrived(*max(self._newest.values()))

    def store_went_back(self) -> None:
        """Forget the newest arrivals: their revisions belong to a store that was replaced."""
        self._newest.clear()

    @property
    def newest_event(self) -> int:
        """The newest revision of an event that has arrived; 0 if none has."""
        return self._newest[True][0] if True in self._newest else 0

    @property
    def cache_answer(self) -> CacheAnswer | None:
        """The last answer of the watch cache; None while nothing polls it."""
        return self.cache.answer if self.cache is not None else None

    def state(self, name: ResourceName) -> RevisionClockState:
        """Which clock dates the events of the resource, for status and metrics."""
        if self.revision is None:
            return RevisionClockState()
        kind, reads_stale = self.revision.kind, self.revision.store.reads_stale
        same_store = tuple(peer.polls.server.name for peer in self.revision.peers)
        if kind == EVENTS:
            return RevisionClockState(str(kind), "store", reads_stale, same_store)
        is_own = (kind.group, kind.plural) == (name.group, name.plural)
        return RevisionClockState(str(kind), "own_cache" if is_own else "another_cache", reads_stale, same_store)
