"""What an apiserver says of an error goes to the log, and to those who had to say who they are; to nobody else."""

import json
from pathlib import Path

import aiohttp
import bcrypt
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from exporter.service.daemon import Exporter, load_credentials
from tests.support.kubeconfig import kubeconfig
from tests.support.observing import config
from tests.support.waiting import wait_until

WORDS = "dial tcp 127.0.0.77:2379, says the apiserver"
PASSWORD = "correct horse"
US = {"Authorization": aiohttp.encode_basic_auth("prometheus", PASSWORD)}


async def saying_too_much(_request: web.Request) -> web.StreamResponse:
    return web.json_response({"kind": "Status", "message": WORDS}, status=500)


async def told(exporter: Exporter, headers: dict[str, str]) -> dict[str, str]:
    """All that is not a metric, by path."""
    host, port = exporter.listens_on[0]
    answers = {}
    async with aiohttp.ClientSession(f"http://{host}:{port}", headers=headers) as client:
        for path in ("/", "/api/v1/status", "/readyz"):
            async with client.get(path) as response:
                answers[path] = await response.text()
    return answers


@pytest.mark.parametrize("is_protected", [False, True], ids=["open", "protected"])
async def test_others_words_are_shown_to_those_who_said_who_they_are(tmp_path: Path, *, is_protected: bool) -> None:
    app = web.Application()
    app.router.add_get("/{path:.*}", saying_too_much)
    async with TestServer(app, host="127.0.0.1") as server:
        url = str(server.make_url("")).rstrip("/")
        flags: list[str | Path] = [
            "--kubeconfig",
            kubeconfig(tmp_path, url),
            "--resource",
            "pods",
            "--custom-resources",
            "*.example.com",
        ]
        if is_protected:
            users = {"prometheus": bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(rounds=4)).decode()}
            (tmp_path / "web.yaml").write_text(json.dumps({"basic_auth_users": users}))
            flags += ["--web.config.file", tmp_path / "web.yaml"]
        settled = config(*flags)
        exporter = Exporter(settled, await load_credentials(settled))
        async with exporter.running():
            await wait_until(lambda: all(WORDS in reason for reason in exporter.not_ready()), "it has tried")
            await wait_until(lambda: WORDS in str(exporter.states()[0].trouble), "its state says so")
            answers = await told(exporter, US if is_protected else {})
    assert "pods: server_error\n" in answers["/readyz"]
    assert "custom resources cannot be followed: server_error\n" in answers["/readyz"]
    for path in ("/", "/api/v1/status"):
        assert "server_error" in answers[path]
    assert [WORDS in answers[path] for path in answers] == [is_protected, is_protected, False]
