"""Polls over a connection that is kept say the same as aiohttp's, whatever is answered, and keep every promise."""

import asyncio
import contextlib
import os
import re
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from exporter.clocks.poll import POLL_SECONDS, Answer, PollConnection
from exporter.credentials import Credentials, CredentialsSource
from exporter.kubernetes.cost import Cost, Sending
from exporter.kubernetes.errors import StartError
from exporter.kubernetes.framed import MOST_BYTES_BEFORE
from exporter.kubernetes.resources import EVENTS
from exporter.kubernetes.session import MOST_LIST_BYTES, Server
from exporter.limits import Refused, refused_texts
from exporter.service import loop as our_loop
from exporter.vocabulary import Purpose
from tests.real.certificates import CertificateAuthority
from tests.support.configuring import write_kubeconfig
from tests.support.kubeconfig import kubeconfig
from tests.support.waiting import wait_until

BODY = b'{"kind":"EventList","metadata":{"resourceVersion":"7"}}'
DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"
OURS = (b"Audit-Id: 1", b"Date: " + DATE, b"Content-Type: application/json")
STATUS = b'{"kind":"Status","message":"not so"}'
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"
IN_CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)


def answer(status: bytes, body: bytes, *headers: bytes) -> bytes:
    """With the length of its body."""
    return head(b"HTTP/1.1 " + status, *headers, b"Content-Length: %d" % len(body)) + body


def head(*lines: bytes) -> bytes:
    return b"\r\n".join((*lines, b"", b""))


OK = answer(b"200 OK", BODY, *OURS)
CHUNKED = head(b"HTTP/1.1 200 OK", *OURS, b"Transfer-Encoding: chunked")
LONGER = b"x" * (MOST_LIST_BYTES + 1)

