"""When bytes reached our host, and whose fault it is that they did not come sooner."""

from collections.abc import Callable
from dataclasses import replace
from itertools import accumulate
from math import inf
from typing import NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.measure.arrivals import (
    CONNECT_RESEND_SECONDS,
    LONGEST_RESEND_SECONDS,
    RESEND_SECONDS,
    SLEEPS_KEPT,
    STALL_BYTES,
    STALL_SECONDS,
    STALLS_KEPT,
    Arrivals,
)
from exporter.measure.canaries import Canaries, Canary
from exporter.measure.times import Interval
from tests.measure.drawing import seconds
from tests.measure.sockets import LARGEST_CHUNK_BYTES, NETWORK_SECONDS, Chunk, Turn, watch

BEAT_SECONDS = 0.01

Drawn = tuple[float, int, float]

LOADS: st.SearchStrategy[list[Drawn]] = st.lists(
    st.tuples(seconds(0.2), st.sampled_from([200, 20 * 1024, LARGEST_CHUNK_BYTES]), seconds(1)), max_size=30
)
PAUSES = st.one_of(st.just(BEAT_SECONDS), seconds(0.1), seconds(3))
TURNS = st.lists(st.builds(Turn, PAUSES, reads=st.booleans(), looks=st.booleans(), loses=st.booleans()), max_size=40)
BEATS = [Turn(BEAT_SECONDS)] * 100


def chunks_of(load: list[Drawn]) -> list[Chunk]:
    dues = accumulate(gap for gap, _, _ in load)
    return [Chunk(size, due - age, due) for due, (_, size, age) in zip(dues, load, strict=True)]


@given(LOADS, TURNS)
def test_the_interval_contains_the_moment_at_which_the_bytes_reached_the_host(
    load: list[Drawn], turns: list[Turn]
) -> None:
    chunks = chunks_of(load)
    watch(chunks, [*turns, *BEATS])
    for chunk in chunks:
        if chunk.measured is not None:
            assert chunk.measured.earliest <= chunk.arrived <= chunk.measured.latest


STALLED_LOAD: list[Drawn] = [(0.2, 40 * 1024, 0.1)] * 8
LOST_TWICE = [Turn(BEAT_SECONDS), Turn(0.5, loses=True), Turn(0.04), Turn(0.04), Turn(0.1, loses=True)]
"""What is lost as the first pause begins is sent again in the second one."""
TOO_MUCH_LOST: list[Drawn] = [(0.0009765625, 8 * 1024, 0.0)] * 8 + [(0.0498046875, 8 * 1024, 0.0)] * 2
"""Sent again at once it does not fit into the receive buffer."""


@given(LOADS, TURNS, seconds(1))
@example(STALLED_LOAD, [Turn(BEAT_SECONDS), Turn(1.1)], 0.0)
@example(STALLED_LOAD, [Turn(BEAT_SECONDS), Turn(0.45)], 0.0)
@example([(0.1, 200, 0.1)], [Turn(BEAT_SECONDS), Turn(0.9, loses=True)], 0.0)
@example([(0.02, 200, 0.1)], LOST_TWICE, 0.0)
@example(TOO_MUCH_LOST, [Turn(0.05078125, loses=True), Turn(0.1513671875, loses=True)], 0.0)
def test_our_own_lag_never_raises_the_lower_end(load: list[Drawn], turns: list[Turn], unsure: float) -> None:
    """Not by more than a stall that is too short to count, and the way of what was held back."""
    chunks = chunks_of(load)
    arrivals, at_first = watch(chunks, [*turns, *BEATS])
    read = [chunk for chunk in chunks if chunk.measured is not None]
    for chunk, early_word in zip(read, at_first, strict=True):
        assert chunk.measured is not None
        excused = arrivals.excusing_us(chunk.measured, chunk.committed - unsure)
        assert excused.latest == chunk.measured.latest
        assert excused.earliest <= chunk.measured.earliest
        for word in (excused, early_word):
            assert word.earliest <= chunk.due + STALL_SECONDS + NETWORK_SECONDS


