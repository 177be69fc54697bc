"""Endpoints that discovery finds and that cannot be reached: the configured server is watched until one answers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from exporter.service import fleet, leaving
from exporter.service.daemon import Exporter, load_credentials
from exporter.simulator import Simulator, Workload
from exporter.simulator.apiserver import Apiserver
from tests.support.endpoints import name_apiservers
from tests.support.kubeconfig import kubeconfig
from tests.support.observing import Scrape, config, observed
from tests.support.scrapes import is_up
from tests.support.waiting import wait_until

HOUR_SECONDS = 3600.0
FALLS_BACK = "no endpoint answers: the configured server is watched instead"


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "DISCOVERY_PERIOD_SECONDS", 0.2)
    monkeypatch.setattr("exporter.kubernetes.backoff.LONGEST_SECONDS", 0.5)
    monkeypatch.setattr("exporter.kubernetes.apiservers.REACHING_SECONDS", 1.0)
    monkeypatch.setattr(leaving, "LEAVING_SECONDS", 1.0)


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """The first apiserver is the configured server, which only that knows; the others are the endpoints."""
    async with Simulator(apiservers=3) as simulator:
        await name_apiservers(simulator, *(endpoint.host for endpoint in simulator.apiservers[1:]))
        yield simulator


def flags(folder: Path, simulator: Simulator) -> tuple[str | Path, ...]:
    return "--kubeconfig", kubeconfig(folder, simulator.url), "--resource=pods", "--apiserver.discover"


def streams(scrape: Scrape) -> dict[str, float]:
    """Which addresses are watched, and where a watch is open."""
    return {labels["apiserver"]: scrape.sum("stream_up", **labels) for labels in scrape.labels("stream_up")}


def discoveries(scrape: Scrape) -> float:
    return sum(scrape.values("apiserver_requests_total", purpose="discovery"))


def fallbacks(caplog: pytest.LogCaptureFixture) -> list[object]:
    """What the log says with each."""
    return [record.fields for record in caplog.records if record.getMessage() == FALLS_BACK]  # type: ignore[attr-defined]


async def refuse(apiserver: Apiserver) -> None:
    await apiserver.stop()


async def be_silent(apiserver: Apiserver) -> None:
    apiserver.faults.network.to_client_seconds = HOUR_SECONDS


@pytest.mark.parametrize(
    ("close", "said"), [(refuse, "no connection: Connection refused"), (be_silent, "no answer in time")]
)
async def test_where_no_endpoint_answers_the_configured_server_is_watched_and_the_log_says_why(
    close: Callable[[Apiserver], Awaitable[None]],
    said: str,
    simulator: Simulator,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    home, *endpoints = simulator.apiservers
    for endpoint in endpoints:
        await close(endpoint)
    async with Workload(simulator, rate_per_second=40), observed(*flags(tmp_path, simulator)) as exporter:
        scrape = await exporter.wait_for(lambda scrape: scrape.sum("events_judged_total", verdict="on_time") > 100)
        before = discoveries(scrape)
        scrape = await exporter.wait_for(lambda scrape: discoveries(scrape) > before + 3)
        await exporter.wait_for(
            lambda scrape: (
                {labels["apiserver"] for labels in scrape.labels("apiserver_requests_total")} == {home.address}
            )
        )
    assert streams(scrape) == {home.address: 1.0}
    assert scrape.sum("apiservers_left_out") == 2
    assert scrape.sum("evidence_total", source="managed_fields") == 0, "not every clock that stamps is known"
    assert scrape.sum("discovery_errors_total") == 0
    one, other = (endpoint.address for endpoint in endpoints)
    assert fallbacks(caplog) == [{"apiserver": home.address, "left_out": 2, "error": f"{one}, {other}: {said}"}]


async def test_it_goes_over_to_the_endpoints_once_one_answers_and_stays_there_when_that_dies(
    simulator: Simulator, tmp_path: Path
) -> None:
    home, one, other = simulator.apiservers
    await refuse(one)
    await be_silent(other)
    async with observed(*flags(tmp_path, simulator)) as exporter:
        await exporter.wait_for(lambda scrape: streams(scrape) == {home.address: 1.0})
        await one.start()
        scrape = await exporter.wait_for(partial(is_up, one.address))
        assert scrape.sum("stream_up", apiserver=other.address) == 0, "it is down, and that is seen"
        assert scrape.sum("apiservers_left_out") == 0
        await exporter.wait_for(lambda scrape: streams(scrape) == {one.address: 1.0, other.address: 0.0})
        await one.stop()
        await exporter.wait_for(lambda scrape: streams(scrape) == {one.address: 0.0, other.address: 0.0})
        before = discoveries(await exporter.scrape())
        scrape = await exporter.wait_for(lambda scrape: discoveries(scrape) > before + 5)
        assert streams(scrape) == {one.address: 0.0, other.address: 0.0}, "its uncovered time is what is measured"


async def test_where_one_endpoint_answers_the_others_are_watched_as_well(simulator: Simulator, tmp_path: Path) -> None:
    _, one, other = simulator.apiservers
    await refuse(other)
    async with observed(*flags(tmp_path, simulator), ready=False) as exporter:
        scrape = await exporter.wait_for(lambda scrape: streams(scrape) == {one.address: 1.0, other.address: 0.0})
        assert scrape.sum("apiservers_left_out") == 0


@asynccontextmanager
async def answering(apiserver: Apiserver, status: int, text: str) -> AsyncIterator[None]:
    """In its place stands what answers everything with this."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text=text)

    await apiserver.stop()
    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with TestServer(app, host=apiserver.host, port=apiserver.port):
        yield


