"""Since when a stream is what it is, and what was so before anybody looked."""

from math import inf
from typing import Any

import pytest
from msgspec.structs import replace

from exporter.measure.coverage import Hole
from exporter.measure.standing import Standing
from exporter.measure.stream_state import NOT_STARTED, Fading, StreamState, Trouble
from tests.support.states import state

WAITING = state(is_up=False, trouble=NOT_STARTED)
REFUSED = state(is_up=False, trouble=Trouble("connect"))
QUIET, MET, LATE, UNKNOWN = (state(slo=slo) for slo in ("quiet", "met", "violated", "unknown"))


def stamped(*moments: tuple[float, StreamState], window: float = 60.0) -> tuple[float | None, bool]:
    standing = Standing()
    for now, one in moments:
        last = standing.stamped(one, now, window)
    return last.since, last.is_since_start


@pytest.mark.parametrize(
    ("moments", "since"),
    [
        ([(100.0, WAITING)], (None, False)),
        ([(100.0, WAITING), (102.0, REFUSED), (190.0, REFUSED)], (102.0, True)),
        ([(100.0, WAITING), (102.0, QUIET), (150.0, LATE), (250.0, LATE)], (150.0, True)),
        ([(100.0, WAITING), (102.0, UNKNOWN), (105.0, MET)], (105.0, True)),
        ([(100.0, QUIET), (102.0, UNKNOWN)], (102.0, False)),
        ([(100.0, QUIET), (161.0, LATE)], (161.0, False)),
        ([(100.0, MET), (110.0, LATE)], (110.0, False)),
        ([(100.0, MET), (110.0, LATE), (120.0, MET)], (120.0, False)),
        ([(100.0, QUIET), (110.0, REFUSED)], (110.0, False)),
        ([(100.0, REFUSED), (110.0, QUIET), (120.0, REFUSED)], (120.0, False)),
    ],
)
def test_what_is_so_from_the_start_may_be_so_for_longer(
    moments: list[tuple[float, StreamState]], since: tuple[float | None, bool]
) -> None:
    assert stamped(*moments) == since


def test_a_window_without_end_fills_for_ever() -> None:
    assert stamped((100.0, QUIET), (5000.0, LATE), window=inf) == (5000.0, True)


def test_what_is_over_and_only_in_the_window_still_is_told_with_its_times() -> None:
    def fading(one: StreamState, seconds: float = 60.0, **window: Any) -> Fading | None:
        seen = replace(one, at=50.0, window=replace(one.window, **window))
        return Standing().stamped(seen, 1_050.0, seconds).fading

    gap = Hole(20.0, 30.5, "not_watched")
    assert fading(UNKNOWN, hole=gap) == Fading(1_020.0, 1_030.5, 1_091.0)
    assert fading(UNKNOWN, hole=gap, on_time_since=40.0) == Fading(1_020.0, 1_030.5, 1_091.0)
    assert fading(UNKNOWN, hole=Hole(20.0, inf, "gone"), on_time_since=40.0) is None, "it goes on"
    assert fading(UNKNOWN, inf, hole=gap) is None, "a window without end forgets nothing"
    for one in (LATE, UNKNOWN):
        assert fading(one, on_time_since=40.0) == Fading(None, 1_040.0, 1_100.0)
        assert fading(one) is None
    for one in (MET, QUIET, REFUSED):
        assert fading(one, hole=gap, on_time_since=40.0) is None, "it is not what the state speaks of"
    assert fading(LATE, hole=gap) is None, "what is late is not over with the gap"
