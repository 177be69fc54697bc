"""Where the time goes: which part of an event's way is slow, and on which apiserver."""

from typing import Final, NamedTuple

from dashboards import panels
from dashboards.panels import THIRD, Panel, Query
from dashboards.query import APISERVER, BY_WATCH, NAME_OF_WATCH, WORST, buckets, flowing, grown, p99, series


class Stage(NamedTuple):
    """A part of an event's way."""

    title: str
    matcher: str
    meaning: str


WRITE: Final = Stage(
    "Write, up to the commit",
    'stage="write"',
    "Admission, webhooks and the store's transaction. It comes before the commit, so it is no part of the time span. "
    "It starts with a stamp of whole seconds, so the band is at least a second wide.",
)
STORAGE_TO_CACHE: Final = Stage(
    "Store to watch cache",
    'stage="storage_to_cache"',
    "From the commit until the apiserver's watch cache has the event: the store's own watch, decoding, conversion "
    "webhooks. Empty where the address is not known to be one apiserver.",
)
CACHE_TO_CLIENT: Final = Stage(
    "Watch cache to client",
    'stage="cache_to_client"',
    "From the apiserver's watch cache to the arrival here: dispatch, encoding, balancer, network. Empty where the "
    "address is not known to be one apiserver.",
)
SPAN_AT_MOST: Final = "apiserver_time_span_upper_seconds"
SPAN_AT_LEAST: Final = "apiserver_time_span_lower_seconds"

# Alpha since Kubernetes 1.37; the names of its stages change, so all are shown. It comes with the apiservers' own job.
DISPATCHED: Final = (
    "apiserver_watch_events_dispatch_duration_seconds_bucket"
    '{cluster=~"$cluster", group=~"$group", resource=~"$resource"}'
)


def rows() -> dict[str, list[Panel]]:
    """Its panels, by the title of their row."""
    return {"Now": _now(), "Stages": _stages(), "Comparisons": _comparisons(), "Pod start-up": _pod_startup()}


def _now() -> list[Panel]:
    return [
        panels.tiles(
            "P99 of each stage, at most",
            "s",
            Query(f"topk({WORST}, {p99('stage_upper_seconds', by='cluster, stage')})", "{{stage}} {{cluster}}"),
        )
        .span(16)
        .description(
            "99 % of the events certainly took no longer in this stage. The largest one is where to look first."
        ),
        panels.tiles("P99 of the canary", "s", Query(p99("canary_delivery_seconds"), "sent to arrival"))
        .span(THIRD)
        .description(
            "From sending a canary's write to its arrival on the watch, by one clock. Without a canary: no data."
        ),
    ]


def _stages() -> list[Panel]:
    bands = [
        panels.band(
            f"{stage.title}, P99",
            "s",
            at_most=p99("stage_upper_seconds", stage.matcher),
            at_least=p99("stage_lower_seconds", stage.matcher),
        )
        .span(THIRD)
        .description(stage.meaning)
        for stage in (WRITE, STORAGE_TO_CACHE, CACHE_TO_CLIENT)
    ]
    maps = [
        panels.heat_map(f"{stage.title}, at most", buckets("stage_upper_seconds", stage.matcher)).description(
            "How many events took at most how long in this stage."
        )
        for stage in (STORAGE_TO_CACHE, CACHE_TO_CLIENT)
    ]
    whole = panels.heat_map("Commit to arrival, at most", buckets(SPAN_AT_MOST)).description(
        "How many events took at most how long on their whole way. What is above the threshold endangers the objective."
    )
    return [*bands, whole, *maps]


def _comparisons() -> list[Panel]:
    return [
        panels.lines(
            "P99 at most, of each apiserver",
            "s",
            Query(p99(SPAN_AT_MOST, by="cluster, apiserver"), "{{apiserver}} {{cluster}}"),
        ).description(
            "Time from commit to arrival. If one apiserver is slow and the others are not, its watch cache or the way "
            "from there to here is to blame."
        ),
        panels.lines(
            "Beside the apiserver's own dispatch time, P99",
            "s",
            Query(p99(SPAN_AT_MOST), "watchslo, at most"),
            Query(p99(SPAN_AT_LEAST), "watchslo, at least"),
            Query(
                f"histogram_quantile(0.99, sum by (le, cluster, stage) (rate({DISPATCHED}[$__rate_interval])))",
                "its {{stage}} {{cluster}}",
            ),
        ).description(
            "From Kubernetes 1.37 on an apiserver measures its own part (alpha): from the arrival of the store's event "
            "in the apiserver, through decoding and conversion, to the watcher's channel. What watchslo measures "
            "begins with the commit and ends at the client: a slow conversion is in both; the store's way to the "
            "apiserver, encoding and network are in watchslo's only. The apiserver's lines are missing before 1.37, "
            "and where Prometheus does not scrape them."
        ),
        panels.lines(
            "Canary, P99",
            "s",
            Query(
                f"topk({WORST}, ({p99('canary_delivery_seconds', by=BY_WATCH)}) >= 0)",
                f"sent to arrival, {NAME_OF_WATCH}",
            ),
            Query(
                f"topk({WORST}, ({p99('canary_write_seconds', by=BY_WATCH)}) >= 0)", f"sent to answer, {NAME_OF_WATCH}"
            ),
        ).description("Sent to arrival is what a user of the watch feels, sent to answer what the writer feels."),
        panels.bars(
            "Canaries lost or refused",
            Query(grown("canary_lost_total", BY_WATCH), f"lost, {NAME_OF_WATCH}"),
            Query(grown("canary_write_failures_total", BY_WATCH), f"refused, {NAME_OF_WATCH}"),
        ).description(
            "Lost: the write was accepted and did not arrive in time. Refused: the write failed. No data is good."
        ),
    ]


def _pod_startup() -> list[Panel]:
    """Each apiserver tells of all pods: the worst counts."""
    at_most = series("pod_startup_p99_upper_seconds", scope=APISERVER)
    at_least = series("pod_startup_p99_lower_seconds", 'stage="sli"', scope=APISERVER)
    return [
        panels.lines(
            "P99 of each stage of a pod's start, at most",
            "s",
            Query(f"max by (cluster, stage) ({at_most})", "{{stage}} {{cluster}}"),
            Query(f"max by (cluster) ({at_least})", "sli, at least {{cluster}}"),
        )
        .span(THIRD)
        .description(
            "Over five minutes, with --pod-startup. The SLI of pod start-up is total without image pulls and init "
            "containers, and wants at most 5 s. Where pulls are not known its lower bound is far below. watches is an "
            "estimate of what scheduler and kubelet waited for their watches."
        ),
        panels.lines(
            "Pods by how the pod start-up SLI treats them",
            "cps",
            Query(
                flowing("pod_startups_total", "cluster, apiserver, result", scope=APISERVER),
                "{{result}} @ {{apiserver}} {{cluster}}",
            ),
        )
        .span(THIRD)
        .description("With several apiservers each tells of all pods. Deleted and failed: before they had started."),
        panels.bars(
            "Troubles of the watch of image pulls",
            Query(
                grown("pod_startup_pull_watch_errors_total", "cluster, apiserver, reason", scope=APISERVER),
                "{{reason}} @ {{apiserver}} {{cluster}}",
            ),
        )
        .span(THIRD)
        .description(
            "Why pods count as sli_pull_unknown: a start of the watch of the kubelets' Events failed, by reason; it "
            "had to relist, and missed Events; or they could not be decoded. No data is good."
        ),
    ]
