"""Verdicts, and the pending events from which every event comes exactly once."""

from collections.abc import Callable
from math import inf

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.measure.dating import Dated
from exporter.measure.events import COMPARED_FIELDS, OTHER_FIELDS, Event, Lease, LeaseMetadata, Stamps
from exporter.measure.judging import (
    ALWAYS_PENDING,
    LONGEST_WAIT_SECONDS,
    MOST_WAITING,
    Around,
    EvidentPhase,
    Judgement,
    Known,
    Opening,
    PendingChunk,
    PendingEvents,
    Room,
    Run,
    grouped_by_evidence,
    judge,
)
from exporter.measure.pods import PodShown
from exporter.measure.revisions import Span
from exporter.measure.times import ANY_TIME, Interval
from exporter.vocabulary import EventType, Verdict
from tests.measure.drawing import seconds

THRESHOLD_SECONDS = 1.0


def batches_of(
    events: list[Event], known_around: Callable[[int], Known], arrived_around: Callable[[int], Span] = lambda _: Span()
) -> list[list[Run]]:
    """The batches of events that came together."""
    chunk = PendingChunk(events, Interval(0.0, 1.0), Opening(at=-inf))
    return list(grouped_by_evidence([chunk], Around(lambda _, revision: known_around(revision), arrived_around)))


def sizes_of(batches: list[list[Run]]) -> list[int]:
    """How many events each has."""
    return [sum(len(run.events) for run in batch) for batch in batches]


def pending_at(arrival: Interval, *revisions: int) -> PendingChunk:
    return PendingChunk([Event("modified", revision) for revision in revisions], arrival, Opening(at=-inf))


def judged(commit: Interval, arrival: Interval) -> Judgement:
    return judge(Event("modified", 1), arrival.latest, arrival, Dated(commit, (), ()), THRESHOLD_SECONDS)


MARGINS = st.one_of(seconds(2), st.just(inf))


@given(
    latency=seconds(3),
    commit=st.builds(Interval, MARGINS.map(lambda margin: 10.0 - margin), MARGINS.map(lambda margin: 10.0 + margin)),
    before_arrival=MARGINS,
    after_arrival=seconds(2),
)
def test_no_verdict_contradicts_a_truth_that_lies_in_the_intervals(
    latency: float, commit: Interval, before_arrival: float, after_arrival: float
) -> None:
    """The commit is at 10, the arrival `latency` later."""
    judgement = judged(commit, Interval(10.0 + latency - before_arrival, 10.0 + latency + after_arrival))
    assert 0 <= judgement.latency.earliest <= latency <= judgement.latency.latest
    if judgement.verdict != "ambiguous":
        assert judgement.verdict == ("late" if latency > THRESHOLD_SECONDS else "on_time")
    else:
        assert judgement.latency.earliest <= THRESHOLD_SECONDS < judgement.latency.latest


@pytest.mark.parametrize(
    ("commit", "verdict"),
    [
        (Interval(9.0, 10.0), "on_time"),
        (Interval(8.75, 8.75), "late"),
        (Interval(8.75, 9.0), "ambiguous"),
        (Interval(-inf, 8.75), "late"),
        (ANY_TIME, "ambiguous"),
    ],
)
def test_the_threshold_itself_is_on_time(commit: Interval, verdict: Verdict) -> None:
    assert judged(commit, Interval(10.0, 10.0)).verdict == verdict


@pytest.mark.parametrize(
    ("commit", "is_measured"),
    [(ANY_TIME, False), (Interval(-inf, 11.0), False), (Interval(-inf, 8.0), True), (Interval(0.0, inf), True)],
)
def test_measured_is_what_has_a_bound_that_says_something(commit: Interval, *, is_measured: bool) -> None:
    assert judged(commit, Interval(10.0, 10.0)).is_measured is is_measured


