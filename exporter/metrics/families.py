"""The metric contract: every family with its labels, the values that seed them, its buckets and its help text.

Nothing comes in; the other modules of this room and docs/metrics.md read the table. It must not know a single value.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

from exporter.labels import (
    BALANCER_SIGNS,
    CLOCK_READS,
    END_REASONS,
    EVENT_TYPES,
    FINE_BOUNDS,
    LATENCY_BOUNDS,
    LIFETIME_BOUNDS,
    PHASES,
    POLL_RESULTS,
    PURPOSES,
    RECONNECT_BOUNDS,
    RELIST_REASONS,
    SLO_STATES,
    SOURCES,
    STAGES,
    START_REASONS,
    UNMEASURED_REASONS,
    VERDICTS,
    WEB_REFUSALS,
)
from exporter.limits import REFUSED


class Scope(Enum):
    """Whom a family speaks of: the labels that all its series carry."""

    # As text: Python 3.11.2, which is Debian 12's, loses a member whose value is an empty tuple.
    RESOURCE = "apiserver group resource"
    CLOCK = "apiserver group resource clock"
    APISERVER = "apiserver"
    EXPORTER = ""

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order in which they are written."""
        return tuple(self.value.split())


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """One row of the contract; `seeds` are the labels beyond the scope's, each with all its values."""

    name: str
    type: Literal["counter", "gauge", "histogram"]
    help: str
    scope: Scope = Scope.RESOURCE
    seeds: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    bounds: tuple[float, ...] = ()
    own_label: str = ""
    """One whose value is known only when it runs."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Label names in the order in which they are written."""
        return (*self.scope.labels, *self.seeds)


def _counter(name: str, text: str, scope: Scope = Scope.RESOURCE, **seeds: tuple[str, ...]) -> Family:
    return Family(name=name, type="counter", help=text, scope=scope, seeds=seeds)


def _gauge(name: str, text: str, scope: Scope = Scope.RESOURCE, **seeds: tuple[str, ...]) -> Family:
    return Family(name=name, type="gauge", help=text, scope=scope, seeds=seeds)


def _histogram(
    name: str,
    text: str,
    bounds: tuple[float, ...] = LATENCY_BOUNDS,
    scope: Scope = Scope.RESOURCE,
    **seeds: tuple[str, ...],
) -> Family:
    return Family(name=name, type="histogram", help=text, scope=scope, seeds=seeds, bounds=bounds)


