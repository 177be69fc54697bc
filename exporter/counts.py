"""Judgements of one stream in; its metrics and its rolling window count them, each event once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.expose.metrics import ResourceMetrics
    from exporter.measure.events import Event
    from exporter.measure.judging import EarlyReason, Judgement
    from exporter.measure.times import Interval
    from exporter.measure.window import Window


class Counts:
    """Counts runs of events of which the same is known: an event's share of the work shrinks as the rate grows."""

    def __init__(self, metrics: ResourceMetrics, window: Window) -> None:
        self._metrics = metrics
        self._window = window

    def replayed(self, run: Sequence[Event]) -> None:
        """They are history, brought by a relist."""
        self._metrics.events[run[0].event_type, "replayed"].inc(len(run))

    def was_lost(self, run: Sequence[Event]) -> None:
        """Canaries that were counted as late when they were given up have come after all."""
        self._metrics.events[run[0].event_type, "live"].inc(len(run))

    def judged(self, judgement: Judgement, events: int, early: EarlyReason | None) -> None:
        """So many live events that came together are judged alike."""
        event, dated = judgement.event, judgement.dated
        metrics = self._metrics
        metrics.events[event.event_type, "live"].inc(events)
        metrics.judged[judgement.verdict].inc(events)
        self._window.judged(judgement.arrived, judgement.latency, judgement.verdict, events)
        for source in dated.sources:
            metrics.evidence[source].inc(events)
        for source in dated.contradictions:
            metrics.contradictions[source].inc(events)
        if judgement.is_measured:
            self._latency(judgement.latency, events)
        else:
            reason = "bad_revision" if event.revision is None else "overflow" if early == "overflow" else "no_evidence"
            metrics.unmeasured[reason].inc(events)

    def stage(self, stage: str, seconds: Interval, events: int) -> None:
        """So many events spent that long in a stage."""
        self._metrics.stage_lower[stage].observe(seconds.earliest, events)
        self._metrics.stage_upper[stage].observe(seconds.latest, events)

    def _latency(self, latency: Interval, events: int) -> None:
        lower, upper = latency
        metrics = self._metrics
        metrics.time_span_lower.observe(lower, events)
        metrics.time_span_upper.observe(upper, events)
        metrics.time_span.observe((lower + upper) / 2, events)
        metrics.interval_width.observe(upper - lower, events)
