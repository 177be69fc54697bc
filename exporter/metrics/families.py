"""The metric contract: every family with its labels, the values that seed them, its buckets and its help text.

The other modules of this room and docs/metrics.md read this table. It contains no values.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Literal

import msgspec

from exporter.limits import REFUSED
from exporter.vocabulary import (
    BALANCER_SIGNS,
    CLOCK_READS,
    END_REASONS,
    EVENT_TYPES,
    FAULTS,
    FINE_BOUNDS,
    LATENCY_BOUNDS,
    LIFETIME_BOUNDS,
    PHASES,
    POLL_RESULTS,
    PULL_WATCH_TROUBLES,
    PURPOSES,
    RECONNECT_BOUNDS,
    RELIST_REASONS,
    SERVER_METRICS_READS,
    SLO_STATES,
    SOURCES,
    STAGES,
    START_REASONS,
    STARTUP_BOUNDS,
    STARTUP_RESULTS,
    STARTUP_STAGES,
    UNMEASURED_REASONS,
    VERDICTS,
    WEB_REFUSALS,
)

AUDIT_LABELS = ("user", "verb", "resource")


class Scope(Enum):
    """Whom a family speaks of: the labels that all its series carry."""

    # As text: Python 3.11.2, which is Debian 12's, loses a member whose value is an empty tuple.
    RESOURCE = "apiserver group resource"
    CLOCK = "apiserver group resource clock"
    FAULT = "apiserver group resource fault certainty"
    APISERVER = "apiserver"
    EXPORTER = ""

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order in which they are written."""
        return tuple(self.value.split())


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the contract; `seeds` are the labels beyond the scope's, each with all its values."""

    name: str
    type: Literal["counter", "gauge", "histogram"]
    help: str
    scope: Scope = Scope.RESOURCE
    seeds: Mapping[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    bounds: tuple[float, ...] = ()
    own_labels: tuple[str, ...] = ()
    """Those whose values are known only when it runs."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Label names in the order in which they are written."""
        return (*self.scope.labels, *self.own_labels, *self.seeds)


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
        "Time from an event's commit to its arrival at the exporter, as the middle of its certain bounds. Use it "
        "for plots only: it resolves nothing below half a poll period of the revision clock. To judge, use the lower "
        "and upper bounds.",
    ),
    _histogram(
        "watchslo_apiserver_time_span_lower_seconds",
        "Guaranteed minimum latency: an event certainly took at least this long from commit to arrival. Each "
        "measured live event counts once here and once in watchslo_apiserver_time_span_upper_seconds.",
    ),
    _histogram(
        "watchslo_apiserver_time_span_upper_seconds",
        "Guaranteed maximum latency: an event certainly took at most this long from commit to arrival. An event "
        "without an upper bound counts in the bucket +Inf and is left out of the sum.",
    ),
    _counter(
        "watchslo_events_judged_total",
        "Live events by verdict: certainly arrived within the threshold (on_time), certainly did not (late), or "
        "neither is certain (ambiguous).",
        verdict=VERDICTS,
    ),
    _gauge(
        "watchslo_p99_seconds",
        "The 99th percentile of the time span in the rolling window, computed from the middle of each event's "
        "bounds. Absent while the window is empty.",
    ),
    _gauge(
        "watchslo_p99_lower_seconds",
        "Lower bound: the 99th percentile of the time span in the rolling window is certainly not below this. Absent "
        "while the window is empty.",
    ),
    _gauge(
        "watchslo_p99_upper_seconds",
        "Upper bound: the 99th percentile of the time span in the rolling window is certainly not above this. Absent "
        "while the window is empty.",
    ),
    _gauge(
        "watchslo_window_events", "Events in the rolling window, including pending events, which have no verdict yet."
    ),
    _gauge(
        "watchslo_slo_state",
        "State of the SLO in the rolling window: the current state is 1, the others are 0. The state is unknown "
        "while compliance cannot be determined: the certain bounds allow both answers, or events may be missing "
        "(after a relist, or after longer than the threshold without an open watch). It is quiet while there are too "
        "few events. While no watch is open, the state covers only events that had arrived before, and becomes quiet "
        "when they leave the window; watchslo_stream_up shows whether a watch is open.",
        state=SLO_STATES,
    ),
    _gauge(
        "watchslo_revision_clock",
        "What the polls that date this resource's events read: the current value is 1, the others are 0. They read "
        "from the store (store); they wait for the watch cache of another kind in the same store (another_cache); "
        "they wait for the watch cache of this resource, so that its lag stays hidden (own_cache); or no poll dates "
        "the events at the moment (nothing).",
        reads=CLOCK_READS,
    ),
    _gauge("watchslo_threshold_seconds", "Maximum time span of an event that is on time.", Scope.EXPORTER),
    _gauge("watchslo_objective_ratio", "Share of events that the SLO requires to be on time.", Scope.EXPORTER),
    # Where the time went, and how sure we are.
    _histogram(
        "watchslo_stage_lower_seconds",
        "Guaranteed minimum time in a stage: an event certainly spent at least this long in it. write: from the "
        "newest timestamp in the object to the commit. storage_to_cache: from the commit until the event is in the "
        "watch cache, including decoding and conversion. cache_to_client: from the watch cache to the arrival at the "
        "exporter, including encoding and network. The apiserver's own "
        "apiserver_watch_events_dispatch_duration_seconds includes decoding and conversion, but neither encoding nor "
        "network.",
        stage=STAGES,
    ),
    _histogram(
        "watchslo_stage_upper_seconds",
        "Guaranteed maximum time in a stage: an event certainly spent at most this long in it. An event without an "
        "upper bound counts in the bucket +Inf and is left out of the sum.",
        stage=STAGES,
    ),
    _counter(
        "watchslo_events_total",
        "Watch events received. Replayed events are those that report existing state when a watch starts, and those "
        "whose revision is not above the revision of an earlier event. They are never judged.",
        event_type=EVENT_TYPES,
        phase=PHASES,
    ),
    _counter(
        "watchslo_evidence_total",
        "Live events for which this source gave evidence about the time of their commit.",
        source=SOURCES,
    ),
    _counter(
        "watchslo_events_unmeasured_total",
        "Live events without a usable interval: nothing bounds their commit, or nothing shows whether they are new "
        "or history that a relist replays (no_evidence); the memory for pending events was full (overflow); or their "
        "resourceVersion is not a revision (bad_revision).",
        reason=UNMEASURED_REASONS,
    ),
    _counter(
        "watchslo_contradictions_total",
        "Pieces of evidence that were ignored because they contradict evidence from the local clock.",
        source=SOURCES,
    ),
    _histogram(
        "watchslo_interval_width_seconds",
        "Width of the certain bounds of an event's time span: upper bound minus lower bound. An event without an "
        "upper bound counts in the bucket +Inf and is left out of the sum.",
        FINE_BOUNDS,
    ),
    # How the watches fare.
    _gauge("watchslo_stream_up", "Whether a watch is open (1) or not (0)."),
    _counter(
        "watchslo_watch_ends_total",
        "Ends of watches that were open. The reason of an early end comes from the first response to the reconnect.",
        reason=END_REASONS,
    ),
    _counter(
        "watchslo_forced_closes_total",
        "Watches that the other side ended before the requested timeout (early_eof, transport_error).",
    ),
    _counter(
        "watchslo_relists_total",
        "Times that a watch could not resume from its last revision: at the start, because the revision is no longer "
        "in the apiserver's history, or because the store's revision went back.",
        reason=RELIST_REASONS,
    ),
    _histogram(
        "watchslo_relist_seconds",
        "Time from the start, or from the loss of a watch, until the next watch is open after a relist. The exporter "
        "relists with a LIST that matches nothing; an informer needs a full LIST.",
        RECONNECT_BOUNDS,
    ),
    _histogram(
        "watchslo_rewatch_seconds",
        "Time from the loss of a watch until the next watch is open that resumes from the last revision.",
        RECONNECT_BOUNDS,
    ),
    _counter(
        "watchslo_init_events_errors_total",
        "Starts (LIST or WATCH) that failed: no connection, an HTTP error, or an ERROR event before any other event. "
        "They count neither as ends nor as forced closes.",
        reason=START_REASONS,
    ),
    _counter("watchslo_uncovered_seconds_total", "Time without an open watch."),
    _histogram("watchslo_watch_lifetime_seconds", "Time for which a watch was open.", LIFETIME_BOUNDS),
    _gauge(
        "watchslo_last_activity_timestamp_seconds",
        "Unix time of the last byte received from the watch, bookmarks included. Absent before the first byte.",
    ),
    _counter("watchslo_received_bytes_total", "Bytes received from watches."),
    # The canary.
    _counter("watchslo_canary_writes_total", "Canary writes sent."),
    _counter("watchslo_canary_write_failures_total", "Canary writes that got no 2xx response."),
    _counter(
        "watchslo_canary_lost_total",
        "Canary writes that got a 2xx response but whose event did not arrive on the watch in time. Each counts as "
        "one late event.",
    ),
    _histogram(
        "watchslo_canary_delivery_seconds", "Time from sending a canary write to the arrival of its event on the watch."
    ),
    _histogram("watchslo_canary_write_seconds", "Time from sending a canary write to its response."),
    # The clocks.
    _counter(
        "watchslo_clock_polls_total",
        "Polls for the current revision of the store (revision) or of the apiserver's watch cache (cache). Group and "
        "resource are those of the polled kind.",
        Scope.CLOCK,
        result=POLL_RESULTS,
    ),
    _histogram(
        "watchslo_clock_poll_seconds",
        "Time from sending a poll to its response. Group and resource are those of the polled kind.",
        FINE_BOUNDS,
        Scope.CLOCK,
    ),
    _gauge(
        "watchslo_clock_offset_lower_seconds",
        "Lower bound: the apiserver's wall clock is ahead of the exporter's by at least this. Absent while nothing "
        "is known.",
        Scope.APISERVER,
    ),
    _gauge(
        "watchslo_clock_offset_upper_seconds",
        "Upper bound: the apiserver's wall clock is ahead of the exporter's by at most this. Absent while nothing is "
        "known.",
        Scope.APISERVER,
    ),
    _gauge(
        "watchslo_date_evidence_enabled",
        "Whether the Date headers of this address are used as evidence (1), or are ignored because of contradictions "
        "(0).",
        Scope.APISERVER,
    ),
    _counter(
        "watchslo_stale_reads_total",
        "Times that a store answered a poll with a lower revision than it had certainly committed before. After the "
        "first stale read, polls prove that a revision did not exist yet only as of 5 s earlier, so that the upper "
        "bounds of latencies become wider.",
        Scope.APISERVER,
    ),
    _counter(
        "watchslo_balancers_noticed_total",
        "Times that an address treated as a single apiserver turned out to be a load balancer for several: its watch "
        "cache went back while a watch continued (cache), or its Date headers come from clocks that disagree (date). "
        "After that, stages are not measured at this address, and timestamps in objects are not used to narrow "
        "intervals.",
        Scope.APISERVER,
        sign=BALANCER_SIGNS,
    ),
    _counter(
        "watchslo_server_metrics_reads_total",
        "Times that an apiserver's own metrics were read, or could not be (--apiserver.metrics, --prometheus.url). "
        "forbidden: the exporter may not read them, or there are none; after two in a row it tries every ten minutes.",
        Scope.APISERVER,
        result=SERVER_METRICS_READS,
    ),
    # Ourselves.
    _counter(
        "watchslo_apiserver_requests_total",
        "Requests sent to the apiserver on an open connection, by purpose. discovery: all requests that find out "
        "what to watch. access_review: the reviews for --web.auth-filter. server_metrics: reads of "
        "/metrics. A request that is sent again counts again.",
        Scope.APISERVER,
        purpose=PURPOSES,
    ),
    _counter(
        "watchslo_apiserver_request_seconds_total",
        "Time from sending each request until its response begins or the exporter gives up. The rate is the mean "
        "number of requests in flight; each occupies one seat of API Priority and Fairness for at most this time.",
        Scope.APISERVER,
        purpose=PURPOSES,
    ),
    _counter(
        "watchslo_apiserver_response_bytes_total",
        "Bytes of response bodies, without open watches, which watchslo_received_bytes_total counts.",
        Scope.APISERVER,
        purpose=PURPOSES,
    ),
    _counter(
        "watchslo_discovery_errors_total",
        "Failed attempts to find the apiservers (--apiserver.discover) or the custom resources. The exporter retries "
        "forever.",
        Scope.EXPORTER,
        reason=START_REASONS,
    ),
    _gauge(
        "watchslo_apiservers_left_out",
        "Apiservers found by --apiserver.discover that are not watched: there are more than 64, which also counts "
        "those that are being removed, or none of them answers, so that the configured server is watched instead.",
        Scope.EXPORTER,
    ),
    _gauge(
        "watchslo_custom_resources_left_out",
        "Custom resources that match --custom-resources but are not watched: there are more than "
        "--custom-resources.max, which also counts those that are being removed, or so many were added at once that "
        "they have to wait.",
        Scope.EXPORTER,
    ),
    _histogram(
        "watchslo_loop_lag_seconds",
        "Delay of the iterations of the exporter's own event loop. It makes events ambiguous, never late.",
        FINE_BOUNDS,
        Scope.EXPORTER,
    ),
    _gauge(
        "watchslo_tasks",
        "Tasks of the exporter's own event loop: a few for each stream, clock and connection. What grows while these "
        "do not is a leak.",
        Scope.EXPORTER,
    ),
    _gauge(
        "watchslo_shards", "Number of exporters that share the watches (--shard); 1 without sharding.", Scope.EXPORTER
    ),
    _gauge(
        "watchslo_shard_index",
        "Index of this exporter among those that share the watches (--shard), starting at 0.",
        Scope.EXPORTER,
    ),
    _counter(
        "watchslo_refused_text_total",
        "Texts from apiservers, objects, plugins or clients that were cut or left out because they were longer than "
        "their limit or malformed.",
        Scope.EXPORTER,
        what=REFUSED,
    ),
    _counter(
        "watchslo_web_refused_total",
        "Connections that the exporter's own HTTP server closed, and requests that it refused, to keep its limits.",
        Scope.EXPORTER,
        reason=WEB_REFUSALS,
    ),
    _histogram(
        "watchslo_pod_startup_lower_seconds",
        "With --pod-startup, guaranteed minimum time of a pod's start by stage, from one event's commit to another's: "
        "scheduled (since the creation), sandbox, initialized, started (all containers), ready; a stage that no write "
        "reported counts with the next one. total: from the creation until all containers have started. sli: the same "
        "without image pulls and init containers, for pods that the pod start-up SLI speaks of. watches: an estimate "
        "of how long the scheduler and the kubelet waited for their watches, if they saw what the exporter saw.",
        STARTUP_BOUNDS,
        Scope.APISERVER,
        stage=STARTUP_STAGES,
    ),
    _histogram(
        "watchslo_pod_startup_upper_seconds",
        "Guaranteed maximum time, likewise. A time without an upper bound counts in the bucket +Inf and is left out "
        "of the sum.",
        STARTUP_BOUNDS,
        Scope.APISERVER,
        stage=STARTUP_STAGES,
    ),
    _gauge(
        "watchslo_pod_startup_p95_lower_seconds",
        "Lower bound: the 95th percentile of that stage in the last five minutes is certainly not below "
        "this. Absent while no pod has reached it.",
        Scope.APISERVER,
        stage=STARTUP_STAGES,
    ),
    _gauge(
        "watchslo_pod_startup_p95_upper_seconds",
        "Upper bound: the 95th percentile of that stage in the last five minutes is certainly not above "
        "this. Absent while no pod has reached it.",
        Scope.APISERVER,
        stage=STARTUP_STAGES,
    ),
    _gauge(
        "watchslo_pod_startup_p99_lower_seconds",
        "Lower bound: the 99th percentile of that stage in the last five minutes is certainly not below "
        "this. Absent while no pod has reached it.",
        Scope.APISERVER,
        stage=STARTUP_STAGES,
    ),
    _gauge(
        "watchslo_pod_startup_p99_upper_seconds",
        "Upper bound: the 99th percentile of that stage in the last five minutes is certainly not above "
        "this. Absent while no pod has reached it.",
        Scope.APISERVER,
        stage=STARTUP_STAGES,
    ),
    _counter(
        "watchslo_pod_startups_total",
        "Pods by how the pod start-up SLI treats them. sli: counted. sli_pull_unknown: counted, but what pulls took is "
        "not known, so that the lower bound is wide. stateful, unschedulable: started, but the SLI leaves them out. "
        "static: made by a kubelet. deleted, failed: before they had started. created_unseen: created while nothing "
        "was watched. overflow: too many start at once.",
        Scope.APISERVER,
        result=STARTUP_RESULTS,
    ),
    _gauge(
        "watchslo_pods_starting",
        "With --pod-startup, pods whose creation or start-up was seen and that have not started all their containers.",
        Scope.APISERVER,
    ),
    _counter(
        "watchslo_pod_startup_pull_watch_errors_total",
        "With --pod-startup, troubles of the watch of the kubelets' Events about image pulls, through which pods count "
        "as sli_pull_unknown. A start (LIST or WATCH) failed, for the reasons of watchslo_init_events_errors_total; "
        "relist: the watch could not resume, and Events in between were missed; undecodable: lines could not be "
        "decoded.",
        Scope.APISERVER,
        reason=PULL_WATCH_TROUBLES,
    ),
    Family(
        name="watchslo_audit_request_seconds_total",
        type="counter",
        help="Time that requests in the audit log (--audit.file, --audit.listen-address) were with the apiserver, "
        "without watches, exec and the like. The 20 users, and of each the 30 resources, that cost most in the last "
        "hour have series of their own; the rest is other. Without --audit.user-names no user is named.",
        scope=Scope.EXPORTER,
        own_labels=AUDIT_LABELS,
    ),
    Family(
        name="watchslo_audit_requests_total",
        type="counter",
        help="Requests in the audit log, with the same labels.",
        scope=Scope.EXPORTER,
        own_labels=AUDIT_LABELS,
    ),
    _counter("watchslo_decode_errors_total", "Lines of a watch that could not be decoded."),
    Family(
        name="watchslo_fault",
        type="gauge",
        help="Whether a fault is found now (1) or was found before (0). certainty: shown (by a fact from outside and "
        "one that confirms it) or suspected (facts from outside only). group and resource are empty where the fault "
        "concerns a whole apiserver, apiserver too where it is the exporter's own. docs/faults.md explains each.",
        scope=Scope.FAULT,
    ),
    _counter(
        "watchslo_fault_changes_total",
        "How often a fault was found, changed its certainty, or was withdrawn.",
        Scope.EXPORTER,
        fault=FAULTS,
    ),
    Family(
        name="watchslo_build_info",
        type="gauge",
        help="Always 1; the label names the running version.",
        scope=Scope.EXPORTER,
        own_labels=("version",),
    ),
)


