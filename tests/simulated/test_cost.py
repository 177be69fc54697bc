"""What we say that we cost an apiserver is what goes over the wire."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientTimeout, web

from exporter.credentials import Credentials, CredentialsSource
from exporter.kubernetes.session import STREAM, ApiSession, Request, Server
from exporter.metrics.registry import CostMetrics, Metrics
from exporter.service.apiserver import CountedCost
from exporter.service.daemon import Exporter, load_credentials
from exporter.simulator import Simulator, Workload
from tests.simulated.wire import Wire
from tests.support.kubeconfig import kubeconfig
from tests.support.observing import config, observed
from tests.support.waiting import wait_until
from tests.watch.scripted import DISCOVERY, ScriptedApiserver, document, saying

NOTHING_LISTENS = "http://127.0.0.1:1"


def requests(cost: CostMetrics) -> dict[str, float]:
    """Requests sent, by what they look like on the wire, where a poll of the store is a LIST like any other."""
    sent = {purpose: counter.value for purpose, counter in cost.requests.items()}
    sent["list"] += sent.pop("revision_poll")
    return {purpose: count for purpose, count in sent.items() if count}


def body_bytes(cost: CostMetrics) -> float:
    return sum(counter.value for counter in cost.response_bytes.values())


@contextlib.asynccontextmanager
async def session(folder: Path, url: str) -> AsyncIterator[tuple[ApiSession, CostMetrics]]:
    """A session whose requests are counted."""
    credentials = Credentials(CredentialsSource(kubeconfig(folder, url)))
    await credentials.load()
    metrics, server = Metrics(1, 0.99, 60), Server(url, is_one_apiserver=True)
    api = ApiSession(server, credentials, cost=CountedCost(metrics, server))
    yield api, metrics.cost(server.name)
    await api.close()


async def test_requests_and_bodies_are_counted_as_they_go_over_the_wire(tmp_path: Path) -> None:
    async with (
        Simulator() as simulator,
        Workload(simulator, rate_per_second=40),
        Wire(simulator.apiserver.host, simulator.apiserver.port) as wire,
    ):
        resources = ("--resource", "pods", "--resource", "nodes", "--custom-resources", "*.example.com")
        settled = config("--kubeconfig", kubeconfig(tmp_path, wire.url), "--apiserver", wire.url, *resources)
        exporter = Exporter(settled, await load_credentials(settled))
        async with exporter.running():
            address = wire.url.removeprefix("http://")
            cost = exporter.metrics.cost(address)
            await wait_until(lambda: cost.requests["cache_poll"].value > 30, "thirty polls of caches")
            simulator.apiserver.end_watches()
            await wait_until(lambda: cost.requests["cache_poll"].value > 60, "thirty more")
            # Something is under way at many moments, but not at all of them.
            await wait_until(lambda: requests(cost) == dict(wire.requests), "what is counted is what was sent")
            await wait_until(lambda: body_bytes(cost) == wire.body_bytes, "what is counted is what was answered")
            polls = exporter.metrics.clock(address, "", "events", "revision").counts
            await wait_until(
                lambda: cost.requests["revision_poll"].value == polls.answered + polls.failures > 0,
                "each poll of the store is one request",
            )
    assert set(wire.requests) == {"discovery", "list", "watch", "cache_poll"}
    assert wire.requests["watch"] >= 4


async def test_what_finds_no_connection_is_no_request(tmp_path: Path) -> None:
    async with observed("--kubeconfig", kubeconfig(tmp_path, NOTHING_LISTENS), ready=False) as exporter:
        scrape = await exporter.wait_for(lambda scrape: scrape.sum("init_events_errors_total", reason="connect") > 3)
    address = NOTHING_LISTENS.removeprefix("http://")
    for name in ("requests", "request_seconds", "response_bytes"):
        assert scrape.sum(f"apiserver_{name}_total", apiserver=address) == 0


async def test_a_request_that_has_to_be_sent_again_counts_again_but_is_read_once(tmp_path: Path) -> None:
    async def closing(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    script = [document(DISCOVERY), closing]
    async with ScriptedApiserver(discoveries=script) as server, session(tmp_path, server.url) as (api, cost):
        await api.read(Request("/version"))
        size_bytes = body_bytes(cost)
        await api.read(Request("/version"))
        assert len(server.asked) == 3
        assert cost.requests["discovery"].value == 3
        assert body_bytes(cost) == 2 * size_bytes > 0


async def test_a_request_is_in_flight_until_its_answer_begins_or_it_is_given_up(tmp_path: Path) -> None:
    may_answer = asyncio.Event()

    async def late(_: web.Request) -> web.StreamResponse:
        await may_answer.wait()
        return web.Response()

    async with (
        ScriptedApiserver(saying(then="silence"), lists=[late, late]) as server,
        session(tmp_path, server.url) as (api, cost),
    ):
        seconds = cost.request_seconds
        watch = await api.send(Request("/api/v1/configmaps", {"watch": "true"}, time_limit=STREAM, purpose="watch"))
        watch_seconds = seconds["watch"].value
        begun = asyncio.create_task(api.send(Request("/api/v1/configmaps", purpose="list")))
        await wait_until(lambda: cost.requests["list"].value == 1, "the list is sent before the poll")
        with pytest.raises(TimeoutError):
            await api.send(Request("/api/v1/configmaps", purpose="revision_poll", time_limit=ClientTimeout(total=0.3)))
        assert seconds["revision_poll"].value >= 0.25
        may_answer.set()
        (await begun).close()
        assert seconds["list"].value >= seconds["revision_poll"].value
        assert seconds["watch"].value == watch_seconds > 0
        watch.close()
    assert [cost.requests[purpose].value for purpose in ("watch", "list", "revision_poll")] == [1, 1, 1]
    assert body_bytes(cost) == 0
