"""Facts of each fault as they were seen, or as the sources of docs/faults.md tell of them; small and complete."""

from typing import Any

from msgspec.structs import replace

from exporter.diagnosis.diagnose import Cause, diagnose
from exporter.diagnosis.facts import ApiserverFacts, Facts, PollFacts, ProcessFacts, SocketFacts, StreamFacts
from exporter.diagnosis.server_facts import ServerFacts, Timed
from exporter.measure.times import Interval
from exporter.vocabulary import Fault
from tests.support.steps import at_once

A, B = "127.0.0.1:6443", "127.0.0.2:6443"
PODS, NODES = ("", "pods"), ("", "nodes")
WIDGETS = ("example.com", "widgets")
NOW = 1_800_000_000.0
PROMPT, SLOW = Interval(0.0025, 0.005), Interval(1.0, 2.5)
ON_TIME: dict[str, Any] = {
    "judged": {"on_time": 200, "late": 0, "ambiguous": 0},
    "time_span": Interval(0.0, 0.1),
    "storage_to_cache": Interval(0.0, 0.1),
    "cache_to_client": Interval(0.0, 0.1),
    "canary_write": Interval(0.005, 0.01),
    "events_per_second": 10.0,
    "usual_events_per_second": 10.0,
    "clock_reads": "store",
    "cache_still_seconds": 0.2,
    "socket": SocketFacts(0.0002, 0.1, 0, 0),
}
LATE: dict[str, Any] = {
    "is_late": True,
    "late_since": NOW - 12,
    "judged": {"on_time": 50, "late": 150, "ambiguous": 0},
    "time_span": Interval(2.0, 2.5),
}
IN_CACHE: dict[str, Any] = {**LATE, "storage_to_cache": Interval(1.5, 2.5), "cache_to_client": Interval(0.0, 0.25)}
AFTER_CACHE: dict[str, Any] = {**LATE, "storage_to_cache": Interval(0.0, 0.25), "cache_to_client": Interval(1.5, 2.5)}
HEALTHY_SERVER = ServerFacts(
    seconds=10.0,
    started_at=NOW - 86_400,
    cpu_cores_used=0.4,
    cpu_cores=4.0,
    scheduling=Timed(1000, 0.0001, 0.001),
    store_requests={"get": Timed(20, 0.002, 0.01)},
    requests={("LIST", PODS): Timed(1, 0.002, 0.01), ("GET", PODS): Timed(20, 0.005, 0.01)},
    queued_requests=0.0,
    open_watches={PODS: 50.0, NODES: 50.0},
    open_watches_before=100.0,
    open_connections=60.0,
)


def stream(apiserver: str = A, kind: tuple[str, str] = PODS, **more: Any) -> StreamFacts:
    """A stream that is on time but for what is given."""
    return StreamFacts(apiserver=apiserver, group=kind[0], resource=kind[1], **{**ON_TIME, **more})


def apiserver(name: str = A, *, store: Interval = PROMPT, cache: Interval = PROMPT, **more: Any) -> ApiserverFacts:
    """An apiserver whose polls are prompt but for what is given."""
    usual = {"way_back": Interval(0.0, 0.9), "store_polls_read": "store"}
    polls = {
        "store_polls": PollFacts(answered=75, seconds=store, usual_seconds=0.005),
        "cache_polls": PollFacts(answered=150, seconds=cache, usual_seconds=0.005),
    }
    return ApiserverFacts(apiserver=name, **{**usual, **polls, **more})


def facts(*parts: StreamFacts | ApiserverFacts | ProcessFacts) -> Facts:
    """All of them together."""
    process = [part for part in parts if isinstance(part, ProcessFacts)]
    return Facts(
        now=NOW,
        threshold_seconds=1.0,
        streams=tuple(part for part in parts if isinstance(part, StreamFacts)),
        apiservers=tuple(part for part in parts if isinstance(part, ApiserverFacts)),
        process=process[0] if process else ProcessFacts(loop_lag=Interval(0.0, 0.0025)),
    )


