"""Combines all evidence about one write into the interval of its commit, and names agreeing and contradicting sources.

Evidence has a type by its basis, and the most certain is applied first: our own clock, then the Date header, then
timestamps under an assumption. Evidence that would empty the interval is left out and named.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, NamedTuple

from exporter.measure.times import ANY_TIME, Instant, Interval

if TYPE_CHECKING:
    from exporter.vocabulary import AssumedSource, DateSource, OwnSource, Source


class OwnEvidence(NamedTuple):
    """The commit lies in `interval`, by our own clock alone: certain."""

    source: OwnSource
    interval: Interval


class DateEvidence(NamedTuple):
    """The commit lies in `interval`, while no server's clock slews faster than the drift allowance."""

    source: DateSource
    interval: Interval


class AssumedEvidence(NamedTuple):
    """The commit lies in `interval`, if the clock of the writer of the timestamp is right."""

    source: AssumedSource
    interval: Interval


class Evidence(NamedTuple):
    """All evidence about one commit, by its basis."""

    own: list[OwnEvidence]
    dates: list[DateEvidence]
    assumed: list[AssumedEvidence]

    def with_arrival(self, by: Instant, arrived: Instant) -> Evidence:
        """The same for an event that `arrived`, when an arrival proved `by` when it was committed; its own does not."""
        return Evidence([*self.own, OwnEvidence("arrival", before(by))], *self[1:]) if by < arrived else self


class Dated(NamedTuple):
    """The interval of a commit, the sources that narrowed it, and those that contradict earlier ones."""

    commit: Interval
    sources: tuple[Source, ...]
    contradictions: tuple[Source, ...]


def after(instant: float) -> Interval:
    """No earlier than `instant`."""
    return Interval(instant, inf)


def before(instant: float) -> Interval:
    """No later than `instant`."""
    return Interval(-inf, instant)


def date_commit(evidence: Evidence, arrived: Instant = inf) -> Dated:
    """Intersect the evidence, the most certain first. An unbounded interval says nothing.

    An event was committed before it `arrived`: that narrows no latency, but refutes Dates and timestamps that deny it.
    Polls that deny it put their store in doubt before they get here.
    """
    earliest, latest = ANY_TIME
    sources: list[Source] = []
    contradictions: list[Source] = []
    own, dates, assumed = evidence
    for number, (source, said) in enumerate((*own, *dates, *assumed)):
        if number == len(own) and earliest <= arrived:
            latest = min(latest, arrived)
        if said.earliest == -inf and said.latest == inf:
            continue
        sources.append(source)
        narrower_earliest = max(earliest, said.earliest)
        narrower_latest = min(latest, said.latest)
        if narrower_earliest > narrower_latest:
            contradictions.append(source)
        else:
            earliest, latest = narrower_earliest, narrower_latest
    return Dated(Interval(earliest, latest), tuple(sources), tuple(contradictions))
