"""Formats a result as text for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.commands.text_table import aligned, folded
from exporter.diagnosis.document import headline

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from exporter.commands.measure.result import Quantiles, Result, StartupsResult, StreamResult
    from exporter.diagnosis.findings import Finding


def table(result: Result, width: int | None = None) -> str:
    """Latency, streams, stages if there are any, how much to trust it, and the verdict as the last lines.

    Not wider than `width`, where that is given.
    """
    stages = [row for stream in result.streams for row in _stages(stream)]
    startups = [row for one in result.pod_startup for row in _startup_stages(one)]
    sections = [
        _folded(
            [
                f"{result.objective_ratio * 100:g} % of events within {result.threshold_seconds:g} s of their commit?",
                f"measured for {result.measured_seconds:.1f} of {result.asked_seconds:g} s",
            ],
            width,
        ),
        aligned([_LATENCY, *(_latency(stream) for stream in result.streams)], width),
        aligned([_STREAM, *(_stream(stream) for stream in result.streams)], width),
        aligned([_STAGE, *stages], width) if stages else [],
        aligned([_STARTUP, *startups], width) if startups else [],
        _folded((line for one in result.pod_startup for line in _startups(one)), width),
        aligned([_TRUST, *(_trust(stream) for stream in result.streams)], width),
        _folded(_dependencies(result), width),
        _folded((line for finding in result.faults for line in _fault(finding)), width),
        _folded([*result.reasons, result.verdict], width),
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines)


def _folded(lines: Iterable[str], width: int | None) -> list[str]:
    return [part for line in lines for part in folded(line, width)]


_LATENCY = ("LATENCY", "STATE", "EVENTS", "ON TIME", "LATE", "AMBIGUOUS", "P50", "P99")
_STREAM = ("STREAM", "NOW", "ENDS", "RELISTS", "UNCOVERED", "LOST CANARIES")
_STAGE = ("STAGE", "", "P50", "P99")
_STARTUP = ("POD START-UP", "STAGE", "P50", "P99")
_TRUST = ("TRUST", "WIDTH P50", "WIDTH P99", "CONTRADICTIONS", "REVISION CLOCK")


def _latency(stream: StreamResult) -> Sequence[str]:
    counts = (stream.events, stream.on_time, stream.late, stream.ambiguous)
    return (
        stream.name,
        stream.state if stream.stream == "up" else "no watch",
        *map(str, counts),
        *_bounds(stream.latency, has_events=stream.events > 0),
    )


def _stream(stream: StreamResult) -> Sequence[str]:
    uncovered, lost = _seconds(stream.uncovered_seconds), str(stream.canaries_lost or "none")
    return (stream.name, stream.stream, _counts(stream.stream_ends), _counts(_lost(stream.relists)), uncovered, lost)


def _lost(relists: Mapping[str, int]) -> Mapping[str, int]:
    """A start is not shown as a relist, because nothing was lost."""
    return {reason: count for reason, count in relists.items() if reason != "start"}


def _stages(stream: StreamResult) -> Iterator[Sequence[str]]:
    for stage, quantiles in stream.stages.items():
        yield (stream.name, stage, *_bounds(quantiles, has_events=True))


def _startup_stages(startups: StartupsResult) -> Iterator[Sequence[str]]:
    for stage, quantiles in startups.stages.items():
        yield (startups.apiserver, stage, *_bounds(quantiles, has_events=True))


def _startups(startups: StartupsResult) -> Iterator[str]:
    yield f"{startups.apiserver}: pods by how the SLI treats them: {_counts(startups.pods)}"
    if startups.unknown_share:
        share = f"{startups.unknown_share:.0%} of the SLI's pods"
        yield f"what image pulls took is not known for {share}: its lower bounds are wide"
    if startups.watches_share_lower is not None and startups.watches_share_upper is not None:
        share = f"{startups.watches_share_lower:.1%} to {startups.watches_share_upper:.1%}"
        yield (
            f"estimate: {share} of the start-up time was waiting for late watches, if the scheduler and the kubelet "
            "saw events when this watch did"
        )


def _trust(stream: StreamResult) -> Sequence[str]:
    widths = (stream.width_p50_seconds, stream.width_p99_seconds)
    shown = [_seconds(width) if stream.events else "-" for width in widths]
    return (stream.name, *shown, _counts(stream.contradictions), stream.revision_clock or "none")


def _dependencies(result: Result) -> Iterator[str]:
    for apiserver in result.apiservers:
        yield f"{apiserver.apiserver}: {apiserver.polls_answered} polls answered, {apiserver.polls_failed} failed"
    if result.loop_lag_p99_seconds is not None:
        yield f"watchslo's own event loop: 99 % of its iterations at most {_seconds(result.loop_lag_p99_seconds)} late"


def _fault(finding: Finding) -> Iterator[str]:
    yield headline(finding)
    yield from (f"because {said}" for said in finding.evidence)


def _bounds(quantiles: Quantiles, *, has_events: bool) -> tuple[str, str]:
    """P50 and P99, each as `lower to upper`."""
    if not has_events:
        return "-", "-"
    return (
        f"{_seconds(quantiles.p50_lower_seconds)} to {_seconds(quantiles.p50_upper_seconds)}",
        f"{_seconds(quantiles.p99_lower_seconds)} to {_seconds(quantiles.p99_upper_seconds)}",
    )


def _seconds(seconds: float | None) -> str:
    return "no limit" if seconds is None else f"{seconds:.3f} s"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items() if count) or "none"
