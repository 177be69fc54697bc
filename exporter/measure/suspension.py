"""Computes how long the machine was suspended, from a clock that continues during suspension and one that does not.

The two cannot be read at the same moment: ours is read just before and just after the other.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from exporter.measure.times import Interval

if TYPE_CHECKING:
    from exporter.measure.times import Instant

SHORTEST_SECONDS = 0.001
"""A shorter one changes no verdict, and is within the rounding of two clocks."""


class Suspension:
    """Knows how far the other clock is ahead of ours, which only a suspended machine changes."""

    def __init__(self) -> None:
        self._ahead = Interval(-inf, inf)

    def slept(self, before: Instant, boottime: float, after: Instant) -> float:
        """At most how many seconds the machine has slept since the last reading; 0 unless it certainly has slept."""
        earliest, latest = boottime - after, boottime - before
        known = self._ahead
        if earliest - known.latest > SHORTEST_SECONDS:
            self._ahead = Interval(earliest, latest)
            return latest - known.earliest
        if earliest > known.earliest or latest < known.latest:  # which is seldom, a hundred times a second
            self._ahead = Interval(max(known.earliest, earliest), min(known.latest, latest))
        return 0.0
