"""Brings the history up to date once a second, in turns."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from exporter.turns import in_turns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from exporter.diagnosis.findings import Finding
    from exporter.history.recording import History
    from exporter.measure.stream_state import StreamState

RECORDED_EVERY_SECONDS = 1.0


async def record(
    history: History, states: Callable[[], Sequence[StreamState]], findings: Callable[[], Sequence[Finding]]
) -> None:
    """Record until cancelled."""
    while True:
        await in_turns(history.record(time.time(), states()))
        history.record_findings(time.time(), findings())
        await asyncio.sleep(RECORDED_EVERY_SECONDS)