def server(**more: Any) -> ServerFacts:
    """A healthy apiserver's metrics but for what is given."""
    return replace(HEALTHY_SERVER, **more)


def causes(given: Facts) -> list[Cause]:
    """Everything that is found."""
    return at_once(diagnose(given))


HERD = {"open_watches": {PODS: 60.0, NODES: 10.0}, "requests": {("LIST", PODS): Timed(40, 0.1, 1.0)}}
UNDELIVERED: dict[str, Any] = {"judged": {}, "time_span": None, "undelivered_seconds": 12.0}
NODES_ON_TIME = stream(kind=NODES)
CASES: dict[Fault, tuple[Facts, Facts | None]] = {
    "exporter_refused": (facts(apiserver(), stream(is_up=False, trouble="forbidden", judged={})), None),
    "exporter_starved": (
        facts(
            apiserver(store=SLOW, cache=SLOW),
            stream(judged={"on_time": 50, "late": 0, "ambiguous": 50}),
            ProcessFacts(loop_lag=Interval(0.5, 1.0), stalled_share=0.4, throttled_share=0.4),
        ),
        None,
    ),
    "apiserver_unreachable": (
        facts(
            apiserver(
                store_polls=PollFacts(failed={"connect": 9}),
                cache_polls=PollFacts(failed={"connect": 9}),
                way_back=None,
            ),
            stream(is_up=False, trouble="connect", judged={}, uncovered_seconds=15.0),
            apiserver(B),
            stream(B),
        ),
        facts(
            apiserver(
                store_polls=PollFacts(failed={"connect": 9}),
                cache_polls=PollFacts(failed={"connect": 9}),
                way_back=None,
            ),
            stream(is_up=False, trouble="connect", judged={}, uncovered_seconds=15.0),
        ),
    ),
    "apiserver_restarted": (
        facts(
            apiserver(server=server(started_at=NOW - 9)),
            stream(ends={"transport_error": 1}, start_errors={"connect": 3}, relists=1, uncovered_seconds=4.0),
        ),
        facts(
            apiserver(),
            stream(ends={"transport_error": 1}, start_errors={"connect": 3}, relists=1, uncovered_seconds=4.0),
        ),
    ),
    "relist_storm": (
        facts(apiserver(server=server(**HERD)), stream(**AFTER_CACHE, relists=1, ends={"gone": 1}), NODES_ON_TIME),
        facts(apiserver(), stream(**AFTER_CACHE, relists=1, ends={"gone": 1}), NODES_ON_TIME),
    ),
    "initial_events_burst": (
        facts(
            apiserver(server=server(initial_events_per_second={PODS: 20_000.0})), stream(**AFTER_CACHE), NODES_ON_TIME
        ),
        None,
    ),
    "list_storm": (
        facts(
            apiserver(
                store=SLOW,
                cache=SLOW,
                server=server(requests={("LIST", PODS): Timed(30, 0.2, 1.0), ("GET", PODS): Timed(5, 0.1, 0.5)}),
            ),
            stream(**IN_CACHE),
        ),
        None,
    ),
    "write_storm": (
        facts(
            apiserver(server=server(requests={("PUT", PODS): Timed(900, 0.01, 0.1)})),
            stream(**AFTER_CACHE, events_per_second=900.0),
            NODES_ON_TIME,
        ),
        facts(apiserver(), stream(**AFTER_CACHE, events_per_second=900.0), NODES_ON_TIME),
    ),
    "connections_unbalanced": (
        facts(
            apiserver(server=server(open_watches={PODS: 900.0}, open_watches_before=900.0, cpu_cores_used=3.9)),
            stream(**AFTER_CACHE),
            apiserver(B, server=server(open_watches={PODS: 10.0})),
            stream(B),
        ),
        None,
    ),
    "requests_queued": (
        facts(apiserver(store=SLOW, cache=SLOW, server=server(queued_requests=30.0)), stream()),
        facts(apiserver(throttled=12), stream()),
    ),
    "path_full": (
        facts(
            apiserver(store=SLOW, cache=SLOW, way_back=Interval(1.2, 3.0), server=server()),
            stream(**AFTER_CACHE, bytes_per_second=2e6, is_rate_steady=True),
        ),
        facts(
            apiserver(store=SLOW, cache=SLOW, way_back=Interval(1.2, 3.0)),
            stream(**AFTER_CACHE, bytes_per_second=2e6, is_rate_steady=True),
        ),
    ),
    "path_slow": (
        facts(apiserver(store=SLOW, cache=SLOW, way_back=Interval(1.2, 3.0)), stream(**AFTER_CACHE), apiserver(B)),
        facts(apiserver(store=SLOW, cache=SLOW, way_back=Interval(1.2, 3.0)), stream(**AFTER_CACHE)),
    ),
    "store_slow": (
        facts(apiserver(store=SLOW, server=server(store_requests={"txn": Timed(5, 0.9, 2.0)})), stream(**IN_CACHE)),
        facts(apiserver(store=SLOW), stream(**IN_CACHE)),
    ),
    "apiserver_overloaded": (
        facts(apiserver(store=SLOW, cache=SLOW, server=server(cpu_cores_used=3.9)), stream(**AFTER_CACHE)),
        facts(apiserver(store=SLOW, cache=SLOW), stream(**AFTER_CACHE)),
    ),
    "admission_slow": (
        facts(
            apiserver(server=server(admission_webhooks={"slow.example.com": Timed(2, 1.0, 2.5)})),
            stream(canary_write=Interval(1.0, 2.5)),
        ),
        facts(apiserver(), stream(write=Interval(1.0, 2.5))),
    ),
    "conversion_slow": (
        facts(
            apiserver(server=server(conversion_webhooks={"widgets.example.com": Timed(2, 2.0, 2.5)})),
            stream(kind=WIDGETS, converts_by_webhook=True, **IN_CACHE),
            NODES_ON_TIME,
        ),
        facts(apiserver(), stream(kind=WIDGETS, converts_by_webhook=True, **IN_CACHE), NODES_ON_TIME),
    ),
    "objects_large": (
        facts(apiserver(server=server(object_bytes={PODS: 500_000.0})), stream(**IN_CACHE), NODES_ON_TIME),
        facts(apiserver(server=server(object_bytes={PODS: 500_000.0})), stream(**IN_CACHE)),
    ),
    "cache_stuck": (
        facts(
            apiserver(),
            stream(**UNDELIVERED, cache_still_seconds=15.0, is_undelivered_cached=False),
            apiserver(B),
            stream(B),
        ),
        facts(apiserver(), stream(**UNDELIVERED, cache_still_seconds=15.0, is_undelivered_cached=False)),
    ),
    "connection_dropped": (
        facts(
            apiserver(), stream(**{**UNDELIVERED, "socket": SocketFacts(0.0, 12.0, 0, 0)}, is_undelivered_cached=True)
        ),
        facts(apiserver(), stream(**{**UNDELIVERED, "socket": None}, is_undelivered_cached=True)),
    ),
    "cache_behind": (
        facts(apiserver(server=server(cache_fallbacks={PODS: 12.0})), stream(**IN_CACHE), NODES_ON_TIME),
        facts(apiserver(), stream(**IN_CACHE), NODES_ON_TIME),
    ),
    "watchers_closed": (facts(apiserver(server=server(terminated_watchers={PODS: 3.0})), stream()), None),
    "connection_shared": (
        facts(apiserver(server=server(open_watches={PODS: 4000.0}, open_watches_before=4000.0)), stream()),
        facts(apiserver(server=server(open_watches={PODS: 4000.0}, open_watches_before=4000.0)), stream()),
    ),
    "clients_slow": (
        facts(apiserver(server=server(dispatch={PODS: {"cache_to_watcher": Timed(50, 0.5, 5.0)}})), stream()),
        None,
    ),
    "unknown_cause": (facts(apiserver(), stream(**AFTER_CACHE), NODES_ON_TIME), None),
}
"""By fault: facts in which it is as certain as it can be, and facts in which only its confirmation is missing."""
