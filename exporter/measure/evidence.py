"""Evidence that an object itself contains about the time of its write. It rests on the clock of the writer.

A new source is a function here, its line in SOURCES_IN_OBJECTS, and its label value in exporter.vocabulary. If it reads
a field of the event that no other source reads, exporter.measure.judging asks how that field is compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from exporter.measure.dating import AssumedEvidence, after
from exporter.measure.write_times import apiserver_stamps, is_apiservers_own, parse_annotation, renewed_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from exporter.measure.events import Event
    from exporter.measure.serverclock import Offset
    from exporter.measure.times import Instant, WallTime


class Wallclocks(NamedTuple):
    """How the clocks of the writers of timestamps relate to ours."""

    apiservers: Offset | None
    """Bounds on the clock of every apiserver that may have stamped the object; None while they are not all known."""
    drift: float
    """No apiserver's clock gains or loses more than so many seconds in one."""
    ahead_seconds: float
    """Everybody else's clock is ahead of our monotonic one by no more than this."""

    def by_apiservers(self, stamped: WallTime) -> Instant | None:
        """The earliest instant at which an apiserver's clock showed this time."""
        return self.apiservers.instant_of(stamped, self.drift) if self.apiservers is not None else None

    def by_others(self, stamped: WallTime) -> Instant:
        """The earliest instant at which a clock within the assumed error showed this time."""
        return stamped - self.ahead_seconds


def in_object(event: Event, clocks: Wallclocks) -> list[AssumedEvidence]:
    """All evidence about its commit that the object itself contains."""
    return [evidence for source in SOURCES_IN_OBJECTS for evidence in source(event, clocks)]


def _annotation(event: Event, clocks: Wallclocks) -> Iterator[AssumedEvidence]:
    written = parse_annotation(event.annotation) if event.annotation is not None else None
    if written is not None:
        yield AssumedEvidence("annotation", after(clocks.by_others(written)))


def _lease(event: Event, clocks: Wallclocks) -> Iterator[AssumedEvidence]:
    renewed = renewed_at(event.lease) if event.lease is not None else None
    if event.lease is None or renewed is None:
        return
    # If its holder is an apiserver, that one's clock may be known far better.
    by_apiserver = clocks.by_apiservers(renewed) if is_apiservers_own(event.lease) else None
    yield AssumedEvidence("lease", after(clocks.by_others(renewed) if by_apiserver is None else by_apiserver))


def _stamps(event: Event, clocks: Wallclocks) -> Iterator[AssumedEvidence]:
    if clocks.apiservers is None:
        return
    for source, stamped in apiserver_stamps(event.stamps):
        yield AssumedEvidence(source, after(clocks.apiservers.instant_of(stamped, clocks.drift)))


SOURCES_IN_OBJECTS: tuple[Callable[[Event, Wallclocks], Iterator[AssumedEvidence]], ...] = (
    _annotation,
    _lease,
    _stamps,
)
