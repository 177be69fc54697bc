"""Both staircases against the raw list of what they learned."""

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from exporter.measure.revisions import STEPS_KEPT, CommittedAfter, CommittedBefore
from tests.measure.drawing import TICK_SECONDS, seconds

Entries = list[tuple[int, float]]

# Few different values, so that equal revisions and equal instants meet.
REVISIONS = st.integers(1, 12)
INSTANTS = seconds(12 * TICK_SECONDS)
ENTRIES = st.lists(st.tuples(REVISIONS, INSTANTS), max_size=30)


@given(ENTRIES)
def test_committed_before_knows_what_its_entries_say(entries: Entries) -> None:
    staircase = CommittedBefore()
    for count, (revision, instant) in enumerate(entries, start=1):
        staircase.learn(revision, instant)
        known = entries[:count]
        for asked in range(14):
            assert staircase.of(asked) == min((t for r, t in known if r >= asked), default=inf)
            at = asked * TICK_SECONDS
            assert staircase.newest_revision_by(at) == max((r for r, t in known if t < at), default=0)


@given(ENTRIES)
def test_committed_after_knows_what_its_entries_say(entries: Entries) -> None:
    staircase = CommittedAfter()
    for count, (revision, instant) in enumerate(entries, start=1):
        staircase.learn(revision, instant)
        known = entries[:count]
        for asked in range(14):
            assert staircase.of(asked) == max((t for r, t in known if r < asked), default=-inf)
            at = asked * TICK_SECONDS
            assert staircase.revision_after(at) == min((r for r, t in known if t > at), default=None)


@given(ENTRIES)
def test_a_staircase_keeps_only_steps_that_say_something(entries: Entries) -> None:
    for staircase in (CommittedBefore(), CommittedAfter()):
        for revision, instant in entries:
            staircase.learn(revision, instant)
        assert staircase.revisions == sorted(set(staircase.revisions))
        assert staircase.instants == sorted(set(staircase.instants))
        assert set(zip(staircase.revisions, staircase.instants, strict=True)) <= set(entries)


@given(ENTRIES)
def test_of_all_revisions_in_a_span_the_same_is_known(entries: Entries) -> None:
    for staircase in (CommittedBefore(), CommittedAfter()):
        for revision, instant in entries:
            staircase.learn(revision, instant)
        for asked in range(1, 14):
            above, up_to = staircase.span(asked)
            assert above < asked <= up_to
            assert {staircase.of(other) for other in range(14) if above < other <= up_to} == {staircase.of(asked)}


def test_the_number_of_steps_is_bounded_and_both_ends_stay() -> None:
    for staircase in (CommittedBefore(), CommittedAfter()):
        for step in range(10 * STEPS_KEPT):
            staircase.learn(step, float(step))
        assert len(staircase.revisions) <= STEPS_KEPT
        assert (staircase.revisions[0], staircase.instants[0]) == (0, 0.0)
        assert staircase.revisions[-1] == 10 * STEPS_KEPT - 1
