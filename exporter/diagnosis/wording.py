"""Figures and lists in words, the same in every sentence."""

from __future__ import annotations

from math import ceil, floor, inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from exporter.measure.times import Interval

MOST_NAMES = 3
MINUTES_FROM_SECONDS = 600.0


OF_ONE_BEHIND = "of an apiserver behind this address: "


def seconds(value: float) -> str:
    """A time with its unit, as exact as a person needs it."""
    return _seconds(value, round)


def at_least_seconds(value: float) -> str:
    """Rounded down: a lower end stays one."""
    return f"at least {_seconds(value, floor)}"


def at_most_seconds(value: float) -> str:
    """Rounded up: an upper end stays one."""
    return f"at most {_seconds(value, ceil)}"


def _seconds(value: float, whole: Callable[[float], int]) -> str:
    if value == inf:
        return "an unknown time"
    if value < 0.0995:
        return f"{_whole(value * 1000, whole)} ms"
    if value < 99.5:
        return f"{_whole(value * 10, whole) / 10:.1f} s"
    return f"{_whole(value, whole)} s" if value < MINUTES_FROM_SECONDS else f"{_whole(value / 60, whole)} min"


def _whole(value: float, whole: Callable[[float], int]) -> int:
    """What floating point has added to a whole number does not count."""
    return whole(value) if abs(value - round(value)) > 1e-9 else round(value)


def about(value: float) -> str:
    """At most so long."""
    return at_most_seconds(value) if value < inf else "not known"


def between(bounds: Interval) -> str:
    """Both bounds, as far as there are any."""
    earliest, latest = bounds
    if latest == inf:
        return at_least_seconds(earliest)
    return f"{_seconds(earliest, floor)} to {_seconds(latest, ceil)}"


def counted(number: float, one: str, many: str) -> str:
    """`no watches`, `1 watch`, `2 watches`."""
    return f"{f'{number:.0f}' if number else 'no'} {one if number == 1 else many}"


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
