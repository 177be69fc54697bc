"""Runs the daemon's parts for one measurement: waits for the streams, counts, and waits for the last verdicts."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from math import inf
from typing import TYPE_CHECKING, Any

from exporter.commands.measure.growth import Growth, Labels, Moment, no_limit_as_none
from exporter.commands.measure.result import ApiserverResult, Quantiles, Result, StartupsResult, StreamResult
from exporter.commands.measure.tally import Tally
from exporter.measure.judging import LONGEST_WAIT_SECONDS
from exporter.measure.times import Interval
from exporter.service.daemon import Exporter, serving_nowhere
from exporter.service.fleet import REFRESH_PERIOD_SECONDS
from exporter.service.stream import CANARY_SECONDS
from exporter.vocabulary import STAGES, STARTUP_STAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exporter.commands.measure.progress import Progress
    from exporter.config import Config
    from exporter.credentials import Credentials
    from exporter.measure.histogram import Histogram
    from exporter.measure.judging import Judgement
    from exporter.measure.startup_counts import StartupCounts
    from exporter.measure.times import Instant
    from exporter.service.stream import Stream

READY_SECONDS = 30.0
SETTLING_SECONDS = LONGEST_WAIT_SECONDS + 2.0
"""By then every event has its verdict: the longest wait, plus the daemon's next check."""

WARM_UP_POLLS = 3
LONGEST_WARM_UP_SECONDS = 10.0
"""The first poll after a stream has opened separates history from live events; events before it are not judged."""

LOOK_PERIOD_SECONDS = 0.1


