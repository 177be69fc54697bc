"""HTTP sessions to one apiserver address, with our credentials.

After a 401 or a failed TLS handshake the credentials are loaded again. New certificates are used by new connections.
"""

from __future__ import annotations

import re
import time
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol, TypeVar
from urllib.parse import urlsplit

import aiohttp
import msgspec

from exporter.kubernetes.cost import Cost, CostTrace, Sending
from exporter.kubernetes.framed import MOST_BYTES_BEFORE, FramedAnswer
from exporter.limits import message, refused_texts
from exporter.wording.quoting import printable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from exporter.credentials import Credentials
    from exporter.measure.times import Instant, WallTime
    from exporter.vocabulary import Purpose

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 15.0
KEEP_ALIVE_SECONDS = 3600.0
"""The apiserver closes idle connections after 90 s, so we do not."""

ANSWER_IN_TIME = aiohttp.ClientTimeout(total=ANSWER_SECONDS, sock_connect=CONNECT_SECONDS)
STREAM = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)

USER_AGENT = "watchslo"
ONLY_METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
ONLY_METADATA_WATCH = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST = f"{ONLY_METADATA_LIST},application/json"
METADATA_WATCH = f"{ONLY_METADATA_WATCH},application/json"
"""Metadata, or whole objects from servers that cannot give that."""

UNREACHABLE = (aiohttp.ClientError, TimeoutError, OSError)
"""Exceptions of a request without an answer."""

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""Exceptions of decoding an answer that is not the expected JSON, for example a proxy's."""


MOST_LIST_BYTES = 2**20
"""Default limit. An empty list has a few hundred bytes, and a refusal not many more."""

MOST_BYTES: Mapping[Purpose, int] = {"discovery": 16 * 2**20, "canary": 4 * 2**20}
"""Other limits: for fifty CRDs with kubectl's annotations, and for one object of the maximum size in etcd."""

MOST_VALUES = 2**20
"""Limit on values: an answer with three bytes per value would need twenty times its size in memory."""

_Document = TypeVar("_Document")

