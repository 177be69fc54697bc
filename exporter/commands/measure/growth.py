"""The increase of all counters between two moments."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

import msgspec

from exporter.measure.startup_counts import StartupCounts
from exporter.measure.stream_state import StreamCounts
from exporter.vocabulary import CLOCKS, POLL_RESULTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.measure.histogram import Histogram
    from exporter.metrics.registry import Metrics
    from exporter.vocabulary import PollResult


class Labels(NamedTuple):
    """The labels that distinguish streams in the metrics."""

    apiserver: str
    group: str
    resource: str


_Counts = TypeVar("_Counts", StreamCounts, StartupCounts)


class _Counted(msgspec.Struct, Generic[_Counts], frozen=True):
    """The counts of one stream at one moment, and the live ones: if these were replaced, they began at 0 since."""

    counts: _Counts
    going_on: _Counts

    def since(self, before: _Counted[_Counts] | None) -> _Counts:
        """What was counted since then."""
        is_going_on = before is not None and before.going_on is self.going_on
        return self.counts.since(before.counts) if before is not None and is_going_on else self.counts


class Moment(NamedTuple):
    """All that was counted up to it."""

    streams: dict[Labels, _Counted[StreamCounts]]
    polls: dict[str, dict[PollResult, int]]
    startups: dict[str, _Counted[StartupCounts]]
    loop_lag: Histogram

    @classmethod
    def of(cls, metrics: Metrics, apiservers: Iterable[str]) -> Moment:
        """This moment; polls are those of these apiservers, host:port."""
        streams = {Labels(*key): _Counted(counts.copy(), counts) for key, counts in metrics.stream_counts()}
        polls = {name: _polls(metrics, name) for name in apiservers}
        startups = {apiserver: _Counted(counts.copy(), counts) for apiserver, counts in metrics.startup_counts()}
        return cls(streams, polls, startups, metrics.loop_lag.copy())


class Growth:
    """The increase between two moments."""

    def __init__(self, before: Moment, after: Moment, threshold_seconds: float) -> None:
        self._before = before
        self._after = after
        self._threshold_seconds = threshold_seconds

    def of_stream(self, labels: Labels) -> StreamCounts:
        """Of one stream; nothing, if its series were dropped."""
        after = self._after.streams.get(labels)
        if after is None:
            return StreamCounts.none(self._threshold_seconds)
        return after.since(self._before.streams.get(labels))

    def of_polls(self, apiserver: str) -> dict[PollResult, int]:
        """Of one apiserver, host:port."""
        after, before = self._after.polls.get(apiserver, {}), self._before.polls.get(apiserver, {})
        return {result: max(0, after.get(result, 0) - before.get(result, 0)) for result in POLL_RESULTS}

    def of_startups(self) -> dict[str, StartupCounts]:
        """Of the starts of pods, by apiserver."""
        return {
            apiserver: after.since(self._before.startups.get(apiserver))
            for apiserver, after in self._after.startups.items()
        }

    @property
    def loop_lag(self) -> Histogram:
        """Of our own event loop."""
        return self._after.loop_lag.since(self._before.loop_lag)


def _polls(metrics: Metrics, apiserver: str) -> dict[PollResult, int]:
    counts = [counts for clock in CLOCKS for _, counts in metrics.poll_counts(apiserver, clock)]
    return {"ok": sum(one.answered for one in counts), "error": sum(one.failures for one in counts)}


def no_limit_as_none(seconds: float | None) -> float | None:
    """Seconds, or None without a bound."""
    return None if seconds == inf else seconds