class Measurement:
    """One measurement, to be run once. What arrives between the two ends of the duration counts, whenever it is judged.

    `stopping`, once set, ends the duration.
    """

    def __init__(  # noqa: PLR0913 all that it is about, once
        self,
        config: Config,
        credentials: Credentials,
        duration_seconds: float,
        stopping: asyncio.Event,
        progress: Progress,
        *,
        ready_seconds: float = READY_SECONDS,
    ) -> None:
        self._config = config
        self._duration_seconds = duration_seconds
        self._stopping = stopping
        self._progress = progress
        self._ready_seconds = ready_seconds
        self._exporter = Exporter(serving_nowhere(config), credentials, self._count, progress.advise)
        self._tallies: defaultdict[Labels, Tally] = defaultdict(lambda: Tally(config.slo_objective_ratio))
        self._counted: dict[Stream, None] = {}
        """In this order: a stream that is replaced has the same labels."""
        self._began: Instant = inf
        self._ended: Instant = inf
        self._settled: set[Stream] = set()
        self._expected: set[Stream] = set()
        """The resources to watch when the duration began."""

    async def run(self) -> Result:
        """Measure, for at most about 45 s longer than the duration, plus the threshold if there are canaries."""
        async with self._exporter.running():
            await self._look_until(lambda: self._is_ready() or bool(self._refusal()), self._ready_seconds, self._wait)
            refused = self._refusal()
            is_up = bool(_up(self._streams()))
            if is_up and self._config.revision_clock_hz > 0:
                warm_up_seconds = min(WARM_UP_POLLS / self._config.revision_clock_hz, LONGEST_WARM_UP_SECONDS)
                await self._look_until(self._stopping.is_set, warm_up_seconds, self._wait)
            self._began = time.monotonic()
            self._expected.update(self._streams())
            before = self._moment()
            if is_up:
                await self._look_until(self._stopping.is_set, self._duration_seconds, self._show)
            self._ended = time.monotonic()
            at_the_end = self._moment()
            await self._settle()
            # Evidence is counted with the verdicts, everything about streams until the duration ended.
            after = self._moment()
            threshold_seconds = self._config.slo_threshold_seconds
            of_streams = Growth(before, at_the_end, threshold_seconds)
            return self._result(of_streams, Growth(before, after, threshold_seconds), refused)

    def _moment(self) -> Moment:
        names = [apiserver.server.name for apiserver in self._exporter.apiservers]
        return Moment.of(self._exporter.metrics, names)

    def _count(self, stream: Stream, judgement: Judgement) -> None:
        if judgement.arrived > self._ended:
            self._settled.add(stream)
        elif judgement.arrived >= self._began:
            self._counted[stream] = None
            self._tallies[_labels(stream)].add(judgement)

    async def _look_until(self, is_over: Callable[[], bool], seconds: float, show: Callable[[], None]) -> None:
        until = time.monotonic() + seconds
        while not (is_over() or self._stopping.is_set()) and time.monotonic() < until:
            await asyncio.sleep(min(LOOK_PERIOD_SECONDS, max(0.0, until - time.monotonic())))
            if not is_over():
                show()

    def _streams(self) -> list[Stream]:
        """Everything that is watched now."""
        return [stream for apiserver in self._exporter.apiservers for stream in apiserver.streams]

    def _is_ready(self) -> bool:
        """Whether every stream is up or refused, and those that are up can date events."""
        streams = self._streams()
        needs_clock = self._config.revision_clock_hz > 0
        return (
            bool(streams)
            and not self._not_ready()
            and not any(needs_clock and stream.clock is None for stream in _up(streams))
        )

    def _not_ready(self) -> list[str]:
        return self._exporter.not_ready()

    def _refusal(self) -> str | None:
        """The apiservers' error if all of them reject our credentials: waiting does not help then."""
        streams = self._streams()
        is_refused = [one.trouble is not None and one.trouble.reason == "unauthorized" for one in streams]
        return streams[0].not_ready(with_errors=True) if streams and all(is_refused) else None

    def _wait(self) -> None:
        self._progress.waiting(self._not_ready())

    def _show(self) -> None:
        self._progress.measuring(time.monotonic() - self._began, self._tallies.values())

    async def _settle(self) -> None:
        """Wait for the verdicts of all arrived events, and for streams that are just being resumed."""
        until = time.monotonic() + max(SETTLING_SECONDS, self._losing_seconds)
        came_up = [stream for stream in self._streams() if self._has_come_up(stream)]
        while time.monotonic() < until:
            self._progress.settling()
            await asyncio.sleep(LOOK_PERIOD_SECONDS)  # first: what was just read is not decoded yet
            if all(map(self._is_settled, came_up)):
                return

    def _has_come_up(self, stream: Stream) -> bool:
        return stream.is_up or _labels(stream) in self._tallies

    def _is_settled(self, stream: Stream) -> bool:
        # Verdicts come in the order of arrival: one of an event that arrived later is the last word on all before.
        is_judged = stream in self._settled or stream.is_settled
        if stream.owes_canary(self._ended) or (stream.pod_starts is not None and stream.pod_starts.awaits_pulls):
            return False
        return is_judged and stream.is_up

    @property
    def _losing_seconds(self) -> float:
        """After this time a canary is lost; it includes time for its response and for the next check."""
        if not self._config.canary_interval_seconds:
            return 0.0
        return self._config.slo_threshold_seconds + CANARY_SECONDS + 4 * REFRESH_PERIOD_SECONDS

    def _result(self, of_streams: Growth, of_evidence: Growth, refused: str | None) -> Result:
        config = self._config
        measured_seconds = self._ended - self._began
        streams: dict[Labels, list[Stream]] = {}
        for stream in {**self._counted, **dict.fromkeys(self._streams())}:
            streams.setdefault(_labels(stream), []).append(stream)
        rows = sorted(streams.values(), key=lambda row: (row[-1].apiserver, str(row[-1].name)))
        lag = of_streams.loop_lag.quantile(0.99)
        return Result(
            version=self._exporter.metrics.version,
            asked_seconds=self._duration_seconds,
            measured_seconds=measured_seconds,
            threshold_seconds=config.slo_threshold_seconds,
            objective_ratio=config.slo_objective_ratio,
            streams=[self._stream(row, of_streams, of_evidence) for row in rows],
            apiservers=[_apiserver(apiserver.server.name, of_streams) for apiserver in self._exporter.apiservers],
            pod_startup=[_startup(apiserver, counts) for apiserver, counts in of_evidence.of_startups().items()],
            loop_lag_p99_seconds=no_limit_as_none(lag and lag.latest),
            faults=self._exporter.findings_lately,
            refused=refused,
            unfollowed=self._exporter.unfollowed,
        )

    def _stream(self, row: list[Stream], of_streams: Growth, of_evidence: Growth) -> StreamResult:
        """One for all streams with the same labels, of which the last one is the newest."""
        stream, tally = row[-1], self._tallies[_labels(row[-1])]
        labels = _labels(stream)
        counts, evidence = of_streams.of_stream(labels), of_evidence.of_stream(labels)
        tally.lost_canaries(evidence.canaries_lost, self._config.slo_threshold_seconds + CANARY_SECONDS)
        tally.undecodable(counts.undecodable)
        is_covered = self._is_covered(row)
        stages = {stage: _stage(evidence.stage_lower[stage], evidence.stage_upper[stage]) for stage in STAGES}
        return StreamResult(
            **labels._asdict(),
            # A stream that is still down after all the waiting has not told of the last moments.
            state=tally.state(is_covered=is_covered and stream.is_up),
            stream="up" if stream.is_up else "down",
            trouble=str(stream.trouble) if stream.trouble is not None else None,
            events=tally.events,
            on_time=tally.on_time,
            late=tally.late,
            ambiguous=tally.ambiguous,
            latency=_quantiles(tally.latency(0.5), tally.latency(0.99)),
            width_p50_seconds=no_limit_as_none(tally.width_seconds(0.5)),
            width_p99_seconds=no_limit_as_none(tally.width_seconds(0.99)),
            stages={stage: quantiles for stage, quantiles in stages.items() if quantiles is not None},
            stream_ends=_by_word(counts.ends),
            relists=_by_word(counts.relists),
            uncovered_seconds=counts.uncovered_seconds,
            undecodable=counts.undecodable,
            is_covered=is_covered,
            canaries_lost=evidence.canaries_lost,
            owes_canary=stream.owes_canary(self._ended),
            contradictions=_by_word(evidence.contradictions),
            revision_clock=str(stream.clock.kind) if stream.clock is not None else None,
        )

    def _is_covered(self, row: list[Stream]) -> bool:
        """Whether no event of the duration may be missing. Between two streams nothing was watched."""
        return len(row) == 1 and row[0].coverage.covers(
            self._began, self._ended, from_the_start=row[0] in self._expected
        )