_HTTP_DATE = re.compile(r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [1-9][0-9]{3} ([0-9]{2}:){2}[0-9]{2} GMT")


class AnswerError(Exception):
    """The apiserver answered, but not with the expected result. `status` is the HTTP status."""

    def __init__(self, status: int, said: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message(said))
        self.status = status
        self.retry_after_seconds = retry_after_seconds


class Server(msgspec.Struct, frozen=True):
    """An apiserver address. `name`, host:port, is its label. Unless `is_one_apiserver` it may be a load balancer."""

    url: str
    is_one_apiserver: bool
    tls_name: str | None = None
    """The name to verify in its certificate instead of the address."""

    @property
    def name(self) -> str:
        """host:port, with the scheme's default port if the address has none."""
        return _host_and_port(self.url)


@lru_cache(maxsize=1024)
def _host_and_port(url: str) -> str:
    """The state of each stream names each apiserver with the same store every second: cached."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


class Request(msgspec.Struct, frozen=True):
    """A request to an apiserver, with its purpose and time limit."""

    path: str
    parameters: Mapping[str, str] | None = None
    method: str = "GET"
    body: object = None
    """Sent as JSON; None for no body."""
    content_type: str = "application/json"
    accept: str = "application/json"
    purpose: Purpose = "discovery"
    time_limit: aiohttp.ClientTimeout = ANSWER_IN_TIME
    sending: Sending = msgspec.field(default_factory=Sending)
    """Filled in when it is sent. A Request is sent once, or again where its connection was lost before an answer."""

    @property
    def headers(self) -> dict[str, str]:
        """The headers without Authorization."""
        headers = {"Accept": self.accept, "Accept-Encoding": "identity"}
        return headers if self.body is None else {**headers, "Content-Type": self.content_type}


class ApiSession:
    """Requests to one address with one set of credentials. Each session has its own connections."""

    def __init__(  # noqa: PLR0913 which server, as whom, how, and whom to call
        self,
        server: Server,
        credentials: Credentials,
        *,
        connections: int = 0,
        force_close: bool = False,
        cost: Cost | None = None,
        trace: aiohttp.TraceConfig | None = None,
    ) -> None:
        self.server = server
        self.credentials = credentials
        self._connections = connections
        self._force_close = force_close
        self._cost = cost or Cost()
        self._traces = [CostTrace(self._cost), *([trace] if trace else [])]
        self._http: aiohttp.ClientSession | None = None
        self._retired: list[aiohttp.ClientSession] = []
        self.generation = -1
        """Of the credentials, when the last request was sent."""
        self._is_proxied = False

    async def send(self, request: Request) -> Response:
        """Send one request. The caller must close the response.

        Raises UNREACHABLE, CredentialsError, or AnswerError if the answer is compressed or its head too long.
        """
        headers = {**request.headers, **await self.credentials.headers(self.server.url)}
        http = await self._current_http()
        url = self.server.url + request.path
        request.sending.asked_at, request.sending.sent_at = time.monotonic(), None
        try:
            response = await http.request(
                request.method,
                url,
                params=request.parameters,
                json=request.body,
                headers=headers,
                timeout=request.time_limit,
                server_hostname=self._tls_name() if url.startswith("https") else None,
                allow_redirects=False,
                trace_request_ctx=request,
            )
        except aiohttp.ClientSSLError:
            self.credentials.refused()
            raise
        assert isinstance(response, Response)
        response.cost, response.request, response.is_proxied = self._cost, request, self._is_proxied
        if response.status == 401:
            self.credentials.refused()
        response.expect_no_compression()
        return response

    async def read_json(self, kind: type[_Document], request: Request) -> _Document:
        """The body of a 2xx answer as a `kind`. Raises AnswerError, UNREACHABLE or CredentialsError."""
        return document(await self.read(request), kind, request.path)

    async def read(self, request: Request) -> bytes:
        """The body of a 2xx answer. Raises AnswerError, UNREACHABLE or CredentialsError."""
        async with await self.send(request) as response:
            content = await response.read()
            if response.status >= 300:
                raise refusal(response, content)
            return content

    def anew(self) -> ApiSession:
        """Another one for the same, so that a balancer chooses an apiserver again. The caller must close it."""
        return ApiSession(self.server, self.credentials, connections=1, cost=self._cost)

    async def close(self) -> None:
        """Close all connections."""
        for http in (self._http, *self._retired):
            if http is not None:
                await http.close()
        self._http, self._retired = None, []

    def _tls_name(self) -> str | None:
        return self.credentials.tls_server_name or self.server.tls_name

    async def _current_http(self) -> aiohttp.ClientSession:
        if self._http is not None and self.generation != self.credentials.generation:
            # Open watches continue with the certificates that they were opened with.
            outdated = [http for http in self._retired if not _is_in_use(http)]
            self._retired = [*(http for http in self._retired if http not in outdated), self._http]
            self._http = None
            for http in outdated:
                await http.close()
        if self._http is None:
            self.generation = self.credentials.generation
            proxy = self.credentials.proxy(self.server.url)
            self._is_proxied = proxy is not None
            connector = aiohttp.TCPConnector(
                ssl=self.credentials.ssl or True,
                limit=self._connections,
                force_close=self._force_close,
                keepalive_timeout=None if self._force_close else KEEP_ALIVE_SECONDS,
            )
            self._http = aiohttp.ClientSession(
                connector=connector,
                proxy=proxy,
                headers={"User-Agent": USER_AGENT},
                cookie_jar=aiohttp.DummyCookieJar(),
                trace_configs=self._traces,
                response_class=Response,
                auto_decompress=False,
            )
        return self._http


def _is_in_use(http: aiohttp.ClientSession) -> bool:
    """Whether an answer is in progress on one of its connections."""
    return bool(http.connector is not None and http.connector._acquired)  # noqa: SLF001 aiohttp has no public way


class _URL(Protocol):
    @property
    def scheme(self) -> str: ...


class Answered(Protocol):
    """What a refusal is read from: an answer of aiohttp's, or one on a kept connection."""

    @property
    def status(self) -> int:
        """HTTP's."""

    @property
    def headers(self) -> Mapping[str, str]:
        """By names in lower case, at least."""

    @property
    def url(self) -> _URL:
        """What was asked."""


class Response(aiohttp.ClientResponse):
    """An answer whose body can be read once, up to a limit, so that no answer can exhaust our memory."""

    cost: Cost
    request: Request
    framed: FramedAnswer
    is_proxied: bool

    @property
    def sent_at(self) -> Instant:
        """When its request was sent, for the last time."""
        assert self.request.sending.sent_at is not None
        return self.request.sending.sent_at

    def expect_no_compression(self) -> None:
        """Refuse a compressed answer. Raises AnswerError."""
        try:
            expect_no_compression(self, ", ".join(self.headers.getall("Content-Encoding", ())))
        except AnswerError:
            self.close()
            raise

    async def start(self, connection: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        """Wait for the headers. Raises UNREACHABLE, or AnswerError if too many bytes come before their end."""
        self.framed = framed = FramedAnswer(connection)
        try:
            await super().start(connection)
        except aiohttp.ClientError as error:
            if framed.is_beyond:
                raise too_much_before() from error
            raise
        framed.body_begins()
        self.content.on_eof(framed.body_is_over)
        return self

    async def read(self) -> bytes:
        """The whole body. Raises UNREACHABLE, or AnswerError if it is too long."""
        most_bytes = MOST_BYTES.get(self.request.purpose, MOST_LIST_BYTES)
        content = b"".join([piece async for piece in pieces(self, most_bytes)])
        self.cost.answer_read(self.request.purpose, len(content))
        return content


async def pieces(response: aiohttp.ClientResponse, most_bytes: int) -> AsyncIterator[bytes]:
    """The body, piece by piece. Raises UNREACHABLE, or AnswerError, counted, if it is too long."""
    size_bytes = 0
    async for piece in response.content.iter_any():
        size_bytes += len(piece)
        if size_bytes > most_bytes:
            response.close()
            raise too_long(response.status, most_bytes)
        yield piece


def expect_no_compression(answer: Answered, encodings: str) -> None:
    """Refuse a compressed answer, because a few bytes may expand to gigabytes. Raises AnswerError."""
    if encodings.strip().lower() in {"", "identity"}:
        return
    refused_texts.count("encoding")
    said = f"HTTP {answer.status}: the answer is compressed ({printable(encodings)}), which was not asked for"
    raise AnswerError(answer.status, said, retry_after_seconds(answer))


def too_much_before() -> AnswerError:
    """The error for too many bytes before an answer; they were counted already."""
    return AnswerError(0, f"more than {MOST_BYTES_BEFORE} bytes came before the answer")


def too_long(status: int, most_bytes: int) -> AnswerError:
    """The error for an answer that is too long; it is counted."""
    refused_texts.count("answer")
    return AnswerError(status, f"the answer is longer than {most_bytes} bytes")


def document(content: bytes, kind: type[_Document], path: str) -> _Document:
    """Decode the answer to `path` as a `kind`. Raises AnswerError, and counts it, if it is invalid.

    It is decoded directly, never as a generic tree: unknown fields are skipped and use no memory.
    """
    if content.count(b",") > MOST_VALUES:
        raise too_much(f"{path}: the answer has more than {MOST_VALUES} values")
    try:
        return msgspec.json.decode(content, type=kind)
    except UNREADABLE as error:
        raise too_much(f"{path}: the answer is not what was asked for ({error})") from error


def too_much(message: str) -> AnswerError:
    """An error for an answer of discovery that exceeds a limit or is invalid; it is counted."""
    refused_texts.count("discovery")
    return AnswerError(200, message)


class _Status(msgspec.Struct):
    message: str = ""


class OnlyTLSError(AnswerError):
    """A request without TLS was sent to a server that requires TLS."""


ONLY_TLS = (b"HTTP request to an HTTPS server", b"plain HTTP request was sent to HTTPS port")
"""Parts of the answers of Go's servers and nginx to such a request."""


def refusal(response: Answered, content: bytes) -> AnswerError:
    """The error for an answer that is not 2xx."""
    status = response.status
    if response.url.scheme == "http" and any(words in content for words in ONLY_TLS):
        return OnlyTLSError(status, "answers only TLS: write https://")
    try:
        said = msgspec.json.decode(content, type=_Status).message
    except UNREADABLE:
        said = _plain_text(response, content)
    return AnswerError(status, said or f"HTTP {status}", retry_after_seconds(response))


def _plain_text(response: Answered, content: bytes) -> str:
    """The status and the first line of a plain-text answer; "" for any other content type."""
    content_type = response.headers.get("content-type", "text/plain")
    if content_type.partition(";")[0].strip().lower() != "text/plain":
        return ""
    first_line = content.decode(errors="replace").strip().partition("\n")[0].removeprefix(str(response.status))
    return f"HTTP {response.status}: {printable(first_line.strip())}" if first_line.strip() else ""


def http_date(text: str) -> WallTime | None:
    """The time of a Date header in the format of RFC 9110; None for any other format or time zone."""
    return _instant_of(text) if _HTTP_DATE.fullmatch(text) is not None else None


@lru_cache(maxsize=64)
def _instant_of(date: str) -> WallTime | None:
    """Cached, because many polls are answered within one second of few clocks."""
    try:
        return parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None


def retry_after_seconds(response: Answered) -> float | None:
    """The Retry-After header in seconds; None if it is missing or not a number (the apiserver sends numbers)."""
    text = response.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdecimal() else None