COMMITS_AND_PHASES: list[tuple[Interval, EvidentPhase, EvidentPhase]] = [
    (Interval(9.0, 9.9), "history", "history"),
    (Interval(-inf, 10.0), "history", "history"),
    (Interval(9.0, 10.1), "history", "unknown"),
    (Interval(10.0, 10.1), "news", "news"),
    (ANY_TIME, "history", "unknown"),
]


@pytest.mark.parametrize(("commit", "in_time", "too_late"), COMMITS_AND_PHASES)
def test_between_opening_and_poll_all_passes_for_history_if_that_is_short(
    commit: Interval, in_time: EvidentPhase, too_late: EvidentPhase
) -> None:
    for answered_by, phase in ((12.0, in_time), (12.1, too_late)):
        opening = Opening(at=10.0)
        opening.told(100, answered_by, within_seconds=2.0)
        assert opening.phase(100, commit) == phase
        assert opening.phase(101, commit) == "news"
        assert opening.phase(None, commit) == "news"


@pytest.mark.parametrize(("commit", "_", "untold"), COMMITS_AND_PHASES)
def test_before_a_poll_has_told_it_only_what_is_certain_is_history_or_news(
    commit: Interval, _: EvidentPhase, untold: EvidentPhase
) -> None:
    assert Opening(at=10.0).phase(100, commit) == untold
    assert Opening().phase(100, commit) == "unknown"


def test_nothing_is_settled_before_the_watch_is_open_that_brought_it() -> None:
    queue, opening = PendingEvents(), Opening()
    queue.enter(PendingChunk([Event("modified", 1)], Interval(0.0, 1.0), opening))
    assert list(queue.ready(settled_until=5.0, now=5.0)) == []
    opening.at = 0.5
    assert len(list(queue.ready(settled_until=5.0, now=5.0))) == 1


MOST_PENDING = 3

# Whole seconds, so that an arrival meets the very moment at which something changes.
PASSED = st.sampled_from([0.0, 1.0, 2.0, 5.0])
ENTERED = st.tuples(st.just("enter"), PASSED, st.just(0.0), st.integers(1, 3))
ASKED = st.tuples(st.just("ask"), PASSED, st.sampled_from([0.0, 1.0, 5.0, inf]), st.sampled_from([0, 0, 1, 2]))


@given(st.lists(st.one_of(ENTERED, ASKED), min_size=5, max_size=40))
def test_each_event_is_handed_out_once_in_order_and_early_only_for_a_reason(
    steps: list[tuple[str, float, float, int]],
) -> None:
    queue = PendingEvents(most_pending=MOST_PENDING)
    now, entered, handed_out = 0.0, 0, 0
    arrived: dict[int, float] = {}
    for step, passed, unsettled_seconds, number in steps:
        now += passed
        if step == "enter":
            together = range(entered + 1, entered + number + 1)
            entered += number
            arrived.update(dict.fromkeys(together, now))
            queue.enter(pending_at(Interval(now - 0.5, now), *together))
            continue
        settled_until, wanted = now - unsettled_seconds, number
        for pending, early in queue.ready(settled_until, now, wanted or MOST_WAITING):
            waiting = entered - handed_out
            assert [event.revision for event in pending.events] == [
                *range(handed_out + 1, handed_out + len(pending.events) + 1)
            ]
            handed_out += len(pending.events)
            if arrived[handed_out] < settled_until:
                assert early is None
            elif waiting > MOST_PENDING:
                assert early == "overflow"
            else:
                assert early == "waited_too_long"
                assert now - arrived[handed_out] >= LONGEST_WAIT_SECONDS
        assert len(queue) == entered - handed_out
        if not wanted:
            assert len(queue) <= MOST_PENDING
            for revision in range(handed_out + 1, entered + 1):
                assert arrived[revision] >= settled_until
                assert now - arrived[revision] < LONGEST_WAIT_SECONDS