@given(st.lists(st.tuples(seconds(0.2), st.just(200), seconds(10)), max_size=30), TURNS)
def test_what_comes_long_after_our_pauses_stays_late(load: list[Drawn], turns: list[Turn]) -> None:
    """Whenever it was committed: little comes in the pauses, and all that they held back is here long before."""
    paused_seconds = sum(turn.pause for turn in turns) + BEAT_SECONDS
    resent = 2 * paused_seconds + RESEND_SECONDS + 3 * BEAT_SECONDS
    chunks = [Chunk(200, -1.0, paused_seconds / 2)]
    chunks += [replace(chunk, due=chunk.due + resent) for chunk in chunks_of(load)]
    arrivals, _ = watch(chunks, [*turns, *[Turn(BEAT_SECONDS)] * int((resent + 7) / BEAT_SECONDS)])
    for chunk in chunks[1:]:
        assert chunk.measured is not None
        assert arrivals.excusing_us(chunk.measured, chunk.committed) == chunk.measured
        assert chunk.measured.earliest >= chunk.due - 2.001 * BEAT_SECONDS


@given(LOADS)
def test_who_keeps_up_is_sure_to_two_beats_and_needs_no_excuse(load: list[Drawn]) -> None:
    chunks = chunks_of(load)
    arrivals, _ = watch(chunks, [Turn(BEAT_SECONDS)] * 700)
    for chunk in chunks:
        assert chunk.measured is not None
        assert chunk.measured.width <= 2.001 * BEAT_SECONDS
        assert arrivals.excusing_us(chunk.measured, chunk.committed) == chunk.measured


@given(st.lists(seconds(0.5), max_size=20), st.lists(PAUSES, max_size=30))
def test_a_machine_that_was_paused_may_show_one_empty_socket_that_is_not(
    gaps: list[float], pauses: list[float]
) -> None:
    """After a pause the kernel hands the network card's queue on only when we have looked already."""
    arrivals = Arrivals()
    arrivals.connected(0.0, 0.0)
    on_the_card = list(accumulate(gaps))
    now = 0.0
    for pause in pauses:
        was_paused = pause > STALL_SECONDS
        visible_until = now if was_paused else now + pause
        now += pause
        visible = [instant for instant in on_the_card if instant <= visible_until]
        on_the_card = on_the_card[len(visible) :]
        if visible:
            measured = arrivals.received(now, 100)
            assert all(measured.earliest <= instant <= measured.latest for instant in visible)
        arrivals.found_empty(now)


def watching(until: float) -> Arrivals:
    """Open, and seen empty up to that moment."""
    arrivals = Arrivals()
    arrivals.connected(0.0, 0.0)
    arrivals.found_empty(until - 0.02)
    arrivals.found_empty(until - 0.01)
    arrivals.found_empty(until)
    return arrivals


def stalled(size_bytes: int) -> Arrivals:
    """Empty at 9.99 and 10.00, then nothing is looked at before 13.00, when `size_bytes` are read in two reads."""
    arrivals = Arrivals()
    arrivals.connected(0.0, 0.0)
    arrivals.found_empty(9.97)
    arrivals.received(9.98, 10 * STALL_BYTES)
    arrivals.found_empty(9.99)
    arrivals.found_empty(10.00)
    arrivals.received(13.00, size_bytes - 1)
    arrivals.received(13.00, 1)
    arrivals.found_empty(13.01)
    arrivals.found_empty(13.02)
    return arrivals


def test_what_the_server_held_back_during_our_stall_is_our_lag() -> None:
    arrivals = stalled(STALL_BYTES)
    late_by_us = arrivals.received(13.03, 1000)
    assert late_by_us == Interval(13.01, 13.03)
    excused = arrivals.excusing_us(late_by_us, committed_after=11.0)
    assert excused.earliest <= 10.00
    assert excused.latest == 13.03


