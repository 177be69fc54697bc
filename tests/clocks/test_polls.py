"""A poll that goes wrong is a StartError, whatever went wrong: any other error would end the exporter."""

from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from exporter.clocks.connections import PollConnection
from exporter.credentials import Credentials, CredentialsSource
from exporter.kubernetes.errors import StartError
from exporter.kubernetes.resources import EVENTS
from exporter.kubernetes.session import Server
from tests.support.kubeconfig import kubeconfig


async def polled(credentials: Credentials, url: str) -> str:
    """The reason that a poll fails for."""
    place = PollConnection(Server(url, is_one_apiserver=True), credentials, closed=lambda _connection: None)
    try:
        with pytest.raises(StartError) as failed:
            await place.poll(*EVENTS.empty_list(None))
    finally:
        await place.close()
    return str(failed.value.reason)


async def test_credentials_that_cannot_be_renewed_fail_a_poll(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, "http://127.0.0.1:1")
    credentials = Credentials(CredentialsSource(path), renewal_pause_seconds=0)
    await credentials.load()
    path.unlink()
    credentials.refused()
    assert await polled(credentials, "http://127.0.0.1:1") == "connect"


@pytest.mark.parametrize("body", [b'{"a":' * 100_000, b'{"kind":"\xff\xfeList"}', b"<html>", b'{"kind":"Pod"}'])
async def test_an_answer_that_is_no_list_fails_a_poll(tmp_path: Path, body: bytes) -> None:
    app = web.Application()

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    app.router.add_get("/{path:.*}", answer)
    async with TestServer(app) as server:
        url = str(server.make_url("")).rstrip("/")
        credentials = Credentials(CredentialsSource(kubeconfig(tmp_path, url)))
        await credentials.load()
        assert await polled(credentials, url) == "bad_response"
