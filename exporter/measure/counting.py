"""Counts the judgements of one stream, in its counters and its rolling window: each event once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.measure.late_objects import LateObjects

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.measure.events import Event
    from exporter.measure.judging import EarlyReason, Judgement
    from exporter.measure.stream_state import StreamCounts
    from exporter.measure.times import Interval
    from exporter.measure.window import Window
    from exporter.vocabulary import Stage


class Counting:
    """Counts batches of events with the same evidence: the work per event shrinks as the rate grows."""

    def __init__(self, counts: StreamCounts, window: Window) -> None:
        self._counts = counts
        self._window = window
        self.late_objects = LateObjects()

    def replayed(self, batch: Sequence[Event]) -> None:
        """They are history that a relist replays."""
        self._counts.events[batch[0].event_type, "replayed"] += len(batch)

    def was_lost(self, batch: Sequence[Event]) -> None:
        """Canaries that were counted as late when they were lost have arrived after all."""
        self._counts.events[batch[0].event_type, "live"] += len(batch)

    def judged(self, judgement: Judgement, events: int, early: EarlyReason | None) -> None:
        """So many live events of one batch have this verdict."""
        event, dated = judgement.event, judgement.dated
        counts = self._counts
        counts.events[event.event_type, "live"] += events
        counts.judged[judgement.verdict] += events
        self._window.judged(judgement.arrived, judgement.latency, judgement.verdict, events)
        for source in dated.sources:
            counts.evidence[source] += events
        for source in dated.contradictions:
            counts.contradictions[source] += events
        if judgement.is_measured:
            self._latency(judgement.latency, events)
        elif event.revision is None:
            counts.unmeasured["bad_revision"] += events
        else:
            counts.unmeasured["overflow" if early == "overflow" else "no_evidence"] += events

    def stage(self, stage: Stage, seconds: Interval, events: int) -> None:
        """So many events spent this time in a stage."""
        self._counts.stage_lower[stage].observe(seconds.earliest, events)
        self._counts.stage_upper[stage].observe(seconds.latest, events)

    def _latency(self, latency: Interval, events: int) -> None:
        lower, upper = latency
        counts = self._counts
        counts.time_span_lower.observe(lower, events)
        counts.time_span_upper.observe(upper, events)
        counts.time_span.observe((lower + upper) / 2, events)
        counts.interval_width.observe(upper - lower, events)
