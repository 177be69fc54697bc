"""The laws of canaries: each write that succeeded is delivered once, or lost once, or in a gap that is counted."""

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from exporter.measure.canaries import MOST_LOST, Canaries, Canary
from exporter.measure.times import Interval

LOST_AFTER_SECONDS = 11.0


def expecting(*canaries: Canary) -> Canaries:
    awaited = Canaries(LOST_AFTER_SECONDS)
    for canary in canaries:
        awaited.sending()
        assert awaited.answered(canary) is None
    return awaited


def come(canaries: Canaries, revision: int, instant: float) -> float | None:
    seconds = canaries.arrived(revision, instant) if canaries.wants_arrivals else None
    canaries.is_here(revision)
    return seconds


def test_a_canary_that_comes_says_when_it_was_committed_and_how_long_it_took() -> None:
    canaries = expecting(Canary(7, 1.0, 1.5))
    assert come(canaries, 6, 1.6) is None
    assert come(canaries, 7, 3.0) == 2.0
    assert canaries.take_committed(6) is None
    assert canaries.take_committed(7) == Interval(1.0, 1.5)
    assert canaries.take_committed(7) is None, "asked once"
    assert canaries.waited(0, 100) == []
    assert not canaries.take_lost(7)


def test_an_event_may_come_before_the_answer_to_its_write() -> None:
    canaries = Canaries(LOST_AFTER_SECONDS)
    canaries.sending()
    come(canaries, 7, 1.25)
    come(canaries, 9, 1.3)
    assert canaries.answered(Canary(7, 1.0, 1.5)) == 0.25
    assert canaries.take_committed(7) == Interval(1.0, 1.5)
    assert not canaries.wants_arrivals


def test_the_newest_event_may_be_the_canary_itself() -> None:
    canaries = Canaries(LOST_AFTER_SECONDS)
    canaries.sending()
    come(canaries, 7, 1.25)
    assert canaries.answered(Canary(7, 1.0, 1.5)) == 0.25
    assert canaries.waited(0, 1000) == []


def test_what_is_newest_stays_so_when_a_watch_resumes() -> None:
    canaries = Canaries(LOST_AFTER_SECONDS)
    canaries.is_here(9)
    canaries.passed_over(0)
    canaries.sending()
    canaries.answered(Canary(7, 1.0, 1.5))
    assert canaries.waited(0, 1000) == []


def test_a_write_that_is_under_way_when_all_is_forgotten_is_forgotten_too() -> None:
    canaries = Canaries(LOST_AFTER_SECONDS)
    canaries.sending()
    come(canaries, 7, 1.25)
    canaries.forget()
    assert canaries.answered(Canary(7, 1.0, 1.5)) is None
    assert canaries.waited(0, 1000) == []


def test_a_write_without_a_good_answer_is_awaited_by_nobody() -> None:
    canaries = Canaries(LOST_AFTER_SECONDS)
    canaries.sending()
    assert canaries.answered(None) is None
    assert not canaries.wants_arrivals
    assert canaries.waited(0, 1000) == []


def test_what_is_older_than_the_newest_event_is_not_awaited() -> None:
    canaries = Canaries(LOST_AFTER_SECONDS)
    canaries.is_here(9)
    canaries.sending()
    assert canaries.answered(Canary(7, 1.0, 1.5)) is None
    assert canaries.waited(0, 1000) == []


def test_a_lost_canary_is_late_by_what_it_was_awaited_and_counts_no_second_time() -> None:
    canaries = expecting(Canary(7, 1.0, 2.0))
    assert canaries.waited(0.0, 13.0) == []
    assert canaries.waited(13.0, 13.5) == [Interval(11.5, inf)]
    assert canaries.waited(13.5, 100.0) == []
    assert come(canaries, 7, 101.0) is None
    assert canaries.take_lost(7)
    assert not canaries.take_lost(7), "asked once"


def test_time_in_which_we_did_not_keep_up_does_not_count() -> None:
    canaries = expecting(Canary(7, 1.0, 2.0))
    assert canaries.waited(2.0, 12.0) == []
    assert canaries.waited(1000.0, 1000.5) == []
    assert canaries.waited(1000.5, 1001.5) == [Interval(11.5, inf)]


def test_what_fell_into_a_gap_is_neither_delivered_nor_lost() -> None:
    canaries = expecting(Canary(7, 1.0, 2.0), Canary(9, 2.0, 3.0))
    canaries.passed_over(8)
    assert canaries.waited(0, 1000) == [Interval(997.0, inf)]
    canaries.passed_over(9)
    assert canaries.take_lost(9), "it may be here already, and wait for its verdict"
    assert not canaries.take_lost(7)


def test_after_forgetting_nothing_is_owed_and_smaller_revisions_count_again() -> None:
    canaries = expecting(Canary(700, 1.0, 2.0))
    canaries.forget()
    assert not canaries.wants_arrivals
    canaries.start_anew()
    canaries.sending()
    canaries.answered(Canary(7, 3.0, 4.0))
    assert come(canaries, 7, 5.0) == 2.0


def test_memory_of_the_lost_is_bounded() -> None:
    most = MOST_LOST
    canaries = expecting(*(Canary(revision, 0.0, 1.0) for revision in range(1, most + 3)))
    assert len(canaries.waited(0.0, 100.0)) == most + 2
    assert not canaries.take_lost(2)
    assert canaries.take_lost(3)


@given(
    st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40),
    st.lists(st.floats(0.1, 4), min_size=1, max_size=40),
)
def test_each_canary_is_delivered_or_lost_or_still_awaited_and_never_two_of_them(
    writes: list[tuple[bool, bool]], steps: list[float]
) -> None:
    """A write is ours or another's; its event comes before the answer, or later in its turn, or not at all."""
    canaries = Canaries(LOST_AFTER_SECONDS)
    delivered, lost, ours = 0, 0, 0
    now = 0.0
    for revision, ((is_ours, comes_early), step) in enumerate(zip(writes, steps, strict=False), start=1):
        lost += len(canaries.waited(now, now + step))
        now += step
        if not is_ours:
            come(canaries, revision, now)
            continue
        ours += 1
        canaries.sending()
        if comes_early:
            come(canaries, revision, now)
        seconds = canaries.answered(Canary(revision, now - 0.1, now))
        delivered += seconds is not None
        if not comes_early and revision % 2:
            delivered += come(canaries, revision, now + 0.01) is not None
    lost += len(canaries.waited(now, now + 1000))
    assert delivered + lost == ours
    assert sum(canaries.take_lost(revision) for revision in range(len(writes) + 1)) == lost
