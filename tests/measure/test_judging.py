"""Verdicts, and the docket from which every event comes exactly once."""

from itertools import islice
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.measure.dating import Dated
from exporter.measure.events import Event, Metadata
from exporter.measure.judging import LONGEST_WAIT_SECONDS, Docket, Judgement, Pending, Verdict, judge
from exporter.measure.times import ANY_TIME, Interval
from tests.measure.drawing import seconds

THRESHOLD_SECONDS = 1.0


def pending_at(arrival: Interval, revision: int = 1) -> Pending:
    return Pending(Event("modified", revision, Metadata()), arrival)


def judged(commit: Interval, arrival: Interval) -> Judgement:
    return judge(pending_at(arrival), arrival, Dated(commit, (), ()), THRESHOLD_SECONDS)


MARGINS = st.one_of(seconds(2), st.just(inf))


@given(
    latency=seconds(3),
    commit=st.builds(Interval, MARGINS.map(lambda margin: 10.0 - margin), MARGINS.map(lambda margin: 10.0 + margin)),
    before_arrival=MARGINS,
    after_arrival=seconds(2),
)
def test_no_verdict_contradicts_a_truth_that_lies_in_the_intervals(
    latency: float, commit: Interval, before_arrival: float, after_arrival: float
) -> None:
    """The commit is at 10, the arrival `latency` later."""
    judgement = judged(commit, Interval(10.0 + latency - before_arrival, 10.0 + latency + after_arrival))
    assert 0 <= judgement.latency.earliest <= latency <= judgement.latency.latest
    if judgement.verdict != "ambiguous":
        assert judgement.verdict == ("late" if latency > THRESHOLD_SECONDS else "on_time")
    else:
        assert judgement.latency.earliest <= THRESHOLD_SECONDS < judgement.latency.latest


@pytest.mark.parametrize(
    ("commit", "verdict"),
    [
        (Interval(9.0, 10.0), "on_time"),
        (Interval(8.75, 8.75), "late"),
        (Interval(8.75, 9.0), "ambiguous"),
        (Interval(-inf, 8.75), "late"),
        (ANY_TIME, "ambiguous"),
    ],
)
def test_the_threshold_itself_is_on_time(commit: Interval, verdict: Verdict) -> None:
    assert judged(commit, Interval(10.0, 10.0)).verdict == verdict


@pytest.mark.parametrize(
    ("commit", "is_measured"),
    [(ANY_TIME, False), (Interval(-inf, 11.0), False), (Interval(-inf, 8.0), True), (Interval(0.0, inf), True)],
)
def test_measured_is_what_has_a_bound_that_says_something(commit: Interval, *, is_measured: bool) -> None:
    assert judged(commit, Interval(10.0, 10.0)).is_measured is is_measured


MOST_PENDING = 3

# Whole seconds, so that an arrival meets the very moment at which something changes.
PASSED = st.sampled_from([0.0, 1.0, 2.0, 5.0])
ENTERED = st.tuples(st.just("enter"), PASSED, st.just(0.0), st.just(0))
ASKED = st.tuples(st.just("ask"), PASSED, st.sampled_from([0.0, 1.0, 5.0, inf]), st.sampled_from([0, 0, 1, 2]))


@given(st.lists(st.one_of(ENTERED, ASKED), min_size=5, max_size=40))
def test_each_event_is_handed_out_once_in_order_and_early_only_for_a_reason(
    steps: list[tuple[str, float, float, int]],
) -> None:
    docket = Docket(most_pending=MOST_PENDING)
    now, entered, handed_out = 0.0, 0, 0
    arrived: dict[int, float] = {}
    for step, passed, unsettled_seconds, wanted in steps:
        now += passed
        if step == "enter":
            entered += 1
            arrived[entered] = now
            docket.enter(pending_at(Interval(now - 0.5, now), entered))
            continue
        settled_until = now - unsettled_seconds
        for pending, early in islice(docket.ready(settled_until, now), wanted or None):
            handed_out += 1
            waited = now - arrived[handed_out]
            assert pending.event.revision == handed_out
            if arrived[handed_out] < settled_until:
                assert early is None
            elif entered - handed_out >= MOST_PENDING:
                assert early == "overflow"
            else:
                assert early == "waited_too_long"
                assert waited >= LONGEST_WAIT_SECONDS
        assert len(docket) == entered - handed_out
        if not wanted:
            assert len(docket) <= MOST_PENDING
            for revision in range(handed_out + 1, entered + 1):
                assert arrived[revision] >= settled_until
                assert now - arrived[revision] < LONGEST_WAIT_SECONDS


def test_a_cleared_docket_hands_out_all_in_order() -> None:
    docket = Docket()
    for revision in (1, 2, 3):
        docket.enter(pending_at(Interval(0.0, 1.0), revision))
    taken: list[int | None] = []
    docket.clear(lambda pending: taken.append(pending.event.revision))
    assert taken == [1, 2, 3]
    assert len(docket) == 0
    assert list(docket.ready(inf, inf)) == []
