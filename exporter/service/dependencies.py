"""What the parts of the daemon share, handed down as one value."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exporter.config import Config
    from exporter.diagnosis.facts import Facts
    from exporter.diagnosis.server_facts import ServerFacts
    from exporter.kubernetes.credentials import Credentials
    from exporter.labels import StartReason
    from exporter.measure.judging import Judgement
    from exporter.metrics.registry import Metrics
    from exporter.service.stream import Stream
    from exporter.watch.heartbeat import Heartbeat

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the daemon hands down to its fleet, its apiservers and their streams."""

    config: Config
    credentials: Credentials
    metrics: Metrics
    heartbeat: Heartbeat
    judged: Callable[[Stream, Judgement], None] | None = None
    """Told of every judgement."""
    diagnose: Callable[[Facts], None] | None = None
    """Told the facts of the last seconds, every other second."""
    servers: Callable[[], Mapping[str, ServerFacts]] = dict
    """What apiservers say of themselves, by address."""
    advise: Callable[[str], None] = log.warning
    """Told what may have been meant by a setting that does nothing now."""

    def count_discovery_error(self, reason: StartReason) -> None:
        """What there is to watch cannot be found."""
        self.metrics.discovery_errors[reason].inc()
