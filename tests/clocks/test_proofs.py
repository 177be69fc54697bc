"""What proves that a clock fits: little is asked for it, and nothing that is not so is proven."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from exporter.clocks.poll import Answer
from exporter.clocks.pollers import RevisionPoller
from exporter.kubernetes.errors import StartError
from exporter.service.daemon import Exporter, load_credentials
from exporter.simulator import Simulator, Workload
from tests.support.kubeconfig import kubeconfig
from tests.support.observing import config
from tests.support.streams import revision_poller
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from exporter.vocabulary import StartReason

POLLS_FOR_A_PROOF = 20
"""It takes two or three, and a second until there are two apiservers."""

KINDS = ("events", "pods")


@asynccontextmanager
async def running(folder: Path, *urls: str) -> AsyncIterator[Exporter]:
    """The exporter, watching pods on each of these apiservers, for long enough to have proven all that is so."""
    named = [word for url in urls for word in ("--apiserver", url)]
    settled = config("--kubeconfig", kubeconfig(folder, urls[0]), "--resource", "pods", *named)
    exporter = Exporter(settled, await load_credentials(settled))
    async with exporter.running():
        answers = [
            [exporter.metrics.clock(url.removeprefix("http://"), "", kind, "revision").counts for kind in KINDS]
            for url in urls
        ]
        await wait_until(
            lambda: all(max(count.answered for count in counts) > POLLS_FOR_A_PROOF for counts in answers),
            "the clocks poll",
        )
        yield exporter


def clocks(exporter: Exporter) -> list[RevisionPoller]:
    """The only clock of each apiserver."""
    found = [apiserver.stores.clocks for apiserver in exporter.apiservers]
    assert [len(clocks) for clocks in found] == [1] * len(found)
    return [clocks[0] for clocks in found]


async def test_a_resource_is_proven_by_one_list_and_a_peer_by_none(tmp_path: Path) -> None:
    async with (
        Simulator(apiservers=2) as simulator,
        Workload(simulator, rate_per_second=40),
        running(tmp_path, *(apiserver.url for apiserver in simulator.apiservers)) as exporter,
    ):
        one, other = clocks(exporter)
        assert (one.peers, other.peers) == ((other,), (one,))
        for apiserver in exporter.apiservers:
            assert [str(one.clock and one.clock.kind) for one in apiserver.streams] == ["events"]
            lists = exporter.metrics.cost(apiserver.server.name).requests["list"]
            assert lists.value == 2, "one that the watch started from, one that proves"


async def test_apiservers_of_two_clusters_are_no_peers(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        simulators = [await stack.enter_async_context(Simulator()) for _ in range(2)]
        await stack.enter_async_context(Workload(simulators[0], rate_per_second=40))
        await asyncio.sleep(1)
        exporter = await stack.enter_async_context(running(tmp_path, *(one.url for one in simulators)))
        assert [clock.peers for clock in clocks(exporter)] == [(), ()]


async def test_a_resource_whose_revisions_are_another_stores_is_not_dated_by_this_one(tmp_path: Path) -> None:
    async with (
        Simulator(own_stores=("pods",)) as simulator,
        Workload(simulator, rate_per_second=40),
        running(tmp_path, simulator.url) as exporter,
    ):
        [target] = exporter.apiservers[0].streams
        assert target.clock is None or str(target.clock.kind) == "pods"


async def test_a_clock_of_its_own_ends_with_its_resource(tmp_path: Path) -> None:
    async with (
        Simulator(own_stores=("pods",)) as simulator,
        Workload(simulator, rate_per_second=40),
        running(tmp_path, simulator.url) as exporter,
    ):
        [apiserver] = exporter.apiservers
        polls = exporter.metrics.clock(apiserver.server.name, "", "pods", "revision").counts
        await wait_until(lambda: polls.answered > 0, "pods have a clock of their own")
        [target] = apiserver.streams
        await apiserver.unwatch(target.name)
        await wait_until(lambda: apiserver.stores.clocks == [], "its clock ends")
        asked = polls.answered
        await asyncio.sleep(1)
        assert polls.answered == asked


def answer(clock: RevisionPoller, number: int, sent: float, revision: int) -> None:
    """Poll `number`, which went out at `sent`, is answered now."""
    clock.revisions.poll_sent(number, sent)
    clock.take(number, Answer(sent, sent + 0.01, revision, 1, None))


async def test_a_poll_that_went_out_before_it_was_asked_for_is_no_answer() -> None:
    clock, before = revision_poller(), time.monotonic()
    asked = asyncio.create_task(clock.next_revision())
    await asyncio.sleep(0)
    answer(clock, 1, before, 100)
    await asyncio.sleep(0)
    assert not asked.done()
    answer(clock, 2, time.monotonic(), 101)
    assert await asked == 101


async def test_a_poll_that_fails_ends_the_wait_for_an_answer() -> None:
    clock = revision_poller()
    answer(clock, 1, time.monotonic(), 100)
    asked = asyncio.create_task(clock.next_revision())
    await asyncio.sleep(0)
    clock.failed(StartError("connect", "no"))
    with pytest.raises(StartError):
        await asked
    assert clock.answered == 100


async def test_only_a_refusal_of_the_kind_itself_tells_of_the_kind() -> None:
    clock = revision_poller()
    reasons: list[StartReason] = ["connect", "unauthorized", "throttled", "server_error", "server_timeout"]
    for reason in reasons:
        clock.failed(StartError(reason, "no"))
        assert not clock.is_refused, reason
    clock.failed(StartError("forbidden", "no"))
    assert [clock.is_refused] == [True]
    answer(clock, 1, time.monotonic(), 100)
    clock.failed(StartError("forbidden", "no"))
    assert [clock.is_refused] == [False], "an apiserver that has just started refuses everything for a moment"


async def test_a_clock_whose_store_was_restored_hears_nothing_of_its_peers_history() -> None:
    one, other, now = revision_poller(), revision_poller(), time.monotonic()
    one.peers, other.peers = (other,), (one,)
    answer(one, 1, now - 30, 1000)
    answer(one, 2, now - 20, 500)
    assert [*one.peers, *other.peers] == []
    other.arrived(1001, now - 19)
    assert one.store.polls.known_by(now) == 0
