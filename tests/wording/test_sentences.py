"""What a person reads of a failure: the words of people and of the operating system, never those of a library."""

import asyncio
import json
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from exporter.credentials import Credentials, CredentialsSource
from exporter.kubernetes.session import UNREACHABLE, AnswerError, ApiSession, Request, Server
from exporter.wording.sentences import sentence
from tests.real.certificates import CertificateAuthority
from tests.support.configuring import write_kubeconfig

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

OF_LIBRARIES = re.compile(r"[A-Z][a-z]+[A-Z]\w*Error|Errno|Cannot connect|Connect call|_ssl\.c|payload|secret")
GO_SPEAKS_TLS = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
NGINX_SPEAKS_TLS = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n"
    b"<html><center>The plain HTTP request was sent to HTTPS port</center></html>"
)


@asynccontextmanager
async def serving(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    async with await asyncio.start_server(served, "127.0.0.1", 0, ssl=tls) as server:
        yield server.sockets[0].getsockname()[1]


def answering(*pieces: bytes) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.writelines(pieces)
        await writer.drain()

    return serve


async def said(folder: Path, url: str, *, proxy: str | None = None) -> str:
    """What is said of one GET."""
    cluster = {"proxy-url": proxy} if proxy else {}
    credentials = Credentials(CredentialsSource(write_kubeconfig(folder, url, user={"token": "any"}, cluster=cluster)))
    await credentials.load()
    session = ApiSession(Server(url, is_one_apiserver=True), credentials)
    try:
        with pytest.raises((AnswerError, *UNREACHABLE)) as raised:
            await session.read(Request("/version"))
    finally:
        await session.close()
    words = sentence(raised.value)
    assert not OF_LIBRARIES.search(words)
    assert words.splitlines() == [words]
    return words


@pytest.mark.parametrize(
    ("serve", "words"),
    [
        (answering(), "the connection was closed without an answer"),
        (answering(b"SSH-2.0-OpenSSH_9.9\r\n"), "the answer is not HTTP"),
        (
            answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"),
            "the connection was closed in the middle of the answer",
        ),
        (
            answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nab"),
            "the connection was closed in the middle of the answer",
        ),
        (answering(GO_SPEAKS_TLS), "answers only TLS: write https://"),
        (answering(NGINX_SPEAKS_TLS), "answers only TLS: write https://"),
        (
            answering(b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\n\r\n404 page not found\n"),
            "HTTP 404: page not found",
        ),
        (
            answering(b"HTTP/1.1 503 Unavailable\r\nContent-Type: text/plain\r\n\r\nno\x1b[2J\nmore"),
            r"HTTP 503: no\x1b[2J",
        ),
        (answering(b"HTTP/1.1 502 Bad\r\nContent-Type: text/html\r\n\r\n<html>"), "HTTP 502"),
        (answering(b"HTTP/1.1 500 Bad\r\nContent-Type: text/plain\r\n\r\n500"), "HTTP 500"),
    ],
)
async def test_an_answer_that_is_none(serve: Serve, words: str, tmp_path: Path) -> None:
    async with serving(serve) as port:
        assert await said(tmp_path, f"http://127.0.0.1:{port}") == words


async def test_no_connection(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    for host in ("127.0.0.1", "localhost"):
        assert await said(tmp_path, f"http://{host}:{port}") == "no connection: Connection refused"
    proxy = f"http://me:secret@127.0.0.1:{port}"
    assert await said(tmp_path, "http://127.0.0.1:1", proxy=proxy) == "no connection to the proxy: Connection refused"
    assert (await said(tmp_path, "https://no-such-host.invalid")).startswith("no connection: ")


async def test_a_proxy_that_refuses(tmp_path: Path) -> None:
    refusing = answering(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
    async with serving(refusing) as port:
        words = await said(tmp_path, "https://127.0.0.1:1", proxy=f"http://me:secret@127.0.0.1:{port}")
    assert words == "the proxy refuses the connection: HTTP 407"


async def test_tls_on_one_side_only(tmp_path: Path) -> None:
    async with serving(answering(GO_SPEAKS_TLS)) as port:
        words = await said(tmp_path, f"https://127.0.0.1:{port}")
    assert words == "no connection: the server does not use TLS: use http:// if that is intended"


async def test_a_certificate_that_is_not_accepted(tmp_path: Path) -> None:
    certificate = CertificateAuthority(tmp_path).issue("server")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.certificate_file, certificate.key_file)
    async with serving(answering(), context) as port:
        words = await said(tmp_path, f"https://127.0.0.1:{port}")
    assert words == "the certificate is not accepted: unable to get local issuer certificate"
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=CertificateAuthority(tmp_path).bundle.decode())
    async with serving(answering(), context) as port:
        kubeconfig = write_kubeconfig(
            tmp_path,
            f"https://127.0.0.1:{port}",
            user={"token": "any"},
            cluster={"insecure-skip-tls-verify": True},
        )
        credentials = Credentials(CredentialsSource(kubeconfig))
        await credentials.load()
        session = ApiSession(Server(f"https://127.0.0.1:{port}", is_one_apiserver=True), credentials)
        with pytest.raises(UNREACHABLE) as raised:
            await session.read(Request("/version"))
        await session.close()
    assert sentence(raised.value) in {
        "the connection broke: TLS: tlsv13 alert certificate required",
        "the connection was closed without an answer",  # where the alert comes after the end
        "the connection broke: Connection reset by peer",
    }


def test_errors_that_say_nothing_themselves() -> None:
    assert sentence(TimeoutError()) == "no answer in time"
    assert sentence(ValueError()) == "unknown cause"
    assert sentence(aiohttp.ClientConnectionError("Connector is closed")) == "the connection was closed"
    assert sentence(OSError(28, "[Errno 28] wrapped by a loop")) == "No space left on device"
    several = "Multiple exceptions: [Errno 111] Connect call failed ('::1', 1), [Errno 113] Connect call failed"
    assert sentence(OSError(several)) == "Connection refused"
    assert sentence(socket.gaierror(-2, "Name or service not known")) == "Name or service not known"
    words = sentence(AnswerError(403, json.dumps("a\n" * 200)))
    assert len(words.splitlines()) == 1


def test_no_password_of_a_url_and_every_name_of_a_user() -> None:
    assert sentence(ValueError("no way to http://me:secret@proxy:3128/")) == "no way to http://...@proxy:3128/"
    user = 'User "https://accounts.example.com#me@example.com" cannot list resource "pods"'
    assert sentence(AnswerError(403, user)) == user
