"""One target, fed by hand: what is history and what is news, what is certain already, and what was not watched."""

import time

import pytest
from msgspec.structs import replace

from exporter.clocks.poll import Answer
from exporter.clocks.pollers import CachePoller
from exporter.kubernetes.errors import StartError
from exporter.kubernetes.resources import EVENTS
from exporter.measure.canaries import Canary
from exporter.measure.judging import LONGEST_WAIT_SECONDS
from exporter.measure.stream_state import CacheAnswer, CanaryTrouble, StreamState
from exporter.measure.times import Interval
from exporter.watch.watch import End
from tests.support.streams import Fed, bookmark, reading, revision_poller


def happened(trouble: CanaryTrouble | None) -> str:
    """What went wrong with a canary just now."""
    assert trouble is not None
    assert trouble.at == pytest.approx(time.time(), abs=10)
    return trouble.what


@pytest.fixture
async def fed() -> Fed:
    return Fed()


# What is history, and what is news


async def test_a_relist_makes_history_of_what_it_brings_and_not_of_what_was_there_before(fed: Fed) -> None:
    fed.relists("start", ago=20)
    fed.reads(101, ago=19.9)
    fed.polls(101, ago=19.8)
    fed.target.refresh()
    assert fed.counted("replayed") == 1, "it came before the first poll was answered"

    fed.polls(101, ago=10.5)
    fed.reads(102, ago=10.4)
    fed.target.relisting("gone")
    fed.now = time.monotonic()
    fed.reads(110, ago=-0.1)
    fed.polls(110, ago=-0.2)
    fed.target.refresh()
    assert fed.counted("replayed") == 1, "what came since then waits until history ends"

    fed.target.opened(fed.now + 0.25, 109)
    fed.polls(110, ago=-0.3)
    fed.reads(111, ago=-0.4)
    fed.polls(111, ago=-0.5)
    fed.target.refresh()
    assert fed.counted("replayed") == 2
    assert fed.counted("live") == 2
    assert fed.verdicts() == {"on_time": 2, "late": 0, "ambiguous": 0}
    assert fed.status()["window_events"] == 2


async def test_history_that_no_poll_tells_from_news_is_not_late(fed: Fed) -> None:
    fed.relists("start", ago=60)
    fed.polls(104, ago=30)
    fed.relists("gone", ago=15)
    fed.reads(101, 102, 103, 104, ago=LONGEST_WAIT_SECONDS + 1)
    fed.target.refresh()
    assert fed.verdicts()["late"] == 0, "they are older than the watch that brought them"
    fed.reads(105, 106, ago=LONGEST_WAIT_SECONDS + 1)
    fed.target.refresh()
    assert fed.counted("replayed") == 4, "a poll of before the relist had seen these"
    assert fed.verdicts() == {"on_time": 0, "late": 0, "ambiguous": 2}


async def test_one_relist_after_the_other_does_not_make_news_of_what_the_first_one_brought(fed: Fed) -> None:
    fed.relists("start", ago=60)
    fed.polls(103, ago=30)
    fed.relists("gone", ago=12)
    fed.reads(101, 102, 103, ago=11.9)
    fed.relists("gone", ago=11.5)
    fed.target.refresh()
    assert fed.verdicts()["late"] == 0


async def test_a_clock_that_answers_late_makes_no_history_of_what_may_be_news(fed: Fed) -> None:
    fed.relists("start", ago=8)
    for revision in range(101, 110):
        fed.reads(revision, ago=7.9 - (revision - 101) / 2)
    fed.polls(109, ago=0.2)
    fed.target.refresh()
    assert fed.counted("replayed") == 0
    assert fed.verdicts() == {"on_time": 0, "late": 0, "ambiguous": 9}


async def test_what_may_be_history_is_not_late_whatever_is_known_of_it(fed: Fed) -> None:
    fed.relists("start", ago=15)
    fed.polls(101, ago=9)
    fed.reads(101, ago=3)
    fed.polls(101, ago=2)
    fed.target.refresh()
    assert fed.verdicts() == {"on_time": 0, "late": 0, "ambiguous": 1}


async def test_what_arrives_elsewhere_makes_no_history_of_what_may_be_news(fed: Fed) -> None:
    fed.relists("start", ago=8)
    fed.reads(101, ago=7.9)
    fed.clock.revisions.arrived(105, fed.now - 7.5)
    fed.polls(109, ago=0.2)
    fed.target.refresh()
    assert fed.counted("replayed") == 0


async def test_what_may_be_history_stands_in_the_window_without_any_bound(fed: Fed) -> None:
    fed.relists("start", ago=0.3)
    fed.reads(*range(101, 201), ago=0.25)
    status = fed.status()
    assert (status["state"], status["window_events"]) == ("unknown", 100)
    assert status["p99_upper_seconds"] == float("inf")
    fed.polls(200, ago=0.2)
    assert fed.status()["window_events"] == 0