FAMILIES: tuple[Family, ...] = (
    # What users feel.
    _histogram(
        "watchslo_apiserver_time_span_seconds",
        "Time from an event's commit to its arrival here, as the middle of its certain bounds. It is for plots and "
        "resolves nothing below half a poll period of the revision clock; judge with the lower and upper ends.",
    ),
    _histogram(
        "watchslo_apiserver_time_span_lower_seconds",
        "Guaranteed minimum latency: the time from commit to arrival that an event certainly took. Each live measured "
        "event counts once here and once in watchslo_apiserver_time_span_upper_seconds.",
    ),
    _histogram(
        "watchslo_apiserver_time_span_upper_seconds",
        "Guaranteed maximum latency: the time from commit to arrival that an event certainly did not exceed. An event "
        "without such a limit counts in the bucket +Inf and is left out of the sum.",
    ),
    _counter(
        "watchslo_events_judged_total",
        "Live events that certainly arrived within the threshold (on_time), certainly did not (late), or of which "
        "neither is certain (ambiguous).",
        verdict=VERDICTS,
    ),
    _gauge(
        "watchslo_p99_seconds",
        "The 99th percentile of the time span in the rolling window, by the middle of each event's bounds. It is "
        "absent while the window is empty.",
    ),
    _gauge(
        "watchslo_p99_lower_seconds",
        "The 99th percentile of the time span in the rolling window is certainly not below this. It is absent while "
        "the window is empty.",
    ),
    _gauge(
        "watchslo_p99_upper_seconds",
        "The 99th percentile of the time span in the rolling window is certainly not above this. It is absent while "
        "the window is empty.",
    ),
    _gauge("watchslo_window_events", "Events in the rolling window, those that wait for their verdict included."),
    _gauge(
        "watchslo_slo_state",
        "State of the SLO in the rolling window: the state that holds is 1, the others are 0. It is unknown while "
        "compliance cannot be determined: the certain bounds allow both answers, or events may be missing (a relist, "
        "or longer than the threshold without an open watch), and quiet while there are too few events. While no watch "
        "is open it speaks only of what had arrived before, and ends as quiet: watchslo_stream_up tells the two apart.",
        state=SLO_STATES,
    ),
    _gauge(
        "watchslo_revision_clock",
        "What the polls read that date the events of this resource: what holds is 1. They read the store; or they wait "
        "for the watch cache of another kind in the same store (another_cache); or for the watch cache of this very "
        "resource, whose lag then stays hidden (own_cache); or nothing dates its events at the moment (nothing).",
        reads=CLOCK_READS,
    ),
    _gauge("watchslo_threshold_seconds", "Time span within which an event is on time.", Scope.EXPORTER),
    _gauge("watchslo_objective_ratio", "Share of events that the SLO wants on time.", Scope.EXPORTER),
    # Where the time went, and how sure we are.
    _histogram(
        "watchslo_stage_lower_seconds",
        "Time that an event certainly spent in a stage: from its newest stamp to its commit (write), from commit into "
        "the watch cache with decoding and conversion (storage_to_cache), from the watch cache to its arrival here "
        "with encoding and network (cache_to_client). An apiserver's own "
        "apiserver_watch_events_dispatch_duration_seconds has decoding and conversion, but no encoding and no network.",
        stage=STAGES,
    ),
    _histogram(
        "watchslo_stage_upper_seconds",
        "Time that an event certainly did not exceed in a stage. An event without such a limit counts in the bucket "
        "+Inf and is left out of the sum.",
        stage=STAGES,
    ),
    _counter(
        "watchslo_events_total",
        "Watch events received. Replayed are those that tell the state at a watch's start, and those whose revision is "
        "not above that of an event before them; they are never judged.",
        event_type=EVENT_TYPES,
        phase=PHASES,
    ),
    _counter(
        "watchslo_evidence_total",
        "Live events about whose commit this source of evidence said something.",
        source=SOURCES,
    ),
    _counter(
        "watchslo_events_unmeasured_total",
        "Live events without a usable interval: nothing bounds their commit, or tells them from the history that a "
        "relist brings (no_evidence), memory for pending events was full (overflow), or their resourceVersion is no "
        "revision (bad_revision).",
        reason=UNMEASURED_REASONS,
    ),
    _counter(
        "watchslo_contradictions_total",
        "Pieces of evidence that cannot be true together with the local clock's and were left out.",
        source=SOURCES,
    ),
    _histogram(
        "watchslo_interval_width_seconds",
        "Distance between the certain bounds of an event's time span. An event without an upper bound counts in the "
        "bucket +Inf and is left out of the sum.",
        FINE_BOUNDS,
    ),
    # How the watches fare.
    _gauge("watchslo_stream_up", "Whether a watch is open (1) or not (0)."),
    _counter(
        "watchslo_watch_ends_total",
        "Ends of watches that were open. An early end takes its reason from the first answer to the reconnect.",
        reason=END_REASONS,
    ),
    _counter(
        "watchslo_forced_closes_total",
        "Watches ended by the other side before the time that was asked for (early_eof, transport_error).",
    ),
    _counter(
        "watchslo_relists_total",
        "Times that continuity was given up: at the start, because the last revision is gone from the apiserver's "
        "history, or because the store's revision went back.",
        reason=RELIST_REASONS,
    ),
    _histogram(
        "watchslo_relist_seconds",
        "Time from the start, or from the loss of a watch, to the next open one where continuity was given up. The "
        "relist is ours, a LIST that matches nothing; an informer pays for a full one.",
        RECONNECT_BOUNDS,
    ),
    _histogram(
        "watchslo_rewatch_seconds",
        "Time from the loss of a watch to the next open one that resumed from the last revision.",
        RECONNECT_BOUNDS,
    ),
    _counter(
        "watchslo_init_events_errors_total",
        "Starts (LIST or WATCH) that failed: no connection, an HTTP error, or an ERROR before any other event. They "
        "are neither ends nor forced closes.",
        reason=START_REASONS,
    ),
    _counter("watchslo_uncovered_seconds_total", "Time without an open watch."),
    _histogram("watchslo_watch_lifetime_seconds", "Time for which a watch was open.", LIFETIME_BOUNDS),
    _gauge(
        "watchslo_last_activity_timestamp_seconds",
        "Unix time of the last byte or bookmark of the watch. It is absent before the first one.",
    ),
    _counter("watchslo_received_bytes_total", "Bytes received from watches."),
    # The canary.
    _counter("watchslo_canary_writes_total", "Canary writes sent."),
    _counter("watchslo_canary_write_failures_total", "Canary writes that got no 2xx answer."),
    _counter(
        "watchslo_canary_lost_total",
        "Canary writes that got a 2xx answer and were not seen on the watch in time. Each is one late event.",
    ),
    _histogram("watchslo_canary_delivery_seconds", "Time from sending a canary's write to its arrival on the watch."),
    _histogram("watchslo_canary_write_seconds", "Time from sending a canary's write to its answer."),
    # The clocks.
    _counter(
        "watchslo_clock_polls_total",
        "Polls that asked how far the store (revision) or the apiserver's watch cache (cache) has come. Group and "
        "resource are the polled kind's.",
        Scope.CLOCK,
        result=POLL_RESULTS,
    ),
    _histogram(
        "watchslo_clock_poll_seconds",
        "Time from sending a poll to its answer. Group and resource are the polled kind's.",
        FINE_BOUNDS,
        Scope.CLOCK,
    ),
    _gauge(
        "watchslo_clock_offset_lower_seconds",
        "The apiserver's wall clock is ahead of ours by at least this. It is absent while nothing is known.",
        Scope.APISERVER,
    ),
    _gauge(
        "watchslo_clock_offset_upper_seconds",
        "The apiserver's wall clock is ahead of ours by at most this. It is absent while nothing is known.",
        Scope.APISERVER,
    ),
    _gauge(
        "watchslo_date_evidence_enabled",
        "Whether the Date headers of this address count as evidence (1) or contradictions have switched that off (0).",
        Scope.APISERVER,
    ),
    _counter(
        "watchslo_stale_reads_total",
        "Times that a store answered a poll with less than it had certainly committed before. From the first one on "
        "its answers say which revisions were not there only of 5 s earlier, and upper bounds of latencies are wider.",
        Scope.APISERVER,
    ),
    _counter(
        "watchslo_balancers_noticed_total",
        "Times that an address that was taken for one apiserver showed that it stands before several: its watch cache "
        "went back while a watch went on (cache), or its Date headers come from clocks that disagree (date). From then "
        "on stages are not measured there, and stamps in objects narrow nothing.",
        Scope.APISERVER,
        sign=BALANCER_SIGNS,
    ),
    # Ourselves.
    _counter(
        "watchslo_apiserver_requests_total",
        "Requests sent on an open connection, by purpose; discovery is all that asks what there is to watch, "
        "access_review what --web.auth-filter asks. A request that had to be sent again counts again.",
        Scope.APISERVER,
        purpose=PURPOSES,
    ),
    _counter(
        "watchslo_apiserver_request_seconds_total",
        "Time from sending each request to the beginning of its answer, or to giving it up. The rate is the mean "
        "number of requests in flight: each holds one seat of API Priority and Fairness for at most that time.",
        Scope.APISERVER,
        purpose=PURPOSES,
    ),
    _counter(
        "watchslo_apiserver_response_bytes_total",
        "Bytes of the bodies of answers, without those of open watches: watchslo_received_bytes_total has them.",
        Scope.APISERVER,
        purpose=PURPOSES,
    ),
    _counter(
        "watchslo_discovery_errors_total",
        "Times that the apiservers (--apiserver.discover) or the custom resources could not be found out; it is tried "
        "for ever.",
        Scope.EXPORTER,
        reason=START_REASONS,
    ),
    _gauge(
        "watchslo_apiservers_left_out",
        "Apiservers that --apiserver.discover found and that are not watched, because there are more than 64, those "
        "that are leaving included.",
        Scope.EXPORTER,
    ),
    _gauge(
        "watchslo_custom_resources_left_out",
        "Custom resources that match --custom-resources and are not watched: there are more than "
        "--custom-resources.max, those that are leaving included, or so many come that they have to wait.",
        Scope.EXPORTER,
    ),
    _histogram(
        "watchslo_loop_lag_seconds",
        "Delay of the iterations of our own event loop. It makes events ambiguous, never late.",
        FINE_BOUNDS,
        Scope.EXPORTER,
    ),
    _gauge("watchslo_shards", "How many exporters share the watches (--shard); 1 where nobody shares.", Scope.EXPORTER),
    _gauge("watchslo_shard_index", "Which of those that share the watches this one is, from 0 on.", Scope.EXPORTER),
    _counter(
        "watchslo_refused_text_total",
        "Texts from apiservers, objects, plugins or clients that were longer than their limit, or not what they should "
        "be, and were cut or left out.",
        Scope.EXPORTER,
        what=REFUSED,
    ),
    _counter(
        "watchslo_web_refused_total",
        "Connections that our own server cut off, and requests that it refused, to keep its limits.",
        Scope.EXPORTER,
        reason=WEB_REFUSALS,
    ),
    _counter("watchslo_decode_errors_total", "Lines of a watch that could not be decoded."),
    Family(
        name="watchslo_build_info",
        type="gauge",
        help="Always 1; the label names the running version.",
        scope=Scope.EXPORTER,
        own_label="version",
    ),
)


def reference_markdown() -> str:
    """The table as a page of documentation: one row per family, in the order of a scrape."""
    rows = ["| family | type | labels | meaning |", "|---|---|---|---|"]
    for family in FAMILIES:
        labels = [f"`{label}`" for label in family.scope.labels]
        labels += [f"`{label}` ({', '.join(values)})" for label, values in family.seeds.items()]
        labels += [f"`{family.own_label}`"] if family.own_label else []
        bounds = " ".join(f"{bound:g}" for bound in (*family.bounds, float("inf"))) if family.bounds else ""
        meaning = f"{family.help} Buckets: {bounds}." if bounds else family.help
        rows.append(f"| `{family.name}` | {family.type} | {', '.join(labels)} | {meaning} |")
    return "\n".join(rows) + "\n"
