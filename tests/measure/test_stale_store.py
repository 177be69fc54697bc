"""A poll that is answered with less than was known: a store that was restored, or one that reads stale."""

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from exporter.measure.dating import Evidence, OwnEvidence
from exporter.measure.revisions import STALE_SECONDS, VISIBLE_SECONDS
from exporter.measure.store import RESTORED_AFTER_SECONDS, News, Store
from exporter.measure.times import ANY_TIME
from tests.measure.histories import HISTORIES, History

LITTLE_SECONDS = 0.1


class Polled(Store):
    """A store that is polled once at a time."""

    polled = 0

    def answer(self, sent: float, revision: int) -> News | None:
        self.polled += 1
        self.polls.poll_sent(self.polled, sent)
        return self.poll_answered(self.polled, sent + LITTLE_SECONDS, revision)


def doubted() -> Polled:
    """Revision 105 had arrived before the poll went out that said 102."""
    store = Polled()
    assert store.answer(10, 100) is None
    store.polls.arrived(105, 10.5)
    assert store.polls.settled_until == 10
    assert store.answer(11, 102) is None
    return store


def test_while_it_is_in_doubt_nothing_counts_and_nothing_is_settled() -> None:
    store = doubted()
    assert store.evidence(105, arrived=12) == store.evidence(100, arrived=12)
    store.dates.learn(0, 100, 9.5)
    assert store.evidence(100, arrived=12) == Evidence([OwnEvidence("revision_clock", ANY_TIME)], [], [])
    assert store.polls.settled_until == -inf
    assert store.polls.answered_after(0) is None


def test_it_reads_stale_if_what_was_known_is_there_again() -> None:
    store = doubted()
    assert store.answer(12, 106) == "read_stale"
    assert store.reads_stale
    assert store.polls.committed(105) == ANY_TIME, "should it have been restored after all, that was another 105"
    store.answer(13, 107)
    assert store.polls.committed(107) == (-inf, 13 + LITTLE_SECONDS)
    assert store.polls.committed(108) == (13 - STALE_SECONDS, inf), "it may have been there for so long already"
    store.polls.arrived(110, 13.5)
    assert store.answer(14, 108) is None
    assert store.polls.settled_until == 14, "what it does once more is no surprise"
    assert store.answer(15, 111) == "read_stale"
    assert store.polls.committed(107) == (-inf, 13 + LITTLE_SECONDS), "nothing is forgotten for that again"


def test_a_new_clock_of_a_store_that_reads_stale_knows_it() -> None:
    store = Store(reads_stale=True)
    store.polls.poll_sent(1, 10)
    store.poll_answered(1, 10.1, 100)
    assert store.polls.committed(101).earliest == 10 - STALE_SECONDS


def test_what_arrived_just_before_a_poll_may_not_be_seen_by_it_yet() -> None:
    store = Polled()
    store.answer(10, 100)
    store.polls.arrived(105, 11 - VISIBLE_SECONDS)
    assert store.answer(11, 104) is None
    assert store.polls.settled_until == 11, "etcd tells its watchers before its readers"
    assert store.answer(12, 105) is None
    assert not store.reads_stale


def test_what_went_out_before_the_doubt_decides_nothing() -> None:
    store = Polled()
    store.answer(10, 100)
    store.polls.poll_sent(77, 10.8)
    store.polls.arrived(105, 10.5)
    store.answer(11, 102)
    assert store.poll_answered(77, 11.5, 105) is None
    assert store.polls.settled_until == -inf


def test_it_was_restored_if_it_goes_on_answering_less() -> None:
    store = doubted()
    assert store.answer(12, 103) is None
    assert store.answer(11 + RESTORED_AFTER_SECONDS, 104) == "restored"
    assert not store.reads_stale
    assert store.answer(20, 104) is None
    assert store.polls.committed(105) == (20, inf)


def test_it_was_restored_if_it_had_been_away() -> None:
    store = Polled()
    store.answer(10, 100)
    store.poll_failed()
    assert store.answer(11, 99) == "restored"
    store = doubted()
    store.poll_failed()
    assert store.answer(12, 103) == "restored"
    store = Polled()
    store.answer(10, 100)
    store.poll_failed()
    store.answer(11, 101)
    assert store.answer(12, 100) is None, "since then it has answered: nobody can have restored it"


def test_it_was_restored_if_it_is_further_behind_than_any_store_lags() -> None:
    store = Polled()
    store.answer(10, 100)
    store.answer(11, 101)
    assert store.answer(10 + LITTLE_SECONDS + STALE_SECONDS, 99) is None
    store = Polled()
    store.answer(10, 100)
    assert store.answer(10 + 2 * LITTLE_SECONDS + STALE_SECONDS, 99) == "restored"


def test_a_restored_store_that_reads_stale_reads_stale_still() -> None:
    store = doubted()
    store.answer(12, 106)
    store.answer(12.5, 107)
    store.poll_failed()
    assert store.answer(13, 50) == "restored"
    store.answer(14, 51)
    assert store.polls.committed(52).earliest == 14 - STALE_SECONDS


@given(HISTORIES, st.lists(st.floats(0, 3), min_size=40, max_size=40))
def test_once_it_is_known_to_read_stale_every_interval_contains_the_truth(history: History, lags: list[float]) -> None:
    """Each revision arrives as soon as it is committed; the polls between lag behind."""
    store = Polled()
    moments = [(commit, None) for commit in history.commits] + [(float(number), lags[number]) for number in range(40)]
    for instant, lag in sorted(moments, key=lambda moment: moment[0]):
        if lag is None:
            store.polls.arrived(history.revision_at(instant), instant)
            continue
        store.answer(instant, history.revision_at(instant - lag))
        if store.reads_stale:
            for revision in history.revisions[: history.revision_at(instant)]:
                earliest, latest = store.polls.committed(revision)
                assert earliest <= history.committed(revision) <= latest
