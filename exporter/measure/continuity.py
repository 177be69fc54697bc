"""Whether a watch of one stream is open, why not, and for how long none was: counted as watches begin and end.

What a relist or an end costs is known when the next watch opens. Time is an argument.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from exporter.measure.coverage import Coverage
from exporter.measure.interruptions import InterruptionRun
from exporter.measure.standing import Standing
from exporter.measure.stream_state import NOT_STARTED

if TYPE_CHECKING:
    from exporter.measure.stream_state import StreamCounts, Trouble
    from exporter.measure.times import Instant, WallTime
    from exporter.vocabulary import RelistReason


class Continuity:
    """Whether a watch is open, and since when it is or is not."""

    def __init__(self, counts: StreamCounts, longest_gap_seconds: float, now: Instant) -> None:
        self.coverage = Coverage(longest_gap_seconds)
        self.trouble: Trouble | None = NOT_STARTED
        """Why no watch is open, if that is known."""
        self.has_answered = False
        """Whether a watch was open, or was refused for good."""
        self.last_activity: WallTime | None = None
        self.standing = Standing()
        self.interruptions = InterruptionRun()
        self._counts = counts
        self._relisting: RelistReason | None = None
        self._lost_at: Instant | None = now
        self._uncovered_since = now
        self._opened_at: Instant = inf
        self._cache_went_back_at: Instant = inf

    @property
    def is_up(self) -> bool:
        """Whether a watch is open."""
        return self._lost_at is None

    def relisting(self, reason: RelistReason, now: Instant) -> None:
        """Events up to the next watch are not seen."""
        self._relisting = reason
        self._counts.relists[reason] += 1
        if reason != "start":
            self.coverage.gave_up_continuity(now, reason)

    def opened(self, at: Instant, listed_revision: int | None) -> None:
        """A watch is open; after a relist, from the revision that was listed."""
        self._opened_at = at
        # Else it is a watch of a history that was given up before it was open, and it is abandoned.
        if listed_revision is not None or self._relisting is None:
            self.coverage.opened(at)
        self._count_uncovered(at)
        if self._lost_at is not None:
            seconds = self._counts.relist if self._relisting else self._counts.rewatch
            seconds.observe(max(0.0, at - self._lost_at))
        self._relisting = self._lost_at = self.trouble = None
        self.has_answered = True

    def failed(self, trouble: Trouble, *, is_final: bool) -> bool:
        """A watch did not start, and none will if this is final. Whether that is news."""
        self.has_answered |= is_final
        is_news, self.trouble = trouble != self.trouble, trouble
        return is_news

    def lost(self, at: Instant) -> None:
        """The watch is open no more."""
        self._lost_at = self._uncovered_since = at
        self._opened_at = self._cache_went_back_at = inf
        self.coverage.lost(at)

    def cache_went_back(self, known_at: Instant, now: Instant) -> None:
        """A poll was answered from a cache that had less than was known of it at `known_at`.

        If this watch was open by then and goes on, the apiserver that serves it has the cache that it had.
        """
        self._cache_went_back_at = now if self._opened_at <= known_at else inf

    def take_anothers_cache(self, arrived: Instant) -> bool:
        """The watch delivers. Whether another apiserver than its own has answered polls of the cache: said once."""
        goes_on = arrived > self._cache_went_back_at
        if goes_on:
            self._cache_went_back_at = inf
        return goes_on

    def slept(self, now: Instant, seconds: float) -> None:
        """The machine was suspended, for so many seconds that our clock did not count."""
        self._counts.uncovered_seconds += seconds
        self.coverage.slept(now, seconds)

    def refresh(self, now: Instant) -> None:
        """Count the time without a watch up to now."""
        if not self.is_up:
            self._count_uncovered(now)

    def _count_uncovered(self, now: Instant) -> None:
        self._counts.uncovered_seconds += max(0.0, now - self._uncovered_since)
        self._uncovered_since = now
