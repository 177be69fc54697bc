from math import inf, isnan, nan
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.utils import floatToGoString

from exporter.expose.children import Counter, Gauge, Histogram, number
from exporter.expose.metrics import Metrics
from tests.expose.reading import samples_in, series, text_of

if TYPE_CHECKING:
    from collections.abc import Callable

WATCHED = {"apiserver": "10.0.0.1:6443", "group": "", "resource": "pods"}


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(threshold_seconds=1.0, objective_ratio=0.99, window_seconds=60.0)


@settings(deadline=None)
@given(
    bounds=st.sets(st.floats(0.001, 1000), min_size=1, max_size=8),
    observed=st.lists(st.one_of(st.floats(0, 2000), st.just(inf), st.just(nan))),
)
def test_buckets_are_cumulative_and_agree_with_count_and_sum(bounds: set[float], observed: list[float]) -> None:
    histogram = Histogram("span_seconds", 'resource="pods"', bounds)
    for seconds in observed:
        histogram.observe(seconds)
    written = samples_in("# TYPE span_seconds histogram\n" + histogram.text())
    for bound in bounds:
        labels = {"resource": "pods", "le": floatToGoString(bound)}  # type: ignore[no-untyped-call]  # it has no types
        assert written[series("span_seconds_bucket", labels)] == sum(seconds <= bound for seconds in observed)
    assert written[series("span_seconds_bucket", {"resource": "pods", "le": "+Inf"})] == len(observed)
    assert written[series("span_seconds_count", {"resource": "pods"})] == len(observed) == histogram.count
    finite = [seconds for seconds in observed if seconds < inf]
    assert written[series("span_seconds_sum", {"resource": "pods"})] == pytest.approx(sum(finite))


def test_an_observation_on_a_bound_counts_below_it() -> None:
    histogram = Histogram("span_seconds", "", [0.5, 1.0])
    histogram.observe(1.0)
    assert histogram.text() == (
        'span_seconds_bucket{le="0.5"} 0\n'
        'span_seconds_bucket{le="1.0"} 1\n'
        'span_seconds_bucket{le="+Inf"} 1\n'
        "span_seconds_sum 1.0\n"
        "span_seconds_count 1\n"
    )


@settings(deadline=None)
@given(value=st.one_of(st.integers(0, 2**53), st.floats()))
def test_values_are_read_back_exactly(value: float) -> None:
    counter = Counter("events_total", "")
    counter.inc(value)
    gauge = Gauge("offset_seconds", "")
    gauge.set(value)
    for text in (counter.text(), gauge.text()):
        (read,) = samples_in(text).values()
        assert read == value or (isnan(read) and isnan(value))


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (17, "17"), (True, "1"), (1.0, "1.0"), (0.1, "0.1"), (inf, "+Inf"), (-inf, "-Inf"), (nan, "NaN")],
)
def test_numbers_are_written_as_prometheus_writes_them(value: float, text: str) -> None:
    assert number(value) == text


@settings(deadline=None, max_examples=30)
@given(apiserver=st.text(), resource=st.text(alphabet='a"\\\n%s{},= é'))
def test_label_values_are_read_back_exactly(apiserver: str, resource: str) -> None:
    metrics = Metrics(threshold_seconds=1.0, objective_ratio=0.99, window_seconds=60.0)
    watched = metrics.resource(apiserver, "", resource)
    watched.received_bytes.inc(7)
    watched.time_span.observe(0.3)
    labels = {"apiserver": apiserver, "group": "", "resource": resource}
    written = samples_in(text_of(metrics))
    assert written[series("watchslo_received_bytes_total", labels)] == 7
    assert written[series("watchslo_apiserver_time_span_seconds_count", labels)] == 1