def test_what_was_committed_after_our_stall_was_not_delayed_by_it() -> None:
    arrivals = stalled(STALL_BYTES)
    arrival = arrivals.received(15.0, 1000)
    assert arrivals.excusing_us(arrival, committed_after=13.01) == arrival


def test_a_socket_that_is_not_seen_empty_while_little_comes_cannot_have_closed_the_receive_window() -> None:
    arrivals = Arrivals()
    arrivals.connected(9.98, 9.98)
    arrivals.found_empty(10.0)
    arrivals.received(10.8, STALL_BYTES - 1)
    arrivals.found_empty(10.9)
    arrivals.found_empty(10.91)
    arrival = arrivals.received(10.92, 1000)
    assert arrivals.excusing_us(arrival, committed_after=10.5) == arrival


def test_a_stall_excuses_nothing_that_had_arrived_before_it() -> None:
    arrivals = stalled(STALL_BYTES)
    assert arrivals.excusing_us(Interval(9.0, 9.01), committed_after=8.0) == Interval(9.0, 9.01)


def test_a_connection_that_ends_while_we_are_behind_excuses_what_the_next_one_brings() -> None:
    arrivals = Arrivals()
    arrivals.connected(9.98, 9.98)
    arrivals.found_empty(9.99)
    arrivals.found_empty(10.00)
    arrivals.ended(13.0)
    arrivals.connected(13.1, 13.1)
    missed = arrivals.received(13.2, 100)
    assert missed == Interval(13.1, 13.2)
    assert arrivals.excusing_us(missed, committed_after=11.0) == Interval(9.99, 13.2)
    assert arrivals.excusing_us(missed, committed_after=13.1) == missed
    arrivals.ended(13.3)
    arrivals.refused(13.35, is_ours=False)
    arrivals.connected(13.4, 13.4)
    assert arrivals.excusing_us(arrivals.received(13.5, 100), committed_after=11.0).earliest == 9.99
    arrivals.found_empty(13.6)
    assert arrivals.excusing_us(missed, committed_after=11.0) == Interval(9.99, 13.2)
    fresh = arrivals.received(14.0, 100)
    assert arrivals.excusing_us(fresh, committed_after=13.6) == fresh


@pytest.mark.parametrize(
    ("size_bytes", "gap_seconds", "whose"),
    [
        (STALL_BYTES, 0.06, "ours"),
        (STALL_BYTES - 1, 0.9, "its"),
        (0, 1.1, "ours"),
    ],
)
def test_a_connection_is_closed_for_our_slowness_only_if_much_came_or_we_were_slow_for_long(
    size_bytes: int, gap_seconds: float, whose: str
) -> None:
    arrivals = watching(10.0)
    ended = 10.0 + gap_seconds
    arrivals.received(ended - 0.01, size_bytes)
    arrivals.ended(ended)
    assert arrivals.not_before == 9.99
    arrivals.refused(14.0, is_ours=False)
    assert arrivals.not_before == (9.99 if whose == "ours" else 14.0)


def test_a_connection_that_ends_while_we_keep_up_is_not_our_fault() -> None:
    arrivals = Arrivals()
    arrivals.connected(9.98, 9.98)
    arrivals.found_empty(9.99)
    arrivals.found_empty(10.00)
    arrivals.ended(10.04)
    arrivals.refused(13.0, is_ours=False)
    arrivals.connected(13.1, 13.1)
    missed = arrivals.received(13.2, 100)
    assert arrivals.excusing_us(missed, committed_after=11.0).earliest == 13.0


