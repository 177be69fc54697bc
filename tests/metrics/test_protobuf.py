"""Scrapes in protobuf, read by an independent decoder."""

import zlib
from collections import Counter
from itertools import accumulate
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from exporter.measure.histogram import Histogram, NativeHistogram
from exporter.measure.late_objects import LateObject
from exporter.measure.times import Interval
from exporter.metrics import scrape
from exporter.metrics.labels import LabelSet
from exporter.metrics.protobuf import BLOCK_BYTES, Encoder
from exporter.metrics.registry import Metrics
from exporter.metrics.series import HistogramReading
from exporter.metrics.wire import signed, varint
from exporter.vocabulary import HISTOGRAM_FORMATS, HistogramFormat
from tests.metrics.decoding import ReadHistogram, families_of, native_index, samples_of
from tests.metrics.decoding import varint as read_varint
from tests.metrics.reading import families_in, refresh, samples_in, series, text_of

WATCHED = {"apiserver": "10.0.0.1:6443", "group": "", "resource": "pods"}
LOWER = "watchslo_apiserver_time_span_lower_seconds"


def metrics_of(histograms: HistogramFormat, resources: int = 2) -> Metrics:
    metrics = Metrics(1.0, 0.99, 60.0, histograms)
    metrics.clock(**WATCHED, clock="cache").counts.seconds.observe(0.004)
    metrics.loop_lag.observe(0.2)
    metrics.fault("cache_behind", **WATCHED)["shown"].set(1)
    for index in range(resources):
        widgets = metrics.resource("10.0.0.1:6443", "example.com", f"widgets{index}")
        for seconds in (1e-7, 0.3, 0.31, 0.9, 1.0, 7.0, inf):
            widgets.counts.time_span.observe(seconds, index + 1)
        widgets.counts.received_bytes += 300
        refresh(widgets, last_activity=1_795_917_840.5)
    return metrics


def protobuf_of(metrics: Metrics) -> bytes:
    return b"".join(scrape.protobuf_blocks(metrics, ()))


@given(number=st.integers(0, 2**64 - 1))
def test_numbers_are_read_back(number: int) -> None:
    assert read_varint(varint(number), 0) == (number, len(varint(number)))


