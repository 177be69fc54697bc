"""Clients that take more than their share, over real sockets: the limits hold, and who asks and reads is served."""

import asyncio
import logging
import resource
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import ExitStack, asynccontextmanager
from itertools import repeat
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from exporter import descriptors
from exporter.config import ListenAddress
from exporter.metrics.registry import Metrics
from exporter.service import loop
from exporter.web import http
from exporter.web.connections import Limits, WebServer
from tests.real.certificates import CertificateAuthority
from tests.support.states import page
from tests.support.waiting import wait_until

UNFINISHED = b"GET /metrics HTTP/1.1\r\nHost: loopback\r\nX-Padding: "
SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: loopback\r\n\r\n"
NEVER = 3600.0


class Served:
    """A server under attack."""

    def __init__(self, metrics: Metrics, server: WebServer) -> None:
        self.metrics = metrics
        self.server = server
        self.address: tuple[str, int] = server.addresses[0][:2]
        self.clients = ExitStack()

    def client(self, said: bytes = b"") -> socket.socket:
        """A connection that has said this, and takes little unread."""
        client = self.clients.enter_context(socket.socket())
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(self.address)
        client.sendall(said)
        client.setblocking(False)  # noqa: FBT003 the only way
        return client

    async def asked(self, path: str, **how: Any) -> tuple[int, str]:
        """Status and text of an answer on a connection of its own."""
        url = f"http://{self.address[0]}:{self.address[1]}{path}"
        async with aiohttp.ClientSession() as client, client.get(url, **how) as response:
            return response.status, await response.text()

    def refused(self) -> dict[str, float]:
        """What has been counted, without zeros."""
        return {reason: counter.value for reason, counter in self.metrics.web_refused.items() if counter.value}


@asynccontextmanager
async def served(tls: ssl.SSLContext | None = None, **limits: Any) -> AsyncIterator[Served]:
    metrics = Metrics(threshold_seconds=1.0, objective_ratio=0.99, window_seconds=60.0)
    for index in range(10):  # 0.4 MB of text: more than all buffers between
        metrics.resource("127.0.0.1:6443", "example.com", f"widgets{index}")
    app = http.application(metrics, list, list, page=page())
    server = await http.serve(app, [ListenAddress("127.0.0.1", 0)], tls, Limits(**limits))
    for listening in server._sockets:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # and what it accepts has it too
    under_attack = Served(metrics, server)
    try:
        with under_attack.clients:
            yield under_attack
    finally:
        await server.cleanup()


async def insists(client: socket.socket, said: Iterable[bytes], pause_seconds: float = 0) -> None:
    """Says it all, whether or not anybody answers. Raises ConnectionError once it is cut off."""
    for each in said:
        await asyncio.get_running_loop().sock_sendall(client, each)
        await asyncio.sleep(pause_seconds)


async def is_closed(client: socket.socket) -> bool:
    """Whether the server has closed it, after whatever it has said."""
    try:
        while await asyncio.get_running_loop().sock_recv(client, 65_536):
            pass
    except ConnectionError:
        pass
    return True


async def reads(client: socket.socket) -> bytes:
    """All that it says until it closes."""
    said = b""
    while more := await asyncio.get_running_loop().sock_recv(client, 65_536):
        said += more
    return said


async def test_beyond_the_maximum_whoever_asks_is_served_and_the_longest_silent_is_closed() -> None:
    async with served(connections=20, requests=5) as web:
        silent = [web.client(UNFINISHED) for _ in range(60)]
        for path in ("/livez", "/readyz", "/metrics", "/"):
            assert (await web.asked(path))[0] == 200
        assert await asyncio.gather(*map(is_closed, silent[:40])) == [True] * 40
        assert len(web.server) <= 20
        assert web.refused()["too_many_connections"] >= 41