def test_bytes_of_the_last_connection_have_filled_no_window_of_this_one() -> None:
    arrivals = Arrivals()
    arrivals.connected(9.98, 9.98)
    arrivals.found_empty(9.99)
    arrivals.received(10.00, 10 * STALL_BYTES)
    arrivals.ended(10.01)
    arrivals.connected(10.02, 10.02)
    arrivals.received(10.90, 100)
    arrivals.found_empty(10.91)
    arrivals.found_empty(10.92)
    arrival = arrivals.received(10.93, 100)
    assert arrivals.excusing_us(arrival, committed_after=10.5) == arrival


@pytest.mark.parametrize("paused_seconds", [0.06, 0.9, 3.0])
def test_a_pause_of_the_machine_lasts_until_what_it_lost_is_sent_again_however_little_that_is(
    paused_seconds: float,
) -> None:
    arrivals = watching(10.0)
    woke = 10.0 + paused_seconds
    arrivals.stood_still(10.0, woke)
    arrivals.found_empty(woke)
    resent = woke + paused_seconds + RESEND_SECONDS
    arrivals.found_empty(resent - 0.01)
    arrivals.found_empty(resent)
    arrival = arrivals.received(resent, 100)
    assert arrivals.excusing_us(arrival, committed_after=10.01) == Interval(10.0, resent)
    assert arrivals.excusing_us(arrival, committed_after=resent - 0.02).earliest == 10.0, (
        "it waits for what came before"
    )
    assert arrivals.excusing_us(arrival, committed_after=resent) == arrival


def test_a_connection_closed_soon_after_a_stall_may_have_been_closed_for_it() -> None:
    arrivals = Arrivals()
    arrivals.connected(9.98, 9.98)
    arrivals.found_empty(10.0)
    arrivals.received(10.4, STALL_BYTES)
    arrivals.found_empty(10.5)
    arrivals.found_empty(10.51)
    arrivals.ended(10.52)
    arrivals.connected(13.1, 13.1)
    missed = arrivals.received(13.2, 100)
    assert arrivals.excusing_us(missed, committed_after=11.0) == Interval(10.0, 13.2)


def test_stalls_beyond_what_is_kept_are_merged_and_none_is_forgotten() -> None:
    arrivals = Arrivals()
    arrivals.connected(0.0, 0.0)
    arrivals.found_empty(0.0)
    for stall in range(3 * STALLS_KEPT):
        arrivals.found_empty(stall + 0.5)
        arrivals.received(stall + 0.9, STALL_BYTES)
        arrivals.found_empty(stall + 1.0)
    last = 3.0 * STALLS_KEPT
    arrival = Interval(last + 5, last + 6)
    assert arrivals.excusing_us(arrival, committed_after=0.5).earliest == 0.5
    assert arrivals.excusing_us(arrival, committed_after=last - 0.4).earliest == last - 0.5
    assert arrivals.excusing_us(arrival, committed_after=last) == arrival


OURS = {401, 403}


class Spell(NamedTuple):
    """For so many seconds the apiserver answers every request like this; 0: not at all."""

    seconds: float
    status: int


SPELLS = st.lists(st.builds(Spell, seconds(4), st.sampled_from([200, 503, 0, 401, 403])), max_size=8)
NAPS = st.lists(seconds(3, least=0.25), min_size=1, max_size=6)
PATIENCE_SECONDS = 5.0


class Absence(NamedTuple):
    """A watch that was cut, and all that happened until one was open again."""

    arrivals: Arrivals
    opened: float
    willing_since: float
    """Since when, as far as anybody can prove, it would have given everything to who was allowed and asked."""
    refused: float | None
    """The last refusal of its own before anything of ours was amiss."""


