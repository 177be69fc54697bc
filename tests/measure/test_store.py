"""What one store's evidence says about a revision, and what a restore does to it."""

import pytest

from exporter.measure.dating import DateEvidence, Evidence, OwnEvidence, before
from exporter.measure.revisions import Span
from exporter.measure.store import Store
from exporter.measure.times import ANY_TIME, Interval


@pytest.fixture
def store() -> Store:
    """Revision 100 was polled at 10.0 to 10.2, arrived on some stream at 10.1, and a Date proves it by 10.05."""
    store = Store()
    store.polls.poll_sent(1, 9.0)
    store.poll_answered(1, 9.1, revision=99)
    store.polls.poll_sent(2, 10.0)
    store.poll_answered(2, 10.2, revision=100)
    store.polls.arrived(100, 10.1)
    store.dates.learn(0, 100, 10.05)
    return store


def test_polls_and_arrivals_are_our_own_clocks_evidence_and_dates_are_not(store: Store) -> None:
    assert store.evidence(100, arrived=10.3) == Evidence(
        own=[OwnEvidence("revision_clock", Interval(9.0, 10.2)), OwnEvidence("arrival", before(10.1))],
        dates=[DateEvidence("date", before(10.05))],
        assumed=[],
    )


def test_an_event_is_no_witness_of_itself(store: Store) -> None:
    assert "arrival" not in [said.source for said in store.evidence(100, arrived=10.1).own]


def test_a_store_that_was_restored_knows_nothing_of_its_new_revisions(store: Store) -> None:
    store.poll_failed()
    store.polls.poll_sent(3, 11.0)
    store.polls.poll_sent(4, 11.1)
    assert store.poll_answered(3, 11.2, revision=50) == "restored"
    assert store.poll_answered(4, 11.3, revision=120) is None, "it may have been read before the restore"
    assert store.evidence(60, arrived=12.0) == Evidence([OwnEvidence("revision_clock", ANY_TIME)], [], [])


def test_a_span_of_answers_ends_where_any_of_them_says_something_else_and_at_no_arrival(store: Store) -> None:
    assert store.answered_span(100) == Span(99, 100)
    store.polls.arrived(105, 11.0)
    store.dates.learn(0, 103, 11.5)
    assert store.answered_span(101) == Span(100, 103)
    assert store.answered_span(104) == Span(above=103)


def test_a_span_of_arrivals_ends_at_arrivals_alone(store: Store) -> None:
    store.polls.arrived(105, 11.0)
    store.dates.learn(0, 103, 11.5)
    assert store.polls.arrived_span(101) == Span(100, 105)
    assert store.polls.arrived_span(106) == Span(above=105)
