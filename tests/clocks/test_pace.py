"""The pace of the clocks by itself: never above the ceiling, slower on 429 and on nothing else."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest

from exporter.clocks import rate_limit as under_test
from exporter.clocks.rate_limit import (
    REVISION_SHARE,
    SLOWEST_SHARE,
    TICK_SECONDS,
    TOGETHER_SECONDS,
    Lane,
    Pace,
    Slowing,
)
from exporter.kubernetes.backoff import LONGEST_SECONDS
from exporter.service import loop as our_loop
from tests.support.waiting import wait_until

MOST_HZ = 100.0
GREEDY_SECONDS = 1.0
AT_ONCE = 2 + MOST_HZ * TOGETHER_SECONDS
"""One of each sort may go out at the first moment, and as many of the others as go out together."""

A_PAUSE = 0.2
"""It recovers while this process is kept from running: so much at most, relative to what it would be."""

HZ = 5.0
FULL_PERIOD_SECONDS = 1 / HZ


async def turns_of(greedy: Callable[[], Awaitable[None]]) -> int:
    """How many turns one gets that asks again and again."""
    turns, until = 0, time.monotonic() + GREEDY_SECONDS
    while time.monotonic() < until:
        await greedy()
        turns += 1
    return turns


async def test_however_many_want_to_ask_the_ceiling_holds_and_nobody_is_left_out() -> None:
    pace, begun = Pace(MOST_HZ), time.monotonic()
    turns = await asyncio.gather(*(turns_of(turn) for turn in 3 * [pace.revisions.turn] + 30 * [pace.others.turn]))
    possible = MOST_HZ * (time.monotonic() - begun) + AT_ONCE
    assert sum(turns) <= possible
    assert sum(turns[:3]) <= REVISION_SHARE * possible
    assert min(turns) > 0
    assert min(turns[:3]) > max(turns[3:]), "revision clocks go first"


async def test_what_revision_clocks_leave_is_for_the_others() -> None:
    pace, begun = Pace(MOST_HZ), time.monotonic()
    turns = sum(await asyncio.gather(*(turns_of(pace.others.turn) for _ in range(3))))
    possible = MOST_HZ * (time.monotonic() - begun) + AT_ONCE
    assert possible * REVISION_SHARE / 2 < turns <= possible


async def test_others_go_out_together_and_then_wait_together_but_one_by_one_while_a_server_asks_to_be_spared() -> None:
    async def sent_by(lane: Lane) -> list[float]:
        sent = []
        for _ in range(23):
            await lane.turn()
            sent.append(time.monotonic())
        return sent

    pace, group = Pace(MOST_HZ), round(MOST_HZ * TOGETHER_SECONDS)
    sent = await sent_by(pace.others)
    assert sum(later - earlier < 0.5 / MOST_HZ for earlier, later in pairwise(sent)) > len(sent) / 2, sent
    # However often this process is paused in between, so much time has passed.
    for number, at in enumerate(sent):
        assert at - sent[0] >= (number + 1 - group) / MOST_HZ - 2 * TICK_SECONDS, sent
    pace.others.throttled(time.monotonic(), None)
    assert min(later - earlier for earlier, later in pairwise(await sent_by(pace.others))) > 0.5 / MOST_HZ


def slowness(lane: Lane) -> float:
    """How many times as long as the full rate's its periods are."""
    return lane.period_seconds(HZ) / FULL_PERIOD_SECONDS


async def test_a_429_halves_the_rate_and_time_brings_it_back() -> None:
    lane = Lane(MOST_HZ)
    assert slowness(lane) == 1
    lane.throttled(time.monotonic(), None)
    halved = slowness(lane)
    assert halved == pytest.approx(2, rel=A_PAUSE)
    await wait_until(lambda: slowness(lane) < halved * 0.98, "it recovers a little")


async def test_requests_that_were_under_way_when_it_slowed_down_slow_it_no_further() -> None:
    lane, sent = Lane(MOST_HZ), time.monotonic()
    for _ in range(5):
        lane.throttled(sent, None)
    assert slowness(lane) == pytest.approx(2, rel=A_PAUSE)
    lane.throttled(time.monotonic(), None)
    assert slowness(lane) == pytest.approx(4, rel=A_PAUSE)


async def test_however_often_it_is_throttled_a_sixteenth_of_the_rate_remains() -> None:
    lane = Lane(MOST_HZ)
    for _ in range(20):
        lane.throttled(time.monotonic(), None)
    assert slowness(lane) == pytest.approx(1 / SLOWEST_SHARE, rel=A_PAUSE)


async def test_a_proxy_that_asks_for_a_day_does_not_blind_us_for_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "LONGEST_ASKED_SECONDS", 0.2)
    lane = Lane(MOST_HZ)
    lane.throttled(time.monotonic(), 86_400.0)
    async with asyncio.timeout(10):
        await lane.turn()


async def test_nobody_gets_a_turn_before_retry_after_is_over_and_no_wave_comes_then() -> None:
    lane, throttled = Lane(MOST_HZ), time.monotonic()
    got: list[float] = []

    async def wait_for_turn() -> None:
        await lane.turn()
        got.append(time.monotonic() - throttled)

    await lane.turn()
    lane.throttled(throttled, 0.5)
    await asyncio.gather(*(wait_for_turn() for _ in range(10)))
    assert min(got) >= 0.5
    assert max(got) - min(got) >= 9 * 2 / MOST_HZ * (1 - A_PAUSE), "at half the rate"


async def test_a_429_to_others_does_not_hold_up_the_revision_clock() -> None:
    pace = Pace(MOST_HZ)
    pace.others.throttled(time.monotonic(), 3600)
    await pace.revisions.turn()
    assert slowness(pace.revisions) == 1


async def test_the_turns_of_the_revision_clock_do_not_starve_the_others_when_they_are_slowed_down() -> None:
    pace = Pace(8.0)
    for _ in range(10):
        pace.others.throttled(time.monotonic(), None)
    for _ in range(12):
        await pace.revisions.turn()
    async with asyncio.timeout(8):
        await pace.others.turn()


async def test_refusals_of_one_kind_are_nothing_to_another() -> None:
    one, other = Slowing(), Slowing()
    one.refused(time.monotonic(), 0.0)
    assert one.share(time.monotonic()) < 1
    assert other.share(time.monotonic()) == 1


def test_whatever_is_refused_for_however_long_the_rate_is_back_within_a_minute() -> None:
    slowing = Slowing()
    for _ in range(1000):
        slowing.refused(time.monotonic(), LONGEST_SECONDS)
    assert slowing.share(time.monotonic()) == pytest.approx(SLOWEST_SHARE)
    assert slowing.share(time.monotonic() + 60) == 1


def test_a_turn_is_waited_for_and_not_gone_round_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """uvloop's timers know whole milliseconds: what is less was asked for again and again."""
    slept: list[float] = []
    sleep = asyncio.sleep

    async def counted(seconds: float) -> None:
        slept.append(seconds)
        await sleep(seconds)

    async def take_turns() -> None:
        lane = Lane(1 / 0.0104)
        for _ in range(40):
            await lane.turn()

    monkeypatch.setattr(asyncio, "sleep", counted)
    our_loop.run(take_turns())
    assert len(slept) <= 40 * 2, slept
