"""Instants and the intervals that contain them. A time that is not known exactly is `[earliest, latest]`."""

from __future__ import annotations

from math import inf
from typing import NamedTuple, TypeAlias

Instant: TypeAlias = float
"""Seconds on this process's monotonic clock."""

WallTime: TypeAlias = float
"""Seconds since the epoch on somebody's wall clock; a name says whose."""


class Interval(NamedTuple):
    """A time, or a duration, in seconds, that lies somewhere between two certain ends (both included)."""

    earliest: float
    latest: float

    @property
    def width(self) -> float:
        """Seconds between the ends: how unsure we are."""
        return self.latest - self.earliest


ANY_TIME = Interval(-inf, inf)


def latency_between(commit: Interval, arrival: Interval) -> Interval:
    """The seconds from a commit to its arrival; no arrival precedes its commit, so neither end is below 0."""
    return Interval(max(0.0, arrival.earliest - commit.latest), max(0.0, arrival.latest - commit.earliest))
