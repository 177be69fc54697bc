"""Since when a stream is in its condition, whether it may have been so before anybody looked, and what is over.

Time is an argument.
"""

from __future__ import annotations

from math import ceil, inf
from typing import TYPE_CHECKING

from msgspec.structs import replace

from exporter.measure.stream_state import NOT_STARTED, Fading

if TYPE_CHECKING:
    from exporter.measure.stream_state import StreamState
    from exporter.measure.times import WallTime
    from exporter.vocabulary import Condition


class Standing:
    """How long one stream is what it is."""

    def __init__(self) -> None:
        self._began: WallTime | None = None
        self._condition: Condition | None = None
        """None until the first watch was tried."""
        self._since: WallTime = 0.0
        self._is_since_start = True
        self._was_up = False
        self._was_judged = False

    def stamped(self, state: StreamState, now: WallTime, window_seconds: float) -> StreamState:
        """The state as it is now, with the time since when."""
        began = self._began = now if self._began is None else self._began
        if state.trouble == NOT_STARTED:
            return state
        condition = state.condition
        if condition != self._condition:
            self._condition, self._since = condition, now
            # What comes first was so when we began: a window has to fill before anything is known.
            is_first = not self._was_judged and now - began <= window_seconds
            is_known = condition in {"met", "violated"}
            self._is_since_start = not self._was_up if condition == "down" else is_known and is_first
        self._was_up |= state.is_up
        self._was_judged |= condition in {"met", "violated"}
        return replace(
            state,
            since=self._since,
            is_since_start=self._is_since_start,
            fading=_fading(state, now, window_seconds),
        )


def _fading(state: StreamState, now: WallTime, window_seconds: float) -> Fading | None:
    """What a condition that is no longer news comes from."""
    wall_ahead, hole, on_time_since = now - state.at, state.window.hole, state.window.on_time_since
    if state.condition == "unknown" and hole is not None:
        if max(hole.ended, window_seconds) == inf:
            return None
        leaves = ceil(hole.ended) + window_seconds
        return Fading(hole.began + wall_ahead, hole.ended + wall_ahead, leaves + wall_ahead)
    if state.condition in {"violated", "unknown"} and on_time_since is not None:
        return Fading(None, on_time_since + wall_ahead, on_time_since + window_seconds + wall_ahead)
    return None
