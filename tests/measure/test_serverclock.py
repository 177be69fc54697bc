"""The laws of what Date headers prove, for any clock that slews no faster than is allowed for."""

from math import inf
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.measure.serverclock import (
    SAMPLES_TO_EARN,
    SWITCHED_OFF_SECONDS,
    WIDTH_TO_EARN_SECONDS,
    ClockContradictionError,
    DatedAnswer,
    Offset,
    ServerClocks,
)
from tests.measure.server_clock import (
    CLOCKS,
    DRIFT,
    EXCHANGES,
    OFFSETS,
    ROUNDING_SECONDS,
    Exchange,
    WanderingClock,
    answered_by,
    steady,
)

HEALTH = steady(100)
MONTH_SECONDS = 30 * 86_400.0

IN_HEALTH = st.sampled_from([0, 50])
"""So many prompt polls before those that are drawn."""


def clocks_of_one_apiserver() -> ServerClocks:
    return ServerClocks(one_apiserver=True, drift=DRIFT)


def after_health(
    clock: WanderingClock, polls: list[Exchange] = HEALTH, *, one_apiserver: bool = True
) -> tuple[ServerClocks, float]:
    """Clocks that have learned from prompt polls over connection 1, and the moment of the last answer."""
    clocks = ServerClocks(one_apiserver=one_apiserver, drift=DRIFT)
    answers = answered_by(clock, polls)
    for _, answer in answers:
        clocks.written_before(1, answer)
    return clocks, answers[-1][1].t1


def contradicted_by(clocks: ServerClocks, connection: int, answers: list[DatedAnswer]) -> int | None:
    """The clock that the first of `answers` contradicts; None if they agree with what is known and with each other."""
    try:
        for answer in answers:
            clocks.written_before(connection, answer)
    except ClockContradictionError as contradiction:
        return contradiction.clock
    return None


def contradict(clocks: ServerClocks, instant: float) -> None:
    """Two answers that no clock gives, at `instant`."""
    clocks.written_before(1, DatedAnswer(instant, instant, 1000.0))
    with pytest.raises(ClockContradictionError):
        clocks.written_before(1, DatedAnswer(instant, instant, 2000.0))


@given(CLOCKS, EXCHANGES, st.floats(-1000.0, 1000.0))
def test_the_offset_contains_the_true_one_at_any_time(
    clock: WanderingClock, exchanges: list[Exchange], later: float
) -> None:
    offset = Offset()
    for _, answer in answered_by(clock, exchanges):
        narrowed = offset.narrowed(answer, DRIFT)
        assert narrowed is not None
        assert narrowed.at == answer.t1
        for known in (narrowed, narrowed.aged(max(0.0, answer.t1 + later), DRIFT)):
            assert known.lower - ROUNDING_SECONDS <= clock.ahead(known.at) <= known.upper + ROUNDING_SECONDS
        offset = narrowed


@given(CLOCKS, EXCHANGES, IN_HEALTH)
def test_headers_are_written_before_the_moment_that_is_proven(
    clock: WanderingClock, exchanges: list[Exchange], in_health: int
) -> None:
    clocks = clocks_of_one_apiserver()
    for written, answer in answered_by(clock, [*HEALTH[:in_health], *exchanges]):
        proven = clocks.written_before(1, answer)
        if proven is not None:
            assert written - ROUNDING_SECONDS <= proven <= answer.t1
            assert answer.t0 <= clocks.written_after(1, answer) <= written + ROUNDING_SECONDS


@given(CLOCKS, EXCHANGES, IN_HEALTH, st.floats(-MONTH_SECONDS, MONTH_SECONDS))
@example(WanderingClock(1.6e9, [-DRIFT]), [], 50, -MONTH_SECONDS)
@example(WanderingClock(1.6e9 + 0.9999, [-DRIFT]), [Exchange(0.0, 1e-6, 1e-6)], 0, -1000.0)
def test_a_time_that_the_server_showed_is_never_placed_too_late(
    clock: WanderingClock, exchanges: list[Exchange], in_health: int, shown_at: float
) -> None:
    """Stamps may be older than all that we know of the clock: it slewed at any allowed rate before our 0, too."""
    offset = Offset()
    for _, answer in answered_by(clock, [*HEALTH[:in_health], *exchanges]):
        offset = offset.narrowed(answer, DRIFT) or offset
    for stamp in (clock.shows(shown_at), clock.date(shown_at)):
        assert offset.instant_of(stamp, DRIFT) <= shown_at + ROUNDING_SECONDS


@given(OFFSETS)
def test_an_answer_that_takes_long_to_come_back_is_dated_as_it_was_written(offset: float) -> None:
    """The whole use of it: the way back takes 5 s, and the proof is late by the Date's second at the most."""
    clock = WanderingClock(offset)
    clocks, now = after_health(clock)
    [(written, answer)] = answered_by(clock, [Exchange(0.1, 0.002, 5.0)], start=now)
    proven = clocks.written_before(1, answer)
    assert proven is not None
    assert written - ROUNDING_SECONDS <= proven <= written + 1.1