def absence(spells: list[Spell], naps: list[float], answer_seconds: float) -> Absence:
    """Cut at 10.0; every nap is followed by a request, until one is answered with a watch."""
    arrivals = watching(10.0)
    arrivals.ended(10.0)
    began = [10.0, *accumulate((spell.seconds for spell in spells), initial=10.0)]
    now, tries, is_ours, refused, proven = 10.0, 0, False, None, None

    def at(instant: float) -> tuple[int, float]:
        """What it says at that moment, and since when without a break it would not refuse who may watch."""
        since, last = -inf, 503
        for spell, start in zip([*spells, Spell(inf, 200)], began[1:], strict=True):
            if start > instant:
                break
            refuses = spell.status in {503, 0}
            if not refuses and last in {503, 0}:
                since = start
            last = spell.status
        return last, since

    while True:
        now += naps[tries % len(naps)]
        asked, tries = now, tries + 1
        now += answer_seconds
        status, since = at(now)
        while status == 0 and now < asked + PATIENCE_SECONDS:
            now += 0.25
            status, since = at(now)
        if status in {200, *OURS} and proven is None:
            proven = since
        if status == 200:
            assert proven is not None
            arrivals.connected(asked, now)
            return Absence(arrivals, now, proven, refused)
        arrivals.refused(now, is_ours=status in OURS)
        is_ours = is_ours or status in OURS
        if not is_ours:
            refused = now


@given(SPELLS, NAPS, seconds(0.5), seconds(30), seconds(1))
def test_what_we_slept_through_or_were_not_allowed_is_never_the_apiservers(
    spells: list[Spell], naps: list[float], answer_seconds: float, age: float, unsure: float
) -> None:
    arrivals, opened, willing_since, _ = absence(spells, naps, answer_seconds)
    committed = opened - age
    arrival = arrivals.received(opened + 0.01, 100)
    at_once = arrivals.excusing_us(arrival, committed - unsure)
    arrivals.found_empty(opened + 0.02)
    for excused in (at_once, arrivals.excusing_us(arrival, committed - unsure)):
        assert excused.latest == arrival.latest
        assert excused.earliest - committed <= max(0.0, willing_since - committed)


@given(SPELLS, NAPS, seconds(0.5))
def test_what_it_refused_before_anything_of_ours_was_amiss_stays_its_own(
    spells: list[Spell], naps: list[float], answer_seconds: float
) -> None:
    arrivals, opened, _, refused = absence(spells, naps, answer_seconds)
    arrival = arrivals.received(opened + 0.01, 100)
    assert arrivals.excusing_us(arrival, committed_after=9.0).earliest >= (refused or 9.99), (
        "but for what was here and lost with the connection"
    )


def test_what_may_have_been_committed_before_a_sleep_came_later_than_our_clock_says() -> None:
    arrivals = watching(10.0)
    before = arrivals.received(9.995, 100)
    arrivals.slept(10.0, 10.005, 30.0)
    arrivals.found_empty(10.01)
    arrival = arrivals.received(10.3, 100)
    assert arrivals.excusing_us(before, committed_after=9.0) == before
    for committed_after in (9.0, 10.004):
        assert arrivals.excusing_us(arrival, committed_after) == Interval(10.0, 40.3)
    assert arrivals.excusing_us(arrival, committed_after=10.1).latest == 10.3
    assert arrivals.excusing_us(arrival, committed_after=10.1).earliest == 10.0, "who knows whether it lives"


def test_a_sleep_is_our_doing_until_a_watch_is_open_that_was_asked_for_after_it() -> None:
    arrivals = watching(10.0)
    arrivals.slept(10.0, 10.005, 30.0)
    arrivals.ended(10.01)
    assert list(arrivals.kept_up(9.0, 20.0)) == []
    arrivals.refused(11.0, is_ours=False)
    assert arrivals.not_before == 10.0
    arrivals.connected(12.0, 12.1)
    arrivals.found_empty(12.11)
    arrival = arrivals.received(12.5, 100)
    assert arrivals.excusing_us(arrival, committed_after=11.9).earliest == 10.0
    assert arrivals.excusing_us(arrival, committed_after=12.0) == arrival


def test_sleeps_beyond_what_is_kept_are_added_up_and_none_is_forgotten() -> None:
    arrivals = watching(10.0)
    for number in range(3 * SLEEPS_KEPT):
        arrivals.slept(11.0 + number, 11.5 + number, 1.0)
    assert arrivals.slept_between(10.0, 1000.0) == 3 * SLEEPS_KEPT


