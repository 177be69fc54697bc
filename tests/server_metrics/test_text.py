"""Any bytes in, bounded numbers out: what is cut, garbage, too long or too much."""

from array import array

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.metrics.labels import LabelSet
from exporter.server_metrics import text
from exporter.server_metrics.families import SAMPLES
from exporter.server_metrics.text import MOST_BOUNDS, MOST_LABEL_CHARACTERS, MOST_LINE_BYTES, Numbers, TextParser
from tests.server_metrics.lines import histogram, numbers

OPENED = 'apiserver_longrunning_requests{group="",resource="pods",verb="WATCH"'
ETCD = 'etcd_request_duration_seconds_bucket{operation="get",group="",resource="pods",le="0.1"} 7'

names = st.sampled_from([*SAMPLES, "go_goroutines", "process_start_time", "apiserver_request_total_", ""])
label_values = st.text(st.sampled_from('ab"\\\n},{ =é'), max_size=8)
labels = st.dictionaries(
    st.sampled_from(["group", "resource", "verb", "operation", "le", "code", "fallback"]), label_values
)
values = st.sampled_from(["1", "0.5", "1e3", "-2", "NaN", "+Inf", "1_0", "x", "", "1 1795917840910", "1 2 3", "9e999"])
lines = st.one_of(
    st.builds(
        lambda name, pairs, value: f"{name}{{{LabelSet(pairs).text}}} {value}",
        names,
        labels,
        values,
    ),
    st.builds("{} {}".format, names, values),
    st.sampled_from([f"{OPENED}}} 3", ETCD, ETCD.replace("0.1", "+Inf"), f"{OPENED} 3", f"{OPENED},}} 3"]),
    st.builds(lambda length: f'{OPENED},x="{"y" * length}"}} 1', st.integers(3900, 4200)),
    st.text(max_size=20),
)


def parsed(body: bytes, cuts: list[int]) -> Numbers:
    parser = TextParser()
    ends = sorted(cut % (len(body) + 1) for cut in cuts)
    for begin, end in zip([0, *ends], [*ends, len(body)], strict=True):
        parser.feed(body[begin:end])
    return parser.finish()


@given(st.lists(lines, max_size=12), st.lists(st.integers(0), max_size=12))
@example([f'{OPENED},x="{"y" * 5000}"}} 1', f"{OPENED}}} 1"], [4095, 4096, 4097, 4098, 4099, 5000])
def test_wherever_a_body_is_cut_it_says_the_same(said: list[str], cuts: list[int]) -> None:
    body = "\n".join(said).encode(errors="replace")
    assert parsed(body, cuts) == parsed(body, [])


@given(st.binary(max_size=200), st.lists(st.integers(0), max_size=5))
def test_no_bytes_raise(said: bytes, cuts: list[int]) -> None:
    parsed(said, cuts)
    parsed(b"process_open_fds" + said, cuts)
    parsed(f"{OPENED}".encode() + said, cuts)


def test_series_are_added_up_under_the_labels_that_count() -> None:
    found = numbers(
        "# HELP apiserver_longrunning_requests Gauge of all active long-running requests",
        'apiserver_longrunning_requests{group="",resource="pods",scope="cluster",verb="WATCH",version="v1"} 3',
        'apiserver_longrunning_requests{group="",resource="pods",scope="namespace",verb="WATCH",version="v1"} 4',
        'apiserver_longrunning_requests{group="",resource="pods",scope="resource",verb="CONNECT",version="v1"} 9',
        'apiserver_longrunning_requests_of_another{group="",resource="pods",verb="WATCH"} 9',
        "process_open_fds 12",
    )
    assert found.values == {"open_watches": {("", "pods"): 7.0}, "open_descriptors": {(): 12.0}}
    assert (found.series, found.refused, found.is_whole) == (2, 0, True)


def test_buckets_are_added_up_too() -> None:
    name = "etcd_request_duration_seconds"
    found = numbers(
        *histogram(name, 'operation="get",resource="a"', 1.5, {"0.1": 2, "1": 3, "+Inf": 4}),
        *histogram(name, 'operation="get",resource="b"', 0.5, {"0.1": 1, "1": 1, "+Inf": 1}),
        *histogram(name, 'operation="list",resource="a"', 9, {"0.1": 0, "1": 0, "+Inf": 1}),
    )
    assert found.bounds == {"store": {b"0.1": 1, b"1": 2, b"+Inf": 3}}
    expected = {("get",): array("d", [2.0, 3.0, 4.0, 5.0]), ("list",): array("d", [9.0, 0.0, 0.0, 1.0])}
    assert found.histograms == {"store": expected}


