"""How long a machine was suspended, from two clocks that cannot be read at the same moment."""

from hypothesis import given
from hypothesis import strategies as st

from exporter.measure.suspension import SHORTEST_SECONDS, Suspension
from tests.measure.drawing import seconds

AHEAD_SECONDS = 1000.0

Reading = tuple[float, float, float, float]
"""Seconds since the one before, slept meanwhile, from one reading of our clock to the other's, and on to ours again."""

READINGS: st.SearchStrategy[list[Reading]] = st.lists(
    st.tuples(seconds(1), st.one_of(st.just(0.0), seconds(30)), seconds(0.5), seconds(0.5)), min_size=2
)


@given(READINGS)
def test_it_never_says_too_little_of_a_sleep_and_nothing_where_there_was_none(readings: list[Reading]) -> None:
    suspension, now, slept = Suspension(), 0.0, 0.0
    unsure = unsaid = 0.0
    for number, (awake, asleep, to_other, back) in enumerate(readings):
        now += awake
        if number:
            slept += asleep
            unsaid += asleep
        said = suspension.slept(now, now + to_other + slept + AHEAD_SECONDS, now + to_other + back)
        now += to_other + back
        unsure = max(unsure, to_other + back)
        if said:
            assert asleep <= said <= unsaid + 2 * unsure
            unsaid = 0.0
        else:
            assert unsaid <= 2 * unsure + SHORTEST_SECONDS


def test_clocks_that_are_read_promptly_tell_a_short_sleep_to_the_millisecond() -> None:
    suspension = Suspension()
    assert suspension.slept(10.0, 110.0, 10.0001) == 0.0
    assert suspension.slept(10.01, 110.01, 10.0101) == 0.0
    assert 0.25 <= suspension.slept(10.02, 110.27, 10.0201) < 0.2503
    assert suspension.slept(10.03, 110.28, 10.0301) == 0.0
