"""Bounds the commit of a revision by polls of the store's revision.

A consistent LIST sent at t0 and answered at t1 with the revision R proves: every v > R was committed after t0, every
v <= R before t1. Only our own clock is read, so the interval is certain.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from enum import Enum
from math import inf
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from exporter.measure.times import ANY_TIME, Interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.measure.times import Instant

STEPS_KEPT = 4096
"""Steps that a step function may have before its older half is thinned."""

VISIBLE_SECONDS = 0.25
"""etcd notifies its watchers of a write just before its readers see it (mvcc/watchable_store_txn.go): within this time
a response with a lower revision than has arrived is not a sign of anything."""

STALE_SECONDS = 5.0
"""No store that reads stale is believed to lag by more: kine asks its database at least once a second."""


class Span(NamedTuple):
    """Revisions with the same evidence: all above `above`, up to `up_to`."""

    above: float = -inf
    up_to: float = inf

    @classmethod
    def in_all(cls, spans: Sequence[Span]) -> Span:
        """The revisions that are in every one of `spans`, of which there is at least one."""
        return cls(max([span.above for span in spans]), min([span.up_to for span in spans]))


class StepFunction:
    """Steps (revision, instant) that rise in both directions, oldest first; what a step means its subclass says."""

    __slots__ = ("instants", "revisions")

    def __init__(self) -> None:
        self.revisions: list[int] = []
        self.instants: list[Instant] = []

    def span(self, revision: int) -> Span:
        """The revisions about which this says the same as about `revision`."""
        step = bisect_left(self.revisions, revision)
        above = self.revisions[step - 1] if step else -inf
        return Span(above, self.revisions[step] if step < len(self.revisions) else inf)

    def _rises_to(self, revision: int, instant: Instant) -> bool:
        """Add a step at the top, which is nearly every one; False if this is none."""
        if self.revisions and (revision <= self.revisions[-1] or instant <= self.instants[-1]):
            return False
        self.revisions.append(revision)
        self.instants.append(instant)
        if len(self.revisions) > STEPS_KEPT:
            # Every second step of the older half goes: intervals of long ago grow wider, never wrong.
            half = len(self.revisions) // 2
            del self.revisions[1:half:2]
            del self.instants[1:half:2]
        return True

    def _replace(self, start: int, end: int, revision: int, instant: Instant) -> None:
        """Replace the steps from `start` to before `end`, which it makes redundant, by one step."""
        self.revisions[start:end] = [revision]
        self.instants[start:end] = [instant]


class CommittedBefore(StepFunction):
    """For each revision the earliest moment by which it is known to be committed: a step function that rises both ways.

    An entry (R, t) says that every revision up to R was committed before t.
    """

    __slots__ = ()

    def learn(self, revision: int, instant: Instant) -> None:
        """Learn that `revision` was committed before `instant`."""
        if self._rises_to(revision, instant):
            return
        revisions, instants = self.revisions, self.instants
        end = bisect_right(revisions, revision)
        at_least = bisect_left(revisions, revision)
        if at_least < len(revisions) and instants[at_least] <= instant:
            return  # a newer revision was known by then already
        start = bisect_left(instants, instant, 0, end)
        self._replace(start, end, revision, instant)

    def of(self, revision: int) -> Instant:
        """The earliest moment by which `revision` is known to be committed; +inf if nothing says so."""
        step = bisect_left(self.revisions, revision)
        return self.instants[step] if step < len(self.instants) else inf

    def newest_revision_by(self, instant: Instant) -> int:
        """The newest revision that was known to be committed before `instant`; 0 if none was."""
        step = bisect_left(self.instants, instant)
        return self.revisions[step - 1] if step else 0


class CommittedAfter(StepFunction):
    """For each revision the latest moment at which it is known not to be committed yet.

    An entry (R, t) says that every revision above R was committed after t.
    """

    __slots__ = ()

    def learn(self, revision: int, instant: Instant) -> None:
        """Learn that every revision above `revision` was committed after `instant`."""
        if self._rises_to(revision, instant):
            return
        revisions, instants = self.revisions, self.instants
        start = bisect_left(revisions, revision)
        at_most = bisect_right(revisions, revision)
        if at_most and instants[at_most - 1] >= instant:
            return  # that much was known of an older revision already
        end = bisect_right(instants, instant, start)
        self._replace(start, end, revision, instant)

    def of(self, revision: int) -> Instant:
        """The latest moment at which `revision` is known not to be committed yet; -inf if nothing says so."""
        step = bisect_left(self.revisions, revision)
        return self.instants[step - 1] if step else -inf

    def revision_after(self, instant: Instant) -> int | None:
        """The oldest revision that was the newest at some moment after `instant`; None if nothing says so."""
        step = bisect_right(self.instants, instant)
        return self.revisions[step] if step < len(self.instants) else None


class WentBack(msgspec.Struct, frozen=True):
    """A poll returned a lower revision than was known before it was sent."""

    known_revision: int
    answered_revision: int
    known_at: Instant
    """By this moment the known revision was there."""


class Trust(Enum):
    """How far the responses to polls count."""

    ALL = "all"
    STALE = "stale"
    """They prove which revisions exist; that a revision does not exist yet, they prove only as of some seconds
    earlier."""

    NOTHING = "nothing"
    """It is not known whether the earlier revisions still exist."""


class RevisionClock:
    """When each revision of one store was committed, as far as our polls and arrivals tell.

    Or when it was in an apiserver's watch cache, if that is what the polls ask: a cache follows its store.

    The clock of a store that was restored is thrown away: what it knew is about revisions that do not exist any more.
    """

    def __init__(self, trust: Trust = Trust.ALL) -> None:
        self.trust = trust
        self._committed_after = CommittedAfter()
        self._committed_before = CommittedBefore()
        self._arrived_before = CommittedBefore()
        self._in_flight: dict[int, Instant] = {}
        self._answered_t0 = -inf

    def poll_sent(self, poll: int, t0: Instant) -> None:
        """The request of `poll` goes out at `t0`; a second call for the same poll (a retry) keeps the first t0."""
        self._in_flight.setdefault(poll, t0)

    def poll_answered(self, poll: int, t1: Instant, revision: int) -> WentBack | None:
        """The answer to `poll` is here at `t1` and says `revision`. Polls that were never sent are ignored.

        If it says less than was known before it was sent, nothing is learned from it, unless that is to be expected.
        """
        t0 = self._in_flight.pop(poll, None)
        if t0 is None:
            return None
        known = self.known_by(t0 - VISIBLE_SECONDS)
        went_back = None
        if revision < known:
            known_at = min(self._committed_before.of(known), self._arrived_before.of(known))
            went_back = WentBack(known, revision, known_at)
        if went_back is None or self.trust is Trust.STALE:
            self._committed_after.learn(revision, t0)
            self._committed_before.learn(revision, t1)
            self._answered_t0 = max(self._answered_t0, t0)
        return went_back

    def known_by(self, instant: Instant) -> int:
        """The newest revision that was known to be committed before `instant`; 0 if none was."""
        return max(self._committed_before.newest_revision_by(instant), self._arrived_before.newest_revision_by(instant))

    def poll_given_up(self, poll: int) -> None:
        """Stop waiting for `poll`; unknown polls are ignored, because a request may fail before it is sent."""
        self._in_flight.pop(poll, None)

    def sent_at(self, poll: int) -> Instant | None:
        """When `poll` went out, if an answer to it would be taken in."""
        return self._in_flight.get(poll)

    def arrived(self, revision: int, instant: Instant) -> None:
        """An event or a bookmark with `revision` of this store reached us, on whichever stream, at `instant`."""
        self._arrived_before.learn(revision, instant)

    def committed(self, revision: int) -> Interval:
        """When `revision` was committed, from polls alone."""
        if self.trust is Trust.NOTHING:
            return ANY_TIME
        after = self._committed_after.of(revision)
        if self.trust is Trust.STALE:
            after -= STALE_SECONDS
        return Interval(after, self._committed_before.of(revision))

    def arrived_by(self, revision: int) -> Instant:
        """The first moment at which an arrival on any stream proved that `revision` was committed; +inf if none did."""
        return inf if self.trust is Trust.NOTHING else self._arrived_before.of(revision)

    def arrived_span(self, revision: int) -> Span:
        """The revisions about which arrivals say the same as about `revision`."""
        return self._arrived_before.span(revision)

    def polled_span(self, revision: int) -> Span:
        """The revisions about which polls alone say the same as about `revision`."""
        return Span.in_all([self._committed_after.span(revision), self._committed_before.span(revision)])

    def answered_after(self, instant: Instant) -> int | None:
        """A revision that was the newest after `instant`, as the first poll sent since then said; None while none is.

        What a store that reads stale answers is as old as it may lag.
        """
        if self.trust is Trust.NOTHING:
            return None
        lag_seconds = STALE_SECONDS if self.trust is Trust.STALE else 0.0
        return self._committed_after.revision_after(instant + lag_seconds)

    @property
    def oldest_in_flight(self) -> Instant:
        """When the oldest poll in flight was sent; +inf if there is none."""
        return min(self._in_flight.values(), default=inf)

    @property
    def settled_until(self) -> Instant:
        """No more evidence can come about arrivals before this moment.

        A poll sent after them was answered, and no poll sent before is still in flight.
        """
        return -inf if self.trust is Trust.NOTHING else min(self._answered_t0, self.oldest_in_flight)
