"""Dependencies that the parts of the daemon share, passed down as one value."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.audit.live_counts import LiveCounts
    from exporter.config import Config
    from exporter.credentials import Credentials
    from exporter.measure.judging import Judgement
    from exporter.measure.times import Interval
    from exporter.metrics.registry import Metrics
    from exporter.service.diagnosing import Diagnosing
    from exporter.service.stream import Stream
    from exporter.vocabulary import StartReason, StartupStage
    from exporter.watch.heartbeat import Heartbeat

log = logging.getLogger(__name__)


class Dependencies(msgspec.Struct, frozen=True):
    """What the daemon passes to the fleet, its apiservers and their streams."""

    config: Config
    credentials: Credentials
    metrics: Metrics
    heartbeat: Heartbeat
    judged: Callable[[Stream, Judgement], None] | None = None
    """Called with every judgement."""
    pod_stage: Callable[[str, StartupStage, Interval], None] | None = None
    """Called with each stage of each pod that starts, by its uid; with --pod-startup."""
    diagnosing: Diagnosing | None = None
    """Takes the facts of the last seconds, every other second."""
    audit: LiveCounts | None = None
    """What is in the audit log; None where none is read."""
    advise: Callable[[str], None] = log.warning
    """Called with a suggestion if a setting has no effect now."""

    def count_discovery_error(self, reason: StartReason) -> None:
        """Count a failure to find apiservers or custom resources."""
        self.metrics.discovery_errors[reason].inc()
