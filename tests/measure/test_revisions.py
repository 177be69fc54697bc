"""The laws of the revision clock, for any commits, any delays of the polls and any order in which answers come."""

from collections.abc import Sequence
from math import inf

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.measure.revisions import STEPS_KEPT, VISIBLE_SECONDS, RevisionClock, WentBack
from tests.measure.drawing import seconds
from tests.measure.histories import HISTORIES, Arrival, History, Poll, arrivals_of, polls_of, tell

Told = Sequence[Poll | Arrival]


def clock_that_heard(told: Told) -> RevisionClock:
    clock = RevisionClock()
    for said in told:
        assert tell(clock, said) is None
    return clock


@st.composite
def histories_told(draw: st.DrawFn) -> tuple[History, list[Poll | Arrival]]:
    """A history and what we learned of it, in any order."""
    history = draw(HISTORIES)
    learned: list[Poll | Arrival] = [*draw(polls_of(history)), *draw(arrivals_of(history))]
    return history, draw(st.permutations(learned))


@given(histories_told())
def test_the_interval_contains_the_commit(told: tuple[History, Told]) -> None:
    history, learned = told
    clock = clock_that_heard(learned)
    for revision in history.revisions:
        earliest, latest = clock.committed(revision)
        assert earliest <= history.committed(revision) <= latest
        assert history.committed(revision) <= clock.arrived_by(revision)


@given(histories_told())
def test_the_interval_is_the_tightest_that_the_polls_allow(told: tuple[History, Told]) -> None:
    history, learned = told
    clock = clock_that_heard(learned)
    polls = [said for said in learned if isinstance(said, Poll)]
    arrivals = [said for said in learned if isinstance(said, Arrival)]
    for revision in range(len(history.commits) + 2):
        after = max((poll.t0 for poll in polls if poll.revision < revision), default=-inf)
        before = min((poll.t1 for poll in polls if poll.revision >= revision), default=inf)
        assert clock.committed(revision) == (after, before)
        arrived = min((arrival.instant for arrival in arrivals if arrival.revision >= revision), default=inf)
        assert clock.arrived_by(revision) == arrived


@given(histories_told(), st.data())
def test_the_order_of_handing_in_does_not_matter(told: tuple[History, Told], data: st.DataObject) -> None:
    history, learned = told
    one = clock_that_heard(learned)
    other = clock_that_heard(data.draw(st.permutations(learned)))
    for revision in history.revisions:
        assert one.committed(revision) == other.committed(revision)
        assert one.arrived_by(revision) == other.arrived_by(revision)
    assert one.settled_until == other.settled_until


@given(histories_told(), st.integers(0, 35))
def test_more_polls_never_widen(told: tuple[History, Told], heard: int) -> None:
    history, learned = told
    few, all_of_them = clock_that_heard(learned[:heard]), clock_that_heard(learned)
    for revision in history.revisions:
        wider, narrower = few.committed(revision), all_of_them.committed(revision)
        assert wider.earliest <= narrower.earliest <= narrower.latest <= wider.latest


@given(HISTORIES, HISTORIES, st.integers(0, 10), st.data())
def test_a_restore_is_reported_exactly_when_a_later_poll_shows_it(
    before: History, after: History, kept: int, data: st.DataObject
) -> None:
    """The polls of two histories of one store, the second restored from a snapshot of the first."""
    restored = max(before.commits, default=0.0)
    again = History(before.commits[:kept] + tuple(restored + commit for commit in after.commits))
    old: list[Poll | Arrival] = [*data.draw(polls_of(before)), *data.draw(arrivals_of(before))]
    new = [poll._replace(number=poll.number + 100) for poll in data.draw(polls_of(again))]
    clock = RevisionClock()
    heard: list[tuple[float, int]] = []
    for said in data.draw(st.permutations([*old, *new])):
        went_back = tell(clock, said)
        if isinstance(said, Arrival):
            heard.append((said.instant, said.revision))
            continue
        known = max((revision for instant, revision in heard if instant < said.t0 - VISIBLE_SECONDS), default=0)
        if said.revision < known:
            known_at = min(instant for instant, revision in heard if revision >= known)
            assert went_back == WentBack(known, said.revision, known_at)
        else:
            assert went_back is None
        if went_back is not None:
            return
        heard.append((said.t1, said.revision))


