"""How long to wait before the next try: exponential backoff with full jitter, so that clients do not retry in step."""

from __future__ import annotations

import random

FIRST_SECONDS = 0.8
LONGEST_SECONDS = 30.0
LONGEST_ASKED_SECONDS = 120.0
"""Limit on Retry-After: the apiserver sends at most 30 s, and a proxy that sends an hour must not stop us for that."""

AT_ONCE_SECONDS = 0.1
"""Jitter of a reconnect without backoff: an apiserver that closes all its watches gets them all back."""


class Backoff:
    """Random waits, whose maximum doubles from 0.8 s to 30 s as in client-go's reflector."""

    def __init__(self) -> None:
        self._failures = 0

    def succeeded(self) -> None:
        """Reset: the next wait is a first one."""
        self._failures = 0

    def at_once(self) -> float:
        """Seconds to wait before a reconnect that follows no failure."""
        return random.uniform(0, AT_ONCE_SECONDS)

    def after_failure(self, retry_after_seconds: float | None = None) -> float:
        """Seconds to wait after a failure: Retry-After, up to its limit, plus a random wait."""
        longest = min(FIRST_SECONDS * 2**self._failures, LONGEST_SECONDS)
        self._failures = min(self._failures + 1, 10)
        return min(retry_after_seconds or 0.0, LONGEST_ASKED_SECONDS) + random.uniform(0, longest)