# What interrupts it


async def test_forced_closes_and_relists_count_as_interruptions_and_other_ends_do_not(fed: Fed) -> None:
    fed.relists("start", ago=20)
    for reason in ("timeout", "early_eof", "silent", "transport_error"):
        fed.target.ended(End(reason, fed.now), 5.0)
    fed.status()
    run = fed.target.state.interruptions
    assert (run.forced_closes, run.relists, run.is_repeated) == (2, 0, False)
    assert run.since == pytest.approx(time.time(), abs=10)
    fed.relists("gone", ago=1)
    fed.relists("gone", ago=0.5)
    assert fed.status()["interruptions"] == {
        "forced_closes": 2, "relists": 2, "since": run.since, "is_repeated": True,
        "shortest_seconds": 5.0, "longest_seconds": 5.0,
    }  # fmt: skip
    assert fed.target.state.is_interrupted


# Whose evidence counts


async def test_a_canary_does_not_lose_to_a_wrong_date(fed: Fed) -> None:
    fed.relists("start", ago=9)
    fed.polls(101, ago=8)
    fed.target.canary_sending()
    fed.target.canary_answered(Canary(102, sent=fed.now - 1.0, answered=fed.now - 0.9))
    fed.reads(102, ago=0.8)
    fed.clock.store.dates.learn(0, 102, fed.now - 5)
    fed.polls(102, ago=0.5)
    fed.target.refresh()
    assert fed.counts.contradictions["canary"] == 0
    assert fed.counts.contradictions["date"] == 1
    assert fed.verdicts()["on_time"] == 1


async def test_a_write_to_this_apiserver_is_unanswered_until_its_answer(fed: Fed) -> None:
    fed.relists("start", ago=9)
    fed.target.canary_sending()
    fed.target.refresh()
    assert fed.target.state.canary_unanswered_since is None, "it goes to another apiserver"
    fed.target.canary_answered(None)
    fed.target.refresh()
    assert fed.target.state.canary_trouble is None, "it was written there"
    fed.target.canary_sending(is_through_here=True)
    fed.target.refresh()
    assert fed.target.state.canary_unanswered_since == pytest.approx(fed.now, abs=10)
    fed.target.canary_answered(None)
    fed.target.refresh()
    assert fed.target.state.canary_unanswered_since is None
    assert happened(fed.target.state.canary_trouble) == "failed"


# What is certain before the verdict


async def test_an_event_is_on_time_as_soon_as_a_poll_has_said_that_it_was_not_there_yet(fed: Fed) -> None:
    fed.relists("start", ago=9)
    fed.polls(100, ago=0.3)
    fed.reads(*range(101, 201), ago=0.1)
    status = fed.status()
    assert fed.verdicts()["on_time"] == 0, "nothing is judged yet"
    assert (status["state"], status["window_events"]) == ("met", 100)
    assert status["p99_upper_seconds"] == pytest.approx(0.2, rel=0.03)


async def test_events_are_late_before_their_verdict_where_that_is_certain(fed: Fed) -> None:
    """Answers and events take 2.2 s: no poll that was sent after them is answered yet."""
    fed.relists("start", ago=60)
    fed.polls(100, ago=5.0, took=2.2)
    fed.polls(200, ago=4.7, took=2.2)
    fed.clock.store.dates.learn(0, 200, fed.now - 3.7)
    fed.reads(*range(101, 201), ago=2.5)
    status = fed.status()
    assert fed.verdicts()["late"] == 0
    assert status["state"] == "violated"
    assert status["p99_lower_seconds"] == pytest.approx(1.18, rel=0.03)
    assert status["p99_upper_seconds"] == pytest.approx(2.5, rel=0.03)


async def test_events_of_which_nothing_is_known_stand_without_any_bound(fed: Fed) -> None:
    fed.relists("start", ago=9)
    fed.polls(100, ago=8)
    fed.target.use_clock(None)
    fed.reads(*range(101, 201), ago=0.1)
    status = fed.status()
    assert (status["state"], status["p99_upper_seconds"]) == ("unknown", float("inf"))


# What was not watched


def on_time(fed: Fed, first: int, *, ago: float) -> None:
    """A hundred events that came without delay."""
    fed.polls(first - 1, ago=ago + 0.2)
    fed.reads(*range(first, first + 100), ago=ago)
    fed.polls(first + 99, ago=ago - 0.1)


