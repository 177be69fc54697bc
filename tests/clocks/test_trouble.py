"""Clocks of a server in trouble: slow answers and a store that hangs cost them little, a 429 is obeyed."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from exporter.clocks.pollers import PLACES
from exporter.metrics.registry import ClockMetrics, CostMetrics
from exporter.service.daemon import Exporter, load_credentials
from exporter.simulator import Rejection, Simulator, Workload
from tests.support.kubeconfig import kubeconfig
from tests.support.observing import config, observed
from tests.support.scrapes import certainly_slow, perhaps_slow
from tests.support.streams import revision_poller
from tests.support.truth import assert_contains_the_truth
from tests.support.waiting import wait_until

COUNTING_SECONDS = 8.0
SLOW_ANSWERS_SECONDS = 4.0
RETRY_AFTER_SECONDS = 2


@asynccontextmanager
async def running(simulator: Simulator, folder: Path) -> AsyncIterator[Exporter]:
    """The exporter, watching pods; its clocks poll already."""
    flags = ("--kubeconfig", kubeconfig(folder, simulator.url), "--resource", "pods", "--apiserver", simulator.url)
    settled = config(*flags)
    exporter = Exporter(settled, await load_credentials(settled))
    async with exporter.running():
        revision, cache = clocks_of(exporter, simulator)
        await wait_until(lambda: min(revision.counts.answered, cache.counts.answered) > 5, "the clocks poll")
        yield exporter


def clocks_of(exporter: Exporter, simulator: Simulator) -> tuple[ClockMetrics, ClockMetrics]:
    """What is counted of the revision clock and of the cache clock."""
    address = simulator.apiserver.address
    clock = exporter.metrics.clock
    return clock(address, "", "events", "revision"), clock(address, "", "pods", "cache")


def load_of(exporter: Exporter, simulator: Simulator) -> CostMetrics:
    """What is sent to the apiserver."""
    return exporter.metrics.cost(simulator.apiserver.address)


async def growth(count: Callable[[], float]) -> float:
    """By how much it grows while we wait."""
    before = count()
    await asyncio.sleep(COUNTING_SECONDS)
    return count() - before


async def test_slow_answers_keep_the_rate_of_the_revision_clock(tmp_path: Path) -> None:
    async with Simulator() as simulator, running(simulator, tmp_path) as exporter:
        polls = load_of(exporter, simulator).requests["revision_poll"]
        in_health = await growth(lambda: polls.value)
        simulator.faults.network.to_client_seconds = SLOW_ANSWERS_SECONDS
        await asyncio.sleep(SLOW_ANSWERS_SECONDS)
        in_trouble = await growth(lambda: polls.value)
    assert in_trouble > in_health / 2, "one that waits for each answer comes to a twentieth"
    assert in_trouble <= PLACES * (COUNTING_SECONDS / SLOW_ANSWERS_SECONDS + 1), "each place has one poll at a time"


async def test_a_store_that_hangs_holds_up_its_own_polls_and_not_those_of_the_cache(tmp_path: Path) -> None:
    async with Simulator() as simulator, running(simulator, tmp_path) as exporter:
        revision, cache = clocks_of(exporter, simulator)
        polls = load_of(exporter, simulator).requests["revision_poll"]
        simulator.store.freeze()
        sent, answered = polls.value, revision.counts.answered
        await wait_until(lambda: polls.value >= sent + PLACES - 1, "every place of the revision clock is taken")
        from_cache = cache.counts.answered
        await wait_until(lambda: cache.counts.answered > from_cache + 5, "the cache is polled all the same")
        assert revision.counts.answered <= answered + 1
        assert revision.counts.failures == 0, "none has been given up for it"


async def test_what_hung_with_its_store_was_not_held_up_behind_the_cache(tmp_path: Path) -> None:
    async with Simulator() as simulator:
        flags = ("--kubeconfig", kubeconfig(tmp_path, simulator.url), "--resource", "pods")
        async with observed(*flags, "--apiserver", simulator.url) as exporter:
            await exporter.wait_for(lambda scrape: scrape.sum("clock_polls_total", clock="cache", result="ok") > 5)
            async with Workload(simulator, rate_per_second=40):
                await asyncio.sleep(1)
                simulator.store.freeze()
                await asyncio.sleep(5)
                simulator.store.thaw()
                await asyncio.sleep(1)
            await asyncio.sleep(1)
            scrape = await exporter.scrape()
            assert_contains_the_truth(exporter, simulator)
    assert perhaps_slow(scrape, "storage_to_cache") > 30, "when it was committed nobody could ask"
    assert perhaps_slow(scrape, "cache_to_client") == 0, "when it was in the cache is known"
    assert certainly_slow(scrape, "storage_to_cache") == 0


async def test_a_429_is_obeyed_and_the_full_rate_comes_back(tmp_path: Path) -> None:
    async with Simulator() as simulator, running(simulator, tmp_path) as exporter:
        requests, (revision, _) = load_of(exporter, simulator).requests, clocks_of(exporter, simulator)

        def sent() -> float:
            return sum(requests[purpose].value for purpose in ("list", "revision_poll", "cache_poll"))

        in_health = await growth(sent)
        simulator.faults.rejection = Rejection(429, RETRY_AFTER_SECONDS, verbs=frozenset({"list"}))
        await wait_until(lambda: revision.counts.failures > 0, "a poll is refused")
        refused = await growth(sent)
        simulator.faults.rejection = None
        assert 0 < refused < in_health / 4

        async def full_rate() -> bool:
            return await growth(sent) > in_health * 0.9

        await wait_until(full_rate, "the rate is what it was", timeout_seconds=80)


FORBIDDEN = 403
AS_ONCE = 5
"""So many more answers than when it ended: it polls, whatever the machine's speed is."""


