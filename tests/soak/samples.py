"""How much a process holds, seen from outside, again and again: and whether that stays flat.

Only the tasks of its event loop it has to count itself.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import mean, median
from typing import NamedTuple, Self

from tests.speed.processes import MEBIBYTE, resident_bytes
from tests.support.observing import Scrape

COUNTED = (
    "events_judged_total",
    "decode_errors_total",
    "uncovered_seconds_total",
    "forced_closes_total",
    "relists_total",
)
"""Counters of the exporter's own whose sums are shown."""


class Sample(NamedTuple):
    """What the process holds at one moment."""

    at_seconds: float
    """Since the first sample."""
    resident_bytes: int
    descriptors: int
    threads: int
    tasks: int
    series: int

    @classmethod
    def take(cls, pid: int, began: float, scrape: str) -> Self:
        """Of a process, and of the scrape that it has just given."""
        process = Path(f"/proc/{pid}")
        return cls(
            at_seconds=time.monotonic() - began,
            resident_bytes=resident_bytes(pid),
            descriptors=len(list((process / "fd").iterdir())),
            threads=len(list((process / "task").iterdir())),
            tasks=int(Scrape(scrape).sum("tasks")),
            series=sum(not line.startswith("#") for line in scrape.splitlines()),
        )


def counters(scrape: str) -> dict[str, float]:
    """The sums of the exporter's counters. What has left takes its part with it."""
    parsed = Scrape(scrape)
    return {name: sum(parsed.values(name)) for name in COUNTED}


class Quantity(NamedTuple):
    """Something that must not grow, and by how much it may seem to in the half of a run that is judged."""

    name: str
    of: Callable[[Sample], float]
    slack: float


RELATIVE_SLACK = 0.05

QUANTITIES = (
    Quantity("resident memory, MiB", lambda sample: sample.resident_bytes / MEBIBYTE, 2.0),
    Quantity("open descriptors", lambda sample: sample.descriptors, 10),
    Quantity("threads", lambda sample: sample.threads, 2),
    Quantity("tasks of the event loop", lambda sample: sample.tasks, 20),
    Quantity("series in a scrape", lambda sample: sample.series, 100),
)


@dataclass(frozen=True)
class Trend:
    """How a quantity went in the second half of a run."""

    quantity: Quantity
    before: float
    """The mean of the first period that is judged."""
    after: float
    """The mean of the last one."""
    per_hour: float
    """The slope of Theil and Sen, which outliers do not bend."""
    rise: float
    """What that makes from the first of these periods to the last."""

    @property
    def allowed(self) -> float:
        """The most that the rise may be."""
        return max(self.quantity.slack, RELATIVE_SLACK * self.before)

    @property
    def is_flat(self) -> bool:
        """Whether it does not grow. That it falls is no fault."""
        return self.rise <= self.allowed


def trend(quantity: Quantity, samples: Sequence[Sample], period_seconds: float) -> Trend:
    """By the second half of the periods that are complete, of which there are four or more.

    Within a period of the churn everything goes up and down: a mean over all of it shows what remains.
    """
    periods: dict[int, list[float]] = {}
    for sample in samples:
        periods.setdefault(int(sample.at_seconds / period_seconds), []).append(quantity.of(sample))
    *complete, _ = sorted(periods)
    means = {number: mean(periods[number]) for number in complete[len(complete) // 2 :]}
    first, last = min(means), max(means)
    slope = median((means[later] - means[earlier]) / (later - earlier) for earlier, later in combinations(means, 2))
    return Trend(
        quantity,
        before=means[first],
        after=means[last],
        per_hour=slope * 3600 / period_seconds,
        rise=slope * (last - first),
    )