def test_what_waits_in_all_queues_together_is_bounded_and_a_flood_in_one_costs_the_others_nothing() -> None:
    room = Room(most=3 * ALWAYS_PENDING)
    flooded, quiet = [PendingEvents(room=room) for _ in range(4)], PendingEvents(room=room)
    quiet.enter(pending_at(Interval(0.0, 1.0), *range(1, ALWAYS_PENDING + 1)))
    for first in range(1, 3 * ALWAYS_PENDING, 100):
        for queue in flooded:
            queue.enter(pending_at(Interval(0.0, 1.0), *range(first, first + 100)))
            assert {early for _, early in queue.ready(settled_until=0.5, now=1.0)} <= {"overflow"}
        assert list(quiet.ready(settled_until=0.5, now=1.0)) == []
        assert room.events == sum(map(len, [*flooded, quiet])) <= room.most + len(flooded) * ALWAYS_PENDING
    assert all(len(queue) >= ALWAYS_PENDING for queue in flooded)
    for queue in [*flooded, quiet]:
        assert sum(len(pending.events) for pending in queue.clear())
    assert room.events == 0


def test_no_more_is_handed_out_once_there_is_enough_for_one_turn() -> None:
    queue = PendingEvents()
    for first in (1, 3, 5):
        queue.enter(pending_at(Interval(0.0, 1.0), first, first + 1))
    assert [len(queue.ready(2.0, 2.0, enough=3)) for _ in range(3)] == [2, 1, 0]


def test_a_cleared_queue_hands_out_all_in_order() -> None:
    queue = PendingEvents()
    queue.enter(pending_at(Interval(0.0, 1.0), 1, 2))
    queue.enter(pending_at(Interval(0.0, 1.0), 3))
    assert [event.revision for pending in queue.clear() for event in pending.events] == [1, 2, 3]
    assert len(queue) == 0
    assert list(queue.ready(inf, inf)) == []


SECONDS = [f"2026-11-22T16:33:5{second}Z" for second in range(4)]
ODD_STAMPS = st.sampled_from(["", "2026-11-22T16:33:50.5Z", "yesterday"])
STAMPS = st.builds(
    Stamps,
    managed_fields=st.one_of(st.sampled_from(SECONDS), ODD_STAMPS),
    creation=st.sampled_from(["", "", "2026-11-22T16:33:58Z"]),
    deletion=st.sampled_from(["", "", "2026-11-22T16:34:00Z"]),
)
EVENT_TYPES: st.SearchStrategy[EventType] = st.sampled_from(["added", "modified"])
LEASES = st.sampled_from([None, None, None, Lease(LeaseMetadata())])
EVENTS_IN_A_CHUNK = st.lists(
    st.builds(
        Event,
        event_type=EVENT_TYPES,
        revision=st.one_of(st.none(), st.integers(1, 12)),
        stamps=STAMPS,
        annotation=st.sampled_from([None, None, "5"]),
        lease=LEASES,
    ),
    max_size=12,
)


REVISION_STEPS = st.sets(st.integers(0, 13))


def around(steps: set[int], revision: int) -> Span:
    below = [step for step in steps if step < revision]
    return Span(max(below, default=-inf), min(steps.difference(below), default=inf))