async def test_with_no_watch_open_it_is_not_met(fed: Fed) -> None:
    fed.relists("start", ago=50)
    on_time(fed, 101, ago=40)
    assert fed.status()["state"] == "met"
    fed.target.lost(fed.now - 0.5)
    assert fed.status()["state"] == "met", "for less than the threshold"
    fed.target.lost(fed.now - 1.5)
    assert fed.status()["state"] == "unknown"


@pytest.mark.parametrize(("seconds", "state"), [(0.9, "met"), (1.1, "unknown"), (30, "unknown"), (55, "unknown")])
async def test_after_a_gap_longer_than_the_threshold_it_is_not_met(fed: Fed, seconds: float, state: str) -> None:
    fed.relists("start", ago=200)
    fed.target.lost(fed.now - 3 - seconds)
    fed.target.opened(fed.now - 3, None)
    on_time(fed, 101, ago=2)
    assert fed.status()["state"] == state


async def test_a_gap_that_has_left_the_window_does_no_harm(fed: Fed) -> None:
    fed.relists("start", ago=400)
    fed.target.lost(fed.now - 361)
    fed.target.opened(fed.now - 61, None)
    on_time(fed, 101, ago=2)
    assert fed.status()["state"] == "met"


async def test_a_gap_that_ended_in_a_relist_counts_from_its_beginning_to_its_end(fed: Fed) -> None:
    fed.relists("start", ago=400)
    fed.target.lost(fed.now - 3.2)
    fed.target.relisting("gone")
    fed.target.opened(fed.now - 3, 100)
    fed.polls(100, ago=2.9)
    on_time(fed, 101, ago=2)
    assert fed.status()["state"] == "unknown", "short, but events are missing"
    assert (fed.status()["unknown_reason"], fed.status()["doubt"]) == ("uncovered", "gone")


async def test_a_watch_of_a_history_that_is_given_up_ends_no_gap(fed: Fed) -> None:
    """It was asked for before the store went back, and is told of once it is open and abandoned already."""
    fed.relists("start", ago=400)
    fed.target.lost(fed.now - 70)
    fed.target.relisting("revision_went_back")
    fed.target.opened(fed.now - 30.5, None)
    fed.target.lost(fed.now - 30.4)
    fed.target.opened(fed.now - 30, 100)
    assert not fed.target.coverage.covers(fed.now - 30.2, fed.now)
    assert fed.target.coverage.covers(fed.now - 29, fed.now)


# What else is counted


async def test_a_line_that_cannot_be_decoded_is_an_event_of_which_nothing_is_known(fed: Fed) -> None:
    fed.relists("start", ago=50)
    on_time(fed, 101, ago=2)
    assert fed.status()["state"] == "met"
    fed.target.read(reading()._replace(undecodable=5), Interval(fed.now - 1.1, fed.now - 1))
    assert (fed.status()["state"], fed.status()["window_events"]) == ("unknown", 105)


async def test_a_lost_canary_takes_no_event_out_of_the_count(fed: Fed) -> None:
    """It is counted at the present moment, before what came a moment ago is taken in."""
    fed.relists("start", ago=59)
    fed.polls(101, ago=0.5)
    fed.loses_canary(101)
    assert fed.counts.canaries_lost == 1
    fed.target.refresh()
    assert happened(fed.target.state.canary_trouble) == "lost"
    fed.reads(*range(102, 202), ago=0.001)
    fed.polls(201, ago=-0.1)
    fed.target.refresh()
    assert fed.verdicts() == {"on_time": 100, "late": 1, "ambiguous": 0}
    report = fed.target.report(time.monotonic())
    assert (report.events, report.late, report.undecided) == (101, 1, 0)


async def test_what_a_server_says_again_is_counted_and_not_judged(fed: Fed) -> None:
    arrival = Interval(fed.now, fed.now)
    fed.target.read(reading()._replace(repeated=reading(101, 102).events), arrival)
    assert fed.counted("replayed") == 2
    assert fed.target.report(fed.now).events == 0


async def test_a_lost_canary_that_has_come_and_waits_is_counted_once_through_a_relist(fed: Fed) -> None:
    fed.relists("start", ago=59)
    fed.polls(101, ago=30.5)
    fed.loses_canary(101)
    assert fed.verdicts()["late"] == 1
    fed.reads(101, ago=0.001)
    fed.relists("gone", ago=0)
    fed.polls(102, ago=-0.1)
    fed.target.refresh()
    assert fed.verdicts() == {"on_time": 0, "late": 1, "ambiguous": 0}
    assert fed.counted("live") == 1


# Which clock