def test_a_watch_that_was_asked_for_before_a_sleep_owes_nothing_of_the_time_before_it_woke() -> None:
    arrivals = watching(10.0)
    arrivals.ended(10.005)
    arrivals.slept(11.0, 11.1, 30.0)
    arrivals.connected(10.9, 11.2)
    arrivals.found_empty(11.21)
    arrivals.found_empty(11.22)
    arrival = arrivals.received(12.5, 100)
    assert arrivals.excusing_us(arrival, committed_after=11.05).earliest == 9.99
    assert arrivals.excusing_us(arrival, committed_after=11.1) == arrival


def test_a_refusal_proves_nothing_for_the_time_in_which_we_may_have_been_paused_before_we_read_it() -> None:
    arrivals = watching(10.0)
    arrivals.ended(10.005)
    arrivals.refused(11.0, is_ours=False)
    arrivals.stood_still(12.0, 12.5)
    arrivals.refused(12.51, is_ours=False)
    assert list(arrivals.kept_up(11.0, arrivals.not_before)) == [Interval(11.0, 12.0)]
    arrivals.connected(16.0, 16.01)
    arrival = arrivals.received(16.1, 100)
    assert arrivals.excusing_us(arrival, committed_after=9.0).earliest == 12.0
    assert arrivals.excusing_us(arrival, committed_after=12.5 + 0.5 + CONNECT_RESEND_SECONDS - 0.01).earliest == 12.0
    assert arrivals.excusing_us(arrival, committed_after=12.5 + 0.5 + CONNECT_RESEND_SECONDS).earliest == 12.51


def test_pauses_that_reach_into_each_other_are_one() -> None:
    arrivals = watching(10.0)
    arrivals.stood_still(10.0, 10.5)
    arrivals.found_empty(10.5)
    arrivals.stood_still(10.6, 10.7)
    arrivals.found_empty(10.7)
    arrivals.found_empty(11.0)
    arrival = arrivals.received(11.5, 100)
    assert arrivals.excusing_us(arrival, committed_after=11.1).earliest == 10.0
    lost_in_both_until = 10.7 + 0.7 + RESEND_SECONDS
    assert arrivals.excusing_us(arrival, committed_after=lost_in_both_until - 0.01).earliest == 10.0
    assert arrivals.excusing_us(arrival, committed_after=lost_in_both_until) == arrival


def test_tcp_waits_for_two_minutes_at_the_longest_however_long_the_pause() -> None:
    arrivals = watching(10.0)
    woke = 10.0 + 3600.0
    arrivals.stood_still(10.0, woke)
    resent = woke + LONGEST_RESEND_SECONDS + RESEND_SECONDS
    arrivals.found_empty(resent)
    arrivals.found_empty(resent)
    arrival = arrivals.received(resent + 1, 100)
    assert arrivals.excusing_us(arrival, committed_after=resent - 0.01).earliest == 10.0
    assert arrivals.excusing_us(arrival, committed_after=resent) == arrival


def test_what_was_not_here_when_all_that_a_pause_held_back_was_is_late_by_itself() -> None:
    arrivals = watching(10.0)
    arrivals.stood_still(10.0, 10.06)
    resent = 10.06 + 0.06 + RESEND_SECONDS
    for look in (resent, resent + 0.01, resent + 0.02):
        arrivals.found_empty(look)
    arrival = arrivals.received(resent + 0.03, 100)
    assert arrivals.excusing_us(arrival, committed_after=9.0) == arrival
    assert arrivals.excusing_us(Interval(resent, resent + 0.02), committed_after=9.0).earliest == 10.0


