"""Ten milliseconds at a time: how late our own event loop runs, and which sockets were certainly empty."""

from __future__ import annotations

import asyncio
import select
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.measure.arrivals import Arrivals

PERIOD_SECONDS = 0.01


class Heartbeat:
    """Looks at all watched sockets in one poll(2) per beat. A socket that is not readable was empty before the call."""

    def __init__(self, observe_lag: Callable[[float], None]) -> None:
        self._observe_lag = observe_lag
        self._poller = select.poll()
        self._arrivals: dict[int, Arrivals] = {}

    def attend(self, fd: int, arrivals: Arrivals) -> None:
        """From now on look at the socket `fd`, whose bytes `arrivals` follows."""
        self._poller.register(fd, select.POLLIN | select.POLLPRI)
        self._arrivals[fd] = arrivals

    def forget(self, fd: int) -> None:
        """Look at `fd` no more; must be called before the number can be another socket's."""
        if self._arrivals.pop(fd, None) is not None:
            self._poller.unregister(fd)

    async def run(self) -> None:
        """Beat for ever."""
        due = time.monotonic()
        while True:
            due = max(due + PERIOD_SECONDS, time.monotonic())
            await asyncio.sleep(due - time.monotonic())
            self._observe_lag(max(0.0, time.monotonic() - due))
            self._beat()

    def _beat(self) -> None:
        before = time.monotonic()
        readable = {fd for fd, _ in self._poller.poll(0)}
        for fd, arrivals in self._arrivals.items():
            if fd not in readable:
                arrivals.found_empty(before)
