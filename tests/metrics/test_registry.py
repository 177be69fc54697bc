from collections.abc import Callable
from math import inf, isnan, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from prometheus_client.utils import floatToGoString

from exporter.measure.histogram import Histogram
from exporter.measure.stream_state import StreamCounts
from exporter.measure.window import EMPTY
from exporter.metrics.families import FAMILIES, Scope
from exporter.metrics.labels import LabelSet
from exporter.metrics.registry import STREAM_READINGS, Metrics
from exporter.metrics.series import Counter, Gauge, HistogramReading, number
from exporter.vocabulary import SLO_STATES
from tests.metrics.reading import refresh, samples_in, series, text_of

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
    histogram = Histogram(bounds)
    child = HistogramReading("span_seconds", LabelSet({"resource": "pods"}), lambda: histogram)
    for seconds in observed:
        histogram.observe(seconds)
    written = samples_in("# TYPE span_seconds histogram\n" + child.text())
    for bound in bounds:
        labels = {"resource": "pods", "le": floatToGoString(bound)}  # type: ignore[no-untyped-call]  # it has no types
        assert written[series("span_seconds_bucket", labels)] == sum(seconds <= bound for seconds in observed)
    assert written[series("span_seconds_bucket", {"resource": "pods", "le": "+Inf"})] == len(observed)
    assert written[series("span_seconds_count", {"resource": "pods"})] == len(observed) == histogram.count
    finite = [seconds for seconds in observed if seconds < inf]
    assert written[series("span_seconds_sum", {"resource": "pods"})] == pytest.approx(sum(finite))


def test_an_observation_on_a_bound_counts_below_it() -> None:
    histogram = Histogram([0.5, 1.0])
    histogram.observe(1.0)
    assert HistogramReading("span_seconds", LabelSet({}), lambda: histogram).text() == (
        'span_seconds_bucket{le="0.5"} 0\n'
        'span_seconds_bucket{le="1.0"} 1\n'
        'span_seconds_bucket{le="+Inf"} 1\n'
        "span_seconds_sum 1.0\n"
        "span_seconds_count 1\n"
    )


@settings(deadline=None)
@given(value=st.one_of(st.integers(0, 2**53), st.floats()))
def test_values_are_read_back_exactly(value: float) -> None:
    counter = Counter("events_total", LabelSet({}))
    counter.inc(value)
    gauge = Gauge("offset_seconds", LabelSet({}))
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
    watched.counts.received_bytes += 7
    watched.counts.time_span.observe(0.3)
    refresh(watched)
    labels = {"apiserver": apiserver, "group": "", "resource": resource}
    written = samples_in(text_of(metrics))
    assert written[series("watchslo_received_bytes_total", labels)] == 7
    assert written[series("watchslo_apiserver_time_span_seconds_count", labels)] == 1


def test_every_family_of_a_resource_is_read_from_the_state_of_its_stream() -> None:
    assert list(STREAM_READINGS) == [family.name for family in FAMILIES if family.scope is Scope.RESOURCE]


