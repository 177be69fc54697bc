"""The families of an apiserver's /metrics that are read, from Kubernetes 1.29 to 1.38, and what is kept of each.

The series of a family are added up under what its `by` makes of their labels; series that it makes nothing of are
left out. Names and labels as they changed: k8s.io/apiserver's sources, and what real apiservers serve.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal, TypeAlias

import msgspec

LabelValues: TypeAlias = Mapping[str, str]
SeriesKey: TypeAlias = tuple[str, ...]
By: TypeAlias = Callable[[LabelValues], SeriesKey | None]

Part: TypeAlias = Literal["value", "sum", "bucket"]
"""What a line adds to: the one number of a key, or one of its histogram's."""


class ServerFamily(msgspec.Struct, frozen=True):
    """One metric; `fact` is what `between` knows its numbers by."""

    fact: str
    metric: str
    by: By
    is_histogram: bool = False

    @property
    def samples(self) -> dict[str, Part]:
        """The names that its lines begin with. A histogram's count is its last bucket."""
        if self.is_histogram:
            return {f"{self.metric}_sum": "sum", f"{self.metric}_bucket": "bucket"}
        return {self.metric: "value"}


_PREFIXES = {
    "minions": "nodes",
    "controllers": "replicationcontrollers",
    "specs": "services",
    "ingress": "ingresses",
}
"""Where etcd has these, whose keys are older than their names."""

_ENDLESS = frozenset({"WATCH", "WATCHLIST", "CONNECT"})
_STREAMED = frozenset({"log", "exec", "attach", "portforward", "proxy"})
"""Subresources whose requests take as long as somebody looks on."""

_OPERATIONS = {"listStream": "list", "getCurrentResourceVersion": "get"}
"""As these were counted before 1.37."""

_REFUSED = frozenset({"409", "429"})

BEFORE_1_37: Final = "cache, before 1.37"
IN_WATCH_CACHE: Final = "watchcache"
"""As the label `storage` has it from 1.37 on."""


def kind(labels: LabelValues) -> SeriesKey | None:
    """Group and resource, of whichever labels say it; the group is "*" where none does."""
    resource = labels.get("resource") or labels.get("resource_prefix", "")
    if resource.startswith("/"):  # before 1.34, some: a place in etcd
        *groups, resource = resource.strip("/").split("/")
        group = groups[0] if groups and "." in groups[0] else "*"
        return group, _PREFIXES.get(resource, resource)
    if resource and "group" not in labels:  # before 1.34, most: deployments.apps
        resource, _, group = resource.partition(".")
        return group, resource
    if resource:
        return labels["group"], resource
    if "kind" in labels:  # before 1.34, of watch events
        return labels.get("group", ""), _plural(labels["kind"])
    return None


def _plural(name: str) -> str:
    """As Kubernetes guesses it (meta.UnsafeGuessKindToResource)."""
    singular = name.lower()
    if singular.endswith("s"):
        return singular if singular == "endpoints" else f"{singular}es"
    return f"{singular[:-1]}ies" if singular.endswith("y") else f"{singular}s"


def _all(_labels: LabelValues) -> SeriesKey:
    return ()


def _job(labels: LabelValues) -> SeriesKey:
    """Only a Prometheus says one: two would count everything twice."""
    return (labels.get("job", ""),)


def _every(_labels: LabelValues) -> SeriesKey:
    """All of those together that another family tells apart, and what that leaves out."""
    return ("*",)


def _label(name: str) -> By:
    return lambda labels: (labels[name],) if name in labels else None


def _kind_where(label: str, value: str) -> By:
    return lambda labels: kind(labels) if labels.get(label) == value else None


def _operation(labels: LabelValues) -> SeriesKey:
    operation = labels.get("operation", "")
    return (_OPERATIONS.get(operation, operation),)


def _request(labels: LabelValues) -> SeriesKey | None:
    verb = labels.get("verb", "")
    if verb in _ENDLESS or labels.get("subresource") in _STREAMED or not labels.get("resource"):
        return None
    return verb, labels.get("group", ""), labels["resource"]


def _answer(labels: LabelValues) -> SeriesKey | None:
    """All others are one, so that none of these is known to be none."""
    code = labels.get("code", "")
    return (code, labels.get("group", ""), labels.get("resource", "")) if code in _REFUSED else ("", "", "")


def _listed(labels: LabelValues) -> SeriesKey | None:
    """Where from as well: what 1.37 says in one family was in two before, which may still be served beside it."""
    of = kind(labels)
    return of and (labels.get("storage", ""), *of)


def _listed_from_cache(labels: LabelValues) -> SeriesKey | None:
    of = kind(labels)
    return of and (BEFORE_1_37, *of)