@given(HISTORIES, st.data())
def test_settled_once_a_later_poll_is_answered_and_no_earlier_one_is_under_way(
    history: History, data: st.DataObject
) -> None:
    """Any interleaving in which every poll is sent before it is answered; some are given up, some hang."""
    polls = data.draw(polls_of(history))
    ends = data.draw(st.lists(st.sampled_from(["answered", "given_up", "hangs"]), min_size=25, max_size=25))
    clock = RevisionClock()
    in_flight: dict[int, float] = {}
    answered: list[float] = []
    for poll in data.draw(st.permutations(polls * 2)):
        if poll.number not in in_flight:
            clock.poll_sent(poll.number, poll.t0)
            in_flight[poll.number] = poll.t0
        elif ends[poll.number] == "answered":
            assert clock.poll_answered(poll.number, poll.t1, poll.revision) is None
            answered.append(in_flight.pop(poll.number))
        elif ends[poll.number] == "given_up":
            clock.poll_given_up(poll.number)
            del in_flight[poll.number]
        assert clock.settled_until == min(max(answered, default=-inf), min(in_flight.values(), default=inf))


@given(HISTORIES, st.data())
def test_what_is_settled_stays_as_it_is(history: History, data: st.DataObject) -> None:
    """In the order of time: nothing that comes later narrows the interval of an event that counts as settled."""
    polls = data.draw(polls_of(history))
    arrivals = data.draw(arrivals_of(history))
    in_time: list[tuple[float, int, Poll | Arrival]] = sorted(
        [
            *((poll.t0, 1, poll) for poll in polls),
            *((poll.t1, 2, poll) for poll in polls),
            *((arrival.instant, 0, arrival) for arrival in arrivals),
        ],
        key=lambda action: action[:2],
    )
    clock = RevisionClock()
    final: dict[Arrival, tuple[float, float]] = {}
    for _, kind, said in in_time:
        if isinstance(said, Arrival):
            clock.arrived(said.revision, said.instant)
        elif kind == 1:
            clock.poll_sent(said.number, said.t0)
        else:
            assert clock.poll_answered(said.number, said.t1, said.revision) is None
        for arrival in arrivals:
            if arrival.instant < clock.settled_until:
                known = clock.committed(arrival.revision)
                assert final.setdefault(arrival, known) == known


@given(histories_told(), seconds(40))
def test_answered_after_is_the_oldest_answer_to_any_poll_sent_later(told: tuple[History, Told], instant: float) -> None:
    _, learned = told
    later = [said.revision for said in learned if isinstance(said, Poll) and said.t0 > instant]
    assert clock_that_heard(learned).answered_after(instant) == min(later, default=None)


@given(
    jumble=st.integers(1, 40),
    commits_per_poll=st.sampled_from([0.3, 1, 7]),
    delay_in_polls=st.integers(0, 30),
    polls=st.integers(STEPS_KEPT + 1, 3 * STEPS_KEPT),
)
@settings(max_examples=15)
def test_thinning_only_widens(jumble: int, commits_per_poll: float, delay_in_polls: int, polls: int) -> None:
    """Poll i is sent at i, reads at once, and is answered `delay_in_polls` later; neighbours overtake each other."""
    clock = RevisionClock()
    for start in range(0, polls, jumble):
        for poll in reversed(range(start, min(start + jumble, polls))):
            answer = Poll(poll, float(poll), float(poll + delay_in_polls), int(poll * commits_per_poll))
            assert tell(clock, answer) is None
    for revision in range(1, int((polls - 1) * commits_per_poll) + 1, 5):
        # The first poll that has seen it was sent at the next whole number after its commit.
        seen = next(
            poll for poll in range(int(revision / commits_per_poll), polls) if int(poll * commits_per_poll) >= revision
        )
        earliest, latest = clock.committed(revision)
        assert earliest <= seen - 1 <= seen + delay_in_polls <= latest


def test_a_long_history_is_thinned_and_never_cut_off() -> None:
    clock = clock_that_heard([Poll(poll, float(poll), poll + 0.5, poll) for poll in range(4 * STEPS_KEPT)])
    for revision in (1, STEPS_KEPT, 3 * STEPS_KEPT):
        earliest, latest = clock.committed(revision)
        assert 0 <= earliest < latest < inf
    assert clock.committed(4 * STEPS_KEPT - 1) == (4 * STEPS_KEPT - 2, 4 * STEPS_KEPT - 0.5)


def test_an_answer_to_a_poll_that_was_never_sent_is_ignored() -> None:
    clock = RevisionClock()
    assert clock.poll_answered(7, 2.0, 100) is None
    assert clock.committed(50) == (-inf, inf)
    assert clock.settled_until == -inf


def test_a_retry_keeps_the_first_t0() -> None:
    clock = RevisionClock()
    clock.poll_sent(1, 1.0)
    clock.poll_sent(1, 5.0)
    clock.poll_answered(1, 6.0, 100)
    assert clock.committed(101).earliest == 1.0
