"""Computes the interval in which bytes reached a stream's socket.

Our own lag must make events ambiguous, never late. So the lower end of an arrival is a moment at which the socket was
certainly empty. What the server held back because we did not read, or did not ask, counts as our lag too
(docs/decisions/0003).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from math import inf
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from exporter.measure.times import Interval

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.measure.times import Instant

STALL_SECONDS = 0.05
"""A socket that was not seen empty for longer than this may have kept the server waiting; a loop that did not run for
longer may have been paused together with its machine."""

STALL_BYTES = 16 * 1024
"""With fewer bytes than these in a stall the receive window (64 KiB at the least on Linux) was never closed."""

RESEND_SECONDS = 0.2
"""TCP retransmits what was lost while the machine was paused after this time (Linux' TCP_RTO_MIN), then after twice as
long, and so on: up to as long after the pause as the pause was long, plus this."""

CONNECT_RESEND_SECONDS = 1.0
"""The same for the packets that make a connection (TCP_TIMEOUT_INIT)."""

LONGEST_RESEND_SECONDS = 120.0
"""TCP waits no longer than this before it sends again (TCP_RTO_MAX)."""

LONG_STALL_SECONDS = 1.0
RECENT_SECONDS = 10.0
"""A connection that ends within this time after a stall that was long, or in which much arrived, may have been closed
because of the stall."""

STALLS_KEPT = 64
SLEEPS_KEPT = 16

_ended = attrgetter("ended")


class Stall(NamedTuple):
    """A time in which our own delays may have held back events. An event that was committed after it was not held
    back.
    """

    began: Instant
    ended: Instant


class Sleep(NamedTuple):
    """The machine was suspended for so many seconds between two instants; our clock does not count them."""

    began: Instant
    woke: Instant
    seconds: float


class Arrivals:
    """What is known of the arrivals on one stream, over all the connections that it has one after the other.

    Two looks bound an arrival, not one: a machine that was paused may run us before its kernel has emptied the network
    card's queue, and then the last look sees an empty socket that is not.
    """

    def __init__(self) -> None:
        self._last_empty: Instant = 0.0
        self._last_but_one_empty: Instant = 0.0
        self._open_since: Instant = 0.0
        self._bytes_since_empty = 0
        self._backlogs: list[Stall] = []
        """Delays whose held-back events may arrive long after them."""
        self._pauses: list[Stall] = []
        """Delays whose held-back events have arrived when they end."""
        self._slow: Stall | None = None
        """The last stall for which the server may close a connection."""
        self._away_since: Instant | None = -inf
        """While no watch is open, or none that is known to be alive: the time since when the delay may be ours."""
        self._away_until: Instant = inf
        """When the request went out that was answered with the watch that is open now."""
        self._is_ours = True
        """Whether the delay is ours whatever the apiserver answers now."""
        self._awake_since: Instant = -inf
        self._sleeps: list[Sleep] = []

    def connected(self, asked: Instant, answered: Instant) -> None:
        """The watch requested at `asked` is open since `answered`: no event could arrive before it was requested.

        The time between the two is the apiserver's.
        """
        self._last_empty = self._last_but_one_empty = asked
        self._open_since = answered
        self._bytes_since_empty = 0
        self._away_until = max(asked, self._awake_since)

    def found_empty(self, instant: Instant) -> None:
        """The socket was empty at `instant`, and everything read before is stamped."""
        if self._away_since is not None and self._away_until < inf:
            self._come_back(self._away_since)
        if self._bytes_since_empty:
            since = max(self._last_empty, self._open_since)
            if self._has_kept_waiting(instant - since):
                self._slow = Stall(since, instant)
                _keep(self._backlogs, since, instant)
            self._bytes_since_empty = 0
        self._last_but_one_empty, self._last_empty = self._last_empty, instant

    def received(self, instant: Instant, size_bytes: int) -> Interval:
        """Bytes were read at `instant`: the interval in which the last of them reached this host."""
        self._bytes_since_empty += size_bytes
        if self._bytes_since_empty >= STALL_BYTES and self._pauses:
            began, ended = self._pauses[-1]
            if self._last_but_one_empty <= ended:  # what it kept from us is so much that it still comes
                self._pauses[-1] = Stall(began, max(ended, instant + RESEND_SECONDS))
        return Interval(self._last_but_one_empty, instant)

    def ended(self, instant: Instant) -> None:
        """The watch ended at `instant`: from now on the delay is ours, because we do not ask.

        If we were behind, the server may have closed it because of that, and then the whole delay that follows is ours.
        """
        if self._is_down:
            return
        if self._away_since is not None and self._is_ours:
            self._away_until = inf  # it was never seen empty: it may have ended for the same reason
            return
        if self._away_since is not None:
            self._come_back(self._away_since)
        # What was here by then, and not read, may be lost with the connection and come again.
        since = self._last_but_one_empty
        gap_seconds = instant - max(self._last_empty, self._open_since)
        is_ours = self._has_kept_waiting(gap_seconds) or gap_seconds > LONG_STALL_SECONDS
        if self._slow is not None and since - self._slow.ended < RECENT_SECONDS:
            since, is_ours = self._slow.began, True
        self._away_since, self._away_until, self._is_ours = since, inf, is_ours

    def refused(self, instant: Instant, *, is_ours: bool) -> None:
        """A request for a watch failed at `instant`, because of us or of the apiserver.

        If the apiserver refuses now, it would not have given a watch before either: the time up to here is its own.
        From now on it may be willing while we do not ask. But if we have no permission to watch, or could not even ask,
        nothing proves that it was not willing all the time, and nothing will before the next watch is open.
        """
        if not self._is_down:
            return
        if is_ours:
            self._is_ours = True
        elif not self._is_ours:
            self._away_since = instant

    def stood_still(self, began: Instant, ended: Instant) -> None:
        """We did not run between the two instants; perhaps nothing on this machine did."""
        resend_seconds = CONNECT_RESEND_SECONDS if self._is_down else RESEND_SECONDS
        # What was sent again in the pause before may have been lost in this one: they are one to TCP.
        first = self._pauses[-1] if self._pauses else None
        since = first.began if first is not None and first.ended >= began else began
        _keep(self._pauses, began, ended + min(ended - since, LONGEST_RESEND_SECONDS) + resend_seconds)
        if ended - began > LONG_STALL_SECONDS:
            self._slow = Stall(began, ended)

    def slept(self, began: Instant, woke: Instant, seconds: float) -> None:
        """The machine was suspended between the two instants, for up to `seconds` that our clock did not count.

        The server may have given up the connection meanwhile, and what says so was lost.
        """
        self._sleeps.append(Sleep(began, woke, seconds))
        if len(self._sleeps) > SLEEPS_KEPT:
            oldest, second, *rest = self._sleeps
            self._sleeps = [Sleep(oldest.began, second.woke, oldest.seconds + second.seconds), *rest]
        self._away_since = min(began, began if self._away_since is None else self._away_since)
        self._away_until, self._is_ours, self._awake_since = inf, True, woke

    @property
    def not_before(self) -> Instant:
        """What has not been received by now was delayed up to this moment, by nothing of ours that is known."""
        if self._is_down:
            assert self._away_since is not None
            return self._away_since
        return self._last_but_one_empty

    def kept_up(self, since: Instant, until: Instant) -> Iterator[Interval]:
        """The parts of that time, up to `not_before` at the latest, in which we delayed nothing."""
        if self._away_since is not None and (self._is_ours or since < self._away_until < inf):
            return
        for stall in sorted([*self._backlogs, *self._pauses]):
            if since < min(stall.began, until):
                yield Interval(since, min(stall.began, until))
            since = max(since, stall.ended)
        if since < until:
            yield Interval(since, until)

    def excusing_us(self, arrival: Interval, committed_after: Instant) -> Interval:
        """`arrival` of an event committed after `committed_after`, with its lower end moved before our own delays.

        An event that was committed after a stall ended cannot have been delayed by it. A pause cannot have delayed an
        event that was not here when the pause ended. An event that may have been committed before the machine was
        suspended arrived later than our clock says, by the length of the suspension.
        """
        earliest, latest = arrival
        if self._away_since is not None and committed_after < self._away_until:
            earliest = min(earliest, self._away_since)
        if self._backlogs and self._backlogs[-1].ended > committed_after:
            first = self._backlogs[bisect_right(self._backlogs, committed_after, key=_ended)]
            earliest = min(earliest, first.began)
        if self._pauses and self._pauses[-1].ended >= earliest:
            pause = self._pauses[bisect_left(self._pauses, earliest, key=_ended)]
            if pause.ended > committed_after:
                earliest = min(earliest, pause.began)
        if self._sleeps:
            latest += self.slept_between(committed_after, latest)
        return Interval(earliest, latest)

    def slept_between(self, earlier: Instant, later: Instant) -> float:
        """How many seconds our clock may have missed between the two instants."""
        return sum(sleep.seconds for sleep in self._sleeps if earlier < sleep.woke and sleep.began < later)

    @property
    def _is_down(self) -> bool:
        return self._away_since is not None and self._away_until == inf

    def _has_kept_waiting(self, gap_seconds: float) -> bool:
        """Whether the receive window may have closed since the socket was seen empty so long ago."""
        return self._bytes_since_empty >= STALL_BYTES and gap_seconds > STALL_SECONDS

    def _come_back(self, away_since: Instant) -> None:
        """A watch is open that is known to be alive: from now on the commit of an event decides whether it was
        delayed.
        """
        if away_since > -inf:  # what was committed before the first watch is no news
            _keep(self._backlogs, away_since, self._away_until)
        self._away_since, self._is_ours = None, False


def _keep(stalls: list[Stall], began: Instant, ended: Instant) -> None:
    """Add one interval: all are disjoint and in order, and the oldest are merged if they are too many."""
    while stalls and stalls[-1].ended >= began:
        last = stalls.pop()
        began, ended = min(began, last.began), max(ended, last.ended)
    stalls.append(Stall(began, ended))
    if len(stalls) > STALLS_KEPT:
        stalls[:2] = [Stall(stalls[0].began, stalls[1].ended)]
