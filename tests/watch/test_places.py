"""Nobody loses a place to one who comes, and in no time are there more starts than the bucket allows."""

from hypothesis import given
from hypothesis import strategies as st

from exporter.watch.places import Allowance, newcomers

names = st.lists(st.integers(0, 20), unique=True)


@given(wanted=names, held=st.sets(st.integers(0, 20)), most=st.integers(-3, 10))
def test_the_free_places_go_to_the_first_who_have_none(wanted: list[int], held: set[int], most: int) -> None:
    new = newcomers(wanted, held, most)
    assert new == [one for one in wanted if one not in held][: len(new)]
    assert not held.intersection(new)
    assert len(held) + len(new) <= max(most, len(held))
    assert len(held) + len(new) >= min(most, len(held.union(wanted)))


@given(
    most=st.integers(1, 10),
    tries=st.lists(st.tuples(st.floats(0, 20), st.integers(0, 15)), min_size=1, max_size=40),
    begins=st.floats(0, 1e6),
)
def test_no_more_are_taken_than_at_once_and_one_for_each_period(
    most: int, tries: list[tuple[float, int]], begins: float
) -> None:
    period, now = 2.0, begins
    allowance = Allowance(most, period)
    starts: list[tuple[float, int]] = []
    for pause, wanted in tries:
        now += pause
        taken = min(wanted, allowance.left(now))
        allowance = allowance.taken(now, taken)
        starts.append((now, taken))
        if allowance.left(now) == 0:
            assert allowance.left(now + allowance.seconds_to_next(now) + 1e-6) >= 1
    for number, (since, _) in enumerate(starts):
        taken_since = 0
        for at, taken in starts[number:]:
            taken_since += taken
            assert taken_since <= most + (at - since) / period + 1e-6


def test_a_new_allowance_is_full_and_is_full_again_after_a_while() -> None:
    allowance = Allowance(3, 2.0)
    assert allowance.left(5.0) == 3
    emptied = allowance.taken(5.0, 3)
    assert [emptied.left(now) for now in (5.0, 6.9, 7.0, 9.0, 11.0, 1000.0)] == [0, 0, 1, 2, 3, 3]
    assert emptied.seconds_to_next(6.0) == 1.0
