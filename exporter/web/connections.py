"""Accepts connections within the limits for their number, their requests and their time; aiohttp handles each.

A connection waits for its client (for a handshake, for headers, for the next request, or until what was written is
read), or its client waits for us. Beyond the maximum, the one that has waited for its client the longest is closed:
a client that asks and reads at once is always served. So probes need no reserved connections.
This module does not know what is asked, nor what is answered.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import struct
from collections import OrderedDict
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import msgspec
from aiohttp import web
from aiohttp.http import HttpProcessingError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Container, Iterable, Mapping

    from exporter.metrics.series import Counter

    Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = logging.getLogger(__name__)

# How long a scrape in flight may take to finish when we are told to stop. For a client that reads nothing aiohttp
# waits this long twice, which is still well below a pod's grace period.
SHUTDOWN_SECONDS = 5.0
SWEEP_SECONDS = 1.0
BACKLOG = 512
MOST_ACCEPTED_AT_ONCE = 32
"""And an eighth of the connections: no connection is closed before its request is read."""
MOST_UNANSWERED_BYTES = 65_536
"""Of a client, since its last answer: all headers of a request, and what follows them."""

MOST_STREAMS = 20
"""Pages that are live at once; others ask now and then."""

_RESET = struct.pack("ii", 1, 0)
_NO_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE})
_FAMILY_IS_MISSING = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits for all clients together, or for each."""

    connections: int = 500
    requests: int = 40
    headers_seconds: float = 10.0
    """From the first byte of a request, or from the beginning of a connection, to the end of the headers."""
    write_seconds: float = 10.0
    """Until a client that reads nothing, or next to nothing, is cut off."""
    idle_seconds: float = 360.0
    """Longer than Prometheus keeps an idle connection, so that Prometheus closes it first."""
    unanswered_bytes: int = MOST_UNANSWERED_BYTES
    stalled_seconds: float = 1.0
    """A client that has read nothing for so long is closed if another request needs room."""

    @property
    def streams(self) -> int:
        """Answers that go on for as long as a client looks: beside the requests, so that scrapes never wait for them,
        and half of the connections that are left for others.
        """
        return min(MOST_STREAMS, max(0, self.connections - self.requests) // 2)


Waits: TypeAlias = Literal["headers", "idle", "reader"]


class Connection(web.RequestHandler):
    """One client, and whether we wait for it."""

    def __init__(self, manager: web.Server, server: WebServer) -> None:
        super().__init__(manager, loop=asyncio.get_running_loop(), access_log=None, logger=log)  # type: ignore[arg-type]
        self._server = server
        self._wire: asyncio.Transport | None = None
        """aiohttp forgets its transport when it closes it, and bytes that nobody reads would keep it open."""
        self._has_begun = True
        self._is_answered = False
        self._unanswered_bytes = 0
        self.since = server.now()
        """When what we wait for now began."""
        self.opening: asyncio.Task[Any] | None = None

    @property
    def waits(self) -> Waits | None:
        """What we wait for; None while the client waits for us."""
        if self.writing_paused:
            return "reader"
        if self._is_answered:
            return None
        return "headers" if self._has_begun else "idle"

    @property
    def is_open(self) -> bool:
        """Whether the handshake is done."""
        return self._wire is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Its client can be read and written now."""
        self._wire = cast("asyncio.Transport", transport)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """It is closed."""
        self._server.forget(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Receive what the client has sent, up to a limit."""
        if not self._has_begun and not self._is_answered:
            self._has_begun = True
            self._server.turned(self)
        self._unanswered_bytes += len(data)
        if self._unanswered_bytes > self._server.most_unanswered_bytes:
            self._server.cut(self, "malformed")
            return
        super().data_received(data)

    def pause_writing(self) -> None:
        """The client does not read as fast as we write."""
        self._server.turned(self)
        super().pause_writing()

    def resume_writing(self) -> None:
        """It has read most of it."""
        self._server.turned(self)
        super().resume_writing()

    def admitted(self) -> None:
        """Its request is being answered from now on."""
        self._is_answered = True
        self._server.turned(self)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """As aiohttp's; then the next request may come."""
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self._is_answered = self._has_begun = False
            self._unanswered_bytes = 0
            self._server.turned(self)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Count data that is not HTTP, and answer it with one sentence, not with a log line.

        Else clients could fill the log. Everything else is a bug of ours, as in aiohttp.
        """
        if status == HTTPStatus.BAD_REQUEST:
            self._server.count("malformed")
            response: web.StreamResponse = web.Response(status=400, text="not a valid HTTP request\n")
            response.force_close()
        else:
            response = super().handle_error(request, status, exc, message)
        name_server(response)
        return response

    def log_exception(self, *args: Any, **kwargs: Any) -> None:
        """Like aiohttp's, except for errors that a client can cause whenever it likes."""
        match kwargs.get("exc_info"):
            case web.RequestPayloadError() | HttpProcessingError():
                self._server.count("malformed")
            case ConnectionError():
                pass  # the client has gone, or was cut off
            case _:
                super().log_exception(*args, **kwargs)

    def abort(self) -> None:
        """Close it at once, whatever it has not read yet."""
        if self._wire is not None:
            if self.waits == "reader":
                # Else the kernel would keep what it does not read.
                with suppress(OSError):
                    self._wire.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._wire.abort()
        elif self.opening is not None:
            self.opening.cancel()


def name_server(response: web.StreamResponse) -> None:
    """Set the Server header, without versions."""
    response.headers["Server"] = "watchslo"


class WebServer:
    """Listens, and enforces the limits, from `start` to `cleanup`."""

    def __init__(
        self,
        refused: Mapping[str, Counter],
        limits: Limits,
        is_free: Callable[[web.Request], bool],
        is_stream: Callable[[web.Request], bool],
    ) -> None:
        self._refused = refused
        self._limits = limits
        self._is_free = is_free
        self._is_stream = is_stream
        self._open: OrderedDict[Connection, None] = OrderedDict()
        """In the order of `since`: finding the connection to close must be fast while many arrive."""
        self._requests = 0
        self._streams = 0
        self._runner: web.AppRunner | None = None
        self._sockets: list[socket.socket] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._opening: set[asyncio.Task[None]] = set()
        self._spare: int | None = None
        """A reserved descriptor: with none left, a new connection could not be accepted to replace another."""

    @property
    def addresses(self) -> list[Any]:
        """Of the listening sockets."""
        return [listening.getsockname() for listening in self._sockets]

    @property
    def most_unanswered_bytes(self) -> int:
        """What a client may send before it is answered."""
        return self._limits.unanswered_bytes

    def __len__(self) -> int:
        return len(self._open)

    @staticmethod
    def now() -> float:
        """The time that limits are measured in."""
        return asyncio.get_running_loop().time()

    def count(self, reason: str) -> None:
        """Something was refused."""
        self._refused[reason].inc()

    @web.middleware
    async def admit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer the request if there is room for it. This is the innermost middleware: a refused client takes no
        room.
        """
        connection = request.protocol
        if isinstance(connection, Connection):
            connection.admitted()
        if self._is_free(request):
            return await handler(request)
        if self._is_stream(request):
            return await self._admit_stream(request, handler)
        if self._requests >= self._limits.requests and not self._displace_stalled():
            self.count("too_many_requests")
            return web.Response(status=503, text="too many requests at once: try again in a few seconds\n")
        self._requests += 1
        try:
            response = await handler(request)
            await response.prepare(request)
            await response.write_eof()
        finally:
            self._requests -= 1
        return response

    async def _admit_stream(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._streams >= self._limits.streams:
            self.count("too_many_requests")
            return web.Response(status=503, text="too many live pages at once: ask for changes now and then\n")
        self._streams += 1
        try:
            return await handler(request)
        finally:
            self._streams -= 1

    async def start(self, app: web.Application, tls: ssl.SSLContext | None) -> None:
        """Serve on what has been bound until now."""
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
        await self._runner.setup()
        self._tasks.append(asyncio.create_task(self._sweep(), name="web limits"))
        self._tasks += [asyncio.create_task(self._accept(each, tls), name="web") for each in self._sockets]

    async def bind(self, host: str, port: int) -> None:
        """Listen there from now on. Raises OSError."""
        found = await asyncio.get_running_loop().getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        bound: list[socket.socket] = []
        missing: OSError | None = None
        for family, kind, protocol, _, address in dict.fromkeys(found):
            try:
                bound.append(_listening(family, kind, protocol, address))
            except OSError as error:
                # A machine may be without IPv6, or without IPv4.
                if host or error.errno not in _FAMILY_IS_MISSING:
                    for each in bound:
                        each.close()
                    raise
                missing = error
        if not bound and missing is not None:
            raise missing
        self._sockets += bound

    async def cleanup(self) -> None:
        """Stop listening, and let scrapes in flight finish."""
        for task in self._tasks:
            task.cancel()
        for connection in list(self._open):
            if not connection.is_open:
                self.cut(connection, None)
        await asyncio.gather(*self._tasks, *self._opening, return_exceptions=True)
        for listening in self._sockets:
            listening.close()
        if self._runner is not None:
            await self._runner.cleanup()
        self._drop_spare()

    def turned(self, connection: Connection) -> None:
        """The connection waits for something else from now on."""
        connection.since = self.now()
        if connection in self._open:
            self._open.move_to_end(connection)

    def forget(self, connection: Connection) -> None:
        """It is closed."""
        self._open.pop(connection, None)

    def cut(self, connection: Connection, reason: str | None) -> None:
        """Close it at once."""
        if connection in self._open:
            self.forget(connection)
            if reason is not None:
                self.count(reason)
            connection.abort()

    async def _accept(self, listening: socket.socket, tls: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(listening)
            except OSError as error:
                if error.errno in _NO_DESCRIPTORS:
                    has_place = self._spare is not None or self._displace()
                    self._drop_spare()
                    await asyncio.sleep(0 if has_place else SWEEP_SECONDS / 10)
                continue  # else it was the client's, which is gone already
            self._take(accepted, tls)
            # Whoever asks for a probe may stand behind many others, and a turn of the loop may be long.
            with suppress(OSError):
                for _ in range(min(MOST_ACCEPTED_AT_ONCE, self._limits.connections // 8)):
                    accepted, _ = listening.accept()
                    accepted.setblocking(False)  # noqa: FBT003 the only way
                    self._take(accepted, tls)

    def _take(self, accepted: socket.socket, tls: ssl.SSLContext | None) -> None:
        if len(self._open) >= self._limits.connections and not self._displace():
            self.count("too_many_connections")
            accepted.close()
            return
        assert self._runner is not None
        assert self._runner.server is not None
        connection = Connection(self._runner.server, self)
        self._open[connection] = None
        opening = asyncio.create_task(self._open_one(connection, accepted, tls))
        self._opening.add(opening)
        opening.add_done_callback(self._opening.discard)

    async def _open_one(self, connection: Connection, accepted: socket.socket, tls: ssl.SSLContext | None) -> None:
        if connection not in self._open:
            accepted.close()  # from here on it is the loop's
            return
        connection.opening = asyncio.current_task()
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, accepted, ssl=tls)
        except OSError:  # the handshake failed
            self.cut(connection, "handshake")
        finally:
            connection.opening = None

    def _displace(self) -> bool:
        """Close a connection to make room for a new one; whether that was possible."""
        return self._cut_longest_waiting(("headers", "idle", "reader"), 0, "too_many_connections")

    def _displace_stalled(self) -> bool:
        """Close a connection to make room for a request; whether that was possible."""
        return self._cut_longest_waiting(("reader",), self._limits.stalled_seconds, "slow_reader")

    def _cut_longest_waiting(self, waits: Container[Waits | None], at_least: float, reason: str) -> bool:
        until = self.now() - at_least
        for connection in self._open:
            if connection.since > until:
                break
            if connection.waits in waits:
                self.cut(connection, reason)
                return True
        return False

    async def _sweep(self) -> None:
        """Close connections that take longer than allowed, forever."""
        limits = self._limits
        allowed: dict[Waits | None, tuple[float, str | None]] = {
            "headers": (limits.headers_seconds, "slow_headers"),
            "reader": (limits.write_seconds, "slow_reader"),
            "idle": (limits.idle_seconds, None),
        }
        while True:
            if self._spare is None:
                with suppress(OSError):
                    self._spare = os.open(os.devnull, os.O_RDONLY)
            now = self.now()
            for connection in list(self._open):
                seconds, reason = allowed.get(connection.waits, (float("inf"), None))
                if now - connection.since > seconds:
                    self.cut(connection, reason)
            await asyncio.sleep(min(SWEEP_SECONDS, limits.headers_seconds / 2))

    def _drop_spare(self) -> None:
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None


def _listening(family: int, kind: int, protocol: int, address: Iterable[Any]) -> socket.socket:
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.setblocking(False)  # noqa: FBT003 the only way
        made.bind(tuple(address))
        made.listen(BACKLOG)
    except OSError:
        made.close()
        raise
    return made