@pytest.mark.parametrize("status", [401, FORBIDDEN, 500, 503])
async def test_what_is_refused_is_asked_less_and_soon_again_when_it_is_over(status: int, tmp_path: Path) -> None:
    async with Simulator() as simulator, running(simulator, tmp_path) as exporter:
        requests, clocks = load_of(exporter, simulator).requests, clocks_of(exporter, simulator)

        def sent() -> float:
            return sum(requests[purpose].value for purpose in ("list", "revision_poll", "cache_poll"))

        in_health = await growth(sent)
        if status == FORBIDDEN:
            simulator.faults.deny("list", "*")
        else:
            simulator.faults.rejection = Rejection(status, verbs=frozenset({"list"}))
        await wait_until(lambda: min(clock.counts.failures for clock in clocks) >= 3, "polls are refused")
        refused = await growth(sent)
        simulator.faults.rejection = None
        simulator.faults.allow("list", "*")
        assert 0 < refused < in_health / 3
        answered = [clock.counts.answered for clock in clocks]

        def are_back() -> bool:
            return all(clock.counts.answered > ok + AS_ONCE for clock, ok in zip(clocks, answered, strict=True))

        await wait_until(are_back, "the clocks are answered again", timeout_seconds=60)


async def test_a_kind_that_is_forbidden_slows_no_other(tmp_path: Path) -> None:
    async with Simulator() as simulator, running(simulator, tmp_path) as exporter:
        requests = load_of(exporter, simulator).requests
        simulator.faults.deny("list", "pods")  # its cache is polled, the store's revision by another kind
        cache = clocks_of(exporter, simulator)[1]
        await wait_until(lambda: cache.counts.failures >= 3, "polls are refused")
        revision_before, cache_before = requests["revision_poll"].value, requests["cache_poll"].value
        await asyncio.sleep(COUNTING_SECONDS)
        of_revision, of_cache = requests["revision_poll"].value, requests["cache_poll"].value
    assert (of_cache - cache_before) < (of_revision - revision_before) / 3


async def test_however_slow_its_rate_is_a_clock_that_was_refused_asks_again_within_a_minute() -> None:
    """A sixteenth of one poll in ten seconds would be one in 160."""
    clock = revision_poller()
    clock._hz = 0.1
    assert clock._period_seconds(time.monotonic()) == 10
    for _ in range(20):
        clock._slowing.refused(time.monotonic(), 0.0)
    assert 10 < clock._period_seconds(time.monotonic()) <= 30
