"""Every apiserver of a cluster, found by its EndpointSlices and followed as they change."""

import asyncio
import logging
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from exporter.kubernetes.backoff import Backoff
from exporter.service import fleet
from exporter.service.daemon import Exporter, load_credentials
from exporter.simulator import Simulator, Workload
from tests.support.kubeconfig import kubeconfig
from tests.support.observing import config, observed
from tests.support.scrapes import is_up
from tests.support.truth import HEALTHY_SECONDS, assert_contains_the_truth
from tests.support.waiting import wait_until


async def test_every_apiserver_is_watched_and_their_clocks_together_narrow_by_stamps(tmp_path: Path) -> None:
    async with Simulator(apiservers=3, balanced="connection") as simulator:
        for number, apiserver in enumerate(simulator.apiservers):
            apiserver.clock.offset_seconds = 0.1 * number
        flags = ("--kubeconfig", kubeconfig(tmp_path, simulator.url), "--resource", "pods", "--apiserver.discover")
        async with observed(*flags) as exporter, Workload(simulator, rate_per_second=40):
            addresses = {f"{apiserver.host}:{apiserver.port}" for apiserver in simulator.apiservers}
            for address in addresses:
                await exporter.wait_for(partial(is_up, address))
            await asyncio.sleep(HEALTHY_SECONDS * 2)
            assert_contains_the_truth(exporter, simulator)
            scrape = await exporter.scrape()
    balancer = simulator.url.removeprefix("http://")
    assert not scrape.values("stream_up", apiserver=balancer)
    for address in addresses:
        assert scrape.sum("events_judged_total", apiserver=address, verdict="on_time") > 40
        assert scrape.sum("evidence_total", apiserver=address, source="managed_fields") > 10
    assert scrape.sum("events_judged_total", verdict="late") == 0
    assert scrape.sum("contradictions_total") == 0


async def test_an_apiserver_that_comes_later_is_found_and_one_that_goes_keeps_its_series_for_a_while(
    tmp_path: Path,
) -> None:
    async with Simulator(apiservers=2) as simulator, Workload(simulator, rate_per_second=40):
        one, other = (f"{apiserver.host}:{apiserver.port}" for apiserver in simulator.apiservers)
        await simulator.list_apiservers(1)
        flags = ("--kubeconfig", kubeconfig(tmp_path, simulator.url), "--resource", "pods", "--apiserver.discover")
        async with observed(*flags) as exporter:
            assert (await exporter.scrape()).values("stream_up") == [1.0]
            await simulator.list_apiservers(2)
            await exporter.wait_for(partial(is_up, other))
            await simulator.list_apiservers(1)
            await simulator.apiservers[1].stop()
            gone = await exporter.wait_for(lambda scrape: scrape.sum("watch_ends_total", apiserver=other) == 1)
            assert gone.sum("stream_up", apiserver=other) == 0
            assert gone.sum("stream_up", apiserver=one) == 1


async def refusing(request: web.Request) -> web.StreamResponse:
    return web.json_response({"kind": "Status", "message": f"{request.path} is not for you"}, status=403)


async def test_who_may_not_look_for_apiservers_is_ready_and_says_why_nothing_is_watched(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "Backoff", Impatient)
    app = web.Application()
    app.router.add_get("/{path:.*}", refusing)
    async with TestServer(app) as server:
        flags = ("--kubeconfig", kubeconfig(tmp_path, str(server.make_url(""))), "--apiserver.discover")
        async with observed(*flags, "--custom-resources", "*.example.com") as exporter:
            scrape = await exporter.wait_for(
                lambda scrape: scrape.sum("discovery_errors_total", reason="forbidden") > 5
            )
    assert scrape.sum("discovery_errors_total") == scrape.sum("discovery_errors_total", reason="forbidden")
    assert not scrape.values("stream_up")
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert sorted(said) == ["apiservers cannot be found", "custom resources cannot be followed"], "once each"


async def test_while_apiservers_cannot_be_looked_for_it_is_not_ready_and_says_why(tmp_path: Path) -> None:
    async with Simulator() as simulator:
        url = simulator.url
    settled = config("--kubeconfig", kubeconfig(tmp_path, url), "--apiserver.discover")
    exporter = Exporter(settled, await load_credentials(settled))
    async with exporter.running():
        assert exporter.not_ready() == ["no apiserver found yet"]
        await wait_until(lambda: exporter.not_ready()[0].startswith("no apiserver found: connect: "), "it has tried")


class Impatient(Backoff):
    def after_failure(self, _retry_after_seconds: float | None = None) -> float:
        return 0.01
