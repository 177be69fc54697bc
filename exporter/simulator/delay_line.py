"""A queue that holds everything back by a settable delay and so keeps order and rate, as a long cable does.

In: actions. Out: the same actions done in the same order, none before its delay is over.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# A timer below the event loop's resolution would fire at once, again and again, until the moment has come.
SHORTEST_TIMER_SECONDS = 0.001


class DelayLine:
    """Does each action `delay_seconds()` after it was put in; with no delay and nothing before it, at once."""

    def __init__(self, delay_seconds: Callable[[], float]) -> None:
        self._delay_seconds = delay_seconds
        self._waiting: deque[tuple[float, Callable[[], object]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def put(self, action: Callable[[], object]) -> None:
        """Let `action` happen after the delay of this moment, and after all that was put in before."""
        delay_seconds = self._delay_seconds()
        if delay_seconds <= 0 and not self._waiting:
            action()
            return
        self._waiting.append((time.monotonic() + delay_seconds, action))
        if self._timer is None:
            self._set_timer()

    def clear(self) -> None:
        """Forget what waits."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self) -> None:
        seconds = self._waiting[0][0] - time.monotonic()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(max(seconds, SHORTEST_TIMER_SECONDS), self._let_out)

    def _let_out(self) -> None:
        self._timer = None
        while self._waiting and self._waiting[0][0] <= time.monotonic():
            self._waiting.popleft()[1]()
        if self._waiting and self._timer is None:
            self._set_timer()
