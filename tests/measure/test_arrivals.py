"""When bytes reached our host, and whose fault it is that they did not come sooner."""

from itertools import accumulate

from hypothesis import example, given
from hypothesis import strategies as st

from exporter.measure.arrivals import STALL_BYTES, STALL_SECONDS, STALLS_KEPT, Arrivals
from exporter.measure.times import Interval
from tests.measure.drawing import seconds
from tests.measure.sockets import LARGEST_CHUNK_BYTES, NETWORK_SECONDS, Chunk, Turn, watch

BEAT_SECONDS = 0.01

Drawn = tuple[float, int, float]

LOADS: st.SearchStrategy[list[Drawn]] = st.lists(
    st.tuples(seconds(0.2), st.sampled_from([200, 20 * 1024, LARGEST_CHUNK_BYTES]), seconds(1)), max_size=30
)
PAUSES = st.one_of(st.just(BEAT_SECONDS), seconds(0.1), seconds(3))
TURNS = st.lists(st.builds(Turn, PAUSES, reads=st.booleans(), looks=st.booleans()), max_size=40)
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


@given(LOADS, TURNS, seconds(1))
@example(STALLED_LOAD, [Turn(BEAT_SECONDS), Turn(1.1)], 0.0)
@example(STALLED_LOAD, [Turn(BEAT_SECONDS), Turn(0.45)], 0.0)
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
    arrivals.connected(0.0)
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


def stalled(size_bytes: int) -> Arrivals:
    """Empty at 9.99 and 10.00, then nothing is looked at before 13.00, when `size_bytes` are read in two reads."""
    arrivals = Arrivals()
    arrivals.connected(9.97)
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


def test_a_stall_with_few_bytes_cannot_have_closed_the_receive_window() -> None:
    arrivals = Arrivals()
    arrivals.connected(9.98)
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
    arrivals.connected(9.98)
    arrivals.found_empty(9.99)
    arrivals.found_empty(10.00)
    arrivals.ended(13.0)
    arrivals.connected(13.1)
    missed = arrivals.received(13.2, 100)
    assert missed == Interval(13.1, 13.2)
    assert arrivals.excusing_us(missed, committed_after=11.0) == Interval(9.99, 13.2)
    arrivals.ended(13.3)
    arrivals.connected(13.4)
    assert arrivals.excusing_us(arrivals.received(13.5, 100), committed_after=11.0).earliest == 9.99
    arrivals.found_empty(13.6)
    assert arrivals.excusing_us(missed, committed_after=11.0) == Interval(9.99, 13.2)
    fresh = arrivals.received(14.0, 100)
    assert arrivals.excusing_us(fresh, committed_after=13.6) == fresh


def test_a_connection_that_ends_while_we_keep_up_is_not_our_fault() -> None:
    arrivals = Arrivals()
    arrivals.connected(9.98)
    arrivals.found_empty(9.99)
    arrivals.found_empty(10.00)
    arrivals.ended(10.04)
    arrivals.connected(13.1)
    missed = arrivals.received(13.2, 100)
    assert arrivals.excusing_us(missed, committed_after=11.0) == missed


def test_bytes_of_the_last_connection_have_filled_no_window_of_this_one() -> None:
    arrivals = Arrivals()
    arrivals.connected(9.98)
    arrivals.found_empty(9.99)
    arrivals.received(10.00, 10 * STALL_BYTES)
    arrivals.ended(10.01)
    arrivals.connected(10.02)
    arrivals.received(10.90, 100)
    arrivals.found_empty(10.91)
    arrivals.found_empty(10.92)
    arrival = arrivals.received(10.93, 100)
    assert arrivals.excusing_us(arrival, committed_after=10.5) == arrival


def test_a_very_long_stall_counts_however_little_came_in_it() -> None:
    arrivals = Arrivals()
    arrivals.connected(9.98)
    arrivals.found_empty(10.0)
    arrivals.received(13.0, 100)
    arrivals.found_empty(13.01)
    arrivals.found_empty(13.02)
    arrival = arrivals.received(13.5, 100)
    assert arrivals.excusing_us(arrival, committed_after=11.0) == Interval(10.0, 13.5)
    assert arrivals.excusing_us(arrival, committed_after=13.01) == arrival


def test_a_connection_closed_soon_after_a_stall_may_have_been_closed_for_it() -> None:
    arrivals = Arrivals()
    arrivals.connected(9.98)
    arrivals.found_empty(10.0)
    arrivals.received(10.4, STALL_BYTES)
    arrivals.found_empty(10.5)
    arrivals.found_empty(10.51)
    arrivals.ended(10.52)
    arrivals.connected(13.1)
    missed = arrivals.received(13.2, 100)
    assert arrivals.excusing_us(missed, committed_after=11.0) == Interval(10.0, 13.2)


def test_stalls_beyond_what_is_kept_are_merged_and_none_is_forgotten() -> None:
    arrivals = Arrivals()
    arrivals.connected(0.0)
    arrivals.found_empty(0.0)
    for stall in range(3 * STALLS_KEPT):
        arrivals.received(stall + 0.9, STALL_BYTES)
        arrivals.found_empty(stall + 1.0)
    last = 3.0 * STALLS_KEPT
    arrival = Interval(last + 5, last + 6)
    assert arrivals.excusing_us(arrival, committed_after=0.5).earliest <= 0.0
    assert arrivals.excusing_us(arrival, committed_after=last - 0.5).earliest == last - 1
    assert arrivals.excusing_us(arrival, committed_after=last) == arrival
