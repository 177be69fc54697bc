"""The rate limit for all polls of one apiserver, with slower rates while polls are refused.

Revision clocks have priority, because without them no event is dated; their polls count against the other polls' share.
Unused capacity does not accumulate: after an idle time there is no burst. Polls of watch caches go out in groups of
what the limit allows in a tenth of a second, because a wake-up costs us more than a poll.
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
"""The share of the limit that revision clocks may use. Cache clocks and proofs share the rest, in order of arrival."""

SLOWEST_SHARE = 1 / 16
RECOVERY_SECONDS = 30.0
"""Time from zero to the full rate; the rate grows linearly, as in TCP after a lost packet."""

TOGETHER_SECONDS = 0.1
"""As many requests as the limit allows in this time may go out together, while none of their lane was throttled."""

TICK_SECONDS = 0.001
"""The loop's timers know no less, and what is less would be waited for by going round. A turn that is late by so much
makes none of the next ones late."""


class Slowing:
    """The current share of the full rate: halved after each refusal, then growing linearly."""

    def __init__(self) -> None:
        self._slowed_to = 1.0
        self._slowed_at = -inf
        self.not_before: Instant = -inf
        """The end of the server's Retry-After."""

    def refused(self, sent: Instant, retry_after_seconds: float) -> None:
        """A request sent at `sent` was refused. Requests that were in flight when the rate was reduced are ignored."""
        now = time.monotonic()
        if sent > self._slowed_at:
            self._slowed_to = max(SLOWEST_SHARE, self.share(now) / 2)
            self._slowed_at = now
        self.not_before = max(self.not_before, now + retry_after_seconds)

    def share(self, now: Instant) -> float:
        """The share, at most 1. It grows once Retry-After is over."""
        return min(1.0, self._slowed_to + max(0.0, now - self.not_before) / RECOVERY_SECONDS)


class Lane:
    """Lets requests pass, at most `most_hz` per second, and as many together as are allowed in `together_seconds`.

    Each request that passes also counts in the lane `behind`, without waiting there.
    """

    def __init__(self, most_hz: float, behind: Lane | None = None, together_seconds: float = 0.0) -> None:
        self._most_hz = most_hz
        self._together_seconds = together_seconds
        self._behind = behind
        self._queue = asyncio.Lock()
        self._free_at = -inf
        self._slowing = Slowing()

    def period_seconds(self, hz: float) -> float:
        """Seconds between two polls of a clock whose full rate is `hz`."""
        return 1 / (hz * self._slowing.share(time.monotonic()))

    async def turn(self) -> None:
        """Wait until a request may be sent, first come first served."""
        async with self._queue:
            now = time.monotonic()
            period_seconds = self.period_seconds(self._most_hz)
            is_used_up = self._free_at + period_seconds - now > self._together_seconds or self._slowing.share(now) < 1
            while (seconds := max(self._free_at if is_used_up else now, self._slowing.not_before) - now) > 0:
                await asyncio.sleep(max(seconds, TICK_SECONDS))  # both move meanwhile
                now = time.monotonic()
            self._take(now, period_seconds)

    def throttled(self, sent: Instant, retry_after_seconds: float | None) -> None:
        """A request sent at `sent` was answered with 429. Slow answers alone do not reduce the rate."""
        self._slowing.refused(sent, min(retry_after_seconds or 0.0, LONGEST_ASKED_SECONDS))

    def _take(self, now: Instant, seconds: float) -> None:
        self._free_at = max(self._free_at, now - TICK_SECONDS) + seconds
        if self._behind is not None:
            # At its full rate: while that lane is slowed down, requests of this lane must not pile up there.
            self._behind._take(now, 1 / self._behind._most_hz)  # noqa: SLF001 another one of ours


class Pace:
    """The lanes to one apiserver address, together at most `most_hz`.

    A 429 slows down only its own lane: a watch cache that is being filled answers 429 too, and must not stop the
    revision clock.
    """

    def __init__(self, most_hz: float) -> None:
        self.others = Lane(most_hz, together_seconds=TOGETHER_SECONDS)
        self.revisions = Lane(most_hz * REVISION_SHARE, behind=self.others)
