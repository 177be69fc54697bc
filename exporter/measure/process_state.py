"""The state of the exporter's own process as one value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from exporter.measure.histogram import Histogram
    from exporter.measure.times import Instant


class ProcessState(msgspec.Struct, frozen=True, kw_only=True):
    """The exporter itself at one moment; everything is counted since it began."""

    at: Instant
    loop_lag: Histogram
    stalled_seconds: float = 0.0
    """In which nothing of ours ran, as far as that was longer than the heartbeat's pauses may be."""
    suspended_seconds: float = 0.0
    """Of the machine; our clock does not count them."""
    throttled_seconds: float | None = None
    """In which the kernel kept us from running because of a CPU limit; None where it does not say."""
