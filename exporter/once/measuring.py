"""The daemon's parts for the time of one measurement: wait for the streams, count, wait for the last verdicts."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from exporter.daemon import Exporter
from exporter.expose.families import STAGES
from exporter.fleet import REFRESH_PERIOD_SECONDS
from exporter.measure.judging import LONGEST_WAIT_SECONDS
from exporter.once.growth import Growth, no_limit_as_none, snapshot
from exporter.once.result import ApiserverResult, Quantiles, Result, StreamResult
from exporter.once.tally import Tally
from exporter.target import CANARY_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.config import Config
    from exporter.kubernetes.credentials import Credentials
    from exporter.measure.judging import Judgement
    from exporter.measure.times import Instant, Interval
    from exporter.once.progress import Progress
    from exporter.target import Target

READY_SECONDS = 30.0
SETTLING_SECONDS = LONGEST_WAIT_SECONDS + 2.0
"""Every event has its verdict by then: the longest wait, and the next look of the daemon after it."""

WARM_UP_POLLS = 3
LONGEST_WARM_UP_SECONDS = 10.0
"""The first poll that is sent after a stream has opened tells history from news; what comes before it is not judged."""

LOOK_PERIOD_SECONDS = 0.1
NOT_LET_IN = ": unauthorized: "


class _Labels(NamedTuple):
    """By these the metrics tell streams apart."""

    apiserver: str
    group: str
    resource: str


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
        serving_nowhere = replace(config, listen_addresses=(), web_config_file=None)
        self._exporter = Exporter(serving_nowhere, credentials, self._count, progress.advise)
        self._tallies: defaultdict[_Labels, Tally] = defaultdict(lambda: Tally(config.slo_objective_ratio))
        self._counted: dict[Target, None] = {}
        """In this order: what goes and comes is another target with the same labels."""
        self._began: Instant = inf
        self._ended: Instant = inf
        self._settled: set[Target] = set()
        self._expected: set[Target] = set()
        """What was to be watched when the duration began."""

    async def run(self) -> Result:
        """Measure, for about 45 s longer than the duration at most, and the threshold besides if there are canaries."""
        async with self._exporter.running():
            await self._look_until(lambda: self._is_ready() or bool(self._refusal()), self._ready_seconds, self._wait)
            refused = self._refusal()
            is_up = bool(_up(self._targets()))
            if is_up and self._config.revision_clock_hz > 0:
                warm_up_seconds = min(WARM_UP_POLLS / self._config.revision_clock_hz, LONGEST_WARM_UP_SECONDS)
                await self._look_until(self._stopping.is_set, warm_up_seconds, self._wait)
            self._began = time.monotonic()
            self._expected.update(self._targets())
            before = snapshot(self._exporter.metrics)
            if is_up:
                await self._look_until(self._stopping.is_set, self._duration_seconds, self._show)
            self._ended = time.monotonic()
            at_the_end = snapshot(self._exporter.metrics)
            await self._settle()
            # Evidence is counted with the verdicts, everything about streams until the duration ended.
            after = snapshot(self._exporter.metrics)
            return self._result(Growth(before, at_the_end), Growth(before, after), refused)

    def _count(self, target: Target, judgement: Judgement) -> None:
        if judgement.arrived > self._ended:
            self._settled.add(target)
        elif judgement.arrived >= self._began:
            self._counted[target] = None
            self._tallies[_labels(target)].add(judgement)

    async def _look_until(self, is_over: Callable[[], bool], seconds: float, show: Callable[[], None]) -> None:
        until = time.monotonic() + seconds
        while not (is_over() or self._stopping.is_set()) and time.monotonic() < until:
            await asyncio.sleep(min(LOOK_PERIOD_SECONDS, max(0.0, until - time.monotonic())))
            if not is_over():
                show()

    def _targets(self) -> list[Target]:
        """Everything that is watched now."""
        return [target for apiserver in self._exporter.apiservers for target in apiserver.targets]

    def _is_ready(self) -> bool:
        """Whether every stream has had its answer, and those that are up can date what arrives."""
        targets = self._targets()
        needs_clock = self._config.revision_clock_hz > 0
        return (
            bool(targets)
            and not self._not_ready()
            and not any(needs_clock and target.status()["revision_clock"] is None for target in _up(targets))
        )

    def _not_ready(self) -> list[str]:
        return self._exporter.not_ready()

    def _refusal(self) -> str | None:
        """What an apiserver says if all say that they do not know us: that is no matter of waiting."""
        refusals = [reason for reason in self._not_ready() if NOT_LET_IN in reason]
        return refusals[0] if refusals and len(refusals) == len(self._targets()) else None

    def _wait(self) -> None:
        self._progress.waiting(self._not_ready())

    def _show(self) -> None:
        self._progress.measuring(time.monotonic() - self._began, self._tallies.values())

    async def _settle(self) -> None:
        """Wait for the verdicts of all that has arrived, and for streams that are just being resumed."""
        until = time.monotonic() + max(SETTLING_SECONDS, self._losing_seconds)
        came_up = [target for target in self._targets() if self._has_come_up(target)]
        while not all(map(self._is_settled, came_up)) and time.monotonic() < until:
            self._progress.settling()
            await asyncio.sleep(LOOK_PERIOD_SECONDS)

    def _has_come_up(self, target: Target) -> bool:
        return target.status()["stream"] == "up" or _labels(target) in self._tallies

    def _is_settled(self, target: Target) -> bool:
        # Verdicts come in the order of arrival: one of an event that arrived later is the last word on all before.
        is_judged = target in self._settled or target.is_settled
        if target.owes_canary(self._ended):
            return False
        return is_judged and target.status()["stream"] == "up"

    @property
    def _losing_seconds(self) -> float:
        """After so long a canary is lost, with some time for its answer and for the next look at it."""
        if not self._config.canary_interval_seconds:
            return 0.0
        return self._config.slo_threshold_seconds + CANARY_SECONDS + 4 * REFRESH_PERIOD_SECONDS

    def _result(self, of_streams: Growth, of_evidence: Growth, refused: str | None) -> Result:
        config = self._config
        measured_seconds = self._ended - self._began
        targets: dict[_Labels, list[Target]] = {}
        for target in {**self._counted, **dict.fromkeys(self._targets())}:
            targets.setdefault(_labels(target), []).append(target)
        rows = sorted(targets.values(), key=lambda row: (row[-1].apiserver, str(row[-1].name)))
        lag = of_streams.quantile("loop_lag_seconds", 0.99)
        return Result(
            version=self._exporter.metrics.version,
            asked_seconds=self._duration_seconds,
            measured_seconds=measured_seconds,
            threshold_seconds=config.slo_threshold_seconds,
            objective_ratio=config.slo_objective_ratio,
            streams=[self._stream(row, of_streams, of_evidence) for row in rows],
            apiservers=[_apiserver(apiserver.server.name, of_streams) for apiserver in self._exporter.apiservers],
            loop_lag_p99_seconds=no_limit_as_none(lag and lag.latest),
            refused=refused,
            unfollowed=self._exporter.unfollowed,
        )

    def _stream(self, row: list[Target], of_streams: Growth, of_evidence: Growth) -> StreamResult:
        """One for all targets with the same labels, of which the last one is the newest."""
        target, tally = row[-1], self._tallies[_labels(row[-1])]
        labels = _labels(target)._asdict()
        canaries_lost = round(of_evidence.sum("canary_lost_total", **labels))
        tally.lost_canaries(canaries_lost, self._config.slo_threshold_seconds + CANARY_SECONDS)
        relists = of_streams.by("reason", "relists_total", **labels)
        uncovered_seconds = of_streams.sum("uncovered_seconds_total", **labels)
        undecodable = round(of_streams.sum("decode_errors_total", **labels))
        tally.undecodable(undecodable)
        # Between two of them nothing was watched.
        is_covered = len(row) == 1 and target.coverage.covers(
            self._began, self._ended, from_the_start=target in self._expected
        )
        status = target.status()
        is_up = status["stream"] == "up"
        stages = {stage: _stage(stage, of_evidence, labels) for stage in STAGES}
        return StreamResult(
            **labels,
            # A stream that is still down after all the waiting has not told of the last moments.
            state=tally.state(is_covered=is_covered and is_up),
            stream=status["stream"],
            trouble=target.trouble,
            events=tally.events,
            on_time=tally.on_time,
            late=tally.late,
            ambiguous=tally.ambiguous,
            latency=_quantiles(tally.latency(0.5), tally.latency(0.99)),
            width_p50_seconds=no_limit_as_none(tally.width_seconds(0.5)),
            width_p99_seconds=no_limit_as_none(tally.width_seconds(0.99)),
            stages={stage: quantiles for stage, quantiles in stages.items() if quantiles is not None},
            stream_ends=of_streams.by("reason", "watch_ends_total", **labels),
            relists=relists,
            uncovered_seconds=uncovered_seconds,
            undecodable=undecodable,
            is_covered=is_covered,
            canaries_lost=canaries_lost,
            owes_canary=target.owes_canary(self._ended),
            contradictions=of_evidence.by("source", "contradictions_total", **labels),
            revision_clock=status["revision_clock"],
        )


def _labels(target: Target) -> _Labels:
    return _Labels(target.apiserver, target.name.group, target.name.plural)


def _up(targets: list[Target]) -> list[Target]:
    return [target for target in targets if target.status()["stream"] == "up"]


def _apiserver(name: str, growth: Growth) -> ApiserverResult:
    results = growth.by("result", "clock_polls_total", apiserver=name)
    return ApiserverResult(apiserver=name, polls_answered=results.get("ok", 0), polls_failed=results.get("error", 0))


def _quantiles(p50: Interval | None, p99: Interval | None) -> Quantiles:
    return Quantiles(
        p50_lower_seconds=no_limit_as_none(p50 and p50.earliest),
        p50_upper_seconds=no_limit_as_none(p50 and p50.latest),
        p99_lower_seconds=no_limit_as_none(p99 and p99.earliest),
        p99_upper_seconds=no_limit_as_none(p99 and p99.latest),
    )


def _stage(stage: str, growth: Growth, labels: dict[str, str]) -> Quantiles | None:
    """Bounds by the histograms' buckets; None if the stage was not measured."""

    def bounds(ratio: float) -> Interval | None:
        lower = growth.quantile("stage_lower_seconds", ratio, stage=stage, **labels)
        upper = growth.quantile("stage_upper_seconds", ratio, stage=stage, **labels)
        return lower and upper and lower._replace(latest=upper.latest)

    p50, p99 = bounds(0.5), bounds(0.99)
    return _quantiles(p50, p99) if p50 or p99 else None
