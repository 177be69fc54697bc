"""Since when a stream is what it is, and what was so before anybody looked."""

from math import inf

import pytest

from exporter.measure.standing import Standing
from exporter.measure.stream_state import NOT_STARTED, StreamState, Trouble
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
