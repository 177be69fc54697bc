"""Apiservers and definitions that come back: in the time of grace, and just while they are taken down."""

import asyncio
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from exporter.config import ResourceName
from exporter.kubernetes.backoff import Backoff
from exporter.kubernetes.session import Server
from exporter.service import fleet, leaving
from exporter.service.apiserver import AllClocks, Apiserver
from exporter.service.daemon import Exporter, load_credentials
from exporter.service.dependencies import Dependencies
from exporter.simulator import Simulator, Workload
from exporter.simulator.resources import CRDS, Resource
from exporter.simulator.simulator import WIDGETS
from exporter.watch.definitions import SETTLING_SECONDS as DEFINITIONS_SETTLE_SECONDS
from tests.support.kubeconfig import kubeconfig
from tests.support.observing import config, observed
from tests.support.scrapes import is_up
from tests.support.waiting import wait_until

GADGETS = Resource("example.com", "v1", "gadgets", "Gadget")
DISCOVERED = ("--resource", "pods", "--apiserver.discover")


class Lingering(Apiserver):
    """Its tasks do not end before they are let go, however often they are cancelled."""

    is_ending = asyncio.Event()
    may_end = asyncio.Event()
    running = 0

    def __init__(
        self, server: Server, dependencies: Dependencies, tasks: asyncio.TaskGroup, all_clocks: AllClocks
    ) -> None:
        super().__init__(server, dependencies, tasks, all_clocks)
        tasks.create_task(self._linger())

    async def _linger(self) -> None:
        Lingering.running += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.is_ending.set()
            with suppress(TimeoutError):  # a test that fails ends all the same
                await asyncio.wait_for(self.may_end.wait(), 60)
            Lingering.running -= 1


@pytest.fixture
def lingering(monkeypatch: pytest.MonkeyPatch) -> type[Lingering]:
    monkeypatch.setattr(fleet, "Apiserver", Lingering)
    monkeypatch.setattr(fleet, "DISCOVERY_PERIOD_SECONDS", 0.2)
    monkeypatch.setattr(leaving, "LEAVING_SECONDS", 0.3)
    monkeypatch.setattr(Lingering, "is_ending", asyncio.Event())
    monkeypatch.setattr(Lingering, "may_end", asyncio.Event())
    monkeypatch.setattr(Lingering, "running", 0)
    return Lingering


async def test_an_apiserver_that_is_back_while_it_is_taken_down_is_watched(
    tmp_path: Path, lingering: type[Lingering], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with Simulator(apiservers=2) as simulator, Workload(simulator, rate_per_second=40):
        other = f"{simulator.apiservers[1].host}:{simulator.apiservers[1].port}"
        await simulator.list_apiservers(2)
        async with observed("--kubeconfig", kubeconfig(tmp_path, simulator.url), *DISCOVERED) as exporter:
            await exporter.wait_for(partial(is_up, other))
            await simulator.list_apiservers(1)
            await asyncio.wait_for(lingering.is_ending.wait(), 20)
            await simulator.list_apiservers(2)
            await wait_until(lambda: caplog.messages.count("apiserver found") == 3, "it is found again")
            caplog.clear()
            lingering.may_end.set()
            await wait_until(lambda: lingering.running == 2, "the one of before has ended")
            await asyncio.sleep(0.5)  # longer than it takes to drop the series
            scrape = await exporter.wait_for(partial(is_up, other))
            before = scrape.sum("events_judged_total", apiserver=other)
            await exporter.wait_for(lambda scrape: scrape.sum("events_judged_total", apiserver=other) > before + 20)


async def test_a_definition_that_comes_while_an_apiserver_is_taken_down_is_watched_on_the_others(
    tmp_path: Path, lingering: type[Lingering]
) -> None:
    async with Simulator(apiservers=2) as simulator:
        await simulator.list_apiservers(2)
        flags = ("--kubeconfig", kubeconfig(tmp_path, simulator.url), *DISCOVERED, "--custom-resources", "*")
        one, other = (f"{apiserver.host}:{apiserver.port}" for apiserver in simulator.apiservers)
        async with observed(*flags) as exporter:
            await exporter.wait_for(partial(is_up, other))
            await simulator.list_apiservers(1)
            await asyncio.wait_for(lingering.is_ending.wait(), 20)
            await simulator.define(GADGETS)
            await exporter.wait_for(
                lambda scrape: scrape.values("stream_up", apiserver=one, resource="gadgets") == [1.0]
            )
            lingering.may_end.set()


async def test_a_definition_that_is_back_while_its_watches_are_taken_down_is_watched_on_every_apiserver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaving, "LEAVING_SECONDS", 0.1)
    name = ResourceName("gadgets", "example.com")
    async with Simulator(apiservers=2) as simulator:
        await simulator.define(GADGETS)
        await simulator.list_apiservers(2)
        settled = config("--kubeconfig", kubeconfig(tmp_path, simulator.url), *DISCOVERED)
        exporter = Exporter(settled, await load_credentials(settled))
        async with exporter.running():
            watching = exporter._fleet._custom

            def watches() -> list[bool]:
                targets = [apiserver.stream("example.com", "gadgets") for apiserver in exporter.apiservers]
                return [target is not None and target.is_up for target in targets]

            await wait_until(lambda: len(exporter.apiservers) == 2, "both are found")
            watching._use({name})
            await wait_until(lambda: watches() == [True, True], "it is watched")
            watching._use(set())
            while name in watching._leaving:  # noqa: ASYNC110  the very turn of the loop is meant
                await asyncio.sleep(0)
            watching._use({name})
            for _ in range(100):
                await asyncio.sleep(0)  # until what was taken down has ended
            await wait_until(lambda: watches() == [True, True], "it is watched again")
            kept = [key for key, _ in exporter.metrics.stream_counts() if "gadgets" in key]
    assert len(kept) == 2


class Endless(Backoff):
    def after_failure(self, _retry_after_seconds: float | None = None) -> float:
        return 3600.0


async def test_a_definition_that_goes_and_is_back_has_the_stream_of_before_which_looks_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.watch.reflector.Backoff", Endless)
    async with Simulator() as simulator:
        flags = ("--kubeconfig", kubeconfig(tmp_path, simulator.url), "--custom-resources", "*", "--slo.window", "10m")
        async with Workload(simulator, rate_per_second=150), observed(*flags) as exporter:
            simulator.faults.cache_to_watch.set(1.5, WIDGETS.name)
            await exporter.wait_for(lambda scrape: scrape.state("widgets") == "violated")
            simulator.faults.cache_to_watch.clear()
            before = await exporter.wait_for(lambda scrape: scrape.sum("window_events", resource="widgets") > 100)
            await simulator.apiserver.registry.delete(CRDS, ("", WIDGETS.name))
            await exporter.wait_for(lambda scrape: scrape.sum("init_events_errors_total", reason="not_found") > 0)
            await asyncio.sleep(DEFINITIONS_SETTLE_SECONDS + 1)  # until the definitions are read without it
            await simulator.define(WIDGETS)
            await exporter.wait_for(lambda scrape: scrape.sum("stream_up", resource="widgets") == 1)
            after = await exporter.scrape()
    assert after.state("widgets") == "violated"
    held = after.sum("window_events", resource="widgets")
    assert held >= before.sum("window_events", resource="widgets")
    assert after.sum("relists_total", resource="widgets", reason="start") == 1
