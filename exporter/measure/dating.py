"""All evidence about one write in, the interval of its commit out, with who said something and who contradicted.

Evidence is intersected in a fixed order, the most certain first: our own clock's, then the Date header, then stamps
under an assumption. What would empty the interval is left out and named.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from exporter.measure.times import ANY_TIME, Interval

if TYPE_CHECKING:
    from collections.abc import Iterable

Source: TypeAlias = Literal[
    "revision_clock",
    "arrival",
    "canary",
    "date",
    "managed_fields",
    "creation_timestamp",
    "deletion_timestamp",
    "annotation",
    "lease",
]


class Evidence(NamedTuple):
    """What one source says about a commit: it lies in `interval`."""

    source: Source
    interval: Interval


class Dated(NamedTuple):
    """The interval of a commit, the sources that said something of it, and those that contradict the ones before."""

    commit: Interval
    sources: tuple[Source, ...]
    contradictions: tuple[Source, ...]


def after(instant: float) -> Interval:
    """No earlier than `instant`."""
    return Interval(instant, inf)


def before(instant: float) -> Interval:
    """No later than `instant`."""
    return Interval(-inf, instant)


def date_commit(evidence: Iterable[Evidence]) -> Dated:
    """Intersect `evidence` in the order given. A source that knows nothing (an unbounded interval) has said nothing."""
    earliest, latest = ANY_TIME
    sources: list[Source] = []
    contradictions: list[Source] = []
    for source, said in evidence:
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