ANSWERS = {
    "good": OK,
    "in chunks": CHUNKED + IN_CHUNKS,
    "up to the end": head(b"HTTP/1.1 200 OK", *OURS) + BODY,
    "and then closed": answer(b"200 OK", BODY, *OURS, b"Connection: close"),
    "an old server": head(b"HTTP/1.0 200 OK", *OURS) + BODY,
    "interim answers": INTERIM * 3 + OK,
    "no Date": answer(b"200 OK", BODY, b"Audit-Id: 1"),
    "no Audit-Id": answer(b"200 OK", BODY, b"Date: " + DATE),
    "no date as servers write it": answer(b"200 OK", BODY, b"Audit-Id: 1", b"Date: yesterday"),
    "somebody between": answer(b"200 OK", BODY, *OURS, b"via: 1.1 somebody"),
    "from a cache": answer(b"200 OK", BODY, *OURS, b"AGE: 1"),
    "401": answer(b"401 Unauthorized", STATUS),
    "403": answer(b"403 Forbidden", STATUS),
    "404": answer(b"404 Not Found", b"404 page not found\n", b"Content-Type: text/plain; charset=utf-8"),
    "404 page": answer(b"404 Not Found", b"<html>", b"Content-Type: text/html"),
    "404, no type": answer(b"404 Not Found", b"no such thing\nat all"),
    "410": answer(b"410 Gone", STATUS),
    "429": answer(b"429 Too Many Requests", STATUS, b"Retry-After: 7"),
    "429 on a date": answer(b"429 Too Many Requests", STATUS, b"Retry-After: Wed, 21 Oct 2026 07:28:00 GMT"),
    "500": answer(b"500 Internal Server Error", b"x" * 2000, b"Content-Type: text/plain"),
    "503 without a body": answer(b"503 Service Unavailable", b""),
    "504": answer(b"504 Gateway Timeout", STATUS),
    "302": answer(b"302 Found", b"", b"Location: https://127.0.0.1/login"),
    "204": head(b"HTTP/1.1 204 No Content"),
    "201": answer(b"201 Created", BODY),
    "HTTP where TLS was meant": answer(b"400 Bad Request", b"Client sent an HTTP request to an HTTPS server.\n"),
    "a page": answer(b"200 OK", b"<html>", b"Content-Type: text/html"),
    "another document": answer(b"200 OK", b'{"kind":"Pod","metadata":{}}'),
    "no number": answer(b"200 OK", BODY.replace(b'"7"', b'"x"')),
    "not UTF-8": answer(b"200 OK", b'{"kind":"\xff\xfeList"}'),
    "compressed": answer(b"200 OK", b"x", b"Content-Encoding: gzip"),
    "compressed twice": answer(b"503 No", b"x", b"Content-Encoding: br", b"Content-Encoding: gzip", b"Retry-After: 3"),
    "not compressed": answer(b"200 OK", BODY, *OURS, b"Content-Encoding: identity"),
    "too long": answer(b"200 OK", LONGER),
    "too long, in chunks": CHUNKED + b"%x\r\n%b\r\n" % (len(LONGER), LONGER),
    "too long, without end": head(b"HTTP/1.1 500 No") + LONGER,
    "too much before": INTERIM * (MOST_BYTES_BEFORE // len(INTERIM) + 1),
    "not HTTP": b"SSH-2.0-OpenSSH\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "a long header": head(b"HTTP/1.1 200 OK", b"A: " + b"x" * 70_000),
    "no header": head(b"HTTP/1.1 200 OK", b"nonsense"),
    "two ends": head(b"HTTP/1.1 200 OK", b"Content-Length: 5", b"Transfer-Encoding: chunked") + IN_CHUNKS,
    "two lengths": head(b"HTTP/1.1 200 OK", b"Content-Length: 5", b"Content-Length: 6") + BODY,
    "no length": head(b"HTTP/1.1 200 OK", b"Content-Length: -5") + BODY,
    "cut in the body": OK[:-1],
    "cut in a chunk": CHUNKED + IN_CHUNKS[:-9],
    "no chunk": CHUNKED + b"x\r\n" + IN_CHUNKS,
    "cut in the head": OK[:40],
    "no answer": b"",
}
"""What is answered to a poll, and then the connection ends."""


class Counted(Cost):
    """All that is told."""

    def __init__(self) -> None:
        self.sent = self.over = self.size_bytes = 0

    def request_sent(self, purpose: Purpose) -> None:
        assert purpose == "revision_poll"
        self.sent += 1

    def request_over(self, purpose: Purpose, seconds: float) -> None:
        assert purpose == "revision_poll"
        assert 0 <= seconds < 2 * POLL_SECONDS
        self.over += 1

    def answer_read(self, purpose: Purpose, size_bytes: int) -> None:
        assert purpose == "revision_poll"
        self.size_bytes += size_bytes


class Apiserver:
    """Answers each request with the next of its bytes; after the last of `answers` a connection is closed."""

    def __init__(self, *answers: bytes, closes_after: int = 0) -> None:
        self._answers = iter(answers)
        self._closes_after = closes_after
        self.requests: list[bytes] = []
        self.connections = 0
        self.protocols: set[str | None] = set()
        self.writers: list[asyncio.StreamWriter] = []
        self.listening: asyncio.Server

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        tls = writer.get_extra_info("ssl_object")
        self.protocols.add(tls.selected_alpn_protocol() if tls is not None else None)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(next(self._answers, OK))
                await writer.drain()
                if len(self.requests) == self._closes_after:
                    break
        writer.close()


@contextlib.asynccontextmanager
async def polling(
    folder: Path,
    apiserver: Apiserver,
    *,
    cost: Cost | None = None,
    tls: ssl.SSLContext | None = None,
    authority: bytes = b"",
) -> AsyncIterator[tuple[PollConnection, Credentials]]:
    """A place whose polls it answers, as somebody with a token."""
    async with await asyncio.start_server(apiserver.serve, "127.0.0.1", 0, ssl=tls) as server:
        apiserver.listening = server
        host, port = server.sockets[0].getsockname()
        url = f"{'https' if tls else 'http'}://{host}:{port}"
        (folder / "token").write_text("one")
        kubeconfig = write_kubeconfig(folder, url, user={"tokenFile": "token"}, authority=authority)
        credentials = Credentials(CredentialsSource(kubeconfig), renewal_pause_seconds=0)
        await credentials.load()
        place = PollConnection(Server(url, is_one_apiserver=True), credentials, lambda _: None, cost)
        try:
            yield place, credentials
        finally:
            await place.close()


async def poll(place: PollConnection, on_sent: Callable[[float], None] | None = None) -> Answer:
    return await place.poll(*EVENTS.empty_list(None), Sending(on_sent))


Told = tuple[object, ...]


async def told(folder: Path, said: bytes, *, kept: bool) -> tuple[Told, Counted, list[bytes]]:
    """What is made of the second answer on a connection, what it cost, and the requests."""
    apiserver, cost = Apiserver(OK, said, closes_after=2), Counted()
    before = dict(refused_texts.times)
    async with polling(folder, apiserver, cost=cost) as (place, _):
        await poll(place)
        if not kept:
            place._kept = None
        assert (place._kept is not None) == kept
        try:
            got = await poll(place)
            result: Told = (got.revision, got.date)
        except StartError as error:
            result = (error.reason, str(error), error.retry_after_seconds, error.is_apiservers)
    refused: list[Refused] = [what for what, times in refused_texts.times.items() if times != before[what]]
    return (*result, refused), cost, [re.sub(rb"(?m)^Host: .*:[0-9]+\r$", b"", said) for said in apiserver.requests]


@pytest.mark.parametrize("name", ANSWERS)
async def test_whatever_is_answered_both_ways_say_the_same_and_cost_the_same(tmp_path: Path, name: str) -> None:
    by_aiohttp, its_cost, its_requests = await told(tmp_path, ANSWERS[name], kept=False)
    result, cost, requests = await told(tmp_path, ANSWERS[name], kept=True)
    assert result == by_aiohttp
    assert cost.sent == its_cost.sent
    assert cost.size_bytes == its_cost.size_bytes
    assert [set(request.split(b"\r\n")) for request in requests] == [
        set(request.split(b"\r\n")) for request in its_requests
    ]


async def test_polls_go_over_one_connection_that_is_kept(tmp_path: Path) -> None:
    apiserver, cost = Apiserver(), Counted()
    async with polling(tmp_path, apiserver, cost=cost) as (place, _):
        for number in range(1, 6):
            sent: list[float] = []
            before = time.monotonic()
            answer = await poll(place, sent.append)
            assert before <= answer.t0 <= answer.t1 <= time.monotonic()
            assert (cost.sent, cost.over, cost.size_bytes) == (number, number, number * len(BODY))
            assert sent == [answer.t0]
            assert place._kept is not None
    assert apiserver.connections == 1


async def test_t0_is_before_the_bytes_leave(tmp_path: Path) -> None:
    apiserver, looked = Apiserver(), []

    def sent(_: float) -> None:
        with socket.socket(fileno=os.dup(apiserver.writers[0].get_extra_info("socket").fileno())) as server_side:
            with pytest.raises(BlockingIOError):
                server_side.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            looked.append(server_side)

    async with polling(tmp_path, apiserver) as (place, _):
        await poll(place)
        await poll(place, sent)
    assert len(looked) == 1


async def test_an_unauthorized_poll_makes_the_next_one_load_the_token_anew(tmp_path: Path) -> None:
    apiserver = Apiserver(OK, ANSWERS["401"])
    async with polling(tmp_path, apiserver) as (place, _):
        await poll(place)
        (tmp_path / "token").write_text("two")
        with pytest.raises(StartError, match="not so"):
            await poll(place)
        assert (await poll(place)).revision == 7
    said = [re.findall(rb"Authorization: (.*)\r", request) for request in apiserver.requests]
    assert said == [[b"Bearer one"], [b"Bearer one"], [b"Bearer two"]]
    assert apiserver.connections == 1


async def test_new_certificates_take_a_new_connection(tmp_path: Path) -> None:
    apiserver = Apiserver()
    async with polling(tmp_path, apiserver) as (place, credentials):
        first = await poll(place)
        credentials.generation += 1  # what new certificates do
        second, third = await poll(place), await poll(place)
    assert apiserver.connections == 2
    assert first.connection != second.connection == third.connection


async def test_a_poll_whose_connection_was_closed_is_sent_again_over_another(tmp_path: Path) -> None:
    apiserver, cost = Apiserver(closes_after=1), Counted()
    async with polling(tmp_path, apiserver, cost=cost) as (place, _):
        first = await poll(place)
        second = await poll(place)
    assert (first.revision, second.revision) == (7, 7)
    assert first.connection != second.connection


async def test_a_poll_that_finds_its_connection_lost_and_then_no_server_was_sent_once(tmp_path: Path) -> None:
    apiserver, cost, sent = Apiserver(OK, b"", closes_after=2), Counted(), list[float]()

    def last_sent(instant: float) -> None:
        sent.append(instant)
        apiserver.listening.close()

    async with polling(tmp_path, apiserver, cost=cost) as (place, _):
        await poll(place)
        with pytest.raises(StartError):
            await poll(place, last_sent)
    assert (len(sent), cost.sent, cost.over) == (1, 2, 2)


async def test_what_nobody_asked_for_closes_the_connection_and_is_no_answer(tmp_path: Path) -> None:
    apiserver = Apiserver(OK + OK.replace(b'"7"', b'"8"'))
    async with polling(tmp_path, apiserver) as (place, _):
        answers = [await poll(place)]
        answers.append(await poll(place))
        kept = place._kept
        assert kept is not None
        apiserver.writers[-1].write(OK.replace(b'"7"', b'"9"'))
        await wait_until(lambda: not kept.is_open, "it is closed")
        answers.append(await poll(place))
    assert [answer.revision for answer in answers] == [7] * 3


async def test_a_poll_that_is_cancelled_or_takes_too_long_leaves_no_answer_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.clocks.poll.POLL_SECONDS", 2.0)
    late = OK.replace(b'"7"', b'"6"')
    apiserver = Apiserver(OK, late[:90], OK, OK[:-1], OK)
    async with polling(tmp_path, apiserver) as (place, _):
        await poll(place)
        cancelled = asyncio.create_task(poll(place))
        await wait_until(lambda: len(apiserver.requests) == 2, "it is asked")
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        apiserver.writers[-1].write(late[90:])
        assert (await poll(place)).revision == 7
        with pytest.raises(StartError, match="no answer in time") as failed:
            await poll(place)
        assert failed.value.is_apiservers
        assert (await poll(place)).revision == 7
    assert apiserver.connections == 3


async def test_through_a_proxy_every_poll_is_aiohttps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apiserver = Apiserver()
    async with await asyncio.start_server(apiserver.serve, "127.0.0.1", 0) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}")
        monkeypatch.setenv("no_proxy", "")
        async with polling(tmp_path, Apiserver()) as (place, _):
            for _ in range(2):
                assert (await poll(place)).revision == 7
                assert place._kept is None
    assert all(request.startswith(b"GET http://127.0.0.1:") for request in apiserver.requests)