def test_le_may_stand_anywhere() -> None:
    """Apiservers have it last, a Prometheus sorts labels."""
    name = "etcd_request_duration_seconds_bucket"
    found = []
    for place in range(3):
        lines = []
        for resource, bound, count in (("a", "1", 2), ("a", "+Inf", 3), ("b", "1", 5), ("b", "+Inf", 7)):
            pairs = ['operation="get"', f'resource="{resource}"']
            pairs.insert(place, f'le="{bound}"')
            lines.append(f"{name}{{{','.join(pairs)}}} {count}")
        found.append(numbers(*lines))
    for one in found:
        assert (one.histograms, one.refused) == ({"store": {("get",): array("d", [0.0, 7.0, 10.0])}}, 0)


def test_sums_without_labels_are_added_up_like_others() -> None:
    found = numbers("go_sched_latencies_seconds_sum 1", "go_sched_latencies_seconds_sum 2")
    assert (found.histograms, found.refused) == ({"scheduling": {(): array("d", [3.0])}}, 0)


def test_escapes_are_undone() -> None:
    found = numbers(r'apiserver_init_events_total{group="a\\b\"}, c=\"",resource="x\ny"} 5')
    assert found.values == {"initial_events": {('a\\b"}, c="', "x\ny"): 5.0}}


@pytest.mark.parametrize(
    "line",
    [
        "process_open_fds",
        "process_open_fds x",
        "process_open_fds NaN",
        "process_open_fds +Inf",
        "process_open_fds 1e999",
        "process_open_fds -1e25",
        "process_open_fds 1 2 3",
        "process_open_fds 1 yesterday",
        f"process_open_fds 1 {'9' * 50}",
        "process_open_fds{ 1",
        "process_open_fds{x} 1",
        'process_open_fds{x="1} 1',
        'process_open_fds{x="1"y="2"} 1',
        'process_open_fds{x="1"}',
        'apiserver_longrunning_requests{verb="WATCH",group="",resource="' + "x" * (MOST_LABEL_CHARACTERS + 1) + '"} 1',
        'etcd_request_duration_seconds_bucket{operation="get"} 1',
        'etcd_request_duration_seconds_bucket{operation="get",le="fast"} 1',
        'etcd_request_duration_seconds_bucket{operation="get",le="nan"} 1',
        'process_open_fds{x="' + "x" * MOST_LINE_BYTES + '"} 1',
    ],
)
def test_what_is_no_sample_is_counted(line: str) -> None:
    found = numbers(line, "process_cpu_seconds_total 5")
    if line == "process_open_fds":
        assert found.refused == 0, "a name alone is not even looked at"
        return
    assert found.refused == 1
    assert found.values == {"cpu_seconds": {(): 5.0}}


def test_bytes_that_are_no_text_are_counted() -> None:
    parser = TextParser()
    parser.feed(b'apiserver_init_events_total{group="",resource="\xff"} 1\n')
    assert parser.finish().refused == 1


def test_no_more_series_are_kept_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "MOST_SERIES", 3)
    found = numbers(
        *(f'apiserver_init_events_total{{group="",resource="r{number}"}} 1' for number in range(5)),
        *histogram("etcd_request_duration_seconds", 'operation="get"', 1, {"1": 1, "+Inf": 1}),
        'apiserver_init_events_total{group="",resource="r0"} 1',
    )
    assert found.values == {"initial_events": {("", "r0"): 2.0, ("", "r1"): 1.0, ("", "r2"): 1.0}}
    assert found.histograms == {"store": {}}
    assert (found.series, found.refused, found.is_whole) == (3, 5, False)


def test_no_more_bounds_are_kept_than_a_histogram_has() -> None:
    name = "go_sched_latencies_seconds_bucket"
    found = numbers(*(f'{name}{{le="{bound}"}} 1' for bound in range(MOST_BOUNDS + 3)))
    assert len(found.bounds["scheduling"]) == MOST_BOUNDS
    assert found.refused == 3


def test_the_newest_time_beside_a_number_is_known() -> None:
    assert numbers("process_open_fds 1").written_at_ms is None
    assert numbers("process_open_fds 1 1000", "process_cpu_seconds_total 1 3000").written_at_ms == 3000


def test_a_line_that_never_ends_is_not_kept() -> None:
    parser = TextParser()
    for _ in range(1000):
        parser.feed(b"process_open_fds " + b"1" * 1000)
    assert len(parser._rest) <= MOST_LINE_BYTES + 2
    assert parser.finish().refused == 1