async def test_an_endpoint_that_refuses_us_has_answered(simulator: Simulator, tmp_path: Path) -> None:
    _, one, other = simulator.apiservers
    await refuse(other)
    async with answering(one, 403, "not for you"), observed(*flags(tmp_path, simulator), ready=False) as exporter:
        await exporter.wait_for(lambda scrape: streams(scrape) == {one.address: 0.0, other.address: 0.0})


async def test_behind_a_proxy_that_ends_tls_the_endpoints_are_out_of_reach(
    simulator: Simulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home, one, _ = simulator.apiservers
    await name_apiservers(simulator, one.host)
    async with (
        answering(one, 400, "Client sent an HTTP request to an HTTPS server.\n"),
        observed(*flags(tmp_path, simulator)) as exporter,
    ):
        await exporter.wait_for(lambda scrape: streams(scrape) == {home.address: 1.0})
    said = f"{one.address}: answers only TLS: write https://"
    assert fallbacks(caplog) == [{"apiserver": home.address, "left_out": 1, "error": said}]


async def fleet_of(folder: Path, simulator: Simulator) -> tuple[Exporter, fleet.Fleet]:
    settled = config(*flags(folder, simulator))
    exporter = Exporter(settled, await load_credentials(settled))
    return exporter, exporter._fleet


async def test_while_one_that_is_found_is_not_known_yet_no_stamp_is_dated(simulator: Simulator, tmp_path: Path) -> None:
    _, one, other = simulator.apiservers
    await name_apiservers(simulator, one.host)
    exporter, watched = await fleet_of(tmp_path, simulator)
    async with exporter.running():
        await wait_until(lambda: watched._bound_all_clocks() is not None, "the clock of the only endpoint is known")
        await name_apiservers(simulator, one.host, other.host)
        while len(watched._running) < 2:  # noqa: ASYNC110  the very turn of the loop is meant
            await asyncio.sleep(0)
        assert watched._bound_all_clocks() is None


async def test_a_configured_server_that_is_an_endpoint_need_not_answer_twice(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.kubernetes.apiservers.REACHING_SECONDS", 1e-6)
    await name_apiservers(simulator, *(apiserver.host for apiserver in simulator.apiservers))
    exporter, _ = await fleet_of(tmp_path, simulator)
    async with exporter.running():
        await wait_until(lambda: len(exporter.apiservers) == 3, "all are watched")
        assert all(apiserver.server.is_one_apiserver for apiserver in exporter.apiservers)


@pytest.mark.parametrize("first", [0, 1], ids=["home", "elsewhere"])
async def test_no_address_is_watched_twice_whatever_it_is_found_to_be(
    first: int, simulator: Simulator, tmp_path: Path
) -> None:
    home, one, other = simulator.apiservers
    for endpoint in (one, other):
        await refuse(endpoint)
    await name_apiservers(simulator, simulator.apiservers[first].host)
    exporter, _ = await fleet_of(tmp_path, simulator)

    async def watches(*apiservers: Apiserver) -> None:
        def are_watched() -> bool:
            names = [watched.server.name for watched in exporter.apiservers]
            assert len(names) == len(set(names))
            return set(names) == {apiserver.address for apiserver in apiservers}

        await wait_until(are_watched, f"{len(apiservers)} are watched")

    async with exporter.running():
        await watches(home)
        assert exporter._fleet._is_complete == (first == 0), "else it is not known whose clocks stamp"
        # It has answered, so the other one is down.
        await name_apiservers(simulator, home.host, one.host)
        await watches(home, one)
        # Everything that was watched goes, and what comes instead is out of reach.
        await name_apiservers(simulator, other.host)
        await watches(home)
        await name_apiservers(simulator, home.host)
        await wait_until(lambda: exporter.metrics.apiservers_left_out.value == 0, "it is an endpoint again")
        await watches(home)
        await other.start()
        await name_apiservers(simulator, other.host)
        await watches(other)