def test_over_tls_it_is_http_1_1_and_kept_as_well(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path)
    certificate = authority.issue("server")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.certificate_file, certificate.key_file)
    context.set_alpn_protocols(["h2", "http/1.1"])
    apiserver = Apiserver()

    async def poll_often() -> None:
        async with polling(tmp_path, apiserver, tls=context, authority=authority.bundle) as (place, _):
            assert [(await poll(place)).revision for _ in range(3)] == [7] * 3
            assert place._kept is not None

    our_loop.run(poll_often())
    assert apiserver.connections == 1
    assert apiserver.protocols == {"http/1.1"}


async def test_a_body_without_a_length_that_is_reset_is_cut_short(tmp_path: Path) -> None:
    apiserver = Apiserver(OK, ANSWERS["up to the end"])
    async with polling(tmp_path, apiserver) as (place, _):
        await poll(place)
        kept = place._kept
        assert kept is not None
        polled = asyncio.create_task(poll(place))
        await wait_until(lambda: kept.answer_began is not None, "the head is here")
        its_socket = apiserver.writers[0].get_extra_info("socket")
        its_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        apiserver.writers[0].transport.abort()
        with pytest.raises(StartError, match="closed in the middle of the answer"):
            await polled


async def failing(credentials: Credentials, url: str) -> str:
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
    assert await failing(credentials, "http://127.0.0.1:1") == "connect"


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
        assert await failing(credentials, url) == "bad_response"