def test_an_answer_is_dated_by_the_clock_as_it_was_when_it_was_written() -> None:
    """While the slow ones are on their way, prompt ones tell how far the clock has slewed since."""
    clock = WanderingClock(1.7e9, [DRIFT])
    slow = [Exchange(0.0137, 0.0005, 100.0)] * 100
    answers = [*answered_by(clock, steady(600)), *answered_by(clock, slow)]
    clocks = clocks_of_one_apiserver()
    for written, answer in sorted(answers, key=lambda answer: answer[1].t1):
        proven = clocks.written_before(1, answer)
        assert proven is None or written - ROUNDING_SECONDS <= proven


@given(OFFSETS, st.floats(1.4, 1e6), st.sampled_from([-1, 1]), st.floats(0.0, 0.05))
def test_a_step_of_more_than_a_second_is_noticed_at_once(
    offset: float, step_seconds: float, sign: int, delay: float
) -> None:
    clocks, now = after_health(WanderingClock(offset))
    stepped = WanderingClock(offset + sign * step_seconds)
    [(_, answer)] = answered_by(stepped, [Exchange(0.1, delay / 2, delay / 2)], start=now)
    with pytest.raises(ClockContradictionError, match="clock 0 contradicts"):
        clocks.written_before(1, answer)


@given(OFFSETS, st.floats(0.1, 1.5), st.sampled_from([-1, 1]))
def test_a_smaller_step_is_noticed_once_the_phases_have_varied(offset: float, step_seconds: float, sign: int) -> None:
    clocks, now = after_health(WanderingClock(offset))
    stepped = WanderingClock(offset + sign * step_seconds)
    assert contradicted_by(clocks, 1, [answer for _, answer in answered_by(stepped, HEALTH, start=now)]) == 0


@given(OFFSETS, st.floats(0.0, 3.0), st.integers(0, 99))
def test_two_clocks_on_one_connection_contradict_unless_they_agree(offset: float, apart: float, seed: int) -> None:
    """A balancer that spreads one connection's requests over two servers must not look like one clock."""
    one, other = answered_by(WanderingClock(offset), HEALTH), answered_by(WanderingClock(offset + apart), HEALTH)
    chance = Random(seed)
    clocks = ServerClocks(one_apiserver=False, drift=DRIFT)
    mixed = [chance.choice(pair)[1] for pair in zip(one, other, strict=True)]
    assert contradicted_by(clocks, 7, mixed) == 7 or apart <= WIDTH_TO_EARN_SECONDS


@pytest.mark.parametrize("one_way", [0.002, 0.2], ids=["narrow", "wide"])
def test_an_offset_counts_once_enough_answers_agree_closely(one_way: float) -> None:
    """With 0.4 s on the way, 100 answers still leave the offset 0.4 s wide: such a clock proves nothing."""
    clock = WanderingClock(1.7e9)
    clocks = clocks_of_one_apiserver()
    for count, (_, answer) in enumerate(answered_by(clock, steady(100, one_way=one_way)), start=1):
        proven = clocks.written_before(1, answer)
        assert proven is None or (count >= SAMPLES_TO_EARN and one_way < 0.1)
    hull = clocks.hull(answer.t1)
    assert (hull is not None) == (proven is not None) == (one_way < 0.1)
    if hull is not None:
        assert hull.lower < 1.7e9 < hull.upper
        assert hull.upper - hull.lower < 0.05


def test_the_hull_contains_every_clock_behind_an_address() -> None:
    clocks = ServerClocks(one_apiserver=False, drift=DRIFT)
    for connection, offset in ((1, 1.7e9), (2, 1.7e9 + 3)):
        for _, answer in answered_by(WanderingClock(offset), HEALTH):
            clocks.written_before(connection, answer)
    hull = clocks.hull(30.0)
    assert hull is not None
    assert 1.7e9 - 0.1 < hull.lower < 1.7e9 < 1.7e9 + 3 < hull.upper < 1.7e9 + 3.1


@pytest.mark.parametrize("one_apiserver", [True, False])
def test_a_connection_shares_what_it_learned_only_with_connections_to_the_same_apiserver(
    *, one_apiserver: bool
) -> None:
    clock = WanderingClock(1.7e9)
    clocks, now = after_health(clock, one_apiserver=one_apiserver)
    [(_, answer)] = answered_by(clock, steady(1), start=now)
    assert (clocks.written_before(2, answer) is not None) == one_apiserver
    for connection in (0, 1):
        clocks.connection_closed(connection)
    assert (clocks.hull(now) is not None) == one_apiserver


def test_a_contradiction_forgets_what_was_learned() -> None:
    clocks, now = after_health(WanderingClock(1.7e9))
    with pytest.raises(ClockContradictionError):
        clocks.written_before(1, DatedAnswer(now, now, 0.0))
    assert clocks.hull(now) is None
    assert clocks.is_trusted(now)


