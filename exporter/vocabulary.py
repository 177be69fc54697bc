"""The values that labels of metrics may have, each enumeration once, as a type and as its values; histograms' buckets.

A leaf: every room may import it. A new value is one word here; tests fail wherever it must be handled as well.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

EventType: TypeAlias = Literal["added", "modified", "deleted", "bookmark"]
EVENT_TYPES: tuple[EventType, ...] = get_args(EventType)

Phase: TypeAlias = Literal["live", "replayed"]
PHASES: tuple[Phase, ...] = get_args(Phase)

Verdict: TypeAlias = Literal["on_time", "late", "ambiguous"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

SloState: TypeAlias = Literal["met", "violated", "unknown", "quiet"]
SLO_STATES: tuple[SloState, ...] = get_args(SloState)

UnknownReason: TypeAlias = Literal["uncovered", "undated", "wide"]
"""Why it is not known whether watches are late: events may be missing, are not dated, or not exactly enough."""
UNKNOWN_REASONS: tuple[UnknownReason, ...] = get_args(UnknownReason)

LossReason: TypeAlias = Literal["gone", "revision_went_back"]
"""Why a watch could not go on from where the last one stopped."""

UncoveredReason: TypeAlias = Literal["not_watched", LossReason]
"""Why events may be missing."""

DoubtReason: TypeAlias = Literal[UncoveredReason, "nothing_dates", "undated", "wide"]
"""An unknown reason, and of those that are several things which one."""
DOUBTS: tuple[DoubtReason, ...] = get_args(DoubtReason)

Condition: TypeAlias = Literal["down", "violated", "unknown", "met", "quiet"]
"""Of a stream, the most severe first: no watch is open, or the SLO state."""
CONDITIONS: tuple[Condition, ...] = get_args(Condition)

ShownCondition: TypeAlias = Literal[Condition, "interrupted"]
"""As people see it: watches that are interrupted again and again are not well, though they are on time."""
SHOWN_CONDITIONS: tuple[ShownCondition, ...] = get_args(ShownCondition)

WELL: frozenset[str] = frozenset(("met", "quiet"))
"""Conditions in which nothing is wrong, unless watches are interrupted again and again."""

OwnSource: TypeAlias = Literal["revision_clock", "arrival", "canary"]
DateSource: TypeAlias = Literal["date"]
StampSource: TypeAlias = Literal["managed_fields", "creation_timestamp", "deletion_timestamp"]
AssumedSource: TypeAlias = Literal[StampSource, "annotation", "lease"]
Source: TypeAlias = Literal[OwnSource, DateSource, AssumedSource]
SOURCES: tuple[Source, ...] = get_args(Source)

UnmeasuredReason: TypeAlias = Literal["no_evidence", "overflow", "bad_revision"]
UNMEASURED_REASONS: tuple[UnmeasuredReason, ...] = get_args(UnmeasuredReason)

Stage: TypeAlias = Literal["write", "storage_to_cache", "cache_to_client"]
STAGES: tuple[Stage, ...] = get_args(Stage)

ClockReads: TypeAlias = Literal["store", "another_cache", "own_cache", "nothing"]
CLOCK_READS: tuple[ClockReads, ...] = get_args(ClockReads)

ClockName: TypeAlias = Literal["revision", "cache"]
CLOCKS: tuple[ClockName, ...] = get_args(ClockName)

PollResult: TypeAlias = Literal["ok", "error"]
POLL_RESULTS: tuple[PollResult, ...] = get_args(PollResult)

BalancerSign: TypeAlias = Literal["cache", "date"]
BALANCER_SIGNS: tuple[BalancerSign, ...] = get_args(BalancerSign)

Purpose: TypeAlias = Literal[
    "discovery", "list", "watch", "revision_poll", "cache_poll", "canary", "access_review", "server_metrics"
]
PURPOSES: tuple[Purpose, ...] = get_args(Purpose)

ServerMetricsRead: TypeAlias = Literal["ok", "error", "forbidden"]
SERVER_METRICS_READS: tuple[ServerMetricsRead, ...] = get_args(ServerMetricsRead)

RelistReason: TypeAlias = Literal["start", LossReason]
RELIST_REASONS: tuple[RelistReason, ...] = get_args(RelistReason)

Refusal: TypeAlias = Literal["gone", "throttled", "unauthorized", "forbidden", "not_found", "server_timeout"]
"""What an apiserver may answer by an HTTP status of its own: both a start and a watch can end so."""

StartReason: TypeAlias = Literal["connect", Refusal, "server_error", "bad_response"]
START_REASONS: tuple[StartReason, ...] = get_args(StartReason)

EndReason: TypeAlias = Literal[
    "timeout",
    "early_eof",
    "gone",
    "server_timeout",
    "throttled",
    "server_error",
    "transport_error",
    "unauthorized",
    "forbidden",
    "not_found",
    "silent",
    "suspended",
]
END_REASONS: tuple[EndReason, ...] = get_args(EndReason)
FORCED_ENDS: frozenset[EndReason] = frozenset({"early_eof", "transport_error"})
"""The other side, or something between, has cut the connection without a word."""

Fault: TypeAlias = Literal[
    "apiserver_restarted",
    "apiserver_unreachable",
    "list_storm",
    "relist_storm",
    "initial_events_burst",
    "write_storm",
    "connections_unbalanced",
    "requests_queued",
    "apiserver_overloaded",
    "store_slow",
    "admission_slow",
    "conversion_slow",
    "objects_large",
    "cache_stuck",
    "cache_behind",
    "watchers_closed",
    "clients_slow",
    "connection_shared",
    "path_full",
    "path_slow",
    "connection_dropped",
    "exporter_starved",
    "exporter_refused",
    "unknown_cause",
]
FAULTS: tuple[Fault, ...] = get_args(Fault)

Certainty: TypeAlias = Literal["shown", "suspected"]
CERTAINTIES: tuple[Certainty, ...] = get_args(Certainty)

ReportedStage: TypeAlias = Literal["scheduled", "sandbox", "initialized", "started", "ready"]
"""What a pod reports of its start, in the order in which that happens."""
REPORTED_STAGES: tuple[ReportedStage, ...] = get_args(ReportedStage)

StartupStage: TypeAlias = Literal[ReportedStage, "total", "sli", "watches"]
STARTUP_STAGES: tuple[StartupStage, ...] = get_args(StartupStage)

StartupResult: TypeAlias = Literal[
    "sli",
    "sli_pull_unknown",
    "stateful",
    "unschedulable",
    "static",
    "deleted",
    "failed",
    "created_unseen",
    "overflow",
]
STARTUP_RESULTS: tuple[StartupResult, ...] = get_args(StartupResult)

PullWatchTrouble: TypeAlias = Literal[StartReason, "relist", "undecodable"]
"""Why a kubelet's Event about a pull may not be known."""
PULL_WATCH_TROUBLES: tuple[PullWatchTrouble, ...] = get_args(PullWatchTrouble)

WebRefusal: TypeAlias = Literal[
    "malformed", "handshake", "too_many_connections", "too_many_requests", "slow_headers", "slow_reader"
]
WEB_REFUSALS: tuple[WebRefusal, ...] = get_args(WebRefusal)

HistogramFormat: TypeAlias = Literal["classic", "native", "both"]
HISTOGRAM_FORMATS: tuple[HistogramFormat, ...] = get_args(HistogramFormat)

# Bounds are in seconds; the bucket +Inf is implied. The SLO's threshold joins the latency bounds if it is missing.
LATENCY_BOUNDS = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0,
    1.1, 1.25, 1.5, 2.0, 2.5, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip
RECONNECT_BOUNDS = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
LIFETIME_BOUNDS = (1.0, 10.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
STARTUP_BOUNDS = (
    0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.5, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0,
)  # fmt: skip
FINE_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