async def test_a_new_clock_knows_what_has_arrived(fed: Fed) -> None:
    """Else nobody would notice a restoration of the store while the clock before was refused."""
    fed.relists("start", ago=59)
    fed.polls(1000, ago=30)
    fed.reads(1001, ago=20)
    another = revision_poller()
    fed.target.use_clock(another)
    assert another.store.polls.known_by(fed.now - 19) == 1001
    another.revisions.poll_sent(1, fed.now - 1)
    assert another.store.poll_answered(1, fed.now - 0.9, 500) == "restored"
    fed.target.store_went_back()
    third = revision_poller()
    fed.target.use_clock(third)
    assert third.store.polls.known_by(fed.now) == 0, "that was of a history that is gone"


def test_no_watch_is_a_state_in_words() -> None:
    fed = Fed()
    assert fed.status()["meaning"] == "no watch is open: nothing new is measured"
    assert (fed.status()["state"], fed.status()["stream"]) == ("quiet", "down")
    fed.target.relisting("start")
    fed.target.opened(fed.now, 1)
    assert fed.status()["meaning"] == "fewer than 50 events in the window"
    assert (fed.status()["starts"], fed.status()["relists"]) == (1, 0)
    fed.target.relisting("gone")
    assert (fed.status()["starts"], fed.status()["relists"]) == (1, 1)


@pytest.mark.parametrize(
    ("opened_ago", "known_ago", "is_lost", "read_ago", "is_noticed"),
    [(9, 5, False, -1, True), (5, 9, False, -1, False), (9, 5, True, -1, False), (9, 5, False, 1, False)],
    ids=["the watch lived throughout", "the watch is newer", "the watch ended", "it had been read, and not decoded"],
)
async def test_a_cache_that_goes_back_under_a_watch_that_lives_is_anothers(
    *, opened_ago: float, known_ago: float, is_lost: bool, read_ago: float, is_noticed: bool
) -> None:
    """An apiserver that was restarted has a new cache as well, but no watch outlives that."""
    fed, noticed = Fed(), []
    fed.target._dependencies = replace(fed.target._dependencies, is_a_balancer=lambda: noticed.append(1))
    fed.relists("start", ago=opened_ago)
    fed.target.cache_went_back(fed.now - known_ago)
    assert not noticed, "before the watch has said anything more"
    if is_lost:
        fed.target.lost(fed.now - 1)
    fed.reads(101, ago=read_ago)
    assert bool(noticed) == is_noticed


def test_a_stream_that_is_refused_for_good_owes_no_canary_until_it_is_open() -> None:
    fed = Fed()
    for is_open in (False, True, False):
        if is_open:
            fed.relists("start", ago=50)
        else:
            fed.target.start_failed(StartError("forbidden", "no"))
        fed.target.canary_sending()
        fed.target.canary_answered(Canary(1000, sent=fed.now - 30, answered=fed.now - 29))
        assert fed.target.owes_canary(fed.now) == is_open


# How far it has come


async def test_the_state_says_what_was_delivered_and_what_is_owed(fed: Fed) -> None:

    def state() -> StreamState:
        fed.target.refresh()
        return fed.target.state

    assert state().delivered == (0, 0)
    fed.relists("start", ago=20)
    fed.reads(101, 105, ago=5)
    fed.target.read(bookmark(120), Interval(fed.now - 4.0, fed.now - 3.9))
    assert state().at >= fed.now
    assert state().delivered == (120, 105), "a bookmark may be of any resource's event"
    assert state().owed_canary is None
    for revision in (130, 140):
        fed.target.canary_sending()
        fed.target.canary_answered(Canary(revision, fed.now - 2, fed.now - 1))
    assert state().owed_canary == Canary(130, fed.now - 2, fed.now - 1), "the oldest"
    fed.reads(130, 140, ago=0.5)
    assert state().owed_canary is None
    fed.target.store_went_back()
    assert state().delivered == (0, 0)


async def test_the_state_says_what_the_cache_answers_and_since_when(fed: Fed) -> None:
    cache = CachePoller(fed.clock.polls, EVENTS, None, hz=5)
    fed.target.use_cache_clock(cache)

    def cache_answer() -> CacheAnswer | None:
        fed.target.refresh()
        return fed.target.state.cache_answer

    def answers(number: int, t0: float, t1: float, revision: int) -> CacheAnswer | None:
        cache.revisions.poll_sent(number, t0)
        cache.take(number, Answer(t0, t1, revision, 1, None))
        return cache_answer()

    assert cache_answer() is None
    assert answers(1, 10.0, 10.1, 100) == CacheAnswer(100, since=10.1, asked=10.0)
    assert answers(2, 11.0, 11.5, 100) == CacheAnswer(100, since=10.1, asked=11.0)
    assert answers(3, 13.0, 13.1, 103) == CacheAnswer(103, since=13.1, asked=13.0)
    assert answers(4, 12.0, 14.0, 101) == CacheAnswer(103, since=13.1, asked=13.0), "an older poll's answer"
    fed.target.use_cache_clock(None)
    assert cache_answer() is None
