"""What two readings say of the time between them, and what they do not."""

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from exporter.diagnosis.server_facts import ServerFacts, Timed, of_kind
from exporter.server_metrics.between import ServerReading, between, in_steps
from tests.server_metrics.lines import histogram, numbers, reading

ETCD = "etcd_request_duration_seconds"
GET = 'operation="get"'


def test_a_histogram_becomes_rate_mean_and_slowest_hundredth() -> None:
    earlier = reading(10, *histogram(ETCD, GET, 1.0, {"0.1": 100, "1": 100, "+Inf": 100}))
    later = reading(20, *histogram(ETCD, GET, 3.0, {"0.1": 298, "1": 299, "+Inf": 300}))
    assert between(earlier, later).store_requests == {"get": Timed(20.0, 0.01, 0.1)}
    slower = reading(20, *histogram(ETCD, GET, 3.0, {"0.1": 297, "1": 299, "+Inf": 300}))
    assert between(earlier, slower).store_requests["get"].most_seconds == 1.0
    slowest = reading(20, *histogram(ETCD, GET, 3.0, {"0.1": 297, "1": 297, "+Inf": 300}))
    assert between(earlier, slowest).store_requests["get"].most_seconds == inf


def test_what_did_not_happen_takes_no_time() -> None:
    same = histogram(ETCD, GET, 1.0, {"0.1": 100, "+Inf": 100})
    assert between(reading(0, *same), reading(10, *same)).store_requests == {}


def test_what_is_new_began_at_nothing() -> None:
    line = 'apiserver_init_events_total{group="",resource="pods"} 50'
    later = reading(10, line, *histogram(ETCD, GET, 1.0, {"0.1": 100, "+Inf": 100}))
    facts = between(reading(0), later)
    assert facts.initial_events_per_second == {("", "pods"): 5.0}
    assert facts.store_requests == {"get": Timed(10.0, 0.01, 0.1)}


def test_what_is_new_is_not_known_where_not_everything_was_kept() -> None:
    full = reading(0)
    full.numbers.is_whole = False
    line = 'apiserver_init_events_total{group="",resource="pods"} 50'
    later = reading(10, line, *histogram(ETCD, GET, 1.0, {"0.1": 100, "+Inf": 100}))
    assert between(full, later).initial_events_per_second == {}
    assert between(full, later).store_requests == {}


def test_another_process_says_how_it_stands_and_nothing_of_the_time_between() -> None:
    lines = (
        "process_cpu_seconds_total 50",
        "go_sched_gomaxprocs_threads 4",
        'apiserver_longrunning_requests{group="",resource="pods",verb="WATCH"} 3',
        'apiserver_request_total{code="429",group="",resource="pods"} 3',
        *histogram(ETCD, GET, 1.0, {"0.1": 100, "+Inf": 100}),
    )
    facts = between(reading(0, *lines, started_at=100), reading(10, *lines, started_at=500))
    assert facts.started_at == 500
    assert (facts.cpu_cores, facts.cpu_cores_used) == (4.0, None)
    assert (facts.open_watches, facts.open_watches_before) == ({("", "pods"): 3.0}, 3.0)
    assert (facts.store_requests, facts.too_many_per_second) == ({}, None)


def test_a_counter_that_went_back_says_nothing() -> None:
    def lines(pods: int, nodes: int, gets: int) -> list[str]:
        counter = "apiserver_init_events_total"
        return [
            f'{counter}{{group="",resource="pods"}} {pods}',
            f'{counter}{{group="",resource="nodes"}} {nodes}',
            *histogram(ETCD, GET, gets, {"0.1": gets, "+Inf": gets}),
        ]

    facts = between(reading(0, *lines(10, 10, 10)), reading(10, *lines(5, 20, 5)))
    assert facts.initial_events_per_second == {("", "nodes"): 1.0}
    assert facts.store_requests == {}


def test_conflicts_are_by_kind_and_429_together() -> None:
    def lines(conflicts: int, rejections: int) -> list[str]:
        name = "apiserver_request_total"
        return [
            f'{name}{{code="409",group="apps",resource="deployments",verb="PUT"}} {conflicts}',
            f'{name}{{code="429",group="",resource="pods",verb="LIST"}} {rejections}',
            f'{name}{{code="429",group="",resource="nodes",verb="LIST"}} {rejections}',
            f'{name}{{code="200",group="",resource="nodes",verb="LIST"}} 1000',
        ]

    facts = between(reading(0, *lines(0, 0)), reading(10, *lines(20, 5)))
    assert facts.conflicts_per_second == {("apps", "deployments"): 2.0}
    assert facts.too_many_per_second == 1.0
    quiet = 'apiserver_request_total{code="200",group="",resource="nodes",verb="LIST"} 1000'
    assert between(reading(0, quiet), reading(10, quiet)).too_many_per_second == 0
    assert between(reading(0), reading(10)).too_many_per_second is None


def test_requests_that_never_queued_are_none_where_requests_can_queue() -> None:
    waited = histogram("apiserver_flowcontrol_request_wait_duration_seconds", 'execute="true"', 0, {"0": 5, "+Inf": 5})
    facts = between(reading(0, *waited), reading(10, *waited))
    assert (facts.queued_requests, facts.rejected_per_second, facts.queue_wait) == (0.0, 0.0, None)
    facts = between(reading(0), reading(10))
    assert (facts.queued_requests, facts.rejected_per_second, facts.queue_wait) == (None, None, None)
    queued = 'apiserver_flowcontrol_current_inqueue_requests{flow_schema="a",priority_level="b"} 4'
    rejected = 'apiserver_flowcontrol_rejected_requests_total{flow_schema="a",priority_level="b",reason="queue-full"} '
    facts = between(reading(0, *waited), reading(10, *waited, queued, queued.replace('"a"', '"c"'), f"{rejected}20"))
    assert (facts.queued_requests, facts.rejected_per_second) == (8.0, 2.0)


