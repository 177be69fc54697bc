"""How long to wait before the next try: full jitter, so that a fleet does not come back in one wave."""

from __future__ import annotations

import random

FIRST_SECONDS = 0.8
LONGEST_SECONDS = 30.0
LONGEST_ASKED_SECONDS = 120.0
"""The apiserver asks for 30 s at the most; a proxy that asks for an hour must not blind us for an hour."""

AT_ONCE_SECONDS = 0.1
"""Even a first reconnect is spread a little: an apiserver that closes all its watches gets them all back."""


class Backoff:
    """Waits that double from 0.8 s to 30 s, as client-go's reflector does, each drawn between 0 and that."""

    def __init__(self) -> None:
        self._failures = 0

    def succeeded(self) -> None:
        """The next wait is a first one again."""
        self._failures = 0

    def at_once(self) -> float:
        """Seconds to wait after something that was no failure."""
        return random.uniform(0, AT_ONCE_SECONDS)

    def after_failure(self, retry_after_seconds: float | None = None) -> float:
        """Seconds to wait after a failure; at least as long as the server asks for, and not all at that moment."""
        longest = min(FIRST_SECONDS * 2**self._failures, LONGEST_SECONDS)
        self._failures = min(self._failures + 1, 10)
        return min(retry_after_seconds or 0.0, LONGEST_ASKED_SECONDS) + random.uniform(0, longest)
