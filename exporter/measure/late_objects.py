"""The newest events of one stream that were certainly late: what they were about, by how much, and where.

Only the newest are kept, so that a flood of late events costs no more memory than a few. The names of objects are never
in metrics.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.measure.events import Event
    from exporter.measure.judging import Judgement
    from exporter.measure.stages import Stages
    from exporter.measure.times import Interval, WallTime
    from exporter.vocabulary import EventType, Stage

MOST_KEPT = 20


class LateObject(NamedTuple):
    """One event that was certainly late."""

    at: WallTime
    """When it was read, by our clock."""
    event_type: EventType
    name: str
    """namespace/name, or the name alone; "" if names were not read when it came."""
    revision: int | None
    latency: Interval
    slowest: Stage | None
    """The stage in which it spent the most time, where that is certain."""


class LateObjects:
    """The newest of them."""

    def __init__(self) -> None:
        self._newest: deque[LateObject] = deque(maxlen=MOST_KEPT)

    def add(self, judgement: Judgement, batch: Sequence[Event], stages: Stages | None, wall_ahead: float) -> None:
        """Events of one batch, which are late by one judgement, when our wall clock was so far ahead."""
        at, slowest = judgement.arrived + wall_ahead, stages.slowest if stages is not None else None
        for event in batch[-MOST_KEPT:]:
            self._newest.append(
                LateObject(at, event.event_type, event.name, event.revision, judgement.latency, slowest)
            )

    def newest(self) -> tuple[LateObject, ...]:
        """The newest last."""
        return tuple(self._newest)
