"""An apiserver's wall clock: this machine's, moved by an offset that may grow.

In: knobs. Out: seconds since the epoch, and the texts that Kubernetes makes of them, cut to seconds or microseconds.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import formatdate


class WallClock:
    """The server's clock is ahead of ours by `offset_seconds`, which grows by `drift_ratio` seconds per second."""

    def __init__(self, *, offset_seconds: float = 0.0, drift_ratio: float = 0.0) -> None:
        self._offset_seconds = offset_seconds
        self._drift_ratio = drift_ratio
        self._since_seconds = time.monotonic()

    @property
    def offset_seconds(self) -> float:
        """How far this clock is ahead of ours right now; setting it is a step."""
        return self._offset_seconds + self._drift_ratio * (time.monotonic() - self._since_seconds)

    @offset_seconds.setter
    def offset_seconds(self, seconds: float) -> None:
        self._offset_seconds = seconds
        self._since_seconds = time.monotonic()

    @property
    def drift_ratio(self) -> float:
        """Seconds that it gains per second; setting it keeps the offset of this moment."""
        return self._drift_ratio

    @drift_ratio.setter
    def drift_ratio(self, ratio: float) -> None:
        self.offset_seconds = self.offset_seconds
        self._drift_ratio = ratio

    def now_seconds(self) -> float:
        """Seconds since the epoch, as this server believes."""
        return time.time() + self.offset_seconds

    def http_date(self, *, ahead_seconds: float = 0.0) -> str:
        """The value of a Date header, cut to the whole second; of a clock that is ahead of this one by so much."""
        return formatdate(int(self.now_seconds() + ahead_seconds), usegmt=True)

    def timestamp(self, *, plus_seconds: int = 0) -> str:
        """A metav1.Time: RFC 3339, cut to the whole second."""
        moment = datetime.fromtimestamp(int(self.now_seconds()) + plus_seconds, UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")

    def micro_timestamp(self) -> str:
        """A metav1.MicroTime: RFC 3339, cut to the microsecond."""
        return f"{datetime.fromtimestamp(self.now_seconds(), UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