COUNTED: dict[str, Callable[[StreamCounts], object]] = {
    'watchslo_events_judged_total{verdict="late"}': lambda counts: counts.judged.update({"late": 1}),
    'watchslo_events_total{event_type="deleted",phase="live"}': lambda counts: counts.events.update(
        {("deleted", "live"): 1}
    ),
    'watchslo_evidence_total{source="date"}': lambda counts: counts.evidence.update({"date": 1}),
    'watchslo_contradictions_total{source="lease"}': lambda counts: counts.contradictions.update({"lease": 1}),
    'watchslo_events_unmeasured_total{reason="overflow"}': lambda counts: counts.unmeasured.update({"overflow": 1}),
    'watchslo_watch_ends_total{reason="silent"}': lambda counts: counts.ends.update({"silent": 1}),
    'watchslo_relists_total{reason="gone"}': lambda counts: counts.relists.update({"gone": 1}),
    'watchslo_init_events_errors_total{reason="connect"}': lambda counts: counts.start_errors.update({"connect": 1}),
    "watchslo_forced_closes_total": lambda counts: setattr(counts, "forced_closes", 1),
    "watchslo_uncovered_seconds_total": lambda counts: setattr(counts, "uncovered_seconds", 1.5),
    "watchslo_received_bytes_total": lambda counts: setattr(counts, "received_bytes", 1),
    "watchslo_canary_writes_total": lambda counts: setattr(counts, "canary_writes", 1),
    "watchslo_canary_write_failures_total": lambda counts: setattr(counts, "canary_write_failures", 1),
    "watchslo_canary_lost_total": lambda counts: setattr(counts, "canaries_lost", 1),
    "watchslo_decode_errors_total": lambda counts: setattr(counts, "undecodable", 1),
    'watchslo_stage_upper_seconds_count{stage="write"}': lambda counts: counts.stage_upper["write"].observe(1),
    'watchslo_stage_lower_seconds_count{stage="write"}': lambda counts: counts.stage_lower["write"].observe(1),
    "watchslo_apiserver_time_span_seconds_count": lambda counts: counts.time_span.observe(1),
    "watchslo_apiserver_time_span_lower_seconds_count": lambda counts: counts.time_span_lower.observe(1),
    "watchslo_apiserver_time_span_upper_seconds_count": lambda counts: counts.time_span_upper.observe(1),
    "watchslo_interval_width_seconds_count": lambda counts: counts.interval_width.observe(1),
    "watchslo_relist_seconds_count": lambda counts: counts.relist.observe(1),
    "watchslo_rewatch_seconds_count": lambda counts: counts.rewatch.observe(1),
    "watchslo_watch_lifetime_seconds_count": lambda counts: counts.lifetime.observe(1),
    "watchslo_canary_delivery_seconds_count": lambda counts: counts.canary_delivery.observe(1),
    "watchslo_canary_write_seconds_count": lambda counts: counts.canary_write.observe(1),
}
HELD: dict[str, dict[str, object]] = {
    "watchslo_window_events": {"window": replace(EMPTY, events=1)},
    "watchslo_stream_up": {"is_up": True},
}


@pytest.mark.parametrize("moved", [*COUNTED, *HELD])
def test_what_is_counted_moves_its_own_series(metrics: Metrics, moved: str) -> None:
    watched = metrics.resource(**WATCHED)
    before = samples_in(text_of(metrics))
    count = COUNTED.get(moved)
    if count is not None:
        count(watched.counts)
    assert samples_in(text_of(metrics)) == before, "a scrape says what the state of the stream was"
    refresh(watched, **HELD.get(moved, {}))
    after = samples_in(text_of(metrics))
    name, _, labels_text = moved.partition("{")
    more = dict(pair.split("=") for pair in labels_text.rstrip("}").replace('"', "").split(",") if pair)
    changed = {key for key in after if after[key] != before[key] and not key[0].endswith(("_bucket", "_sum"))}
    assert changed == {series(name, {**WATCHED, **more})}


def test_exactly_one_slo_state_is_1(metrics: Metrics) -> None:
    for state in SLO_STATES:
        refresh(metrics.resource(**WATCHED), window=replace(EMPTY, state=state))
        written = {
            dict(labels)["state"]: value
            for (name, labels), value in samples_in(text_of(metrics)).items()
            if name == "watchslo_slo_state"
        }
        assert written == dict.fromkeys(SLO_STATES, 0.0) | {state: 1.0}


def test_children_are_made_once(metrics: Metrics) -> None:
    assert metrics.resource(**WATCHED) is metrics.resource(**WATCHED)
    assert metrics.apiserver("a:1") is metrics.apiserver("a:1")
    assert metrics.cost("a:1") is metrics.cost("a:1")
    assert metrics.clock(**WATCHED, clock="cache") is metrics.clock(**WATCHED, clock="cache")
    assert metrics.clock(**WATCHED, clock="cache") is not metrics.clock(**WATCHED, clock="revision")


def test_an_unknown_clock_is_refused(metrics: Metrics) -> None:
    with pytest.raises(AssertionError, match="sundial"):
        metrics.clock(**WATCHED, clock="sundial")


def test_a_removed_resource_leaves_no_series_and_comes_back_at_0(metrics: Metrics) -> None:
    before = text_of(metrics)
    metrics.resource(**WATCHED).counts.judged["late"] += 1
    metrics.clock(**WATCHED, clock="cache").counts.seconds.observe(0.01)
    metrics.remove_resource(**WATCHED)
    assert text_of(metrics) == before
    assert metrics.resource(**WATCHED).counts.judged["late"] == 0


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
    metrics.cost("a:1").requests["watch"].inc()
    metrics.clock("a:1", "", "events", "revision")
    metrics.remove_apiserver("a:1")
    assert text_of(metrics) == before
    assert metrics.cost("a:1").requests["watch"].value == 0
