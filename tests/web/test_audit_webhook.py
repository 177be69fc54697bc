"""The listener for audit webhooks: only for those with a certificate, and no body is too much for it."""

import asyncio
import contextlib
import gzip
import json
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from msgspec.structs import replace

from exporter.audit.live_counts import LiveCounts
from exporter.config import ListenAddress
from exporter.config.web_config import read_web_config
from exporter.limits import refused_texts
from exporter.metrics.registry import Metrics
from exporter.service.audit_intake import AuditIntake
from exporter.web import audit_webhook, http
from tests.audit.lines import Json, listed
from tests.audit.shapes import event_list
from tests.real.certificates import CertificateAuthority
from tests.support.protected import VERIFIED

ASKED = ("alice", "list", "pods")
BATCH = event_list([one for at in range(400) for one in listed(at=at)])


@dataclass
class Listener:
    url: str
    counts: LiveCounts
    metrics: Metrics
    with_certificate: ssl.SSLContext
    without: ssl.SSLContext

    @property
    def requests(self) -> int:
        return self.counts.totals[ASKED].requests if ASKED in self.counts.totals else 0

    async def post(self, body: object, *, path: str = "/audit", **headers: str) -> int:
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self.with_certificate)) as session,
            session.post(f"{self.url}{path}", data=body, headers=headers) as response,
        ):
            return response.status


@contextlib.asynccontextmanager
async def listening(folder: Path, **limits: int) -> AsyncIterator[Listener]:
    authority = CertificateAuthority(folder)
    authority.issue("server")
    issued = authority.issue("apiserver")
    (folder / "ca.crt").write_bytes(authority.bundle)
    (folder / "web.yaml").write_text(json.dumps({"tls_server_config": VERIFIED}))
    with_certificate = authority.client_context()
    with_certificate.load_cert_chain(issued.certificate_file, issued.key_file)
    counts = LiveCounts()
    metrics = Metrics(threshold_seconds=1.0, objective_ratio=0.99, window_seconds=60.0)
    app = audit_webhook.application(metrics, AuditIntake(counts).take)
    tls = read_web_config(folder / "web.yaml").tls_server_config.context(folder)
    allowed = replace(audit_webhook.LIMITS, **limits)
    server = await http.serve(app, [ListenAddress("127.0.0.1", 0)], tls, allowed)
    url = f"https://127.0.0.1:{server.addresses[0][1]}"
    try:
        yield Listener(url, counts, metrics, with_certificate, authority.client_context())
    finally:
        await server.cleanup()


async def test_a_batch_is_counted_and_once_if_it_comes_again(tmp_path: Path) -> None:
    async with listening(tmp_path) as listener:
        assert await listener.post(BATCH) == 200
        assert await listener.post(BATCH, path="/some/other/path?timeout=30s") == 200
        assert listener.requests == 400


async def test_nobody_without_a_certificate_is_heard(tmp_path: Path) -> None:
    async with listening(tmp_path) as listener:
        connector = aiohttp.TCPConnector(ssl=listener.without)
        async with aiohttp.ClientSession(connector=connector) as session:
            with pytest.raises((aiohttp.ClientError, OSError)):
                await session.post(f"{listener.url}/audit", data=BATCH)
        assert listener.requests == 0


async def test_what_is_no_batch_is_refused_or_counted(tmp_path: Path) -> None:
    async with listening(tmp_path) as listener:
        before = refused_texts.times["audit"]
        assert await listener.post(b"junk") == 200
        assert refused_texts.times["audit"] == before + 1
        assert await listener.post(gzip.compress(BATCH), **{"Content-Encoding": "gzip"}) == 415
        connector = aiohttp.TCPConnector(ssl=listener.with_certificate)
        async with aiohttp.ClientSession(connector=connector) as session, session.get(listener.url) as response:
            assert response.status == 405
        assert listener.requests == 0


def endless(events: list[Json]) -> Iterator[bytes]:
    yield b'{"kind":"EventList","items":['
    while True:
        yield event_list(events).partition(b"[")[2][:-2] + b","


async def test_a_body_without_end_is_cut_off_and_what_came_before_is_counted(tmp_path: Path) -> None:
    async def body() -> AsyncIterator[bytes]:
        for piece in endless([one for at in range(20) for one in listed(at=at)]):
            yield piece

    async with listening(tmp_path, unanswered_bytes=1_000_000) as listener:
        with pytest.raises((aiohttp.ClientError, OSError)):
            await listener.post(body())
        assert listener.metrics.web_refused["malformed"].value == 1
        assert listener.requests == 20
        assert await listener.post(BATCH) == 200
        assert listener.requests == 420


async def test_a_body_that_does_not_come_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_webhook, "BODY_SECONDS", 0.2)

    async def body() -> AsyncIterator[bytes]:
        yield BATCH[:2000]
        await never.wait()

    never = asyncio.Event()
    async with listening(tmp_path) as listener:
        assert await listener.post(body()) == 408
