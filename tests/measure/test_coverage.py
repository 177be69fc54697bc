"""Which time was watched, against a list of all that was ever told."""

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from exporter.measure.coverage import HOLES_KEPT, Coverage, Hole
from tests.measure.drawing import seconds

THRESHOLD_SECONDS = 1.0

OPEN_SECONDS = seconds(3, least=0.125)
GAPS = st.tuples(OPEN_SECONDS, seconds(3), st.sampled_from([False, False, False, True]))


@given(st.lists(GAPS, max_size=20), seconds(60), seconds(60))
def test_a_time_is_covered_if_no_part_of_a_long_or_lossy_gap_lies_in_it(
    gaps: list[tuple[float, float, bool]], since: float, until: float
) -> None:
    coverage, now = Coverage(THRESHOLD_SECONDS), 0.0
    coverage.opened(now)
    holes = []
    for open_seconds, down_seconds, is_lossy in gaps:
        now += open_seconds
        coverage.lost(now)
        if is_lossy:
            coverage.gave_up_continuity(now + down_seconds, "gone")
        if is_lossy or down_seconds > THRESHOLD_SECONDS:
            holes.append((now, now + down_seconds))
        now += down_seconds
        coverage.opened(now)
    assert coverage.covers(since, until) == (not any(began < until and since < ended for began, ended in holes))


def test_the_time_before_the_first_watch_is_no_hole() -> None:
    coverage = Coverage(THRESHOLD_SECONDS)
    coverage.gave_up_continuity(5.0, "gone")
    assert coverage.covers(0.0, 9.0)
    coverage.opened(10.0)
    assert coverage.covers(0.0, 20.0)


def test_a_gap_that_lasts_counts_once_it_is_long() -> None:
    coverage = Coverage(THRESHOLD_SECONDS)
    coverage.opened(10.0)
    coverage.lost(20.0)
    assert coverage.covers(0.0, 20.9)
    assert not coverage.covers(0.0, 21.1)
    assert coverage.covers(0.0, 15.0)
    coverage.gave_up_continuity(20.5, "gone")
    assert not coverage.covers(0.0, 20.6)


def test_a_history_that_is_given_up_while_the_watch_is_open_is_a_gap_from_then_on() -> None:
    coverage = Coverage(THRESHOLD_SECONDS)
    coverage.opened(10.0)
    coverage.gave_up_continuity(20.0, "gone")
    coverage.lost(20.1)
    coverage.opened(20.2)
    assert coverage.covers(20.2, 30.0)
    assert not coverage.covers(20.15, 30.0)


def test_a_watch_that_was_dead_for_a_while_left_a_gap_from_its_last_byte_on() -> None:
    coverage = Coverage(THRESHOLD_SECONDS)
    coverage.opened(10.0)
    coverage.lost(20.0)
    coverage.opened(110.0)
    assert not coverage.covers(50.0, 120.0)


def test_of_very_many_gaps_the_oldest_are_one() -> None:
    coverage = Coverage(THRESHOLD_SECONDS)
    coverage.opened(0.0)
    for number in range(1, HOLES_KEPT + 2):
        coverage.lost(10.0 * number)
        coverage.opened(10.0 * number + 5)
    assert not coverage.covers(16.0, 19.0), "said of a time that was covered: too much, never too little"
    assert coverage.covers(10.0 * HOLES_KEPT + 6, 10.0 * HOLES_KEPT + 9)


def test_a_sleep_of_the_machine_belongs_to_the_gap_that_follows_it() -> None:
    coverage = Coverage(THRESHOLD_SECONDS)
    coverage.slept(5.0, 30.0)
    coverage.opened(10.0)
    assert coverage.covers(0.0, 30.0), "before the first watch"
    coverage.slept(20.0, 0.5)
    coverage.lost(20.0)
    coverage.opened(20.375)
    assert coverage.covers(0.0, 30.0), "for less than the threshold"
    coverage.slept(25.0, 0.5)
    assert coverage.covers(0.0, 25.25)
    assert not coverage.covers(0.0, 25.75)
    coverage.opened(25.75)
    assert not coverage.covers(0.0, 30.0)
    assert coverage.covers(25.75, 30.0)


def test_where_a_watch_was_expected_the_time_before_the_first_is_a_gap_like_any_other() -> None:
    coverage = Coverage(THRESHOLD_SECONDS)
    assert not coverage.covers(0.0, 20.0, from_the_start=True)
    coverage.opened(10.0)
    assert not coverage.covers(0.0, 20.0, from_the_start=True)
    assert coverage.covers(9.0, 20.0, from_the_start=True)
    assert coverage.covers(0.0, 20.0)


def test_why_events_may_be_missing_and_when_is_told_by_the_newest_loss_and_else_by_gaps() -> None:
    coverage = Coverage(THRESHOLD_SECONDS)
    coverage.opened(10.0)
    coverage.lost(20.0)
    assert coverage.uncovered(0.0, 21.5) == Hole(20.0, inf, "not_watched"), "it goes on"
    coverage.opened(22.0)
    assert coverage.uncovered(0.0, 30.0) == Hole(20.0, 22.0, "not_watched")
    coverage.lost(30.0)
    assert coverage.uncovered(25.0, 30.5) is None
    coverage.gave_up_continuity(30.5, "gone")
    assert coverage.uncovered(0.0, 30.6) == Hole(30.0, inf, "gone")
    coverage.opened(30.7)
    assert coverage.uncovered(0.0, 40.0) == Hole(30.0, 30.7, "gone")
    assert coverage.uncovered(0.0, 25.0) == Hole(20.0, 22.0, "not_watched")
    coverage.gave_up_continuity(40.0, "revision_went_back")
    coverage.opened(40.1)
    assert coverage.uncovered(0.0, 50.0) == Hole(40.0, 40.1, "revision_went_back")
    coverage.lost(50.0)
    of_its_own_gap = coverage.uncovered(45.0, 51.5)
    assert of_its_own_gap == Hole(50.0, inf, "not_watched"), "what was lost before is said of its own gap only"
    assert coverage.uncovered(35.0, 51.5) == Hole(40.0, 40.1, "revision_went_back")
