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
US = {
    "open": {},
    "passwords": {"Authorization": aiohttp.encode_basic_auth("prometheus", PASSWORD)},
    "tokens": {"Authorization": "Bearer ours"},
}
LET_IN = {"status": {"authenticated": True, "allowed": True}}


async def saying_too_much(request: web.Request) -> web.StreamResponse:
    if request.path.endswith(("/tokenreviews", "/subjectaccessreviews")):
        return web.json_response(LET_IN, status=201)
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


@pytest.mark.parametrize("door", US)
async def test_others_words_are_shown_to_those_who_said_who_they_are(tmp_path: Path, door: str) -> None:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", saying_too_much)
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
        if door == "tokens":
            flags.append("--web.auth-filter")
        if door == "passwords":
            users = {"prometheus": bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(rounds=4)).decode()}
            (tmp_path / "web.yaml").write_text(json.dumps({"basic_auth_users": users}))
            flags += ["--web.config.file", tmp_path / "web.yaml"]
        settled = config(*flags)
        exporter = Exporter(settled, await load_credentials(settled))
        async with exporter.running():
            await wait_until(lambda: all(WORDS in reason for reason in exporter.not_ready()), "it has tried")
            await wait_until(lambda: WORDS in str(exporter.states()[0].trouble), "its state says so")
            answers = await told(exporter, US[door])
    assert "pods: server_error\n" in answers["/readyz"]
    assert "custom resources cannot be followed: server_error\n" in answers["/readyz"]
    for path in ("/", "/api/v1/status"):
        assert "server_error" in answers[path]
    assert [WORDS in answers[path] for path in answers] == [door != "open", door != "open", False]
