"""Both step functions against the raw list of what they learned."""

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
    steps = CommittedBefore()
    for count, (revision, instant) in enumerate(entries, start=1):
        steps.learn(revision, instant)
        known = entries[:count]
        for asked in range(14):
            assert steps.of(asked) == min((t for r, t in known if r >= asked), default=inf)
            at = asked * TICK_SECONDS
            assert steps.newest_revision_by(at) == max((r for r, t in known if t < at), default=0)


@given(ENTRIES)
def test_committed_after_knows_what_its_entries_say(entries: Entries) -> None:
    steps = CommittedAfter()
    for count, (revision, instant) in enumerate(entries, start=1):
        steps.learn(revision, instant)
        known = entries[:count]
        for asked in range(14):
            assert steps.of(asked) == max((t for r, t in known if r < asked), default=-inf)
            at = asked * TICK_SECONDS
            assert steps.revision_after(at) == min((r for r, t in known if t > at), default=None)


@given(ENTRIES)
def test_a_step_function_keeps_only_steps_that_say_something(entries: Entries) -> None:
    for steps in (CommittedBefore(), CommittedAfter()):
        for revision, instant in entries:
            steps.learn(revision, instant)
        assert steps.revisions == sorted(set(steps.revisions))
        assert steps.instants == sorted(set(steps.instants))
        assert set(zip(steps.revisions, steps.instants, strict=True)) <= set(entries)


@given(ENTRIES)
def test_of_all_revisions_in_a_span_the_same_is_known(entries: Entries) -> None:
    for steps in (CommittedBefore(), CommittedAfter()):
        for revision, instant in entries:
            steps.learn(revision, instant)
        for asked in range(1, 14):
            above, up_to = steps.span(asked)
            assert above < asked <= up_to
            assert {steps.of(other) for other in range(14) if above < other <= up_to} == {steps.of(asked)}


def test_the_number_of_steps_is_bounded_and_both_ends_stay() -> None:
    for steps in (CommittedBefore(), CommittedAfter()):
        for step in range(10 * STEPS_KEPT):
            steps.learn(step, float(step))
        assert len(steps.revisions) <= STEPS_KEPT
        assert (steps.revisions[0], steps.instants[0]) == (0, 0.0)
        assert steps.revisions[-1] == 10 * STEPS_KEPT - 1
