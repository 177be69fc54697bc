"""Where audit events of all files and webhooks come together."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from exporter.limits import refused_texts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.audit.events import AuditEvent
    from exporter.audit.live_counts import LiveCounts
    from exporter.audit.reading import EventReader


class AuditIntake:
    """Counts events as they come, and what was none."""

    def __init__(self, counts: LiveCounts) -> None:
        self._counts = counts

    def take(self, reader: EventReader, events: Iterable[AuditEvent]) -> None:
        """What a reader has found just now."""
        now = time.time()
        for event in events:
            self._counts.count(event, now)
        refused_texts.count("audit", reader.decoder.unreadable + reader.decoder.cut)
        reader.decoder.unreadable = reader.decoder.cut = 0
