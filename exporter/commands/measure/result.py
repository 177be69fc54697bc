"""The verdict over what was measured on each stream, with its reasons, and the JSON document. No clock, no I/O."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import msgspec

from exporter.diagnosis.document import as_json
from exporter.wording.kinds import kind_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.diagnosis.findings import Finding
    from exporter.vocabulary import SloState

SloVerdict: TypeAlias = Literal["met", "violated", "unknown"]

EXIT_CODES: dict[SloVerdict, int] = {"met": 0, "violated": 1, "unknown": 3}


class Quantiles(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of the P50 and the P99 in seconds. An upper one is None if there is none."""

    p50_lower_seconds: float | None
    p50_upper_seconds: float | None
    p99_lower_seconds: float | None
    p99_upper_seconds: float | None


class StreamResult(msgspec.Struct, frozen=True, kw_only=True):
    """One resource on one apiserver, over the whole duration. All quantiles are None without events."""

    apiserver: str
    group: str
    resource: str
    state: SloState
    stream: Literal["up", "down"]
    """At the end."""
    trouble: str | None
    """Why it is down, if that is known."""
    events: int
    on_time: int
    late: int
    ambiguous: int
    latency: Quantiles
    width_p50_seconds: float | None
    width_p99_seconds: float | None
    stages: dict[str, Quantiles]
    """By stage, of those that were measured."""
    stream_ends: dict[str, int]
    """By reason, with all reasons that there are."""
    relists: dict[str, int]
    """By reason; those of a start lose nothing."""
    uncovered_seconds: float
    canaries_lost: int
    """Canaries whose events did not arrive; they also count as late."""
    owes_canary: bool
    """Whether a canary was still awaited at the end, for too short a time to call it lost."""
    contradictions: dict[str, int]
    """By source of evidence."""
    revision_clock: str | None
    """The kind that is polled to date this stream's events; None if none is proven to read the same store."""
    undecodable: int
    """Lines that could not be decoded; they also count as ambiguous."""
    is_covered: bool
    """Whether no events of the duration may be missing."""

    @property
    def name(self) -> str:
        """As the resource is written in flags, with its apiserver."""
        return f"{kind_name(self.group, self.resource)} on {self.apiserver}"


class ApiserverResult(msgspec.Struct, frozen=True, kw_only=True):
    """The polls at one address."""

    apiserver: str
    polls_answered: int
    polls_failed: int


class StartupsResult(msgspec.Struct, frozen=True, kw_only=True):
    """The starts of pods that one apiserver showed within the duration."""

    apiserver: str
    pods: dict[str, int]
    """By what each is for the SLI, with all results that there are."""
    stages: dict[str, Quantiles]
    """By stage, of those that any pod reached."""
    unknown_share: float | None
    """Of the SLI's pods, those whose image pulls are not known; None without pods."""
    watches_share_lower: float | None
    watches_share_upper: float | None
    """An estimate: the part of all start-ups that was the scheduler and the kubelet waiting for their watches."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement. `refused` is a sentence if every apiserver rejected our credentials: then nothing was
    measured.
    """

    version: str
    asked_seconds: float
    measured_seconds: float
    threshold_seconds: float
    objective_ratio: float
    streams: Sequence[StreamResult]
    apiservers: Sequence[ApiserverResult]
    loop_lag_p99_seconds: float | None
    pod_startup: Sequence[StartupsResult] = ()
    """Of each apiserver; empty without --pod-startup."""
    faults: Sequence[Finding] = ()
    """What was found meanwhile, also what was withdrawn before the end."""
    refused: str | None = None
    unfollowed: str | None = None
    """Why it was not known which custom resources there were to watch."""

    @property
    def verdict(self) -> SloVerdict:
        """The worst verdict that holds."""
        return _judged(self.streams, self.unfollowed)[0]

    @property
    def reasons(self) -> list[str]:
        """The reasons why the verdict is not met: a sentence each."""
        return _judged(self.streams, self.unfollowed)[1]


class _Judged(NamedTuple):
    verdict: SloVerdict
    reasons: list[str]


def lost_events(relists: dict[str, int]) -> int:
    """The number of relists at which events are missing."""
    return sum(count for reason, count in relists.items() if reason != "start")


def _judged(streams: Sequence[StreamResult], unfollowed: str | None) -> _Judged:
    violated = [f"{one.name}: {_lateness(one)}" for one in streams if _is(one, "violated")]
    if violated:
        return _Judged("violated", violated)
    doubts = [f"{one.name}: {doubt}" for one in streams for doubt in _doubts(one)]
    if unfollowed is not None:
        doubts.append(unfollowed)
    if not doubts and not any(_is(one, "met") for one in streams):
        events = Counter({one.name: one.events for one in streams})
        most = "; ".join(f"{name}: {count}" for name, count in events.most_common(1))
        doubts = [f"too few events for a verdict{f' (most on {most})' if most else ': nothing was watched'}"]
    return _Judged("unknown", doubts) if doubts else _Judged("met", [])


def _is(stream: StreamResult, state: SloState) -> bool:
    return stream.state == state


def _lateness(stream: StreamResult) -> str:
    lateness = f"{stream.late} of {stream.events} events were late"
    return lateness + (f", {stream.canaries_lost} of them lost canaries" if stream.canaries_lost else "")


def _doubts(stream: StreamResult) -> list[str]:
    """The reasons why it is not certain that the objective is met; a quiet stream is none, an uncovered one is."""
    doubts = []
    if stream.stream == "down":
        doubts.append(f"its stream is down: {stream.trouble or 'it ended'}")
    lost = lost_events(stream.relists)
    if not (doubts or lost or stream.is_covered):
        doubts.append(f"no watch was open for {stream.uncovered_seconds:.3f} s")
    if lost:
        doubts.append(f"events may be missing: {lost} relist{'s' if lost > 1 else ''}")
    if stream.canaries_lost:
        doubts.append(f"{stream.canaries_lost} canaries were lost")
    elif stream.owes_canary:
        doubts.append("a canary write has not arrived yet")
    if stream.state == "unknown" and not doubts:
        unread = f", {stream.undecodable} of them undecodable lines" if stream.undecodable else ""
        doubts.append(f"{stream.ambiguous} of {stream.events} events are ambiguous{unread}")
    return doubts


def document(result: Result) -> dict[str, Any]:
    """The result as JSON; times are in seconds, and null means no bound known, or no events."""
    return {
        "version": result.version,
        "result": result.verdict,
        "reasons": result.reasons,
        "duration_seconds": {"asked": result.asked_seconds, "measured": result.measured_seconds},
        "slo": {"threshold_seconds": result.threshold_seconds, "objective_ratio": result.objective_ratio},
        "streams": [_stream(stream) for stream in result.streams],
        "apiservers": [msgspec.to_builtins(apiserver) for apiserver in result.apiservers],
        "pod_startup": [msgspec.to_builtins(startup) for startup in result.pod_startup],
        "loop_lag_p99_seconds": result.loop_lag_p99_seconds,
        "faults": [as_json(finding) for finding in result.faults],
    }


def _stream(stream: StreamResult) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in msgspec.to_builtins(stream).items():
        # The quantiles stand beside the counts, as in the status document.
        content |= value if key == "latency" else {key: value}
    del content["is_covered"], content["owes_canary"]
    return content
