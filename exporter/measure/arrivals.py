"""Looks at a stream's socket and the bytes read from it in, the interval in which those bytes reached us out.

Our own lag must make events ambiguous, never late. So an arrival's lower end is a moment at which the socket was
certainly empty, and what the server held back because we did not read is our lag too (docs/decisions/0003).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from exporter.measure.times import Interval

if TYPE_CHECKING:
    from exporter.measure.times import Instant

STALL_SECONDS = 0.05
"""A socket that was not seen empty for longer than this may have kept the server waiting."""

STALL_BYTES = 16 * 1024
"""With fewer bytes than these in a stall the receive window (64 KiB at the least on Linux) was never closed."""

LONG_STALL_SECONDS = 1.0
"""After a pause of the whole machine TCP resends what was lost, slowly: this counts however little came in it."""

RECENT_SECONDS = 10.0
"""A connection that ends so soon after a stall may have been closed for it."""

STALLS_KEPT = 64


class Stall(NamedTuple):
    """A time in which we did not keep up with the server: from the last empty moment before it to the first after."""

    began: Instant
    ended: Instant


class Arrivals:
    """What is known of the arrivals on one stream, over all the connections that it has one after the other.

    Two looks bound an arrival, not one: a machine that was paused may run us before its kernel has emptied the network
    card's queue, and then the last look sees an empty socket that is not.
    """

    def __init__(self) -> None:
        self._last_empty: Instant = 0.0
        self._last_but_one_empty: Instant = 0.0
        self._bytes_since_empty = 0
        self._behind_since: Instant | None = None
        self._stalls: list[Stall] = []

    def connected(self, request_sent: Instant) -> None:
        """A new connection: nothing that comes over it was here before its request went out at `request_sent`."""
        self._last_empty = self._last_but_one_empty = request_sent
        self._bytes_since_empty = 0

    def found_empty(self, instant: Instant) -> None:
        """The socket was empty at `instant` and all that was read before is stamped."""
        if self._behind_since is not None:
            self._stalled(self._behind_since, instant)
            self._behind_since = None
        elif self._is_stall(instant - self._last_empty):
            self._stalled(self._last_empty, instant)
        self._last_but_one_empty, self._last_empty = self._last_empty, instant
        self._bytes_since_empty = 0

    def received(self, instant: Instant, size_bytes: int) -> Interval:
        """Bytes were read at `instant`: the interval in which the last of them reached this host."""
        self._bytes_since_empty += size_bytes
        return Interval(self._last_but_one_empty, instant)

    def ended(self, instant: Instant) -> None:
        """The connection ended at `instant`. If we were behind, the server may have closed it for that."""
        if self._behind_since is not None:
            return
        if instant - self._last_empty > STALL_SECONDS:
            self._behind_since = self._last_but_one_empty
        elif self._stalls and instant - self._stalls[-1].ended < RECENT_SECONDS:
            self._behind_since = self._stalls[-1].began

    @property
    def not_before(self) -> Instant:
        """What has not been received by now did not reach this host before this moment."""
        return self._last_but_one_empty

    def kept_up_since(self, instant: Instant) -> bool:
        """Whether nothing since `instant` may have kept the server waiting for us."""
        return self._behind_since is None and not (self._stalls and self._stalls[-1].ended > instant)

    def excusing_us(self, arrival: Interval, committed_after: Instant) -> Interval:
        """`arrival` of an event committed after `committed_after`, its lower end moved before our first stall since.

        An event that was committed after a stall had ended cannot have been delayed by it.
        """
        if self._behind_since is not None and self._behind_since < arrival.earliest:
            arrival = Interval(self._behind_since, arrival.latest)
        for stall in self._stalls:
            if stall.ended > committed_after:
                return Interval(min(stall.began, arrival.earliest), arrival.latest)
        return arrival

    def _is_stall(self, gap_seconds: float) -> bool:
        if gap_seconds > LONG_STALL_SECONDS:
            return True
        return gap_seconds > STALL_SECONDS and self._bytes_since_empty >= STALL_BYTES

    def _stalled(self, began: Instant, ended: Instant) -> None:
        self._stalls.append(Stall(began, ended))
        if len(self._stalls) > STALLS_KEPT:
            oldest, second, *rest = self._stalls
            self._stalls = [Stall(oldest.began, second.ended), *rest]