def test_each_child_moves_its_own_series(metrics: Metrics) -> None:
    watched = metrics.resource(**WATCHED)
    moved: dict[str, Callable[[], None]] = {
        'watchslo_events_judged_total{verdict="late"}': watched.judged["late"].inc,
        'watchslo_events_total{event_type="deleted",phase="live"}': watched.events["deleted", "live"].inc,
        'watchslo_evidence_total{source="date"}': watched.evidence["date"].inc,
        'watchslo_contradictions_total{source="lease"}': watched.contradictions["lease"].inc,
        'watchslo_events_unmeasured_total{reason="overflow"}': watched.unmeasured["overflow"].inc,
        'watchslo_watch_ends_total{reason="silent"}': watched.watch_ends["silent"].inc,
        'watchslo_relists_total{reason="gone"}': watched.relists["gone"].inc,
        'watchslo_init_events_errors_total{reason="connect"}': watched.init_events_errors["connect"].inc,
        "watchslo_forced_closes_total": watched.forced_closes.inc,
        "watchslo_uncovered_seconds_total": watched.uncovered_seconds.inc,
        "watchslo_canary_writes_total": watched.canary_writes.inc,
        "watchslo_canary_write_failures_total": watched.canary_write_failures.inc,
        "watchslo_canary_lost_total": watched.canary_lost.inc,
        "watchslo_decode_errors_total": watched.decode_errors.inc,
        'watchslo_stage_upper_seconds_count{stage="write"}': lambda: watched.stage_upper["write"].observe(1),
        'watchslo_stage_lower_seconds_count{stage="write"}': lambda: watched.stage_lower["write"].observe(1),
        "watchslo_apiserver_time_span_lower_seconds_count": lambda: watched.time_span_lower.observe(1),
        "watchslo_apiserver_time_span_upper_seconds_count": lambda: watched.time_span_upper.observe(1),
        "watchslo_interval_width_seconds_count": lambda: watched.interval_width.observe(1),
        "watchslo_relist_seconds_count": lambda: watched.relist_seconds.observe(1),
        "watchslo_rewatch_seconds_count": lambda: watched.rewatch_seconds.observe(1),
        "watchslo_watch_lifetime_seconds_count": lambda: watched.watch_lifetime.observe(1),
        "watchslo_canary_delivery_seconds_count": lambda: watched.canary_delivery.observe(1),
        "watchslo_canary_write_seconds_count": lambda: watched.canary_write.observe(1),
        "watchslo_window_events": lambda: watched.window_events.set(1),
        "watchslo_stream_up": lambda: watched.stream_up.set(1),
    }
    for series_text, move in moved.items():
        before = samples_in(text_of(metrics))
        move()
        after = samples_in(text_of(metrics))
        name, _, labels_text = series_text.partition("{")
        more = dict(pair.split("=") for pair in labels_text.rstrip("}").replace('"', "").split(",") if pair)
        changed = {key for key in after if after[key] != before[key] and not key[0].endswith(("_bucket", "_sum"))}
        assert changed == {series(name, {**WATCHED, **more})}


def test_exactly_one_slo_state_is_1(metrics: Metrics) -> None:
    watched = metrics.resource(**WATCHED)
    for state in ("met", "violated", "unknown", "quiet"):
        watched.slo_state.set_state(state)
        written = {
            dict(labels)["state"]: value
            for (name, labels), value in samples_in(text_of(metrics)).items()
            if name == "watchslo_slo_state"
        }
        assert written == dict.fromkeys(("met", "violated", "unknown", "quiet"), 0.0) | {state: 1.0}


def test_an_unknown_slo_state_is_refused_and_changes_nothing(metrics: Metrics) -> None:
    before = text_of(metrics)
    with pytest.raises(KeyError):
        metrics.resource(**WATCHED).slo_state.set_state("fine")
    metrics.remove_resource(**WATCHED)
    assert text_of(metrics) == before


def test_children_are_made_once(metrics: Metrics) -> None:
    assert metrics.resource(**WATCHED) is metrics.resource(**WATCHED)
    assert metrics.apiserver("a:1") is metrics.apiserver("a:1")
    assert metrics.load("a:1") is metrics.load("a:1")
    assert metrics.clock(**WATCHED, clock="cache") is metrics.clock(**WATCHED, clock="cache")
    assert metrics.clock(**WATCHED, clock="cache") is not metrics.clock(**WATCHED, clock="revision")


def test_an_unknown_clock_is_refused(metrics: Metrics) -> None:
    with pytest.raises(AssertionError, match="sundial"):
        metrics.clock(**WATCHED, clock="sundial")


def test_a_removed_resource_leaves_no_series_and_comes_back_at_0(metrics: Metrics) -> None:
    before = text_of(metrics)
    metrics.resource(**WATCHED).judged["late"].inc()
    metrics.clock(**WATCHED, clock="cache").polls["ok"].inc()
    metrics.remove_resource(**WATCHED)
    assert text_of(metrics) == before
    assert metrics.resource(**WATCHED).judged["late"].value == 0


def test_a_removed_resource_leaves_the_others_alone(metrics: Metrics) -> None:
    metrics.resource("a:1", "", "nodes")
    metrics.resource("b:1", "", "pods")
    metrics.apiserver("a:1")
    before = text_of(metrics)
    metrics.resource("a:1", "", "pods")
    metrics.remove_resource("a:1", "", "pods")
    assert text_of(metrics) == before


def test_a_removed_apiserver_leaves_no_series(metrics: Metrics) -> None:
    metrics.resource("b:1", "", "pods")
    before = text_of(metrics)
    metrics.resource("a:1", "", "pods")
    metrics.apiserver("a:1").clock_offset_lower.set(0.1)
    metrics.load("a:1").requests["watch"].inc()
    metrics.clock("a:1", "", "events", "revision")
    metrics.remove_apiserver("a:1")
    assert text_of(metrics) == before
    assert metrics.load("a:1").requests["watch"].value == 0
