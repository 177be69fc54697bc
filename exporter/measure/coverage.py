"""Decides whether events of a period may be missing, from when one stream's watches opened and ended.

A resumed watch delivers late what it missed, and that is judged; until it arrives, nothing is known about it.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from exporter.measure.times import Instant
    from exporter.vocabulary import LossReason, UncoveredReason

HOLES_KEPT = 64


class Hole(msgspec.Struct, frozen=True):
    """A time without an open watch that was long, or whose events no watch will deliver."""

    began: Instant
    ended: Instant
    """Inf while it goes on."""
    reason: UncoveredReason


class Coverage:
    """The time that was watched. Before the first watch was open no event can be missing: that time is no hole."""

    def __init__(self, longest_gap_seconds: float) -> None:
        self._longest_gap_seconds = longest_gap_seconds
        self._holes: list[Hole] = []
        self._down_since: Instant | None = None
        self._opened_first: Instant = inf
        self._loss: LossReason | None = None
        """Why the next watch does not deliver what the present gap has."""
        self._slept_seconds = 0.0
        """Seconds of the present gap that our clock does not count."""

    def opened(self, at: Instant) -> None:
        """A watch is open."""
        if self._down_since is not None and self._is_hole(self._down_since, at):
            self._keep(Hole(self._down_since, at, self._reason))
        self._down_since, self._loss, self._slept_seconds = None, None, 0.0
        self._opened_first = min(self._opened_first, at)

    def lost(self, at: Instant) -> None:
        """The watch is closed; `at` may be a while ago."""
        self._down_since = at if self._down_since is None else min(self._down_since, at)

    def slept(self, at: Instant, seconds: float) -> None:
        """At that moment the machine had been suspended for so long: no watch is known to be alive until one is
        opened.
        """
        if self._has_been_open:
            self.lost(at)
            self._slept_seconds += seconds

    def gave_up_continuity(self, at: Instant, reason: LossReason) -> None:
        """No watch will deliver what is committed before the next one is open. The last one need not have ended yet."""
        if self._has_been_open:
            self.lost(at)
            self._loss = reason

    def covers(self, since: Instant, until: Instant, *, from_the_start: bool = False) -> bool:
        """Whether no hole, and no part of one, lies between the instants: then no event of that time is missing.

        `from_the_start`: a watch was expected from the first of them on, though none may ever have been open before.
        """
        if from_the_start and self._opened_first - since > self._longest_gap_seconds:
            return False
        return self.uncovered(since, until) is None

    def uncovered(self, since: Instant, until: Instant) -> Hole | None:
        """The last hole because of which events of the time between the instants may be missing; None if none can be.

        What no watch delivers any more is worse than what one may deliver late.
        """
        holes = [hole for hole in self._holes if hole.began < until and hole.ended > since]
        down_since = self._down_since
        if down_since is not None and down_since < until and self._is_hole(down_since, until):
            holes.append(Hole(down_since, inf, self._reason))
        losses = [hole for hole in holes if hole.reason != "not_watched"]
        return next(reversed(losses or holes), None)

    def _keep(self, hole: Hole) -> None:
        self._holes.append(hole)
        if len(self._holes) > HOLES_KEPT:
            oldest, second, *rest = self._holes
            self._holes = [Hole(oldest.began, second.ended, second.reason), *rest]

    @property
    def _has_been_open(self) -> bool:
        return self._opened_first < inf

    @property
    def _reason(self) -> UncoveredReason:
        return self._loss or "not_watched"

    def _is_hole(self, began: Instant, ended: Instant) -> bool:
        return self._loss is not None or ended - began + self._slept_seconds > self._longest_gap_seconds
