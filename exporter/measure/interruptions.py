"""Watches that are closed by force, and relists at which events may be missing: whether that happens again and again.

A single one is normal. Time is an argument.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from exporter.measure.stream_state import NOT_INTERRUPTED, Interruptions

if TYPE_CHECKING:
    from exporter.measure.times import Instant, WallTime

AGAIN_SECONDS = 90.0
"""The next one within this time is of the same run: many balancers close what they forward once a minute."""

RECENT_SECONDS = 60.0
"""What is not repeated is mentioned for so long."""

FORCED_CLOSES_AGAIN, RELISTS_AGAIN = 3, 2
"""From so many on in one run it is repeated; a relist loses events."""


class InterruptionRun:
    """Those of one stream that follow each other closely."""

    def __init__(self) -> None:
        self._forced_closes = self._relists = 0
        self._since: WallTime | None = None
        self._last: Instant = -inf
        self._lived_seconds: list[float] = []
        """The shortest and the longest time."""

    def closed_by_force(self, now: Instant, wall: WallTime, lived_seconds: float) -> None:
        """The other side has cut the watch, which had been open for so long."""
        if self._begin_or_go_on(now, wall):
            known = [*self._lived_seconds, lived_seconds]
            self._lived_seconds = [min(known), max(known)]
        self._forced_closes += 1

    def relisted(self, now: Instant, wall: WallTime) -> None:
        """It could not be resumed."""
        self._begin_or_go_on(now, wall)
        self._relists += 1

    def _begin_or_go_on(self, now: Instant, wall: WallTime) -> bool:
        """Whether it goes on."""
        goes_on = now - self._last <= AGAIN_SECONDS
        if not goes_on:
            self._forced_closes = self._relists = 0
            self._since = wall
            self._lived_seconds = []
        self._last = now
        return goes_on

    def state(self, now: Instant) -> Interruptions:
        """What is to be said of them now."""
        is_repeated = self._forced_closes >= FORCED_CLOSES_AGAIN or self._relists >= RELISTS_AGAIN
        if now - self._last > (AGAIN_SECONDS if is_repeated else RECENT_SECONDS):
            return NOT_INTERRUPTED
        shortest, longest = self._lived_seconds or (None, None)
        return Interruptions(self._forced_closes, self._relists, self._since, is_repeated, shortest, longest)
