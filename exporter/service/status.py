"""The status document, described in docs/status.md: the state of each stream, for JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from exporter.diagnosis.sentences import Survey, advised
from exporter.diagnosis.words import DOUBT_WORDS
from exporter.measure.window import QUIET_BELOW_EVENTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.measure.startup_counts import StartupState
    from exporter.measure.stream_state import StreamCounts, StreamState
    from exporter.web.page.look import Look

NO_WATCH = "no watch is open: nothing new is measured"
MEANINGS = {
    "met": "enough events in the window are certainly on time",
    "violated": "too many events in the window are certainly late",
    "quiet": f"fewer than {QUIET_BELOW_EVENTS} events in the window",
}


def blocks(look: Look) -> Iterator[bytes]:
    """The whole document in pieces, none of which takes long to make; some are empty."""
    survey = Survey(look.findings, look.past_findings)
    for state in look.states:
        survey.add(state)
        yield b""
    slo = {
        "threshold_seconds": look.objective.threshold_seconds,
        "objective_ratio": look.objective.ratio,
        "window_seconds": look.objective.window_seconds,
    }
    head = {"version": look.version, "sentence": " ".join(survey.sentences(look.now)), "slo": slo}
    yield msgspec.json.encode(head)[:-1] + b',"streams":['
    separator = b""
    for state in look.states:
        entry = stream(state)
        if not look.has_errors:
            del entry["error"]
        # msgspec writes null for +Inf, which JSON has no number for: no bound is known.
        yield separator + msgspec.json.encode(entry)
        separator = b","
    yield b"]}"


def stream(state: StreamState) -> dict[str, Any]:
    """The entry of one stream. A value without an upper bound is inf."""
    counts, window, clock = state.counts, state.window, state.revision_clock
    return {
        "apiserver": state.apiserver,
        "group": state.group,
        "resource": state.resource,
        "stream": "up" if state.is_up else "down",
        "state": window.state,
        "since": state.since,
        "is_since_start": state.is_since_start,
        "fading": state.fading._asdict() if state.fading is not None else None,
        # Without an open watch the state covers only events that arrived before.
        "meaning": _meaning(state),
        "unknown_reason": state.unknown_reason,
        "doubt": state.doubt,
        "advice": _advice(state),
        "window_events": window.events,
        "p99_lower_seconds": window.p99_lower_seconds,
        "p99_upper_seconds": window.p99_upper_seconds,
        "on_time": counts.judged["on_time"],
        "late": counts.judged["late"],
        "ambiguous": counts.judged["ambiguous"],
        "starts": counts.relists["start"],
        "relists": counts.losses,
        "forced_closes": counts.forced_closes,
        **_canaries(state.counts),
        "interruptions": state.interruptions._asdict(),
        "revision_clock": clock.kind,
        "revision_clock_reads": clock.reads,
        "reads_stale": clock.reads_stale,
        "trouble": state.trouble.reason if state.trouble is not None else None,
        "error": (state.trouble.error or None) if state.trouble is not None else None,
        "pod_startup": _pod_startup(state.pod_startup) if state.pod_startup is not None else None,
    }


def _meaning(state: StreamState) -> str:
    if not state.is_up:
        return NO_WATCH
    doubt = state.doubt
    return DOUBT_WORDS[doubt].clause if doubt is not None else MEANINGS[state.window.state]


def _advice(state: StreamState) -> str | None:
    return next((words.advice for words in advised(state)), None)


def _canaries(counts: StreamCounts) -> dict[str, int]:
    return {
        "canary_writes": counts.canary_writes,
        "canary_write_failures": counts.canary_write_failures,
        "canaries_arrived": counts.canary_delivery.count,
        "canaries_lost": counts.canaries_lost,
    }


def _pod_startup(startup: StartupState) -> dict[str, Any]:
    share = startup.counts.watch_share
    return {
        "starting": startup.starting,
        "pods": startup.counts.results,
        "unknown_share": startup.counts.unknown_share,
        "watches_share_lower": share and share.earliest,
        "watches_share_upper": share and share.latest,
        "stages": {
            stage: {
                "p95_lower_seconds": quantiles.p95.earliest,
                "p95_upper_seconds": quantiles.p95.latest,
                "p99_lower_seconds": quantiles.p99.earliest,
                "p99_upper_seconds": quantiles.p99.latest,
            }
            for stage, quantiles in startup.quantiles.items()
        },
    }