def test_a_pause_lasts_while_what_it_held_back_is_so_much_that_it_still_comes() -> None:
    arrivals = watching(10.0)
    arrivals.stood_still(10.0, 10.06)
    resent = 10.06 + 0.06 + RESEND_SECONDS
    arrivals.found_empty(resent - 0.02)
    for turn in range(10):
        arrivals.found_empty(resent - 0.01 + 0.01 * turn)
        came = arrivals.received(resent + 0.01 * turn, STALL_BYTES)
        assert arrivals.excusing_us(came, committed_after=9.0).earliest == 10.0
    drained = resent + 0.09 + RESEND_SECONDS
    for look in (resent + 0.1, drained + 0.01, drained + 0.02):
        arrivals.found_empty(look)
    arrival = arrivals.received(drained + 0.03, 10 * STALL_BYTES)
    assert arrivals.excusing_us(arrival, committed_after=9.0) == arrival
    arrivals.received(drained + 0.04, 100)
    assert arrivals.excusing_us(arrival, committed_after=9.0) == arrival


def test_of_several_pauses_that_one_is_meant_after_which_it_came() -> None:
    arrivals = watching(10.0)
    for woke in (10.1, 20.1, 30.1):
        arrivals.stood_still(woke - 0.1, woke)
    arrival = Interval(20.15, 20.16)
    assert arrivals.excusing_us(arrival, committed_after=9.0).earliest == 20.0
    assert arrivals.excusing_us(arrival, committed_after=20.05).earliest == 20.0


def test_a_pause_while_the_window_is_closed_is_excused_together_with_what_closed_it() -> None:
    arrivals = stalled(STALL_BYTES)
    arrivals.stood_still(13.1, 13.2)
    arrival = Interval(13.3, 13.31)
    assert arrivals.excusing_us(arrival, committed_after=12.0).earliest == 10.0
    assert arrivals.excusing_us(arrival, committed_after=13.05).earliest == 13.1


def pausing(seconds: int, refresh: Callable[[Arrivals], None] = lambda _: None) -> Arrivals:
    """It stands still for 60 ms once a second, as CFS throttling makes it, and keeps up between."""
    arrivals = Arrivals()
    arrivals.connected(0.0, 0.0)
    for second in range(seconds):
        for hundredth in range(1, 90):
            arrivals.found_empty(second + 0.01 * hundredth)
        arrivals.stood_still(second + 0.9, second + 0.96)
        for hundredth in range(96, 100):
            arrivals.found_empty(second + 0.01 * hundredth)
        refresh(arrivals)
    return arrivals


@pytest.mark.parametrize("late_seconds", [1, 10, 70, 600])
def test_small_pauses_again_and_again_do_not_hide_what_is_late(late_seconds: int) -> None:
    arrivals = pausing(700)
    for look in (700.5, 700.51):
        arrivals.found_empty(look)
    arrival = arrivals.received(700.52, 100)
    assert arrivals.excusing_us(arrival, committed_after=700.52 - late_seconds) == arrival


def test_the_time_between_small_pauses_is_time_in_which_a_canary_is_awaited() -> None:
    """Of each second it counts 0.68 s: all but the pause and the 0.26 s in which TCP sends again."""
    canaries = Canaries(lost_after_seconds=11.0)
    canaries.sending()
    canaries.answered(Canary(5, 0.0, 0.0))
    seen_until: list[float] = [0.0]
    lost_at: list[float] = []

    def wait(arrivals: Arrivals) -> None:
        since, until = seen_until[-1], arrivals.not_before
        seen_until.append(until)
        for part in arrivals.kept_up(since, until):
            lost_at.extend(until for _ in canaries.waited(*part))

    pausing(30, wait)
    assert lost_at == [pytest.approx(15.98)]


