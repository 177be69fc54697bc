"""Limits on what is watched: a maximum number, and a rate for new ones. Time is an argument."""

from __future__ import annotations

from itertools import islice
from math import inf
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from exporter.measure.times import Instant

_One = TypeVar("_One")


def newcomers(wanted: Iterable[_One], held: Collection[_One], most: int) -> list[_One]:
    """The first of `wanted` that fit within the maximum together with all that are already held."""
    return list(islice((one for one in wanted if one not in held), max(0, most - len(held))))


class Allowance(NamedTuple):
    """A token bucket: a burst of `most`, and one more after each period."""

    most: int
    period_seconds: float
    empty_at: Instant = -inf
    """The instant at which the bucket is (or was) empty."""

    def left(self, now: Instant) -> int:
        """How many tokens are left now."""
        return int(min(self.most, max(0.0, (now - self.empty_at) / self.period_seconds)))

    def taken(self, now: Instant, count: int = 1) -> Allowance:
        """The bucket after `count` tokens were taken."""
        full_since = now - self.most * self.period_seconds
        return self._replace(empty_at=max(self.empty_at, full_since) + count * self.period_seconds)

    def seconds_to_next(self, now: Instant) -> float:
        """Seconds until a token is left."""
        return max(0.0, self.empty_at + self.period_seconds - now)