def test_a_sleep_of_our_machine_contradicts_nothing_and_what_was_asked_before_it_teaches_nothing() -> None:
    clocks, woke = after_health(WanderingClock(1.7e9))
    clocks.forget(woke)
    assert clocks.hull(woke) is None
    assert clocks.hull_of_stamps(woke) is None
    slept = WanderingClock(1.7e9 + 30)
    # Written before we fell asleep, and read after we woke.
    assert clocks.written_before(1, DatedAnswer(woke - 0.01, woke + 0.1, WanderingClock(1.7e9).date(woke))) is None
    answers = [answer for _, answer in answered_by(slept, HEALTH, start=woke + 0.2)]
    assert [clocks.written_before(1, answer) for answer in answers][-1] is not None


def test_three_contradictions_within_a_minute_switch_dates_off_for_five_minutes() -> None:
    clocks = clocks_of_one_apiserver()
    for instant in (100.0, 130.0, 160.0):
        assert clocks.is_trusted(instant)
        contradict(clocks, instant)
    answers = answered_by(WanderingClock(1.7e9), HEALTH, start=161.0)
    assert [clocks.written_before(1, answer) for _, answer in answers] == [None] * len(answers)
    assert clocks.hull(200.0) is None
    assert not clocks.is_trusted(160.0 + SWITCHED_OFF_SECONDS - 0.1)
    assert clocks.is_trusted(160.0 + SWITCHED_OFF_SECONDS)
    later = answered_by(WanderingClock(1.7e9), HEALTH, start=461.0)
    assert [clocks.written_before(1, answer) for _, answer in later][-1] is not None


def test_dates_that_are_switched_off_are_so_for_every_connection() -> None:
    clocks, now = after_health(WanderingClock(1.7e9), one_apiserver=False)
    for _ in range(3):
        clocks.written_before(2, DatedAnswer(now, now, 1000.0))
        assert clocks.hull(now) is not None
        assert contradicted_by(clocks, 2, [DatedAnswer(now, now, 2000.0)]) == 2
    assert clocks.hull(now) is None


def test_three_contradictions_in_more_than_a_minute_do_not() -> None:
    clocks = clocks_of_one_apiserver()
    for instant in (100.0, 130.0, 160.1, 190.2):
        contradict(clocks, instant)
        assert clocks.is_trusted(instant)


def test_nothing_is_known_before_the_first_answer() -> None:
    clocks = clocks_of_one_apiserver()
    assert clocks.hull(0.0) is None
    assert Offset().aged(1e6, DRIFT) == Offset(-inf, inf, 1e6)


@pytest.mark.parametrize(("step", "polls_before"), [(-5.0, 100), (-0.8, 100), (3.0, 100), (-5.0, 1), (-5.0, 3)])
def test_a_stamp_from_before_a_step_is_never_dated_after_it_was_made(step: float, polls_before: int) -> None:
    """Objects keep their stamps; what is known of the clock today may say nothing true of them."""
    before = WanderingClock(1.7e9)
    after = WanderingClock(1.7e9 + step)
    clocks, stepped = after_health(before, steady(polls_before))
    stamped_at = [stepped - seconds for seconds in (0.0, 0.5, 2.0, 4.9)]
    stamps = [before.shows(instant) for instant in stamped_at]
    learned = 0
    for _, answer in answered_by(after, steady(400), start=stepped):
        try:
            clocks.written_before(1, answer)
        except ClockContradictionError:
            continue
        known = clocks.hull_of_stamps(answer.t1)
        if known is None:
            continue
        learned += 1
        for instant, stamp in zip(stamped_at, stamps, strict=True):
            committed = answer.t1  # the earliest that an event may have been committed which is judged now, and later
            said = known.instant_of(stamp, DRIFT)
            assert said <= max(instant, committed - abs(step)) + ROUNDING_SECONDS
            assert said <= committed
    assert learned > 100


def test_what_a_clock_showed_before_a_step_is_forgotten_once_it_says_nothing_false() -> None:
    clocks, stepped = after_health(WanderingClock(1.7e9))
    for _, answer in answered_by(WanderingClock(1.7e9 - 5), steady(60), start=stepped):
        try:
            clocks.written_before(1, answer)
        except ClockContradictionError:
            continue
    soon, later = clocks.hull_of_stamps(stepped + 60), clocks.hull_of_stamps(stepped + 200)
    now = clocks.hull(stepped + 200)
    assert soon is not None
    assert soon.upper > 1.7e9 - 1
    assert later == now


@given(st.floats(-1e6, 1e6), st.floats(-1e9, 1e9), st.floats(-1e6, 1e6), st.floats(0, 1e6))
def test_a_time_shown_no_later_than_an_instant_by_the_bound_is_placed_no_later(
    at: float, upper: float, instant: float, older_by: float
) -> None:
    """What `Judge` rests on when it takes stamps for old."""
    offset = Offset(upper=upper, at=at)
    assert offset.instant_of(instant + upper - older_by, DRIFT) <= instant + ROUNDING_SECONDS