def test_a_canary_is_awaited_in_no_stall_of_either_kind() -> None:
    arrivals = watching(4.0)
    for began in (5.0, 20.0):
        arrivals.stood_still(began, began + 0.1)
        arrivals.found_empty(began + 9.0)
        arrivals.found_empty(began + 9.1)
        arrivals.received(began + 10.0, STALL_BYTES)
        arrivals.found_empty(began + 10.1)
    resent_seconds = 0.1 + 0.1 + RESEND_SECONDS
    awaited = [(4.5, 5.0), (5 + resent_seconds, 14.1), (15.1, 20.0), (20 + resent_seconds, 29.1), (30.1, 33.0)]
    assert list(arrivals.kept_up(4.5, 33.0)) == [pytest.approx(part) for part in awaited]
    assert list(arrivals.kept_up(4.5, 14.5)) == [pytest.approx(part) for part in awaited[:2]]
    assert list(arrivals.kept_up(14.5, 15.0)) == []


def test_before_the_first_watch_nothing_was_kept_from_us() -> None:
    arrivals = Arrivals()
    arrivals.connected(10.0, 10.01)
    for look in (10.02, 10.03):
        arrivals.found_empty(look)
    arrival = arrivals.received(10.04, 100)
    assert arrivals.excusing_us(arrival, committed_after=9.0) == arrival


def test_the_time_in_which_the_apiserver_answers_is_no_stall_however_much_it_has_to_say_then() -> None:
    arrivals = watching(10.0)
    arrivals.ended(10.005)
    arrivals.connected(10.1, 20.0)
    arrivals.received(20.01, STALL_BYTES)
    arrivals.found_empty(20.02)
    arrivals.found_empty(20.03)
    arrival = arrivals.received(20.04, 100)
    assert arrivals.excusing_us(arrival, committed_after=15.0) == arrival
    assert arrivals.excusing_us(arrival, committed_after=10.09).earliest == 9.99


def test_a_second_end_of_the_same_watch_says_nothing_new() -> None:
    arrivals = watching(10.0)
    arrivals.ended(10.005)
    arrivals.refused(12.0, is_ours=False)
    arrivals.ended(12.5)
    assert arrivals.not_before == 12.0


def test_a_watch_that_ends_before_it_is_seen_to_live_changes_nothing_of_whose_doing_that_is() -> None:
    arrivals = watching(10.0)
    arrivals.ended(10.005)
    arrivals.refused(11.0, is_ours=True)
    arrivals.connected(13.0, 13.1)
    arrivals.ended(13.12)
    arrivals.refused(15.0, is_ours=False)
    assert arrivals.not_before == 9.99
    assert list(arrivals.kept_up(9.0, 20.0)) == []


def test_a_connection_closed_soon_after_a_long_pause_may_have_been_closed_for_it() -> None:
    arrivals = watching(10.0)
    arrivals.stood_still(10.0, 11.5)
    for look in (11.5, 18.0, 18.01):
        arrivals.found_empty(look)
    arrivals.ended(18.02)
    arrivals.refused(20.0, is_ours=False)
    assert arrivals.not_before == 10.0


def test_a_canarys_time_goes_on_with_each_refusal_of_the_apiservers_own() -> None:
    arrivals = watching(10.0)
    arrivals.ended(10.005)
    assert arrivals.not_before == 9.99
    arrivals.refused(12.0, is_ours=False)
    assert list(arrivals.kept_up(9.99, 12.0)) == [Interval(9.99, 12.0)]
    assert arrivals.not_before == 12.0
    arrivals.refused(14.0, is_ours=True)
    assert arrivals.not_before == 12.0
    arrivals.refused(16.0, is_ours=False)
    assert arrivals.not_before == 12.0
    assert list(arrivals.kept_up(12.0, 20.0)) == []
    arrivals.connected(17.0, 18.0)
    assert arrivals.not_before == 17.0
    assert list(arrivals.kept_up(12.0, 20.0)) == []
    arrivals.found_empty(18.01)
    arrivals.found_empty(18.02)
    assert list(arrivals.kept_up(12.0, 20.0)) == [Interval(17.0, 20.0)]
    assert list(arrivals.kept_up(17.0, 20.0)) == [Interval(17.0, 20.0)]
