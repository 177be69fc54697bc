"""Combines polls, arrivals and Dates of one store into evidence about the commit of a revision.

Every watched apiserver has its own view of a store; the streams that are proven to read the same store share one.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from exporter.measure.dating import DateEvidence, Evidence, OwnEvidence, before
from exporter.measure.revisions import STALE_SECONDS, RevisionClock, Span, Trust
from exporter.measure.serverclock import WrittenBefore

if TYPE_CHECKING:
    from exporter.measure.times import Instant

News: TypeAlias = Literal["restored", "read_stale"]

RESTORED_AFTER_SECONDS = STALE_SECONDS
"""A store that returns lower revisions than were known for so long was restored to an older state."""


class Doubt(NamedTuple):
    """Since then it is not known whether the revisions up to `known_revision` still exist."""

    since: Instant
    known_revision: int


class Store:
    """What we know of when one store committed what, from our own clock and from Date headers.

    A poll that is answered with less than was known before it was sent leaves two explanations. The store was restored
    to an older state: it was away for a while, or is further behind than any store lags, or goes on answering less. Or
    it reads stale, as kine may with several servers on one database: soon it answers as much again. Until that is
    decided, nothing it said counts.
    """

    def __init__(self, *, reads_stale: bool = False) -> None:
        self.reads_stale = reads_stale
        """Whether a stale read was ever seen: from then on a response does not prove which revisions did not exist just
        then."""

        self.polls = RevisionClock(self._usual_trust)
        self.dates = WrittenBefore()
        self._doubt: Doubt | None = None
        self._was_away = False

    def poll_answered(self, poll: int, t1: Instant, revision: int) -> News | None:
        """Learn from a poll's response. If the store was restored, discard everything: those revisions no longer
        exist.
        """
        t0 = self.polls.sent_at(poll)
        if t0 is None:
            return None
        is_far_behind = revision < self.polls.known_by(t0 - STALE_SECONDS)
        went_back = self.polls.poll_answered(poll, t1, revision)
        if self._doubt is not None:
            return self._decided(self._doubt, t0, t1, revision)
        if went_back is None:
            self._was_away = False
            return None
        if self._was_away or is_far_behind:
            self.forget()
            return "restored"
        self._doubt = Doubt(t1, went_back.known_revision)
        self.polls.trust = Trust.STALE if self.reads_stale else Trust.NOTHING
        return None

    def poll_failed(self) -> None:
        """The store did not answer a poll: the next answer may be a restored one's."""
        self._was_away = True

    def forget(self) -> None:
        """Discard everything: it is about other revisions than those to come."""
        self.polls = RevisionClock(self._usual_trust)
        self.dates = WrittenBefore()
        self._doubt = None
        self._was_away = False

    def _decided(self, doubt: Doubt, t0: Instant, t1: Instant, revision: int) -> News | None:
        """What this answer says about the doubt, if anything."""
        if revision < doubt.known_revision:
            if t1 - doubt.since < RESTORED_AFTER_SECONDS and not self._was_away:
                return None
            self.forget()
            return "restored"
        if t0 <= doubt.since:
            return None  # it may tell of the time before a restoration
        self._doubt = None
        if not self.reads_stale:
            # What was learned before rests on more trust. And should it have been restored after all, it is of no use.
            self.reads_stale = True
            self.forget()
        return "read_stale"

    @property
    def _usual_trust(self) -> Trust:
        return Trust.STALE if self.reads_stale else Trust.ALL

    def answers(self, revision: int) -> Evidence:
        """What polls and Dates prove about the commit of `revision`."""
        own = [OwnEvidence("revision_clock", self.polls.committed(revision))]
        written_before = self.dates.of(revision)
        is_known = written_before < inf and self.polls.trust is not Trust.NOTHING
        return Evidence(own, [DateEvidence("date", before(written_before))] if is_known else [], [])

    def evidence(self, revision: int, arrived: Instant) -> Evidence:
        """What other arrivals prove too, of an event that arrived at `arrived`. Its own arrival proves nothing."""
        return self.answers(revision).with_arrival(self.polls.arrived_by(revision), arrived)

    def answered_span(self, revision: int) -> Span:
        """The revisions about which polls and Dates say the same as about `revision`, whatever arrivals say."""
        return Span.in_all([self.polls.polled_span(revision), self.dates.span(revision)])