@given(number=st.integers(-(2**31), 2**31))
def test_numbers_with_a_sign_are_read_back(number: int) -> None:
    read, _ = read_varint(signed(1, number), 1)
    assert (-(read + 1) // 2 if read % 2 else read // 2) == number


@pytest.mark.parametrize("histograms", HISTOGRAM_FORMATS)
def test_it_has_the_same_families_and_numbers_as_text(histograms: HistogramFormat) -> None:
    metrics = metrics_of(histograms)
    text, protobuf = text_of(metrics), protobuf_of(metrics)
    of_text = {name: family for name, family in families_in(text).items() if family.samples}
    of_protobuf = families_of(protobuf)
    assert [family.name.removesuffix("_total") for family in of_protobuf] == list(of_text)
    for family in of_protobuf:
        theirs = of_text[family.name.removesuffix("_total")]
        assert (family.type, family.help) == (theirs.type, theirs.documentation)
    expected = samples_in(text)
    for (name, labels), value in samples_of(protobuf).items():
        if isinstance(value, ReadHistogram):
            assert expected.pop(series(f"{name}_count", dict(labels))) == value.count
            assert expected.pop(series(f"{name}_sum", dict(labels))) == value.sum
        else:
            assert expected.pop((name, labels)) == value
    assert {name.rsplit("_", 1)[1] for name, _ in expected} == {"bucket"}, "of the text only these are left"


@pytest.mark.parametrize("histograms", ["native", "both"])
def test_native_leaves_out_classic_buckets_but_for_our_own_event_loop(histograms: HistogramFormat) -> None:
    metrics = metrics_of(histograms)
    found = {name: value for (name, _), value in samples_of(protobuf_of(metrics)).items()}
    text = samples_in(text_of(metrics))
    for name, value in found.items():
        if isinstance(value, ReadHistogram):
            is_of_loop = name == "watchslo_loop_lag_seconds"
            assert (value.native is None) == is_of_loop, name
            assert bool(value.classic) == (is_of_loop or histograms == "both"), name
    for (name, labels), value in samples_of(protobuf_of(metrics)).items():
        if isinstance(value, ReadHistogram):
            for bound, count in value.classic.items():
                assert text[series(f"{name}_bucket", {**dict(labels), "le": str(bound)})] == count


@settings(deadline=None)
@given(observed=st.lists(st.one_of(st.floats(0, 2**17), st.sampled_from([0.5, 1.0, 2.0, inf]))))
def test_buckets_are_read_back(observed: list[float]) -> None:
    histogram = NativeHistogram([0.1, 1.0, 3.0])
    for seconds in observed:
        histogram.observe(seconds)
    child = HistogramReading("span_seconds", LabelSet({}), lambda: histogram)
    blocks = Encoder(has_classic_buckets=True).family("span_seconds", "histogram", "Spans.", [child.samples()])
    [read] = samples_of(b"".join(blocks)).values()
    assert isinstance(read, ReadHistogram)
    assert read.native == Counter(native_index(seconds) for seconds in observed if seconds > 2**-20)
    assert (read.count, read.zero_count) == (len(observed), sum(seconds <= 2**-20 for seconds in observed))
    assert list(read.classic.items()) == list(zip((0.1, 1.0, 3.0), accumulate(histogram.counts), strict=False))


def test_an_exemplar_is_the_revision_of_the_newest_late_event_and_no_name() -> None:
    metrics = Metrics(1.0, 0.99, 60.0, "native")
    pods = metrics.resource(**WATCHED)
    late = LateObject(1_795_917_840.25, "modified", "kube-system/a", 7, Interval(1.5, 2.5), None)
    newest = [late, late._replace(revision=8, at=1_795_917_841.25), late._replace(revision=None)]
    refresh(pods, late_objects=tuple(newest))
    found = exemplars_of(metrics)
    assert found.pop(LOWER) == [({"revision": "8"}, 1.5, 1_795_917_841.25)]
    assert not any(found.values())
    assert b"kube-system" not in protobuf_of(metrics)
    pods.state = replace(pods.state, late_objects=())
    assert not any(exemplars_of(metrics).values())


def exemplars_of(metrics: Metrics) -> dict[str, list[tuple[dict[str, str], float, float]]]:
    histograms = samples_of(protobuf_of(metrics)).items()
    return {name: value.exemplars for (name, _), value in histograms if isinstance(value, ReadHistogram)}


def test_blocks_are_bounded_and_there_are_pauses_while_a_family_is_made() -> None:
    metrics = metrics_of("both", resources=60)
    blocks = list(scrape.protobuf_blocks(metrics, ()))
    largest_child = 2_048
    assert max(map(len, blocks)) < BLOCK_BYTES + largest_child
    assert blocks.count(b"") > 60


def test_label_values_of_others_are_read_back_exactly() -> None:
    metrics, odd = Metrics(1.0, 0.99, 60.0, "native"), 'a"\\\n%s{},= é'
    metrics.resource("a:1", odd, "pods")
    assert series(
        "watchslo_received_bytes_total", {"apiserver": "a:1", "group": odd, "resource": "pods"}
    ) in samples_of(protobuf_of(metrics))


def test_the_runtime_families_follow_as_in_text() -> None:
    metrics = Metrics(1.0, 0.99, 60.0, "native")
    runtime = scrape.runtime_registries()
    text = b"".join(scrape.blocks(metrics, runtime)).decode()
    protobuf = b"".join(scrape.protobuf_blocks(metrics, runtime))
    named = {(name, labels) for name, labels in samples_in(text) if not name.startswith("watchslo_")}
    assert {key for key in samples_of(protobuf) if not key[0].startswith("watchslo_")} == named
    assert named


def test_it_is_far_smaller_than_text() -> None:
    metrics = metrics_of("native", resources=30)
    text, protobuf = text_of(metrics).encode(), protobuf_of(metrics)
    assert len(protobuf) < len(text) / 3
    assert len(zlib.compress(protobuf, 1)) < len(zlib.compress(text, 1))


def test_a_classic_histogram_is_counted_without_the_grid() -> None:
    assert type(Metrics(1.0, 0.99, 60.0).resource(**WATCHED).counts.time_span) is Histogram
