"""What Dates prove of revisions, against the raw list of what was learned."""

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from exporter.measure.serverclock import ANSWERS_KEPT, WrittenBefore
from tests.measure.drawing import seconds

LEARNED = st.tuples(st.integers(0, 3), st.integers(1, 12), seconds(1))
WITHDRAWN = st.integers(0, 3)


@given(st.lists(st.one_of(LEARNED, WITHDRAWN), max_size=30))
def test_withdrawing_a_clock_leaves_nothing_of_it(said: list[tuple[int, int, float] | int]) -> None:
    written_before = WrittenBefore()
    known: list[tuple[int, int, float]] = []
    for learned in said:
        if isinstance(learned, int):
            written_before.withdraw(learned)
            known = [answer for answer in known if answer[0] != learned]
        else:
            written_before.learn(*learned)
            known.append(learned)
        for asked in range(14):
            assert written_before.of(asked) == min((t for _, r, t in known if r >= asked), default=inf)


def test_memory_is_bounded_and_the_newest_answers_stay() -> None:
    written_before = WrittenBefore()
    for revision in range(3 * ANSWERS_KEPT):
        written_before.learn(revision % 2, revision, float(revision))
    written_before.withdraw(0)
    newest = 3 * ANSWERS_KEPT - 1
    assert written_before.of(newest) == newest
    assert written_before.of(newest - 1) == newest
    written_before.withdraw(1)
    assert written_before.of(1) == inf
