"""Events that wait, put together: each is in one batch, and the batches are few however many events there are."""

from bisect import bisect_left

from hypothesis import given
from hypothesis import strategies as st

from exporter.measure.arrivals import Arrivals
from exporter.measure.events import Event
from exporter.measure.judging import Opening, PendingChunk, PendingEvents
from exporter.measure.revisions import Span
from exporter.measure.store import Store
from exporter.measure.times import Interval
from exporter.measure.undecided import NO_BOUND, TOGETHER_SECONDS, Provisional, Undecided, batches
from tests.measure.drawing import seconds

CHUNKS = st.lists(
    st.tuples(seconds(0.2), st.lists(st.integers(1, 60), min_size=1, max_size=6), st.booleans()), max_size=12
)


def spans_between(steps: list[int], revision: int) -> Span:
    at = bisect_left(steps, revision)
    return Span(steps[at - 1] if at else float("-inf"), steps[at] if at < len(steps) else float("inf"))


@given(CHUNKS, st.sets(st.integers(1, 60), max_size=5).map(sorted), st.sets(st.integers(1, 60), max_size=3))
def test_every_event_is_in_one_batch_and_the_same_is_known_of_all_in_it(
    chunks: list[tuple[float, list[int], bool]], steps: list[int], lost: set[int]
) -> None:
    """In whatever order they came."""
    pending, now, opening = [], 0.0, Opening(at=0.0)
    for passed, revisions, is_after_relist in chunks:
        now += passed
        opening = Opening(at=now) if is_after_relist else opening
        pending.append(PendingChunk([Event("modified", one) for one in revisions], Interval(now - 0.1, now), opening))
    found = list(batches(pending, lambda revision: spans_between(steps, revision), lost))
    waiting = [(one, chunk) for chunk in pending for one in chunk.revisions if one not in lost]
    assert sum(batch.events for batch in found) == len(waiting)
    for batch in found:
        assert spans_between(steps, batch.oldest) == spans_between(steps, batch.newest)
        assert batch.latest - batch.earliest <= TOGETHER_SECONDS + 0.1 + 1e-9
    for revision, chunk in waiting:
        assert any(
            batch.opening is chunk.opening
            and batch.oldest <= revision <= batch.newest
            and batch.earliest <= chunk.arrival.earliest
            and chunk.arrival.latest <= batch.latest
            for batch in found
        )


def test_the_work_grows_with_time_and_polls_and_not_with_events() -> None:
    """Ten seconds without an answer at 5 000 events a second, each by itself."""
    opening = Opening(at=0.0)
    pending = [
        PendingChunk([Event("modified", number)], Interval(number / 5000 - 0.01, number / 5000), opening)
        for number in range(50_000)
    ]
    spans_asked = 0

    def span_around(_: int) -> Span:
        nonlocal spans_asked
        spans_asked += 1
        return Span()

    assert sum(batch.events for batch in batches(pending, span_around, ())) == 50_000
    assert spans_asked <= 10 / TOGETHER_SECONDS + 1


def watching() -> Arrivals:
    """Of a watch that has been open for long, and whose socket was seen empty."""
    arrivals = Arrivals()
    arrivals.connected(1.0, 1.1)
    arrivals.found_empty(1.2)
    return arrivals


def said_of(
    pending: PendingEvents, store: Store | None, lost: tuple[int, ...] = (), arrivals: Arrivals | None = None
) -> list[Undecided]:
    return list(Provisional(arrivals or watching(), 1.0).of_all(pending, store, lost))


def polled(*answers: tuple[float, int]) -> Store:
    store = Store()
    for number, (sent, revision) in enumerate(answers):
        store.polls.poll_sent(number, sent)
        store.poll_answered(number, sent + 0.01, revision)
    return store


def waiting(opening: Opening, *revisions: int | None) -> PendingEvents:
    pending = PendingEvents()
    pending.enter(PendingChunk([Event("modified", one) for one in revisions], Interval(11.9, 12.0), opening))
    return pending


def test_what_nothing_is_known_of_has_no_bound() -> None:
    news = Opening(at=5.0)
    assert said_of(waiting(news, 101, 102), None) == [Undecided(NO_BOUND, "ambiguous", 2)]
    assert said_of(waiting(news, None), polled((11.5, 100))) == [Undecided(NO_BOUND, "ambiguous", 1)]
    assert said_of(waiting(news, 101), polled((11.5, 100))) == [Undecided(Interval(0.0, 0.5), "on_time", 1)]


def test_what_may_be_history_has_no_bound_and_what_is_history_is_not_there() -> None:
    store = polled((11.5, 100))
    assert said_of(waiting(Opening(), 101), store) == [Undecided(NO_BOUND, "ambiguous", 1)]
    assert said_of(waiting(Opening(at=11.7), 101), store) == [Undecided(NO_BOUND, "ambiguous", 1)]
    assert said_of(waiting(Opening(at=11.7), 99), store) == []


def test_a_canary_that_was_given_up_is_not_there_twice() -> None:
    assert said_of(waiting(Opening(at=5.0), 101, 102), polled((11.5, 100)), lost=(101,)) == [
        Undecided(Interval(0.0, 0.5), "on_time", 1)
    ]


def test_that_one_event_of_a_batch_has_arrived_elsewhere_says_nothing_of_the_next() -> None:
    store = polled((9.0, 100))
    store.polls.arrived(101, 9.5)
    assert said_of(waiting(Opening(at=5.0), 101), store) == [Undecided(Interval(11.9 - 9.5, 3.0), "late", 1)]
    assert said_of(waiting(Opening(at=5.0), 101, 102), store) == [Undecided(Interval(0.0, 3.0), "ambiguous", 2)]


def test_our_own_stall_is_excused_before_the_verdict_too() -> None:
    """We slept from 9.0 to 11.8, and the event was committed by 10.51."""
    kept_up, slept = watching(), watching()
    slept.stood_still(9.0, 11.8)
    pending, store = waiting(Opening(at=5.0), 101), polled((8.0, 100), (10.5, 101))
    for arrivals, verdict in ((kept_up, "late"), (slept, "ambiguous")):
        (said,) = said_of(pending, store, arrivals=arrivals)
        assert said.verdict == verdict
