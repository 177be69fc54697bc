"""Moments as people read them, in UTC as in logs. All are Unix times."""

from __future__ import annotations

from datetime import UTC, datetime


def clock(at: float) -> str:
    """The time of day to the second, for what is a few minutes away."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")


def when(at: float, now: float) -> str:
    """The time of day to the minute, with the date if that is another one."""
    then = datetime.fromtimestamp(at, UTC)
    is_today = then.date() == datetime.fromtimestamp(now, UTC).date()
    return then.strftime("%H:%M UTC" if is_today else "%b %d, %H:%M UTC")
