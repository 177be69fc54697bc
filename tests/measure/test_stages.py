"""Through the watch cache: the stages of one event contain what they really took."""

from hypothesis import given
from hypothesis import strategies as st

from exporter.measure.stages import stages_of
from exporter.measure.times import Interval
from tests.measure.drawing import seconds

MARGINS = st.tuples(seconds(2), seconds(2))


def around(instant: float, margins: tuple[float, float]) -> Interval:
    return Interval(instant - margins[0], instant + margins[1])


@given(to_cache=seconds(2), to_client=seconds(2), margins=st.tuples(MARGINS, MARGINS, MARGINS))
def test_honest_intervals_leave_the_truth_in_both_stages(
    to_cache: float, to_client: float, margins: tuple[tuple[float, float], ...]
) -> None:
    instants = (10.0, 10.0 + to_cache, 10.0 + to_cache + to_client)
    commit, polled, arrival = map(around, instants, margins)
    stages = stages_of(commit, polled, arrival)
    assert stages is not None
    for stage, true_seconds in zip(stages, (to_cache, to_client), strict=True):
        assert 0 <= stage.earliest <= true_seconds <= stage.latest


def test_another_caches_polls_say_nothing() -> None:
    assert stages_of(Interval(10.0, 10.1), Interval(12.0, 12.1), Interval(11.0, 11.1)) is None
    assert stages_of(Interval(10.0, 10.1), Interval(8.0, 9.0), Interval(11.0, 11.1)) is None
