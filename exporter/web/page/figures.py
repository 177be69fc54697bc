"""Figures as people read them, each with its unit, and HTML around them. Whatever comes from elsewhere is escaped."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from math import inf
from typing import TYPE_CHECKING

from exporter.diagnosis.sentences import seconds

if TYPE_CHECKING:
    from exporter.measure.times import Interval, WallTime
    from exporter.vocabulary import ShownCondition, Stage, StartupStage

NOTHING = "\N{EN DASH}"

CONDITION_MEANINGS: dict[ShownCondition, str] = {
    "met": "Enough events of the window are certainly on time.",
    "violated": "More events of the window than the objective allows are certainly late.",
    "unknown": "It is not known whether the objective is met.",
    "quiet": "Too few events in the window to judge.",
    "down": "No watch is open: nothing new is measured.",
    "interrupted": "Its watches are closed by force, or have to relist, again and again.",
}
IT_MAY_BE_LONGER = "It was so as soon as this exporter knew of it: it may be so for longer."
STAGE_WORDS: dict[Stage, str] = {
    "write": "before the commit",
    "storage_to_cache": "store to cache",
    "cache_to_client": "cache to client",
}
STARTUP_WORDS: dict[StartupStage, str] = {
    "scheduled": "scheduled",
    "sandbox": "sandbox",
    "initialized": "initialized",
    "started": "started",
    "ready": "ready",
    "total": "total",
    "sli": "SLI",
    "watches": "late watches",
}


def text(value: object) -> str:
    """As text of an element or of an attribute."""
    return escape(str(value))


def with_code(words: str) -> str:
    """Words as text; what stands between backticks is code."""
    parts = text(words).split("`")
    return "".join([f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts)])


def between(interval: Interval | None) -> str:
    """Bounds of a duration."""
    if interval is None:
        return NOTHING
    lower, upper = interval
    if upper == inf:
        return f"at least {seconds(lower)}" if lower else "no bound"
    least, most = seconds(lower), seconds(upper)
    return most if least == most else f"{least.removesuffix(' s')}\N{EN DASH}{most}"


def ago(seconds: float) -> str:
    """How old something is, as exact as it matters."""
    if seconds < 120:
        return f"{max(10, seconds // 10 * 10):.0f} s ago"
    return f"{seconds // 60:.0f} min ago"


def moment(at: WallTime, now: WallTime) -> str:
    """A time as an element that says all of it to machines, with the date where that is another one."""
    then = datetime.fromtimestamp(at, UTC)
    is_today = then.date() == datetime.fromtimestamp(now, UTC).date()
    words = then.strftime("%H:%M:%S" if is_today else "%b %d, %H:%M")
    return f'<time datetime="{then.isoformat(timespec="seconds")}">{words}</time>'


def since(at: WallTime, now: WallTime, *, is_since_start: bool) -> str:
    """Since when, for certain; more is said to those who point at it."""
    if is_since_start:
        return f'<span title="{IT_MAY_BE_LONGER}">at least since {moment(at, now)}, soon after its start</span>'
    return f"since {moment(at, now)}"


def count(number: float) -> str:
    """A number of things."""
    return f"{number:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def per_second(rate: float) -> str:
    """A rate; its unit stands beside it."""
    return count(rate) if rate >= 10 else f"{rate:.1f}"
