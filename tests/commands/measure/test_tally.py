from math import inf
from typing import TYPE_CHECKING, Any, cast

import pytest

from exporter.commands.measure.tally import Tally
from exporter.measure.dating import Dated
from exporter.measure.judging import Judgement
from exporter.measure.times import ANY_TIME, Interval
from exporter.vocabulary import Verdict

if TYPE_CHECKING:
    from exporter.measure.events import Event

AN_EVENT = cast("Event", None)  # a tally does not look at it


def judgement(verdict: Verdict, earliest: float = 0.0, latest: float = 0.1) -> Judgement:
    dated = Dated(ANY_TIME, (), ())
    return Judgement(AN_EVENT, 0.0, Interval(0.0, 0.0), dated, Interval(earliest, latest), verdict)


def tally(*, on_time: int = 0, late: int = 0, ambiguous: int = 0, objective_ratio: float = 0.99) -> Tally:
    tallied = Tally(objective_ratio)
    for _ in range(on_time):
        tallied.add(judgement("on_time"))
    for _ in range(late):
        tallied.add(judgement("late", 1.5, 1.6))
    for _ in range(ambiguous):
        tallied.add(judgement("ambiguous", 0.0, inf))
    return tallied


@pytest.mark.parametrize(
    ("counts", "state"),
    [
        ({}, "quiet"),
        ({"on_time": 49}, "quiet"),
        ({"on_time": 50}, "met"),
        ({"on_time": 99, "late": 1}, "met"),
        ({"on_time": 98, "late": 2}, "violated"),
        ({"on_time": 98, "late": 1, "ambiguous": 1}, "unknown"),
        ({"on_time": 4, "late": 1}, "violated"),
        ({"on_time": 95, "late": 5, "objective_ratio": 0.9}, "met"),
    ],
)
def test_the_state_follows_the_rule_of_the_rolling_window(counts: dict[str, Any], state: str) -> None:
    assert tally(**counts).state(is_covered=True) == state


def test_canaries_that_were_lost_are_late_events_without_an_upper_limit() -> None:
    lost = tally(on_time=100)
    lost.lost_canaries(0, 11.0)
    assert (lost.late, lost.state(is_covered=True)) == (0, "met")
    lost.lost_canaries(3, 11.0)
    assert (lost.events, lost.late, lost.state(is_covered=True)) == (103, 3, "violated")
    p99 = lost.latency(0.99)
    assert p99 is not None
    assert p99.earliest <= 11.0
    assert p99.latest == inf


def test_with_a_gap_it_is_not_met_but_still_violated_or_quiet() -> None:
    for counts, state in (({"on_time": 100}, "unknown"), ({"late": 100}, "violated"), ({"on_time": 1}, "quiet")):
        assert tally(**counts).state(is_covered=False) == state


def test_counts_and_quantiles_are_those_of_all_events() -> None:
    tallied = tally(on_time=60, late=40)
    assert (tallied.events, tallied.on_time, tallied.late, tallied.ambiguous) == (100, 60, 40, 0)
    p50, p99 = tallied.latency(0.5), tallied.latency(0.99)
    assert p50 is not None
    assert p99 is not None
    assert p50 == pytest.approx((0.0, 0.1), rel=0.03)
    assert p99 == pytest.approx((1.5, 1.6), rel=0.03)
    assert p99.earliest <= 1.5, "rounded outwards"
    assert p99.latest >= 1.6, "rounded outwards"
    assert tallied.width_seconds(0.99) == pytest.approx(0.1, rel=0.03)


def test_without_events_there_are_no_quantiles_and_without_a_limit_it_is_infinite() -> None:
    assert tally().latency(0.99) is None
    assert tally().width_seconds(0.5) is None
    assert tally(ambiguous=3).latency(0.99) == (0.0, inf)
    assert tally(ambiguous=3).width_seconds(0.99) == inf


def test_a_line_that_cannot_be_decoded_is_an_event_of_which_nothing_is_known() -> None:
    some = tally(on_time=98)
    some.undecodable(0)
    assert (some.events, some.state(is_covered=True)) == (98, "met")
    some.undecodable(2)
    assert (some.events, some.ambiguous, some.state(is_covered=True)) == (100, 2, "unknown")
    assert some.latency(0.99) == Interval(0.0, inf)
