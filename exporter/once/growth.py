"""Two moments of the metrics in, what every counter and histogram has grown by between them out.

It reads the text that a scrape would get, so it knows no more of the metrics than their contract.
"""

from __future__ import annotations

import re
from math import inf
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from exporter.measure.times import Interval

if TYPE_CHECKING:
    from exporter.expose.metrics import Metrics

Snapshot: TypeAlias = dict[str, float]
"""Values by series, as they are written: `name{label="value"}`."""

READ = frozenset(
    {
        "watchslo_watch_ends_total",
        "watchslo_relists_total",
        "watchslo_uncovered_seconds_total",
        "watchslo_canary_lost_total",
        "watchslo_decode_errors_total",
        "watchslo_contradictions_total",
        "watchslo_stage_lower_seconds",
        "watchslo_stage_upper_seconds",
        "watchslo_clock_polls_total",
        "watchslo_loop_lag_seconds",
    }
)

_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def snapshot(metrics: Metrics) -> Snapshot:
    """All that is counted at this moment, of the families that a result is made from."""
    lines = (
        line
        for family, children in metrics.families()
        if family.name in READ
        for child in children
        for line in child.text().splitlines()
    )
    return {series: float(value) for series, value in (line.rsplit(" ", 1) for line in lines)}


class _Sample(NamedTuple):
    name: str
    labels: dict[str, str]
    value: float


class Growth:
    """What came between two snapshots; a series that was not there at first, or was dropped, began at 0."""

    def __init__(self, before: Snapshot, after: Snapshot) -> None:
        self._samples = [_sample(series, _growth(before.get(series, 0.0), value)) for series, value in after.items()]

    def by(self, label: str, name: str, **labels: str) -> dict[str, int]:
        """Whole counts by the value of `label`, of the series `watchslo_<name>` with these labels."""
        counts: dict[str, int] = {}
        for sample in self._found(name, labels):
            value = sample.labels[label]
            counts[value] = counts.get(value, 0) + round(sample.value)
        return counts

    def sum(self, name: str, **labels: str) -> float:
        """All series `watchslo_<name>` with these labels together."""
        return sum(sample.value for sample in self._found(name, labels))

    def quantile(self, name: str, ratio: float, **labels: str) -> Interval | None:
        """The bucket of a histogram that holds the `ratio` quantile, as its ends; None if nothing was observed."""
        buckets = sorted((float(found.labels["le"]), found.value) for found in self._found(f"{name}_bucket", labels))
        total = buckets[-1][1] if buckets else 0.0
        below = 0.0
        for bound, count in buckets:
            if total and count >= ratio * total - 1e-9:
                return Interval(below, bound)
            below = bound
        return None

    def _found(self, name: str, labels: dict[str, str]) -> list[_Sample]:
        return [
            sample
            for sample in self._samples
            if sample.name == f"watchslo_{name}" and labels.items() <= sample.labels.items()
        ]


def _growth(before: float, after: float) -> float:
    return after - before if after >= before else after


def _sample(series: str, value: float) -> _Sample:
    name, _, pairs = series.partition("{")
    return _Sample(name, dict(_LABEL.findall(pairs)), value)


def no_limit_as_none(seconds: float | None) -> float | None:
    """Seconds, or None where nothing bounds them."""
    return None if seconds == inf else seconds
