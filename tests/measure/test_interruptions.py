"""A forced close that is alone is normal and soon forgotten; what comes again and again is not."""

import pytest

from exporter.measure.interruptions import (
    AGAIN_SECONDS,
    FORCED_CLOSES_AGAIN,
    RECENT_SECONDS,
    RELISTS_AGAIN,
    InterruptionRun,
)
from exporter.measure.stream_state import NOT_INTERRUPTED, Interruptions

WALL = 1_700_000_000.0


def closed(*instants: float, relisted: tuple[float, ...] = ()) -> InterruptionRun:
    run = InterruptionRun()
    for at in sorted({*instants, *relisted}):
        if at in instants:
            run.closed_by_force(at, WALL + at, 5.0)
        if at in relisted:
            run.relisted(at, WALL + at)
    return run


def test_before_the_first_one_there_is_nothing_to_say() -> None:
    assert closed().state(0.0) == NOT_INTERRUPTED


def test_a_single_one_is_mentioned_for_a_minute_and_no_more() -> None:
    run = closed(100.0)
    assert run.state(100.0 + RECENT_SECONDS) == Interruptions(1, 0, WALL + 100, is_repeated=False)
    assert run.state(100.1 + RECENT_SECONDS) == NOT_INTERRUPTED


def test_what_comes_again_and_again_counts_from_the_first_until_it_has_stopped_for_longer() -> None:
    run = closed(*(100.0 + 5 * number for number in range(FORCED_CLOSES_AGAIN)))
    last = 100.0 + 5 * (FORCED_CLOSES_AGAIN - 1)
    counted = Interruptions(FORCED_CLOSES_AGAIN, 0, WALL + 100, True, 5.0, 5.0)  # noqa: FBT003 as it is written
    assert run.state(last + AGAIN_SECONDS) == counted
    assert run.state(last + AGAIN_SECONDS + 0.1) == NOT_INTERRUPTED
    run.closed_by_force(last + AGAIN_SECONDS + 1, WALL, 5.0)
    assert run.state(last + AGAIN_SECONDS + 1) == Interruptions(1, 0, WALL, is_repeated=False)


@pytest.mark.parametrize(("every_seconds", "is_repeated"), [(1, True), (61, True), (89, True), (91, False)])
def test_a_balancer_that_closes_once_a_minute_does_so_again_and_again(every_seconds: int, *, is_repeated: bool) -> None:
    run = InterruptionRun()
    for number in range(10):
        now = float(number * every_seconds)
        run.closed_by_force(now, WALL + now, 5.0)
        assert run.state(now + every_seconds - 0.5).is_repeated == (is_repeated and number + 1 >= FORCED_CLOSES_AGAIN)


def test_relists_lose_events_so_fewer_of_them_are_too_many() -> None:
    assert RELISTS_AGAIN < FORCED_CLOSES_AGAIN
    assert not closed(1.0, relisted=(2.0,)).state(3.0).is_repeated
    assert closed(1.0, relisted=(2.0, 4.0)).state(5.0) == Interruptions(1, 2, WALL + 1, is_repeated=True)


def test_watches_that_were_opened_after_the_first_forced_close_tell_how_long_they_last() -> None:
    run = InterruptionRun()
    run.closed_by_force(100.0, WALL, 3_000.0)
    assert run.state(101.0).longest_seconds is None, "it was opened when all was well"
    for now, lived_seconds in ((160.0, 59.5), (220.0, 60.0), (230.0, 10.0)):
        run.closed_by_force(now, WALL, lived_seconds)
    run.relisted(231.0, WALL)
    assert run.state(231.0)[-2:] == (10.0, 60.0)
    run.closed_by_force(231.1 + AGAIN_SECONDS, WALL, 70.0)
    run.closed_by_force(291.0 + AGAIN_SECONDS, WALL, 60.0)
    assert run.state(291.0 + AGAIN_SECONDS)[-2:] == (60.0, 60.0), "of this run"