def _finite_answer(labels: LabelValues) -> SeriesKey | None:
    """Not those of watches, which `sent_bytes` has: of built-in kinds they are here too, once each watch ends."""
    return None if labels.get("verb") in _ENDLESS else ()


def _stage(labels: LabelValues) -> SeriesKey | None:
    of = kind(labels)
    return of and (*of, labels.get("stage", ""))


FAMILIES: Final = (
    # The process.
    ServerFamily("started_at", "process_start_time_seconds", _job),
    ServerFamily("cpu_seconds", "process_cpu_seconds_total", _all),
    ServerFamily("cpu_cores", "go_sched_gomaxprocs_threads", _all),
    ServerFamily("open_descriptors", "process_open_fds", _all),
    ServerFamily("scheduling", "go_sched_latencies_seconds", _all, is_histogram=True),
    # These three are brought up to date at the end of each collection, together.
    ServerFamily("go_cpu_seconds", "go_cpu_classes_total_cpu_seconds_total", _all),
    ServerFamily("go_idle_seconds", "go_cpu_classes_idle_cpu_seconds_total", _all),
    ServerFamily("go_collecting_seconds", "go_cpu_classes_gc_total_cpu_seconds_total", _all),
    # The store, and whoever is asked before and after it.
    ServerFamily("store", "etcd_request_duration_seconds", _operation, is_histogram=True),
    ServerFamily(
        "admission", "apiserver_admission_webhook_admission_duration_seconds", _label("name"), is_histogram=True
    ),
    ServerFamily("conversion", "apiserver_conversion_webhook_duration_seconds", _every, is_histogram=True),
    ServerFamily(
        "conversion_of", "apiserver_crd_conversion_webhook_duration_seconds", _label("crd_name"), is_histogram=True
    ),
    # Requests.
    ServerFamily("requests", "apiserver_request_duration_seconds", _request, is_histogram=True),
    ServerFamily("answers", "apiserver_request_total", _answer),
    ServerFamily("listed", "apiserver_storage_list_fetched_objects_total", _listed),
    ServerFamily("listed", "apiserver_cache_list_fetched_objects_total", _listed_from_cache),
    ServerFamily("answered_bytes", "apiserver_response_sizes_sum", _finite_answer),
    ServerFamily("queued", "apiserver_flowcontrol_current_inqueue_requests", _all),
    ServerFamily("queue_wait", "apiserver_flowcontrol_request_wait_duration_seconds", _all, is_histogram=True),
    ServerFamily("rejected", "apiserver_flowcontrol_rejected_requests_total", _all),
    # Watches.
    ServerFamily("open_watches", "apiserver_longrunning_requests", _kind_where("verb", "WATCH")),
    ServerFamily("terminated", "apiserver_terminated_watchers_total", kind),
    ServerFamily("initial_events", "apiserver_init_events_total", kind),
    ServerFamily("sent_events", "apiserver_watch_events_total", kind),
    # Up to 1.34.3 and 1.35.0 of an event only once, not once for each watch: only their ratio can be used.
    ServerFamily("sizes_sum", "apiserver_watch_events_sizes_sum", kind),
    ServerFamily("sizes_count", "apiserver_watch_events_sizes_count", kind),
    ServerFamily("dispatch", "apiserver_watch_events_dispatch_duration_seconds", _stage, is_histogram=True),
    # Watch caches.
    ServerFamily("received_events", "apiserver_storage_events_received_total", kind),
    ServerFamily("cache_revisions", "apiserver_watch_cache_resource_version", kind),
    ServerFamily("cache_read_wait", "apiserver_watch_cache_read_wait_seconds", kind, is_histogram=True),
    ServerFamily("cache_fallbacks", "apiserver_watch_cache_consistent_read_total", _kind_where("fallback", "true")),
    ServerFamily("cache_initializations", "apiserver_watch_cache_initializations_total", kind),
    ServerFamily(
        "cache_inconsistencies", "apiserver_storage_consistency_checks_total", _kind_where("status", "failure")
    ),
    ServerFamily("stored_bytes", "apiserver_resource_size_estimate_bytes", kind),
    ServerFamily("stored_objects", "apiserver_resource_objects", kind),
)

Samples: TypeAlias = Mapping[str, tuple[ServerFamily, Part]]
"""By the name that a line begins with."""


def samples_of(families: Iterable[ServerFamily]) -> Samples:
    """The names that the lines of these families begin with."""
    return {name: (family, part) for family in families for name, part in family.samples.items()}


SAMPLES: Final = samples_of(FAMILIES)

LIST_FAMILIES: Final = (
    *(family for family in FAMILIES if family.fact in {"started_at", "listed", "initial_events"}),
    ServerFamily("lists", "apiserver_storage_list_total", _listed),
    ServerFamily("lists", "apiserver_cache_list_total", _listed_from_cache),
)
"""What says from where LISTs were served; `watchslo lists` reads these and no others."""
