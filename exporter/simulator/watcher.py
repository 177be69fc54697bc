"""One watch's outgoing events: what it selects, how it wants them encoded, what it has yet to send.

In: events from a watch cache, timers. Out: batches of lines. Knows nothing of HTTP.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.simulator.encoding import bookmark_line, encode, event_line, partial_metadata
from exporter.simulator.objects import key_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.simulator.resources import JsonObject
    from exporter.simulator.watch_cache import CachedEvent, WatchCache

BOOKMARK_BEFORE_DEADLINE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One line, and the live event that it is (None: an initial ADDED, a bookmark or worse)."""

    line: bytes
    event: CachedEvent | None = None


class Watcher:
    """One watch of one cache, from after `revision` on."""

    def __init__(
        self,
        cache: WatchCache,
        *,
        revision: int,
        selects: Callable[[JsonObject], bool],
        metadata_only: bool,
        buffer_events: int,
    ) -> None:
        self._cache = cache
        self._after_revision = revision
        self._selects = selects
        self._metadata_only = metadata_only
        self._buffer_events = buffer_events
        self._outgoing: deque[Outgoing] = deque()
        self._woken = asyncio.Event()
        self._timers: list[asyncio.TimerHandle] = []
        self._ended = False
        self.was_cut = False

    # What goes in.

    def replay(self, events: list[CachedEvent]) -> None:
        """Take over what the watch asked for out of the history; however long, it is no reason to close it."""
        for event in events:
            self._take(event)

    def synthesize(self, objects: list[JsonObject], *, end_bookmark: bool) -> None:
        """Begin with an ADDED for each object, in the order of their keys."""
        for obj in sorted(objects, key=key_of):
            if self._selects(obj):
                encoded = encode(partial_metadata(obj) if self._metadata_only else obj)
                self.offer_line(event_line("ADDED", encoded))
        if end_bookmark:
            self._bookmark(initial_events_end=True)

    def offer(self, event: CachedEvent) -> None:
        """Take a live event; a watch whose buffer is full is closed, and what it held is lost."""
        if len(self._outgoing) >= self._buffer_events:
            self._outgoing.clear()
            self.end()
        else:
            self._take(event)

    def offer_line(self, line: bytes) -> None:
        """Take raw bytes."""
        self._outgoing.append(Outgoing(line))
        self._woken.set()

    def _take(self, event: CachedEvent) -> None:
        change = event.change
        if change.revision > self._after_revision and self._selects(change.object):
            self._outgoing.append(Outgoing(change.metadata_line if self._metadata_only else change.full_line, event))
            self._woken.set()

    def _bookmark(self, *, initial_events_end: bool = False) -> None:
        revision = self._after_revision if initial_events_end else self._cache.dispatched_revision
        # kube-apiserver tells no watch a revision that the watch itself began with.
        if initial_events_end or revision > self._after_revision:
            resource, metadata_only = self._cache.resource, self._metadata_only
            self.offer_line(
                bookmark_line(resource, revision, metadata_only=metadata_only, initial_events_end=initial_events_end)
            )

    # Its time.

    def set_timers(self, *, timeout_seconds: float, bookmark_period_seconds: float | None) -> None:
        """End after `timeout_seconds`; bookmarks every period and shortly before the end, None for none."""
        loop = asyncio.get_running_loop()
        self._timers.append(loop.call_later(timeout_seconds, self.end))
        if bookmark_period_seconds is None:
            return
        before_deadline_seconds = timeout_seconds - BOOKMARK_BEFORE_DEADLINE_SECONDS
        if before_deadline_seconds > 0:
            self._timers.append(loop.call_later(before_deadline_seconds, self._bookmark))

        def bookmark_again() -> None:
            self._bookmark()
            self._timers[-1] = loop.call_later(bookmark_period_seconds, bookmark_again)

        self._timers.append(loop.call_later(bookmark_period_seconds, bookmark_again))

    # What comes out.

    async def batch(self) -> list[Outgoing]:
        """Everything that waits to be sent, at least one line; empty at the end."""
        while not self._outgoing and not self._ended:
            self._woken.clear()
            await self._woken.wait()
        lines = [] if self.was_cut else list(self._outgoing)
        self._outgoing.clear()
        return lines

    def end(self) -> None:
        """No more events: what waits is sent, then comes EOF."""
        self._ended = True
        self._cache.detach(self)
        for timer in self._timers:
            timer.cancel()
        self._woken.set()

    def cut(self) -> None:
        """No more of anything."""
        self.was_cut = True
        self.end()