def test_listed_objects_are_of_the_cache_and_of_etcd_in_all_versions() -> None:
    before_1_37 = (
        'apiserver_cache_list_fetched_objects_total{group="",index="",resource="pods"} 50',
        'apiserver_storage_list_fetched_objects_total{group="",resource="pods"} 20',
    )
    since = (
        'apiserver_storage_list_fetched_objects_total{group="",index="",resource="pods",storage="watchcache"} 50',
        'apiserver_storage_list_fetched_objects_total{group="",index="",resource="pods",storage="etcd"} 20',
    )
    for lines in (before_1_37, since, (*since, before_1_37[0])):
        assert between(reading(0), reading(10, *lines)).listed_objects_per_second == {("", "pods"): 7.0}


def test_sent_bytes_are_right_where_sizes_are_counted_once_for_all_watches() -> None:
    """Up to 1.34.3 and 1.35.0: 10 events to 100 watches are 1000 events, but 10 sizes."""

    def lines(events: int, sizes: int, answered: int) -> list[str]:
        pods = 'group="",resource="pods",version="v1"'
        return [
            f"apiserver_watch_events_total{{{pods}}} {events}",
            f"apiserver_watch_events_sizes_sum{{{pods}}} {sizes * 500}",
            f"apiserver_watch_events_sizes_count{{{pods}}} {sizes}",
            f'apiserver_response_sizes_sum{{group="",resource="pods",verb="LIST"}} {answered}',
            f'apiserver_response_sizes_sum{{group="",resource="pods",verb="WATCH"}} {answered * 1000}',
        ]

    facts = between(reading(0, *lines(1000, 10, 0)), reading(10, *lines(2000, 20, 300)))
    assert facts.sent_events_per_second == {("", "pods"): 100.0}
    assert facts.sent_bytes_per_second == 100 * 500 + 30
    assert facts.object_bytes == {("", "pods"): 500.0}


def test_an_object_is_as_large_as_it_is_stored_or_sent() -> None:
    pods = 'group="",resource="pods"'
    facts = between(
        reading(0),
        reading(
            10,
            f"apiserver_resource_objects{{{pods}}} 10",
            f"apiserver_resource_size_estimate_bytes{{{pods}}} 50000",
            f"apiserver_watch_events_sizes_sum{{{pods}}} 400",
            f"apiserver_watch_events_sizes_count{{{pods}}} 1",
            'apiserver_resource_objects{group="",resource="nodes"} 0',
            'apiserver_resource_size_estimate_bytes{group="",resource="nodes"} 0',
        ),
    )
    assert facts.object_bytes == {("", "pods"): 5000.0}


def test_what_is_collected_is_a_share_of_what_is_used() -> None:
    def lines(total: float, idle: float, collecting: float) -> list[str]:
        return [
            f"go_cpu_classes_total_cpu_seconds_total {total}",
            f"go_cpu_classes_idle_cpu_seconds_total {idle}",
            f"go_cpu_classes_gc_total_cpu_seconds_total {collecting}",
        ]

    earlier = reading(0, *lines(100, 80, 5))
    assert between(earlier, reading(10, *lines(120, 90, 8))).garbage_collection_share == 0.3
    assert between(earlier, reading(10, *lines(100, 80, 5))).garbage_collection_share == 0.0
    assert between(reading(0), reading(10)).garbage_collection_share is None


def test_stages_are_told_whatever_their_names_are() -> None:
    name = "apiserver_watch_events_dispatch_duration_seconds"
    labels = 'group="apps",resource="deployments",stage="watcher_queue_latency"'
    facts = between(reading(0), reading(10, *histogram(name, labels, 1, {"0.1": 10, "+Inf": 10})))
    assert facts.dispatch == {("apps", "deployments"): {"watcher_queue_latency": Timed(1.0, 0.1, 0.1)}}


def test_a_version_before_1_34_is_understood() -> None:
    lines = (
        'apiserver_terminated_watchers_total{resource="deployments.apps"} 3',
        'apiserver_watch_cache_consistent_read_total{fallback="true",resource="/minions",success="false"} 2',
        'apiserver_watch_events_total{group="",version="v1",kind="Pod"} 10',
        *histogram(ETCD, f'{GET},type="pods"', 0.1, {"0.1": 10, "+Inf": 10}),
    )
    facts = between(reading(0), reading(10, *lines))
    assert facts.terminated_watchers == {("apps", "deployments"): 3.0}
    assert of_kind(facts.cache_fallbacks, "", "nodes") == 2.0
    assert facts.sent_events_per_second == {("", "pods"): 1.0}
    assert facts.store_requests["get"].per_second == 1.0


def test_nothing_is_known_of_what_is_not_exported() -> None:
    facts = between(ServerReading(0, numbers()), ServerReading(10, numbers()))
    assert facts == ServerFacts(seconds=10)


@given(st.integers(1, 400))
def test_steps_come_to_the_same_and_are_small(series: int) -> None:
    lines = [
        line
        for number in range(series)
        for line in histogram(ETCD, f'operation="o{number}"', 1, {"0.1": 10, "+Inf": 10})
    ]
    earlier, later = reading(0), reading(10, *lines)
    *steps, facts = in_steps(earlier, later)
    assert facts == between(earlier, later)
    assert set(steps) == {None}
    assert len(steps) == len([*in_steps(earlier, reading(10))]) - 1 + series // 100
