"""Durations as Go's programs write them."""

from __future__ import annotations

import re

LONGEST_CHARACTERS = 64

_PART = re.compile(r"(\d{1,9}(?:\.\d{1,12})?)(h|ms|m|µs|us|ns|s)")
_UNIT_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "µs": 1e-6, "us": 1e-6, "ns": 1e-9}


def go_seconds(text: str) -> float | None:
    """The seconds of a duration such as 1m2.5s (Go, time.Duration.String); None for whatever is none."""
    if len(text) > LONGEST_CHARACTERS:
        return None
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts)
