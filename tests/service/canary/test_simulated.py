"""The canary against the simulator: what is lost on demand, and what must never be called lost."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exporter.config.shard import Shard
from exporter.service import fleet
from exporter.simulator import Simulator
from exporter.simulator.faults import Rejection
from exporter.simulator.resources import NODES
from tests.support.kubeconfig import kubeconfig
from tests.support.observing import Scrape, observed, started
from tests.support.truth import assert_contains_the_truth
from tests.support.waiting import wait_until

NODE = "canary"
OFTEN = ("--resource", "nodes", "--canary.node", NODE, "--canary.interval", "0.1")
AWAITED_SECONDS = 2.0


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.service.stream.CANARY_SECONDS", AWAITED_SECONDS - 1.0)


@contextlib.asynccontextmanager
async def simulated(apiservers: int = 1) -> AsyncIterator[Simulator]:
    async with Simulator(apiservers=apiservers) as simulator:
        await simulator.apiserver.registry.create(NODES, {"metadata": {"name": NODE}}, manager="kubelet")
        yield simulator


def flags(simulator: Simulator, folder: Path) -> tuple[str | Path, ...]:
    return ("--kubeconfig", kubeconfig(folder, simulator.url), *OFTEN)


def delivered(scrape: Scrape) -> float:
    return scrape.sum("canary_delivery_seconds_count")


def written(scrape: Scrape) -> float:
    return scrape.sum("canary_writes_total") - scrape.sum("canary_write_failures_total")


def has_had_all(scrape: Scrape) -> bool:
    """Whether every event came that was judged, also those that were lost before, and every one was judged."""
    return scrape.sum("events_total", phase="live") == scrape.sum("events_judged_total")


async def test_a_canary_keeps_a_quiet_cluster_measured(tmp_path: Path) -> None:
    async with simulated() as simulator, observed(*flags(simulator, tmp_path)) as exporter:
        # The window holds those that wait for their verdict, too.
        await exporter.wait_for(lambda scrape: scrape.state("nodes") == "met")
        await exporter.wait_for(lambda scrape: scrape.sum("events_judged_total", resource="nodes") >= 50)
        # Not while one is in flight.
        scrape = await exporter.wait_for(lambda scrape: scrape.sum("canary_write_seconds_count") == written(scrape))
        assert scrape.state("nodes") == "met"
        assert assert_contains_the_truth(exporter, simulator, "nodes") >= 50
    assert delivered(scrape) >= 50
    assert scrape.sum("evidence_total", source="canary") >= 50
    assert scrape.sum("contradictions_total") == 0
    assert scrape.sum("canary_lost_total") == 0
    commits = [judgement.dated.commit for judgement in exporter.of("nodes")]
    # Its own write dates an event far better than polls five times a second do.
    assert sorted(commit.width for commit in commits)[len(commits) // 2] < 0.1


async def test_without_a_revision_clock_a_canary_dates_itself(tmp_path: Path) -> None:
    async with simulated() as simulator:
        without = ("--revision-clock.hz", "0", "--cache-clock.hz", "0")
        async with observed(*flags(simulator, tmp_path), *without) as exporter:
            scrape = await exporter.wait_for(
                lambda scrape: scrape.sum("events_judged_total", verdict="on_time") > 5, 60
            )
    assert scrape.sum("evidence_total", source="canary") > 5
    assert scrape.sum("evidence_total", source="revision_clock") == 0


async def test_what_does_not_come_is_late_once_however_late_it_comes(tmp_path: Path) -> None:
    async with simulated() as simulator, observed(*flags(simulator, tmp_path)) as exporter:
        await exporter.wait_for(lambda scrape: delivered(scrape) > 5)
        simulator.faults.cache_to_watch.set(AWAITED_SECONDS + 1.5, "nodes")
        lost = await exporter.wait_for(lambda scrape: scrape.sum("canary_lost_total") >= 5)
        assert lost.sum("events_judged_total", verdict="late") >= 5
        assert lost.state("nodes") == "violated"
        simulator.faults.cache_to_watch.clear()
        simulator.faults.deny("patch", "nodes")  # nothing more is written
        scrape = await exporter.wait_for(has_had_all)
    lost_in_all = scrape.sum("canary_lost_total")
    assert lost_in_all > 5
    assert scrape.sum("window_events") == scrape.sum("events_judged_total")
    assert scrape.sum("apiserver_time_span_upper_seconds_count") == len(exporter.of("nodes")), "the lost are in none"
    assert scrape.sum("events_judged_total") == len(exporter.of("nodes")) + lost_in_all
    late = sum(judgement.verdict == "late" for judgement in exporter.of("nodes"))
    assert scrape.sum("events_judged_total", verdict="late") == late + lost_in_all


@pytest.mark.parametrize(
    "rejection",
    [Rejection(429, 3, frozenset({"patch"})), Rejection(503, 3, frozenset({"patch"}))],
    ids=["throttled", "unavailable"],
)
async def test_a_write_that_is_refused_is_counted_waited_for_and_never_lost(
    tmp_path: Path, rejection: Rejection
) -> None:
    async with simulated() as simulator, observed(*flags(simulator, tmp_path)) as exporter:
        await exporter.wait_for(lambda scrape: delivered(scrape) > 5)
        simulator.faults.rejection = rejection
        before = await exporter.wait_for(lambda scrape: scrape.sum("canary_write_failures_total") == 1)
        await asyncio.sleep(2)
        during = await exporter.scrape()
        assert during.sum("canary_write_failures_total") == 1, "Retry-After is not over"
        simulator.faults.rejection = None
        after = await exporter.wait_for(lambda scrape: delivered(scrape) > delivered(before) + 5)
    assert after.sum("canary_lost_total") == 0
    assert after.sum("events_judged_total", verdict="late") == 0


async def test_a_deleted_object_and_a_missing_permission_stop_the_writes_until_they_are_back(tmp_path: Path) -> None:
    async with simulated() as simulator, observed(*flags(simulator, tmp_path)) as exporter:
        await exporter.wait_for(lambda scrape: delivered(scrape) > 5)
        await simulator.apiserver.registry.delete(NODES, ("", NODE))
        gone = await exporter.wait_for(lambda scrape: scrape.sum("canary_write_failures_total") >= 1)
        simulator.faults.deny("patch", "nodes")
        await simulator.apiserver.registry.create(NODES, {"metadata": {"name": NODE}}, manager="kubelet")
        refused = await exporter.wait_for(
            lambda scrape: scrape.sum("canary_write_failures_total") > gone.sum("canary_write_failures_total")
        )
        simulator.faults.allow("patch", "nodes")
        back = await exporter.wait_for(lambda scrape: delivered(scrape) > delivered(refused) + 5)
    assert back.sum("canary_lost_total") == 0


async def test_writes_do_not_pile_up_while_the_server_is_slow(tmp_path: Path) -> None:
    async with simulated() as simulator, observed(*flags(simulator, tmp_path)) as exporter:
        simulator.faults.commit_seconds = 0.8
        before = (await exporter.scrape()).sum("canary_writes_total")
        began = time.monotonic()
        scrape = await exporter.wait_for(lambda scrape: scrape.sum("canary_writes_total") >= before + 4)
        assert time.monotonic() - began > 2 * 0.8
        await exporter.wait_for(lambda scrape: scrape.sum("canary_delivery_seconds_count") >= before + 2)
    assert scrape.sum("canary_lost_total") == 0


async def test_two_exporters_on_one_object_do_not_confuse_their_writes(tmp_path: Path) -> None:
    async with (
        simulated() as simulator,
        observed(*flags(simulator, tmp_path)) as one,
        observed(*flags(simulator, tmp_path)) as other,
    ):
        for exporter in (one, other):
            scrape = await exporter.wait_for(
                lambda scrape: (
                    delivered(scrape) > 20 and scrape.sum("events_total", phase="live") > delivered(scrape) + 9
                )
            )
            assert scrape.sum("canary_lost_total") == 0
            assert scrape.sum("contradictions_total") == 0
            assert_contains_the_truth(exporter, simulator, "nodes")


async def test_every_apiserver_owes_the_canary_and_is_written_through(tmp_path: Path) -> None:
    async with simulated(apiservers=2) as simulator:
        prompt, slow = simulator.apiservers
        both = ("--apiserver", prompt.url, "--apiserver", slow.url)
        async with observed(*flags(simulator, tmp_path), *both) as exporter:
            names = {one: f"{one.host}:{one.port}" for one in simulator.apiservers}
            await exporter.wait_for(lambda scrape: delivered(scrape) > 5)
            slow.faults.cache_to_watch.set(60.0, "nodes")
            scrape = await exporter.wait_for(lambda scrape: scrape.sum("canary_lost_total", apiserver=names[slow]) > 5)
    for name in names.values():
        assert scrape.sum("canary_writes_total", apiserver=name) > 5
    assert scrape.sum("canary_lost_total", apiserver=names[prompt]) == 0
    assert scrape.sum("events_judged_total", apiserver=names[prompt], verdict="late") == 0


async def test_one_apiserver_that_refuses_while_another_does_not_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with simulated(apiservers=2) as simulator:
        willing, refusing = simulator.apiservers
        both = ("--apiserver", willing.url, "--apiserver", refusing.url)
        name = f"{refusing.host}:{refusing.port}"
        refusing.faults.rejection = Rejection(503, 0, frozenset({"patch"}))
        async with observed(*flags(simulator, tmp_path), *both) as exporter:
            await exporter.wait_for(
                lambda scrape: (
                    scrape.sum("canary_write_failures_total", apiserver=name) >= 3
                    and scrape.sum("canary_writes_total") > 9
                )
            )
    assert caplog.messages.count("canary is not written") == 1


def shares(simulator: Simulator, kind: str) -> list[list[str]]:
    """For each of two shards, the apiservers on which it watches the kind."""
    names = [f"{one.host}:{one.port}" for one in simulator.apiservers]
    return [[name for name in names if Shard(index, 2).owns(name, "", kind)] for index in range(2)]


async def test_a_shard_speaks_only_of_the_watches_that_are_its_own(tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(simulated(apiservers=3))
        while not all(shares(simulator, "nodes")):  # their ports decide
            simulator = await stack.enter_async_context(simulated(apiservers=3))
        addresses = [word for one in simulator.apiservers for word in ("--apiserver", one.url)]
        for index, own in enumerate(shares(simulator, "nodes")):
            shard = (*flags(simulator, tmp_path), *addresses, "--shard", f"{index}/2")
            async with observed(*shard) as exporter:
                scrape = await exporter.wait_for(
                    lambda scrape: scrape.sum("apiserver_requests_total", purpose="canary") > 20
                )
                scrape = await exporter.wait_for(lambda scrape: delivered(scrape) > 5)
            for family in ("stream_up", "uncovered_seconds_total", "slo_state", "canary_writes_total"):
                assert {labels["apiserver"] for labels in scrape.labels(family)} == set(own), family
            asked = {
                labels["apiserver"]
                for labels in scrape.labels("apiserver_requests_total")
                if scrape.sum("apiserver_requests_total", apiserver=labels["apiserver"], purpose="canary")
            }
            assert len(asked) == 3, "it is written through every apiserver all the same"
            assert scrape.sum("canary_writes_total") > 0
            assert scrape.sum("canary_lost_total") == 0


async def test_a_shard_that_watches_nothing_of_a_kind_writes_none_of_it(tmp_path: Path) -> None:
    async with simulated() as simulator:
        idle = next(index for index, own in enumerate(shares(simulator, "nodes")) if not own)
        both = ("--resource", "configmaps", "--apiserver", simulator.url)
        async with observed(*flags(simulator, tmp_path), *both, "--shard", f"{idle}/2", ready=False) as exporter:
            await asyncio.sleep(1.5)
            scrape = await exporter.scrape()
    assert not [labels for labels in scrape.labels("stream_up") if labels["resource"] == "nodes"]
    assert scrape.sum("apiserver_requests_total", purpose="canary") == 0


async def test_a_watch_that_is_forbidden_owes_nothing(tmp_path: Path) -> None:
    async with simulated() as simulator, observed(*flags(simulator, tmp_path)) as exporter:
        await exporter.wait_for(lambda scrape: delivered(scrape) > 5)
        simulator.faults.deny("watch", "nodes")
        simulator.apiserver.end_watches()
        await exporter.wait_for(lambda scrape: scrape.sum("init_events_errors_total", reason="forbidden") >= 1)
        await asyncio.sleep(AWAITED_SECONDS + 1.0)
        scrape = await exporter.scrape()
    assert scrape.sum("canary_lost_total") == 0


async def test_an_endpoint_that_leaves_owes_nothing_and_does_again_when_it_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    awaited_seconds = 6.0  # what it owes is not lost before it is known to leave
    monkeypatch.setattr("exporter.service.stream.CANARY_SECONDS", awaited_seconds - 1.0)
    monkeypatch.setattr(fleet, "DISCOVERY_PERIOD_SECONDS", 0.2)
    async with simulated(apiservers=2) as simulator:
        staying, leaving = simulator.apiservers
        names = {one: f"{one.host}:{one.port}" for one in simulator.apiservers}
        await simulator.list_apiservers(2)
        async with observed(*flags(simulator, tmp_path), "--apiserver.discover") as exporter:

            def came(scrape: Scrape) -> float:
                return scrape.sum("canary_delivery_seconds_count", apiserver=names[staying])

            before = await exporter.wait_for(
                lambda scrape: all(
                    scrape.values("canary_delivery_seconds_count", apiserver=name) > [5.0] for name in names.values()
                )
            )
            leaving.faults.cache_to_watch.set(60.0, "nodes")
            await exporter.wait_for(lambda scrape: came(scrape) > came(before) + 5)
            await simulator.list_apiservers(1)
            await wait_until(lambda: "apiserver is no endpoint any more" in caplog.messages, "it leaves")
            await asyncio.sleep(awaited_seconds + 1.0)
            left = await exporter.scrape()
            assert left.sum("canary_lost_total", apiserver=names[leaving]) == 0
            await simulator.list_apiservers(2)
            await exporter.wait_for(lambda scrape: scrape.sum("canary_lost_total", apiserver=names[leaving]) > 0)
    assert left.sum("canary_lost_total", apiserver=names[staying]) == 0


async def test_a_watch_that_stays_down_is_not_a_perfect_one(tmp_path: Path) -> None:
    async with simulated() as simulator, observed(*flags(simulator, tmp_path)) as exporter:
        await exporter.wait_for(lambda scrape: delivered(scrape) > 5)
        simulator.faults.rejection = Rejection(503, 1, frozenset({"watch"}))
        simulator.apiserver.cut_watches()
        scrape = await exporter.wait_for(lambda scrape: scrape.sum("canary_lost_total") > 5)
        assert scrape.sum("stream_up") == 0
        assert scrape.state("nodes") == "violated"


async def test_what_falls_into_a_relists_gap_is_counted_as_a_gap(tmp_path: Path) -> None:
    async with simulated() as simulator, observed(*flags(simulator, tmp_path)) as exporter:
        await exporter.wait_for(lambda scrape: delivered(scrape) > 5)
        while not (await exporter.scrape()).sum("relists_total", reason="gone"):
            simulator.compact()  # a watch that has missed nothing meanwhile is resumed
            await asyncio.sleep(0.3)
        await asyncio.sleep(AWAITED_SECONDS + 1.0)
        scrape = await exporter.scrape()
    assert scrape.sum("canary_lost_total") == 0


async def test_an_exporter_that_was_frozen_has_lost_nothing(tmp_path: Path) -> None:
    awaited_seconds = 11.0  # a process of its own: it is as patient as in production
    async with simulated() as simulator:
        loop = asyncio.get_running_loop()
        context = started(*flags(simulator, tmp_path))
        exporter = await loop.run_in_executor(None, context.__enter__)
        try:
            await exporter.wait_for(lambda scrape: delivered(scrape) > 5)
            exporter.freeze()
            await asyncio.sleep(awaited_seconds + 2.0)
            exporter.thaw()
            before = await exporter.scrape()
            scrape = await exporter.wait_for(lambda scrape: delivered(scrape) > delivered(before) + 10)
        finally:
            context.__exit__(None, None, None)
    assert scrape.sum("canary_lost_total") == 0
