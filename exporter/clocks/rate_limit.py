"""How fast the clocks may ask one apiserver: a ceiling for all their requests, and slower while they are refused.

Revision clocks go first, for without them nothing is dated; what they take is missing for all others. Nobody's turn is
kept for later: an apiserver that was asked less than it might have been is not asked more afterwards.
"""

from __future__ import annotations

import asyncio
import time
from math import inf
from typing import TYPE_CHECKING

from exporter.kubernetes.backoff import LONGEST_ASKED_SECONDS

if TYPE_CHECKING:
    from exporter.measure.times import Instant

REVISION_SHARE = 3 / 4
"""So much of the ceiling revision clocks may take; the rest is for cache clocks and proofs, in the order they come."""

SLOWEST_SHARE = 1 / 16
RECOVERY_SECONDS = 30.0
"""From nothing to the full rate, as steadily as TCP comes back from a lost packet."""


TICK_SECONDS = 0.001
"""The loop's timers know no less, and what is less would be waited for by going round. A turn that is late by so much
makes none of the next ones late."""


class Slowing:
    """How much of a full rate is left: half as much after each refusal, and more again with every moment."""

    def __init__(self) -> None:
        self._slowed_to = 1.0
        self._slowed_at = -inf
        self.not_before: Instant = -inf
        """When the server may be asked again, as it has said itself."""

    def refused(self, sent: Instant, retry_after_seconds: float) -> None:
        """A request that went out at `sent` was; those that were under way when we slowed down say nothing new."""
        now = time.monotonic()
        if sent > self._slowed_at:
            self._slowed_to = max(SLOWEST_SHARE, self.share(now) / 2)
            self._slowed_at = now
        self.not_before = max(self.not_before, now + retry_after_seconds)

    def share(self, now: Instant) -> float:
        """1 is all of it; once the server may be asked again, it grows."""
        return min(1.0, self._slowed_to + max(0.0, now - self.not_before) / RECOVERY_SECONDS)


class Lane:
    """Gives requests their turns, one after the other, no more than `most_hz` a second.

    Each turn taken here is taken from the lane `behind` as well, which is not asked.
    """

    def __init__(self, most_hz: float, behind: Lane | None = None) -> None:
        self._most_hz = most_hz
        self._behind = behind
        self._queue = asyncio.Lock()
        self._free_at = -inf
        self._slowing = Slowing()

    def period_seconds(self, hz: float) -> float:
        """Seconds between two polls of a clock that would like to poll at `hz`."""
        return 1 / (hz * self._slowing.share(time.monotonic()))

    async def turn(self) -> None:
        """Wait until one request may go out; who comes first goes first."""
        async with self._queue:
            while (seconds := max(self._free_at, self._slowing.not_before) - time.monotonic()) > 0:  # noqa: ASYNC110 both move
                await asyncio.sleep(max(seconds, TICK_SECONDS))
            self._take(time.monotonic(), self.period_seconds(self._most_hz))

    def throttled(self, sent: Instant, retry_after_seconds: float | None) -> None:
        """A request that went out at `sent` is answered with 429: the server is overloaded and says so.

        Slow answers alone change nothing.
        """
        self._slowing.refused(sent, min(retry_after_seconds or 0.0, LONGEST_ASKED_SECONDS))

    def _take(self, now: Instant, seconds: float) -> None:
        self._free_at = max(self._free_at, now - TICK_SECONDS) + seconds
        if self._behind is not None:
            # By its full rate: while it is slowed down, turns that are not its own must not add up.
            self._behind._take(now, 1 / self._behind._most_hz)  # noqa: SLF001 another one of ours


class Pace:
    """The lanes to one apiserver address, no more than `most_hz` on both together.

    A 429 slows its own lane: a watch cache that is being filled says 429 as well, and is no reason to lose the clock.
    """

    def __init__(self, most_hz: float) -> None:
        self.others = Lane(most_hz)
        self.revisions = Lane(most_hz * REVISION_SHARE, behind=self.others)