async def test_without_a_descriptor_left_whoever_asks_is_served() -> None:
    async with served() as web:
        silent = [web.clients.enter_context(socket.socket()) for _ in range(40)]
        probe = web.clients.enter_context(socket.socket())
        probe.setblocking(False)  # noqa: FBT003 the only way
        await asyncio.sleep(0.1)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors._lowest_free() + 10, hard))
        try:
            for client in silent:
                client.connect(web.address)
            await asyncio.get_running_loop().sock_connect(probe, web.address)
            await asyncio.get_running_loop().sock_sendall(probe, b"GET /livez HTTP/1.0\r\n\r\n")
            assert (await reads(probe)).endswith(b"\r\n\r\nok\n")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_client_that_dribbles_its_headers_is_cut_off() -> None:
    async with served(headers_seconds=0.3) as web:
        dribbling = web.client(UNFINISHED)
        with pytest.raises(ConnectionError):
            await insists(dribbling, repeat(b"x"), 0.05)
        assert web.refused() == {"slow_headers": 1}


async def test_the_second_request_of_a_connection_has_as_little_time_as_the_first() -> None:
    async with served(headers_seconds=0.3) as web:
        client = web.client(b"GET /livez HTTP/1.1\r\nHost: loopback\r\n\r\n" + UNFINISHED)
        await asyncio.sleep(0.05)
        await asyncio.get_running_loop().sock_sendall(client, b"x")
        assert (await reads(client)).count(b"HTTP/1.1 200") == 1
        assert web.refused() == {"slow_headers": 1}


async def test_headers_without_end_are_not_kept() -> None:
    async with served(headers_seconds=NEVER) as web:
        client = web.client(b"GET / HTTP/1.1\r\n")
        with pytest.raises(ConnectionError):
            await insists(client, (b"X-%d: %s\r\n" % (number, b"x" * 8000) for number in range(100)))
        assert web.refused() == {"malformed": 1}


async def test_a_handshake_that_does_not_come_is_cut_off(tmp_path: Path) -> None:
    issued = CertificateAuthority(tmp_path).issue("server")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(issued.certificate_file, issued.key_file)
    async with served(context, headers_seconds=0.5, connections=20) as web:
        silent = [web.client() for _ in range(30)]
        assert await asyncio.gather(*map(is_closed, silent)) == [True] * 30
        assert len(web.server) == 0
        assert sum(web.refused().values()) == 30
        plain = web.client(SCRAPE)
        assert await is_closed(plain)
        await wait_until(lambda: web.refused().get("handshake", 0) >= 1, "what is no TLS is counted")


async def test_a_client_that_reads_nothing_is_cut_off() -> None:
    async with served(write_seconds=0.3) as web:
        client = web.client(SCRAPE)
        await wait_until(lambda: web.refused() == {"slow_reader": 1}, "it is cut off")
        assert len(web.server) == 0
        with pytest.raises(ConnectionResetError):
            await reads(client)


async def test_that_a_client_is_cut_off_or_goes_away_is_no_fault_to_log(caplog: pytest.LogCaptureFixture) -> None:
    async with served(write_seconds=0.3) as web:
        web.client(SCRAPE)
        with web.client(SCRAPE):
            await asyncio.sleep(0.1)
        await wait_until(lambda: web.refused() == {"slow_reader": 1}, "one is cut off, and one is gone")
        await wait_until(lambda: len(web.server) == 0, "both are closed")
        await asyncio.sleep(0.1)
    assert not [record for record in caplog.records if record.levelno > logging.DEBUG]


async def test_a_client_that_asks_for_more_than_it_reads_is_cut_off() -> None:
    """Answers that are small, and so many that they fill all buffers."""
    async with served(write_seconds=0.3) as web:
        client = web.client()
        with pytest.raises(ConnectionError):
            await insists(client, repeat(b"GET / HTTP/1.1\r\nHost: loopback\r\n\r\n" * 20))
        assert set(web.refused()) <= {"slow_reader", "malformed"}
        assert web.refused()


