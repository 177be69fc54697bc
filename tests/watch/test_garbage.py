"""What a proxy may answer instead of the apiserver: none of it ends the exporter, or fills its memory."""

import asyncio
import tracemalloc
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from exporter.daemon import load_credentials
from exporter.kubernetes.polls import Answer, Place
from exporter.kubernetes.session import MOST_LIST_BYTES, Server
from exporter.kubernetes.watch import StartError
from tests.live.observing import config
from tests.simulated.test_exact_truth import kubeconfig
from tests.watch.scripted import LISTED_REVISION, ScriptedApiserver, a_list

DATES = [
    "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
    "Mon, 01 Jan 9999 00:00:00 +99999999999999999999",
    "Mon, 32 Jan 2026 00:00:00 GMT",
    "Thu, 01 Jan 2026 00:00:00",
    "Thu, 01 Jan 2026 00:00:00 -0000",
    "Thu, 01 Jan 2026 00:00:00 +0200",
    "Thu, 01 Jan 26 00:00:00 GMT",
    "Thu, 1 Jan 2026 00:00:00 GMT",
    "01 Jan 2026 00:00:00 GMT",
    "Thu, 01 Jan 2026 00:00:00 GMT, Thu, 01 Jan 2026 00:00:01 GMT",
    "Thu, 01 Jan 2026 24:00:00 GMT",
    "yesterday",
    "",
]


async def poll(folder: Path, answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> Answer:
    """What one poll makes of this answer."""
    async with ScriptedApiserver(lists=[answer]) as server:
        credentials = await load_credentials(config("--kubeconfig", kubeconfig(folder, server.url)))
        place = Place(Server(server.url, is_one_apiserver=True), credentials, lambda _: None)
        try:
            return await place.poll("/api/v1/configmaps", {}, lambda _: None)
        finally:
            await place.close()


@pytest.mark.parametrize("date", DATES)
async def test_a_date_that_is_none_is_no_evidence(tmp_path: Path, date: str) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response(a_list(LISTED_REVISION), headers={"Audit-Id": "1", "Date": date})

    assert (await poll(tmp_path, answer)).date is None


async def test_a_date_as_servers_write_it_is_read_to_the_second(tmp_path: Path) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        headers = {"Audit-Id": "1", "Date": "Sun, 06 Nov 1994 08:49:37 GMT"}
        return web.json_response(a_list(LISTED_REVISION), headers=headers)

    assert (await poll(tmp_path, answer)).date == 784111777.0


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    while True:
        await response.write(b" " * 65_536)
        await asyncio.sleep(0)


async def test_a_poll_whose_answer_does_not_end_is_given_up_and_fills_no_memory(tmp_path: Path) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(StartError, match="longer than 1048576 bytes") as refused:
            await poll(tmp_path, endless)
        assert tracemalloc.get_traced_memory()[1] < 8 * MOST_LIST_BYTES
    finally:
        tracemalloc.stop()
    assert refused.value.reason == "bad_response"