def _labels(stream: Stream) -> Labels:
    return Labels(stream.apiserver, stream.name.group, stream.name.plural)


def _up(streams: list[Stream]) -> list[Stream]:
    return [stream for stream in streams if stream.is_up]


def _apiserver(name: str, growth: Growth) -> ApiserverResult:
    polls = growth.of_polls(name)
    return ApiserverResult(apiserver=name, polls_answered=polls["ok"], polls_failed=polls["error"])


def _startup(apiserver: str, counts: StartupCounts) -> StartupsResult:
    stages = {stage: _stage(counts.lower[stage], counts.upper[stage]) for stage in STARTUP_STAGES}
    share = counts.watch_share
    return StartupsResult(
        apiserver=apiserver,
        pods=_by_word(counts.results),
        stages={stage: quantiles for stage, quantiles in stages.items() if quantiles is not None},
        unknown_share=counts.unknown_share,
        watches_share_lower=share and share.earliest,
        watches_share_upper=share and share.latest,
    )


def _by_word(counts: Mapping[Any, int]) -> dict[str, int]:
    return dict(counts)


def _quantiles(p50: Interval | None, p99: Interval | None) -> Quantiles:
    return Quantiles(
        p50_lower_seconds=no_limit_as_none(p50 and p50.earliest),
        p50_upper_seconds=no_limit_as_none(p50 and p50.latest),
        p99_lower_seconds=no_limit_as_none(p99 and p99.earliest),
        p99_upper_seconds=no_limit_as_none(p99 and p99.latest),
    )


def _stage(lower: Histogram, upper: Histogram) -> Quantiles | None:
    """Bounds by the histograms' buckets; None if the stage was not measured."""

    def bounds(ratio: float) -> Interval | None:
        at_least, at_most = lower.quantile(ratio), upper.quantile(ratio)
        return Interval(at_least.earliest, at_most.latest) if at_least and at_most else None

    p50, p99 = bounds(0.5), bounds(0.99)
    return _quantiles(p50, p99) if p50 or p99 else None
