"""Polls, arrivals and Dates of one store in, what they say about a revision's commit out.

Every apiserver that we watch has its own view of a store; the streams that are proven to read the same store share one.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from exporter.measure.dating import DateEvidence, Evidence, OwnEvidence, before
from exporter.measure.revisions import RevisionClock, Span
from exporter.measure.serverclock import WrittenBefore

if TYPE_CHECKING:
    from exporter.measure.revisions import WentBack
    from exporter.measure.times import Instant


class Store:
    """What we know of when one store committed what, from our own clock and from Date headers."""

    def __init__(self) -> None:
        self.polls = RevisionClock()
        self.dates = WrittenBefore()

    def poll_answered(self, poll: int, t1: Instant, revision: int) -> WentBack | None:
        """Take a poll's answer in. If the store went back, forget everything: those revisions exist no more."""
        went_back = self.polls.poll_answered(poll, t1, revision)
        if went_back is not None:
            self.forget()
        return went_back

    def forget(self) -> None:
        """What was learned is about other revisions than those to come."""
        self.polls = RevisionClock()
        self.dates = WrittenBefore()

    def evidence(self, revision: int, arrived: Instant) -> Evidence:
        """What polls, other arrivals and Dates say about the commit of `revision`, which arrived at `arrived`.

        The event's own arrival is no evidence of its own.
        """
        own = [OwnEvidence("revision_clock", self.polls.committed(revision))]
        arrived_by = self.polls.arrived_by(revision)
        if arrived_by < arrived:
            own.append(OwnEvidence("arrival", before(arrived_by)))
        written_before = self.dates.of(revision)
        dates = [DateEvidence("date", before(written_before))] if written_before < inf else []
        return Evidence(own, dates, [])

    def span(self, revision: int) -> Span:
        """The revisions of which the same is known as of `revision`, for events that arrived together."""
        return Span.in_all([self.polls.span(revision), self.dates.span(revision)])

    def answered_span(self, revision: int) -> Span:
        """The revisions of which polls and their Dates say the same as of `revision`, whatever arrivals say."""
        return Span.in_all([self.polls.polled_span(revision), self.dates.span(revision)])
