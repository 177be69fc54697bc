"""The promises of the measuring method, each in a small world: commits ten times a second, polls five times."""

from collections import Counter
from statistics import median

import pytest

from exporter.measure.dating import AssumedEvidence, Evidence, OwnEvidence, after, before, date_commit
from exporter.measure.serverclock import Offset
from exporter.measure.store import Store
from exporter.measure.times import Interval
from exporter.measure.write_times import parse_rfc3339
from tests.measure.histories import History
from tests.measure.server_clock import DRIFT, WanderingClock
from tests.measure.worlds import Observer, Pause, Phase, Verdict, World

SERVER_CLOCK = WanderingClock(offset=1.7e9, rates=(100e-6,))
HEALTH = Phase(20.0)


def commits_between(began: float, ended: float) -> tuple[float, ...]:
    return tuple(began + step * 0.1 for step in range(round((ended - began) * 10)))


def told_of(world: World) -> Counter[str]:
    return Counter(verdict.judgement.verdict for verdict in Observer(world).run())


def in_trouble(trouble: Phase, *, with_dates: bool) -> World:
    """20 s of health, in which the Dates are learned, then trouble; only what is committed in trouble is judged."""
    commits = commits_between(22.0, 20.0 + trouble.seconds - 4)
    return World(History(commits), (HEALTH, trouble), server_clock=SERVER_CLOCK if with_dates else None)


def test_five_polls_a_second_tell_a_latency_to_about_a_tenth_of_a_second() -> None:
    verdicts = Observer(World(History(commits_between(2.0, 18.0)), (HEALTH,))).run()
    widths = sorted(verdict.judgement.latency.width for verdict in verdicts)
    assert 0.05 < median(widths) < 0.25
    assert widths[-1] < 0.4
    assert {verdict.judgement.verdict for verdict in verdicts} == {"on_time"}


def test_a_watch_that_is_two_seconds_slow_is_certainly_late_while_polls_are_prompt() -> None:
    slow_watch = Phase(20.0, delivery=2.0)
    assert told_of(in_trouble(slow_watch, with_dates=False)) == {"late": 140}


def test_a_delay_of_every_answer_is_ambiguous_by_polls_alone() -> None:
    """Polls and watch are late together: our own clock cannot tell a late event from a late poll."""
    slow_way_back = Phase(20.0, back=2.5, delivery=2.5)
    told = told_of(in_trouble(slow_way_back, with_dates=False))
    assert told["late"] < 0.2 * told.total()
    assert told["on_time"] == 0


@pytest.mark.parametrize(("delay", "certainly_late"), [(1.5, 0.01), (2.5, 0.99), (4.0, 0.99)])
def test_dates_learned_in_health_tell_late_events_from_late_polls(delay: float, certainly_late: float) -> None:
    slow_way_back = Phase(20.0, back=delay, delivery=delay)
    told = told_of(in_trouble(slow_way_back, with_dates=True))
    assert told["late"] >= certainly_late * told.total()


def frozen(began: float, seconds: float) -> list[Verdict]:
    """While etcd stands still nothing is committed and every consistent read waits; then all is delivered at once."""
    thawed = began + seconds
    commits = (*commits_between(2.0, began), *[thawed + step * 0.001 for step in range(80)])
    commits += commits_between(thawed + 0.5, thawed + 5)
    return Observer(World(History(commits), (Phase(40.0),), etcd_freeze=Pause(began, seconds))).run()


def test_a_frozen_etcd_makes_no_event_late() -> None:
    """The writers waited, not the watchers: the events came within milliseconds of their commits."""
    verdicts = frozen(10.0, 8.0)
    assert max(verdict.true_latency for verdict in verdicts) < 0.1
    assert {verdict.judgement.verdict for verdict in verdicts} <= {"on_time", "ambiguous"}
    assert {verdict.judgement.verdict for verdict in verdicts[-40:]} == {"on_time"}


@pytest.mark.parametrize("server_clock", [None, SERVER_CLOCK], ids=["polls alone", "with Dates"])
def test_a_stall_of_our_own_makes_events_ambiguous_and_none_late(server_clock: WanderingClock | None) -> None:
    """With Dates we know when the events of the stall were committed, and still not when they reached our host."""
    history = History(commits_between(2.0, 18.0))
    told = told_of(World(history, (HEALTH,), our_stall=Pause(10.0, 3.0), server_clock=server_clock))
    assert told["late"] == 0
    assert 10 <= told["ambiguous"] <= 35
    assert told["on_time"] == 160 - told["ambiguous"]


def test_a_second_stream_is_evidence_against_a_slow_one() -> None:
    """That an event has arrived elsewhere proves its commit, also while no poll is answered."""
    store = Store()
    store.polls.poll_sent(1, 5.0)
    store.poll_answered(1, 5.01, revision=90)
    store.polls.arrived(100, 10.0)
    dated = date_commit(store.evidence(100, arrived=12.0))
    assert dated.commit == Interval(5.0, 10.0)
    assert dated.sources == ("revision_clock", "arrival")


def test_a_stamp_that_is_cut_to_its_second_says_nothing_false() -> None:
    """Stamped at :55.99, delivered 4 ms later: the obvious way says 0.994 s; an interval says less."""
    second = parse_rfc3339("2026-11-22T16:33:55Z")
    assert second is not None
    offset = Offset(lower=second - 0.01, upper=second + 0.01)  # our 0 is the beginning of that second
    stamped_after = offset.instant_of(second, DRIFT)
    assert -0.02 < stamped_after <= 0.0
    polled, stamp = OwnEvidence("revision_clock", before(1.1)), AssumedEvidence("managed_fields", after(stamped_after))
    commit = date_commit(Evidence([polled], [], [stamp])).commit
    assert commit.earliest <= 0.99 <= commit.latest


def test_when_answers_and_events_are_slow_the_upper_end_is_known_at_once() -> None:
    """All that comes takes 2.2 s: an event is judged 2.4 s after its arrival, but bounded before.

    Half a second is 25 turns of our loop.
    """
    verdicts = Observer(in_trouble(Phase(20.0, back=2.2, delivery=2.2), with_dates=True)).run()
    assert len(verdicts) > 100
    for verdict in verdicts:
        assert verdict.said_before[0].latency.latest <= verdict.true_latency + 1.0
    after_half_a_second = Counter(verdict.said_before[25].verdict for verdict in verdicts)
    assert after_half_a_second["late"] > 0.7 * len(verdicts), "by the Dates of polls that were sent before they came"
