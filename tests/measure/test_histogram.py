"""Counts by buckets, and what comes between two moments."""

from collections import Counter
from itertools import chain, pairwise
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.measure.histogram import Histogram, NativeHistogram
from tests.metrics.decoding import native_index

BOUNDS = st.lists(st.floats(0.001, 1000), min_size=1, max_size=8)
OBSERVED = st.lists(st.one_of(st.floats(0, 2000), st.just(inf)), max_size=40)


def histogram_of(bounds: list[float], seconds: list[float]) -> Histogram:
    histogram = Histogram(bounds)
    for one in seconds:
        histogram.observe(one)
    return histogram


@given(bounds=BOUNDS, before=OBSERVED, later=OBSERVED, ratio=st.floats(0.01, 1))
def test_what_came_since_a_copy_is_what_was_observed_since(
    bounds: list[float], before: list[float], later: list[float], ratio: float
) -> None:
    going_on = histogram_of(bounds, before)
    copy = going_on.copy()
    for seconds in later:
        going_on.observe(seconds)
    assert copy.counts == histogram_of(bounds, before).counts, "a copy does not go on"
    assert going_on.since(copy).counts == histogram_of(bounds, later).counts
    assert (copy.unbounded, going_on.since(copy).unbounded) == (before.count(inf), later.count(inf))
    assert going_on.quantile(ratio, copy) == histogram_of(bounds, later).quantile(ratio)


@given(bounds=BOUNDS, observed=OBSERVED.filter(bool), ratio=st.floats(0.01, 1))
def test_a_quantile_is_the_bucket_that_holds_it(bounds: list[float], observed: list[float], ratio: float) -> None:
    bucket = histogram_of(bounds, observed).quantile(ratio)
    assert bucket is not None
    assert (bucket.earliest, bucket.latest) in pairwise([0.0, *sorted(bounds), inf])
    at_most = sum(seconds <= bucket.latest for seconds in observed)
    below = sum(seconds <= bucket.earliest for seconds in observed) if bucket.earliest else 0
    assert below - 1e-6 < ratio * len(observed) <= at_most + 1e-6


def test_nothing_has_no_quantile() -> None:
    assert Histogram([1.0]).quantile(0.99) is None


def test_so_many_at_once_are_as_many_one_by_one() -> None:
    at_once = Histogram([0.5, 1.0])
    at_once.observe(0.75, times=3)
    assert (at_once.counts, at_once.sum, at_once.count) == ([0, 3, 0], 2.25, 3)


@given(bounds=BOUNDS, all_observed=st.lists(OBSERVED, min_size=1, max_size=4))
def test_several_together_are_what_was_observed_in_all_of_them(
    bounds: list[float], all_observed: list[list[float]]
) -> None:
    first, *others = [histogram_of(bounds, observed) for observed in all_observed]
    together, total = first.plus(others), histogram_of(bounds, [*chain.from_iterable(all_observed)])
    assert (together.bounds, together.counts) == (total.bounds, total.counts)
    assert together.sum == pytest.approx(total.sum)
    assert together.unbounded == total.unbounded == sum(observed.count(inf) for observed in all_observed)


def native_of(bounds: list[float], seconds: list[float]) -> NativeHistogram:
    histogram = NativeHistogram(bounds)
    for one in seconds:
        histogram.observe(one)
    return histogram


@given(bounds=BOUNDS, before=OBSERVED, later=OBSERVED, ratio=st.floats(0.01, 1))
def test_a_native_histogram_says_all_that_a_classic_one_says(
    bounds: list[float], before: list[float], later: list[float], ratio: float
) -> None:
    native, classic = native_of(bounds, before), histogram_of(bounds, before)
    copies = native.copy(), classic.copy()
    for seconds in later:
        native.observe(seconds)
        classic.observe(seconds)
    pairs = [(native, classic), copies, (native.since(copies[0]), classic.since(copies[1]))]
    pairs.append((native.plus([copies[0]] * 2), classic.plus([copies[1]] * 2)))
    for ours, theirs in pairs:
        assert (list(ours.bounds), ours.counts, ours.sum) == (theirs.bounds, theirs.counts, theirs.sum)
        assert (ours.count, ours.quantile(ratio)) == (theirs.count, theirs.quantile(ratio))
        assert ours.unbounded == theirs.unbounded


@given(
    bounds=BOUNDS,
    observed=st.lists(
        st.one_of(
            st.floats(0, 2**17),
            st.sampled_from([2.0**power for power in range(-22, 18)]),
            st.sampled_from(
                [1.0905077326652577, 0.5452538663326288, inf]
            ),  # ends of buckets, as client_golang has them
        )
    ),
)
def test_native_buckets_are_those_of_the_specification(bounds: list[float], observed: list[float]) -> None:
    native = native_of(bounds, observed).native
    assert native.zero_count == sum(seconds <= 2**-20 for seconds in observed)
    assert native.counts == Counter(native_index(seconds) for seconds in observed if seconds > 2**-20)
    assert list(native.counts) == sorted(native.counts)


def test_what_is_beyond_a_day_and_a_half_has_no_end() -> None:
    assert native_of([1.0], [2**17, 2**17 + 1, inf]).native.counts == {17 * 8: 1, native_index(inf): 2}
    assert native_of([2.0**18], [2**17 + 1, 2**18 + 1]).native.counts == {native_index(inf): 2}