@given(
    chunks=st.lists(st.tuples(EVENTS_IN_A_CHUNK, st.booleans()), max_size=4),
    steps=REVISION_STEPS,
    arrived=REVISION_STEPS,
    stamped_until=st.sampled_from(["", *SECONDS]),
)
def test_events_that_are_judged_at_once_differ_in_nothing_that_dates_them(
    chunks: list[tuple[list[Event], bool]], steps: set[int], arrived: set[int], stamped_until: str
) -> None:
    def newer_stamps(event: Event) -> Stamps | str:
        is_old = event.stamps in [Stamps(second) for second in SECONDS if second <= stamped_until]
        return "stamped, and known better" if is_old else event.stamps

    pending, opening = [], Opening(at=-inf)
    for number, (events, is_after_a_relist) in enumerate(chunks):
        opening = Opening(at=float(number)) if is_after_a_relist else opening
        pending.append(PendingChunk(events, Interval(number, number + 1), opening))
    evidence = Around(
        lambda _, revision: Known(around(steps, revision), stamped_until), lambda revision: around(arrived, revision)
    )
    batches = list(grouped_by_evidence(pending, evidence))
    runs = [run for batch in batches for run in batch]
    assert [event for run in runs for event in run.events] == [event for events, _ in chunks for event in events], (
        "none is lost, none comes twice, and in order"
    )
    for first, *others in [[(run, event) for run in batch for event in run.events] for batch in batches]:
        for run, event in others:
            assert run.pending.opening is first[0].pending.opening
            assert first[1].revision is not None
            assert event.revision is not None
            assert around(steps, event.revision) == around(steps, first[1].revision)
            assert event.lease == first[1].lease
            assert (event.event_type, event.annotation) == (first[1].event_type, first[1].annotation)
            assert newer_stamps(event) == newer_stamps(first[1])
    for run in runs:
        assert all(event in run.pending.events for event in run.events)
        assert len({event.revision and around(arrived, event.revision) for event in run.events}) == 1


def test_all_that_comes_between_two_steps_with_equal_stamps_is_one_batch() -> None:
    events = [Event("modified", revision) for revision in range(101, 151)]
    assert sizes_of(batches_of(events, lambda _: Known(Span(100, 200)))) == [50]
    assert sizes_of(batches_of(events, lambda revision: Known(around({120}, revision)))) == [20, 30]


def test_another_arrival_between_them_parts_runs_but_no_batch() -> None:
    events = [Event("modified", revision) for revision in range(101, 151)]
    (batch,) = batches_of(events, lambda _: Known(Span(100, 200)), lambda revision: around({120}, revision))
    assert [len(run.events) for run in batch] == [20, 30]


def test_what_came_one_by_one_is_one_batch() -> None:
    chunks = [pending_at(Interval(number, number + 1), number) for number in range(101, 151)]
    for chunk in chunks:
        chunk.opening = chunks[0].opening
    (batch,) = grouped_by_evidence(chunks, Around(lambda *_: Known(Span(100, 200)), lambda _: Span()))
    assert [(run.pending, len(run.events)) for run in batch] == [(chunk, 1) for chunk in chunks]


def test_what_came_before_and_after_a_relist_is_judged_apart() -> None:
    chunks = [pending_at(Interval(number, number + 1), number) for number in range(101, 104)]
    assert len({id(chunk.opening) for chunk in chunks}) == 3
    assert len(list(grouped_by_evidence(chunks, Around(lambda *_: Known(Span(100, 200)), lambda _: Span())))) == 3


def test_old_stamps_tell_no_events_apart() -> None:
    events = [Event("modified", number, stamps=Stamps(second)) for number, second in enumerate(SECONDS, start=1)]
    assert sizes_of(batches_of(events, lambda _: Known(Span(), SECONDS[2]))) == [3, 1]


def test_every_field_of_an_event_is_compared_or_known_to_bear_on_no_verdict() -> None:
    assert sorted(Event.__struct_fields__) == sorted(COMPARED_FIELDS + OTHER_FIELDS), (
        "does the new one affect a verdict?"
    )


DIFFERENT: dict[str, object] = {
    "event_type": "deleted",
    "annotation": "2026-01-01T00:00:00Z",
    "lease": Lease(LeaseMetadata()),
    "stamps": Stamps(SECONDS[1]),
    "uid": "another",
    "revision": 102,
    "name": "default/another",
    "content": PodShown(containers=1),
}


@pytest.mark.parametrize("field", sorted(COMPARED_FIELDS + OTHER_FIELDS))
def test_events_are_judged_apart_if_they_differ_in_a_field_that_is_compared(field: str) -> None:
    one = Event("modified", 101)
    events = [one, msgspec.structs.replace(one, **{field: DIFFERENT[field]})]
    groups = batches_of(events, lambda _: Known(Span()))
    assert len(groups) == (1 if field in {"revision", "uid", "name", "content"} else 2)
