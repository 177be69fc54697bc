"""While nobody asks, nobody is to blame: the time in which we slept, or might not watch, is not the apiserver's."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from exporter.simulator import Simulator, Workload
from exporter.simulator.faults import Rejection
from exporter.simulator.resources import NODES
from tests.simulated.suspendable import VARIABLE, Asleep
from tests.support.kubeconfig import kubeconfig
from tests.support.observing import Observed, Process, Scrape, observed, started
from tests.support.truth import assert_contains_the_truth

WATCH = frozenset({"watch"})
ASKED_SECONDS = 5
"""We come back so long after a refusal at the earliest: Retry-After is heeded."""

FORBIDDEN_SECONDS = 4.0

CANARY = ("--canary.node", "canary", "--canary.interval", "0.2")


@asynccontextmanager
async def busy(folder: Path, *flags: str) -> AsyncIterator[tuple[Simulator, Observed]]:
    """A busy cluster that is watched and healthy."""
    async with Simulator() as simulator, Workload(simulator, rate_per_second=60, resources=(NODES,)):
        await simulator.apiserver.registry.create(NODES, {"metadata": {"name": "canary"}}, manager="kubelet")
        words = ("--kubeconfig", kubeconfig(folder, simulator.url), "--resource", "nodes")
        async with observed(*words, *flags) as exporter:
            await exporter.wait_for(lambda scrape: scrape.sum("events_judged_total", verdict="on_time") > 50)
            yield simulator, exporter


def refuse(simulator: Simulator, status: int) -> Callable[[], None]:
    """Every watch from now on, and those that are open; returns what ends it."""

    def willing() -> None:
        simulator.faults.rejection = None
        simulator.faults.allow("watch", "nodes")

    if status == 403:
        simulator.faults.deny("watch", "nodes")
    else:
        simulator.faults.rejection = Rejection(status, ASKED_SECONDS, WATCH)
    simulator.apiserver.cut_watches()
    return willing


def failed_starts(scrape: Scrape) -> float:
    return scrape.sum("init_events_errors_total")


async def opened_again(exporter: Observed) -> Scrape:
    """All that was missed is delivered and judged."""
    up = await exporter.wait_for(lambda scrape: scrape.sum("stream_up") == 1, seconds=60)
    judged = up.sum("events_judged_total")
    return await exporter.wait_for(lambda scrape: scrape.sum("events_judged_total") > judged + 300)


@pytest.mark.parametrize("status", [503, 429, 401])
async def test_what_was_committed_while_we_heeded_retry_after_is_not_late(tmp_path: Path, status: int) -> None:
    async with busy(tmp_path) as (simulator, exporter):
        willing = refuse(simulator, status)
        await exporter.wait_for(lambda scrape: failed_starts(scrape) > 0)
        willing()
        scrape = await opened_again(exporter)
        assert_contains_the_truth(exporter, simulator, "nodes")
    assert scrape.sum("events_judged_total", verdict="late") == 0
    assert scrape.sum("events_judged_total", verdict="ambiguous") > 100, "it did not sleep at all"


@pytest.mark.parametrize("status", [401, 403])
async def test_nothing_is_late_that_we_were_not_allowed_to_watch(tmp_path: Path, status: int) -> None:
    async with busy(tmp_path, *CANARY) as (simulator, exporter):
        willing = refuse(simulator, status)
        await asyncio.sleep(FORBIDDEN_SECONDS)
        assert failed_starts(await exporter.scrape()) > 0
        willing()
        scrape = await opened_again(exporter)
        assert_contains_the_truth(exporter, simulator, "nodes")
    assert scrape.sum("events_judged_total", verdict="late") == 0
    assert scrape.sum("canary_lost_total") == 0
    assert scrape.sum("events_judged_total", verdict="ambiguous") > 30


@pytest.mark.parametrize("status", [503, 429])
async def test_what_was_refused_again_and_again_stays_late(tmp_path: Path, status: int) -> None:
    async with busy(tmp_path) as (simulator, exporter):
        simulator.faults.rejection = Rejection(status, 1, WATCH)
        simulator.apiserver.cut_watches()
        cut = time.monotonic()
        await exporter.wait_for(lambda scrape: failed_starts(scrape) >= 3)
        refused = time.monotonic()
        simulator.faults.rejection = None
        scrape = await opened_again(exporter)
        assert_contains_the_truth(exporter, simulator, "nodes")
    late = [judgement for judgement in exporter.of("nodes") if judgement.verdict == "late"]
    assert len(late) > 20
    assert scrape.sum("events_judged_total", verdict="late") == len(late)
    assert cut - 0.3 < min(judgement.arrival.earliest for judgement in late)
    assert max(judgement.arrival.earliest for judgement in late) <= refused


async def test_a_canary_is_not_lost_while_we_sleep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.service.stream.CANARY_SECONDS", 1.0)
    async with busy(tmp_path, *CANARY) as (simulator, exporter):
        await exporter.wait_for(lambda scrape: scrape.sum("canary_delivery_seconds_count") > 5)
        willing = refuse(simulator, 503)
        await exporter.wait_for(lambda scrape: failed_starts(scrape) > 0)
        willing()
        scrape = await opened_again(exporter)
    assert scrape.sum("canary_lost_total") == 0


async def test_what_a_paused_machine_lost_and_got_again_is_not_late(tmp_path: Path) -> None:
    """Nobody takes the packets while it stands still: TCP sends them again after ever longer waits, 1.4 s in all."""
    paused_seconds, resent_after_seconds = 0.9, 1.4
    async with Simulator() as simulator, Workload(simulator, rate_per_second=60, resources=(NODES,)):
        loop = asyncio.get_running_loop()
        context = started("--kubeconfig", kubeconfig(tmp_path, simulator.url), "--resource", "nodes")
        exporter = await loop.run_in_executor(None, context.__enter__)
        try:
            await exporter.wait_for(lambda scrape: scrape.sum("events_judged_total", verdict="on_time") > 50)
            exporter.freeze()
            frozen = time.monotonic()
            while (seconds := time.monotonic() - frozen) < paused_seconds:
                # All of it comes when the first of it is sent again.
                simulator.faults.network.watch_to_client_seconds = resent_after_seconds - seconds
                await asyncio.sleep(0.005)
            simulator.faults.network.watch_to_client_seconds = 0.0
            exporter.thaw()
            scrape = await goes_on(exporter)
        finally:
            context.__exit__(None, None, None)
    assert scrape.sum("events_judged_total", verdict="late") == 0
    assert scrape.sum("events_judged_total", verdict="ambiguous") > 20


async def goes_on(exporter: Observed) -> Scrape:
    """The first scrape that shows that it measures again."""
    before = (await exporter.scrape()).sum("events_judged_total", verdict="on_time")
    return await exporter.wait_for(lambda scrape: scrape.sum("events_judged_total", verdict="on_time") > before + 50)


@contextmanager
def suspendable(folder: Path, *flags: str | Path) -> Iterator[tuple[Process, Callable[[float], None]]]:
    """The exporter on a machine of its own, and what adds to the seconds for which that was suspended."""
    asleep = Asleep(folder / "asleep")
    with started(*flags, command="run", module="tests.simulated.suspendable", log=folder / "log") as exporter:
        yield exporter, asleep.add


async def test_a_machine_that_was_suspended_says_neither_on_time_nor_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "asleep"))
    asleep_seconds = 4.0
    async with Simulator() as simulator, Workload(simulator, rate_per_second=60, resources=(NODES,)):
        loop = asyncio.get_running_loop()
        words = ("--kubeconfig", kubeconfig(tmp_path, simulator.url), "--resource", "nodes")
        context = suspendable(tmp_path, *words, "--apiserver", simulator.url)
        exporter, add = await loop.run_in_executor(None, context.__enter__)
        try:
            await exporter.wait_for(lambda scrape: scrape.sum("events_judged_total", verdict="on_time") > 50)
            began = time.monotonic()
            exporter.freeze()
            await asyncio.sleep(asleep_seconds)
            add(asleep_seconds)
            woke = time.monotonic()
            exporter.thaw()
            scrape = await goes_on(exporter)
        finally:
            context.__exit__(None, None, None)
        sent = simulator.truth.deliveries("nodes")
        kept = len({one.revision for one in sent if began < one.committed_seconds < woke - 1.0})
    assert kept > 100
    assert scrape.sum("events_judged_total", verdict="late") == 0
    assert scrape.sum("events_judged_total", verdict="ambiguous") >= kept
    assert scrape.sum("contradictions_total") == 0
    assert scrape.sum("watch_ends_total", reason="suspended") == 1
    assert scrape.sum("uncovered_seconds_total") >= asleep_seconds
    assert scrape.state("nodes") != "met"