_ON_HISTOGRAMS = """\
Histograms are classic ones, with these buckets. With `--metrics.histograms=native` or `both`, who asks
for Prometheus' protobuf format gets native histograms: one series each, without suffix, whose buckets
end 9 % after their beginning (schema 3), for `histogram_quantile(0.99, rate(...))` without `_bucket`
and `le`. Only `watchslo_loop_lag_seconds` stays classic. Prometheus asks for protobuf with
`scrape_native_histograms: true` (3.8 and later) or `--enable-feature=native-histograms` (before). Who
asks for text gets classic ones.
[Decision 24](decisions/0024-native-histograms.md) says what each format costs.
"""


def reference_markdown() -> str:
    """The table as a page of documentation: one row per family, in the order of a scrape."""
    rows = ["| family | type | labels | meaning |", "|---|---|---|---|"]
    for family in FAMILIES:
        labels = [f"`{label}`" for label in family.scope.labels]
        labels += [f"`{label}` ({', '.join(values)})" for label, values in family.seeds.items()]
        labels += [f"`{label}`" for label in family.own_labels]
        bounds = " ".join(f"{bound:g}" for bound in (*family.bounds, float("inf"))) if family.bounds else ""
        meaning = f"{family.help} Buckets: {bounds}." if bounds else family.help
        rows.append(f"| `{family.name}` | {family.type} | {', '.join(labels)} | {meaning} |")
    return "\n".join(rows) + "\n\n" + _ON_HISTOGRAMS
