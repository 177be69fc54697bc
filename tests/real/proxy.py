"""A TCP proxy that disturbs: connections in, the same bytes out later, slower, or never.

It runs in a thread of its own, knows nothing of HTTP, and of TLS only if it is told to stand in the middle of it. Its
settings are plain attributes that may be set at any moment and from any thread; a delay holds for what is received
from then on.
"""

import asyncio
import functools
import socket
import ssl
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.real.loop_thread import LoopThread

CHUNK_BYTES = 65536
PACE_SECONDS = 0.02
RESET_ON_CLOSE = struct.pack("ii", 1, 0)

HandedOver = Callable[[int, bytes, float, float], None]


@dataclass(frozen=True, slots=True)
class Tls:
    """What it takes to stand in the middle of TLS: as which server it answers, and whom it trusts as a client."""

    as_server: ssl.SSLContext
    as_client: ssl.SSLContext


class Proxy:
    """Forwards connections to `upstreams` (URLs, or `host:port`) in turn, like a balancer of layer 4.

    delay_to_server_seconds, delay_to_client_seconds: every piece is held that long; order and rate are kept.
    bandwidth_bytes_per_second: per connection and direction; None is unlimited.
    capacity_bytes_per_second: per direction, of all connections together; None is unlimited.
    black_hole: swallow everything in silence. A connection that lost bytes stays silent for good.
    only_if_request_contains: delays apply only to connections whose first bytes contain this.

    With `tls` the bytes are seen in the clear, which only_if_request_contains needs. `handed_over` is told, in the
    proxy's thread, of every piece that a client's socket was given: the connection's number, the piece, and the moments
    just before and after.
    """

    def __init__(
        self,
        *upstreams: str,
        only_if_request_contains: bytes | None = None,
        tls: Tls | None = None,
        handed_over: HandedOver | None = None,
    ) -> None:
        self.upstreams = upstreams
        self.only_if_request_contains = only_if_request_contains
        self.delay_to_server_seconds = 0.0
        self.delay_to_client_seconds = 0.0
        self.bandwidth_bytes_per_second: float | None = None
        self.capacity_bytes_per_second: float | None = None
        self.black_hole = False
        self.to_server = Way(self, lambda: self.delay_to_server_seconds)
        self.to_client = Way(self, lambda: self.delay_to_client_seconds)
        self.port = 0
        self.connections_accepted = 0
        self.tls = tls
        self.handed_over = handed_over
        self._thread = LoopThread("proxy")
        self._connections: dict[asyncio.Task[None], Connection] = {}

    @property
    def url(self) -> str:
        """The proxy's address with the scheme of its upstreams."""
        return f"{urlsplit(self.upstreams[0]).scheme or 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.__enter__()
        self._thread.run(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._thread.run(self._close())
        self._thread.__exit__(kind, error, traceback)

    def cut_all(self) -> None:
        """Reset (RST) every connection, on both sides; on return it is done."""
        self.cut(b"")

    def cut(self, request: bytes) -> None:
        """The same of those whose first bytes contain this."""
        self._thread.run(self._cut(request))

    def upstreams_of(self, request: bytes) -> set[str]:
        """To which of the upstreams the connections are whose first bytes contain this."""
        return {one.upstream for one in list(self._connections.values()) if one.asks(request)}

    def silence(self, request: bytes) -> None:
        """Swallow from now on what goes over the connections that are open and whose first bytes contain this."""
        for connection in list(self._connections.values()):
            connection.silence(request)

    async def _listen(self) -> None:
        context = self.tls.as_server if self.tls else None
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._server.close()
        await self._cut(b"")
        await self._server.wait_closed()

    async def _cut(self, request: bytes) -> None:
        # A task that is cancelled before its first step would leave its connection open.
        await asyncio.sleep(0)
        tasks = [task for task, connection in self._connections.items() if connection.asks(request)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream = self.upstreams[self.connections_accepted % len(self.upstreams)]
        self.connections_accepted += 1
        connection = Connection(self, reader, writer, upstream)
        task = asyncio.create_task(connection.run())
        self._connections[task] = connection
        task.add_done_callback(self._connections.pop)


class Connection:
    """One client's connection, the upstream's that belongs to it, and what both directions share."""

    def __init__(self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upstream: str) -> None:
        self.proxy = proxy
        self.upstream = upstream
        self._reader = reader
        self._writer = writer
        self._request: bytes | None = None
        self._silent = False
        self._number = proxy.connections_accepted

    async def run(self) -> None:
        """Forward until both sides have ended; a reset of one, or being cancelled, resets both."""
        host, _, port = (urlsplit(self.upstream).netloc or self.upstream).rpartition(":")
        ends = [End(self._writer)]
        try:
            context = self.proxy.tls.as_client if self.proxy.tls else None
            server_reader, server_writer = await asyncio.open_connection(host, int(port), ssl=context)
            ends.append(End(server_writer))
            proxy = self.proxy
            to_server = Direction(self, self._reader, server_writer, proxy.to_server)
            to_client = Direction(self, server_reader, self._writer, proxy.to_client)
            if proxy.handed_over is not None:
                to_client.handed_over = functools.partial(proxy.handed_over, self._number)
            async with asyncio.TaskGroup() as group:
                for direction in (to_server, to_client):
                    group.create_task(direction.receive())
                    group.create_task(direction.send())
            for end in ends:
                await end.close()
        except* OSError:
            pass
        finally:
            for end in ends:
                end.reset()

    def is_delayed(self, data: bytes) -> bool:
        """Whether delays apply. The first bytes of all, which are the request's, decide it."""
        if self._request is None:
            self._request = data
        needle = self.proxy.only_if_request_contains
        return needle is None or needle in self._request

    def asks(self, request: bytes) -> bool:
        """Whether the first bytes contain this."""
        return request in (self._request or b"")

    def silence(self, request: bytes) -> None:
        """Swallow everything from now on, if the first bytes contain this."""
        self._silent = self._silent or self.asks(request)

    def is_silent(self) -> bool:
        """Whether bytes that are here now go nowhere. The stream has a hole then, so nothing may follow it either."""
        self._silent = self._silent or self.proxy.black_hole
        return self._silent


class Way:
    """What all connections have together in one direction: who comes first is served first, as by a link's queue."""

    def __init__(self, proxy: Proxy, delay_seconds: Callable[[], float]) -> None:
        self.delay_seconds = delay_seconds
        self._proxy = proxy
        self._free_at = 0.0

    async def take(self, size: int) -> None:
        """Return when so many bytes have gone."""
        capacity = self._proxy.capacity_bytes_per_second
        if capacity is None:
            self._free_at = 0.0
            return
        now = asyncio.get_running_loop().time()
        self._free_at = max(self._free_at, now) + size / capacity
        await asyncio.sleep(self._free_at - now)


class Direction:
    """One direction of a connection: a delay line in which only what is not due yet is held.

    When the far side does not read, or bandwidth is short, the near side is not read either: its sender feels it.
    """

    def __init__(
        self,
        connection: Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        way: "Way",
    ) -> None:
        self._connection = connection
        self._reader = reader
        self._writer = writer
        self._way = way
        self.handed_over: Callable[[bytes, float, float], None] | None = None
        # Pieces with the loop time at which they are due; an empty one is the end.
        self._held: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        self._flowing = asyncio.Event()
        self._flowing.set()

    async def receive(self) -> None:
        """Put into the line what arrives, until the end."""
        loop = asyncio.get_running_loop()
        while True:
            await self._flowing.wait()
            data = await self._reader.read(CHUNK_BYTES)
            delay_seconds = self._way.delay_seconds() if self._connection.is_delayed(data) else 0.0
            if not self._connection.is_silent():
                self._held.put_nowait((loop.time() + delay_seconds, data))
            if not data:
                return

    async def send(self) -> None:
        """Take out of the line what is due, until the end."""
        loop = asyncio.get_running_loop()
        while True:
            due, data = await self._held.get()
            await asyncio.sleep(due - loop.time())
            if self._connection.is_silent():
                continue
            if not data:
                self._end()
                return
            self._flowing.clear()
            await self._write(data)
            self._flowing.set()

    async def _write(self, data: bytes) -> None:
        while data:
            bandwidth = self._connection.proxy.bandwidth_bytes_per_second
            size = len(data) if bandwidth is None else max(1, int(bandwidth * PACE_SECONDS))
            piece, data = data[:size], data[size:]
            await self._way.take(len(piece))
            before = time.monotonic()
            self._writer.write(piece)
            if self.handed_over is not None:
                self.handed_over(piece, before, time.monotonic())
            await self._writer.drain()
            if bandwidth is not None:
                await asyncio.sleep(len(piece) / bandwidth)

    def _end(self) -> None:
        """TLS cannot end one direction only."""
        if self._writer.can_write_eof():
            self._writer.write_eof()
        else:
            self._writer.close()


class End:
    """One end of a connection, to be closed or reset. A TLS transport that is closed forgets its socket."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._socket: socket.socket = writer.get_extra_info("socket")

    async def close(self) -> None:
        """Close it after all that was written."""
        self._writer.close()
        await self._writer.wait_closed()

    def reset(self) -> None:
        """Close with RST what is not closed yet."""
        if self._socket.fileno() >= 0:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self._writer.transport.abort()
