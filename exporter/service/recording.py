"""Brings the history up to date once a second, in turns."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from exporter.service.persistent import Persistent
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

    async def once() -> None:
        await in_turns(history.record(time.time(), states()))
        history.record_findings(time.time(), findings())

    recording = Persistent("history")
    while True:
        await recording.succeeds(once())
        await asyncio.sleep(RECORDED_EVERY_SECONDS)
