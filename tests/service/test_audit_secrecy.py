"""Bodies, and users that nobody may see, are neither in metrics nor in the log, the page or a document."""

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest

from exporter.service.audit_file import LOOK_SECONDS
from tests.audit.lines import Json, event, lines, listed
from tests.support.kubeconfig import kubeconfig
from tests.support.observing import Process, started, until
from tests.support.waiting import wait_until

NOWHERE = "http://127.0.0.1:1"
USER, BODY, AGENT = "a-user-whom-nobody-may-see", "a-body-that-nobody-may-see", "an-agent-that-nobody-may-see"
PATHS = ("/", "/metrics", "/api/v1/status", "/api/v1/diagnosis", "/api/v1/history")


def with_bodies(one: Json) -> Json:
    """As policies have it that log too much."""
    body = {"kind": "Secret", "metadata": {"name": BODY}, "data": {"password": BODY}}
    return {**one, "level": "RequestResponse", "requestObject": body, "responseObject": body}


def written() -> bytes:
    """Requests, and what is no event: cut off, of another shape, without the fields that it needs."""
    query = f"fieldSelector=metadata.name%3D{BODY}"
    requests = [one for _ in range(20) for one in listed(query, at=0, user=USER, agent=AGENT)]
    requests += [event("create", "/api/v1/namespaces/default/secrets", at=1, user=USER, agent=AGENT)]
    whole = lines([with_bodies(one) for one in requests])
    return whole + whole[:700] + b"\n" + json.dumps({"user": USER, "body": [BODY]}).encode() + b"\n"


async def all_that_is_said(exporter: Process) -> str:
    said = []
    async with aiohttp.ClientSession() as http:
        for path in PATHS:
            async with http.get(exporter.url + path) as response:
                assert response.status == 200
                said.append(await response.text())
    return "\n".join(said)


@pytest.mark.parametrize("names", ["none", "hashed", "plain"])
async def test_what_nobody_may_see_is_said_nowhere(names: str, tmp_path: Path) -> None:
    audit, log = tmp_path / "audit.log", tmp_path / "exporter.log"
    audit.touch()
    flags = ("--kubeconfig", kubeconfig(tmp_path, NOWHERE), "--resource=pods", "--log.level=debug")
    with started(*flags, f"--audit.file={audit}", f"--audit.user-names={names}", log=log) as exporter:

        async def is_counted() -> bool:
            """It follows what is added from when it has opened the file, at a moment that nobody knows."""
            with audit.open("ab") as file:
                file.write(written())
            await asyncio.sleep(LOOK_SECONDS)
            scrape = await exporter.scrape()
            return (
                sum(scrape.values("audit_requests_total")) >= 21 and scrape.sum("refused_text_total", what="audit") >= 2
            )

        await until(is_counted)
        said = await all_that_is_said(exporter)
        exporter.stop()
    await wait_until(log.exists, "the log is written")
    said += log.read_text()
    assert "audit log" in said
    assert BODY not in said
    assert AGENT not in said
    assert (USER in said) is (names == "plain")