async def test_more_requests_at_once_than_the_limit_get_one_sentence() -> None:
    async with served(requests=3, write_seconds=NEVER, stalled_seconds=NEVER) as web:
        for _ in range(3):
            web.client(SCRAPE)
        await wait_until(lambda: len(web.server) == 3, "they are connected")
        await asyncio.sleep(0.1)
        for path in ("/metrics", "/", "/api/v1/status"):
            assert await web.asked(path) == (503, "too many requests at once: try again in a few seconds\n")
        for path in ("/livez", "/healthz", "/readyz"):
            assert await web.asked(path) == (200, "ok\n")
        assert web.refused() == {"too_many_requests": 3}


async def test_whoever_reads_nothing_keeps_nobody_out() -> None:
    async with served(requests=3, write_seconds=NEVER, stalled_seconds=0.2) as web:
        for _ in range(3):
            web.client(SCRAPE)
        await asyncio.sleep(0.6)
        for _ in range(5):
            assert (await web.asked("/metrics"))[0] == 200
        assert web.refused()["slow_reader"] >= 1


async def test_an_idle_connection_is_closed_late_and_not_counted() -> None:
    async with served(idle_seconds=0.5, headers_seconds=0.1) as web:
        client = web.client(b"GET /livez HTTP/1.1\r\nHost: loopback\r\n\r\n")
        assert (await reads(client)).endswith(b"ok\n")
        assert not web.refused()


MALFORMED = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET\r\n\r\n",
    b"\r\n\r\n\0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"GET / HTTP/1.1\r\nX: " + b"x" * 9000 + b"\r\n\r\n",
    b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n",
    b"GET http://[ HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
]


@pytest.mark.parametrize("said", MALFORMED)
async def test_what_is_no_http_is_counted_and_not_logged(said: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with served(headers_seconds=1.0) as web:
        for _ in range(3):
            answer = await reads(web.client(said))
            assert b"400 Bad Request" in answer or b"405" in answer
            assert b"Server: watchslo\r\n" in answer
            assert b"ython" not in answer
            assert b"aiohttp" not in answer
        assert web.refused() == {"malformed": 3}
        assert (await web.asked("/livez"))[0] == 200
    assert not [record for record in caplog.records if record.levelno > logging.DEBUG]


async def test_no_answer_names_a_version_of_what_serves_it() -> None:
    async with served() as web, aiohttp.ClientSession() as client:
        host, port = web.address
        for method, path in (("GET", "/"), ("HEAD", "/metrics"), ("GET", "/livez"), ("POST", "/"), ("GET", "/nothing")):
            async with client.request(method, f"http://{host}:{port}{path}") as response:
                assert response.headers["Server"] == "watchslo"


async def test_a_page_may_stand_in_no_frame() -> None:
    async with served() as web, aiohttp.request("GET", "http://{}:{}/".format(*web.address)) as response:
        assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
        assert response.headers["X-Frame-Options"] == "DENY"


async def test_a_body_is_not_kept() -> None:
    async with served() as web:
        client = web.client(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
        with pytest.raises(ConnectionError):
            await insists(client, repeat(b"x" * 10_000))


@pytest.mark.parametrize(
    "test",
    [
        test_beyond_the_maximum_whoever_asks_is_served_and_the_longest_silent_is_closed,
        test_without_a_descriptor_left_whoever_asks_is_served,
        test_a_client_that_dribbles_its_headers_is_cut_off,
        test_a_client_that_reads_nothing_is_cut_off,
        test_whoever_reads_nothing_keeps_nobody_out,
        test_an_idle_connection_is_closed_late_and_not_counted,
    ],
)
def test_the_same_on_the_loop_that_users_run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    loop.run(test())


def test_handshakes_on_the_loop_that_users_run(tmp_path: Path) -> None:
    loop.run(test_a_handshake_that_does_not_come_is_cut_off(tmp_path))
