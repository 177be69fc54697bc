"""Matches canary writes with the arrivals on one stream, and decides which canaries are lost.

A canary is a write of ours. The apiserver's response contains the new revision, and the event with that revision
belongs to this canary alone: nothing needs to be decoded, and two exporters cannot confuse their canaries.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from exporter.measure.times import Interval

if TYPE_CHECKING:
    from collections.abc import Collection

    from exporter.measure.times import Instant

MOST_EARLY = 50_000
"""Arrivals that are kept while a write is in flight: its response may name the revision of any of them."""

MOST_UNJUDGED = 1_000
MOST_LOST = 10_000

_Value = TypeVar("_Value")


class Canary(NamedTuple):
    """A write that got a 2xx response: `revision` was committed between the two instants."""

    revision: int
    sent: Instant
    answered: Instant


class Canaries:
    """The canaries of one stream: awaited, arrived, and lost.

    Events of a watch come in the order of their revisions, so an event older than the newest will not come any more.
    """

    def __init__(self, lost_after_seconds: float) -> None:
        self._lost_after_seconds = lost_after_seconds
        self._newest = 0
        self._early: dict[int, Instant] | None = None
        self._owed: dict[int, Canary] = {}
        self._waited: dict[int, float] = {}
        self._came: dict[int, Canary] = {}
        self._lost: dict[int, None] = {}

    @property
    def wants_arrivals(self) -> bool:
        """Whether the next event may be a canary."""
        return self._early is not None or bool(self._owed)

    def sending(self) -> None:
        """A write is sent: its event may arrive before its response. One write at a time."""
        self._early = {}

    def answered(self, canary: Canary | None) -> float | None:
        """The write is `canary`, or None if it failed. Seconds from sending to arrival, if its event is here.

        A write that was sent before `forget` says nothing: its result belongs to the discarded state.
        """
        early, self._early = self._early, None
        if canary is None or early is None:
            return None
        if canary.revision > self._newest:
            self._owed[canary.revision] = canary
            self._waited[canary.revision] = 0.0
            return None
        arrived = early.get(canary.revision)
        return None if arrived is None else self._arrives(canary, arrived)

    def arrived(self, revision: int, instant: Instant) -> float | None:
        """An event arrived at `instant`. Seconds since it was sent if it is a canary."""
        canary = self._owed.pop(revision, None)
        if canary is not None:
            del self._waited[revision]
            return self._arrives(canary, instant)
        if self._early is not None:
            _put(self._early, revision, instant, MOST_EARLY)
        return None

    def is_here(self, revision: int) -> None:
        """Everything up to `revision` has arrived or, being older than the watch, never will."""
        self._newest = max(self._newest, revision)

    def passed_over(self, revision: int) -> None:
        """After a relist the watch continued from `revision`: canaries from before are in that gap."""
        self.is_here(revision)
        for owed in [owed for owed in self._owed if owed <= revision]:
            del self._owed[owed], self._waited[owed]

    def forget(self) -> None:
        """No canary is awaited any more. A lost one stays lost: its event may be here already and be pending."""
        self._early = None
        self._owed.clear()
        self._waited.clear()

    def start_anew(self) -> None:
        """The earlier revisions no longer exist, and none of their events is pending."""
        self.forget()
        self._newest = 0
        self._came.clear()
        self._lost.clear()

    def take_committed(self, revision: int) -> Interval | None:
        """When `revision` was committed, if it is a canary that came: said once, when it is judged."""
        canary = self._came.pop(revision, None)
        return Interval(canary.sent, canary.answered) if canary is not None else None

    def take_lost(self, revision: int) -> bool:
        """Whether `revision` is a canary that was given up before it came: said once, when it would be judged."""
        if revision not in self._lost:
            return False
        del self._lost[revision]
        return True

    def owes_of(self, sent_before: Instant) -> bool:
        """Whether a canary that was sent before this instant is still awaited."""
        return any(canary.sent < sent_before for canary in self._owed.values())

    @property
    def newest(self) -> int:
        """Everything up to this revision is here, or never will be; 0 while nothing is known."""
        return self._newest

    @property
    def oldest_owed(self) -> Canary | None:
        """The one that is awaited for the longest time."""
        return next(iter(self._owed.values()), None)

    @property
    def lost(self) -> Collection[int]:
        """The revisions of lost canaries that are not judged: if such an event arrives after all, it is counted."""
        return self._lost.keys()

    @property
    def revisions(self) -> list[int]:
        """The revisions about which `take_committed` or `take_lost` has something to say, in order."""
        return sorted({*self._came, *self._lost})

    def waited(self, since: Instant, until: Instant) -> list[Interval]:
        """No awaited canary came between the instants, and the delay was not ours. The latencies of those lost now.

        Other time does not count: a canary is lost when the total of such time is long enough.
        """
        lost = []
        for canary in list(self._owed.values()):
            self._waited[canary.revision] += max(0.0, until - max(since, canary.answered))
            if self._waited[canary.revision] > self._lost_after_seconds:
                del self._owed[canary.revision]
                lost.append(Interval(self._waited.pop(canary.revision), inf))
                _put(self._lost, canary.revision, None, MOST_LOST)
        return lost

    def _arrives(self, canary: Canary, instant: Instant) -> float:
        _put(self._came, canary.revision, canary, MOST_UNJUDGED)
        return instant - canary.sent


def _put(held: dict[int, _Value], revision: int, value: _Value, most: int) -> None:
    held[revision] = value
    if len(held) > most:
        del held[next(iter(held))]
