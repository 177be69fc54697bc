"""Figures and lists in words, the same in every sentence."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from exporter.measure.times import Interval

MOST_NAMES = 3


def seconds(value: float) -> str:
    """A time with its unit, as exact as a person needs it."""
    if value == inf:
        return "an unknown time"
    if value < 0.0995:
        return f"{value * 1000:.0f} ms"
    return f"{value:.1f} s" if value < 99.5 else f"{value / 60:.0f} min"


def about(value: float) -> str:
    """At most so long."""
    return f"at most {seconds(value)}" if value < inf else "not known"


def between(bounds: Interval) -> str:
    """Both bounds, as far as there are any."""
    earliest, latest = bounds
    return f"{seconds(earliest)} to {seconds(latest)}" if latest < inf else f"at least {seconds(earliest)}"


def at_least(bounds: Interval | None) -> float:
    """What is certain; 0 if nothing is."""
    return bounds.earliest if bounds is not None else 0.0


def at_most(bounds: Interval | None) -> float:
    """What it cannot exceed; inf if nothing is known."""
    return bounds.latest if bounds is not None else inf


def listed(names: Iterable[str], most: int = MOST_NAMES) -> str:
    """`pods, nodes and widgets`, each once; of many the first ones, and how many more there are."""
    once = list(dict.fromkeys(names))
    if len(once) > most:
        once = [*once[: most - 1], f"{len(once) - most + 1} more"]
    return " and ".join([", ".join(once[:-1]), once[-1]] if len(once) > 1 else once)


def are(names: Collection[str]) -> str:
    """`are` for several, or for one resource, whose name is a plural."""
    return "are" if len(names) > 1 or "".join(names).split(".")[0].endswith("s") else "is"
