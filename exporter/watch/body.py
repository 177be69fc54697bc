"""Takes the body of a watch from the socket and timestamps each read with the interval of its arrival.

The timestamp is taken in `data_received`, before aiohttp parses the bytes. Splitting and decoding run later, so that a
burst on one stream does not delay the timestamps of another: after the heartbeat's next look at the sockets, so that
what comes one by one is decoded together, or as soon as there is much of it.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from exporter.kubernetes.chunked import ChunkedBody, ChunkedBodyError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import aiohttp

    from exporter.measure.arrivals import Arrivals
    from exporter.measure.times import Instant, Interval
    from exporter.watch.heartbeat import Heartbeat


BETWEEN_CHUNKS = b"}\n\r\n"
"""The end of an event and of its chunk. Inside a chunk it cannot occur: JSON contains no raw carriage return."""

MUCH_BYTES = 64 * 1024
"""So much is decoded in the next iteration of the event loop, whenever the next look is."""


class StampedBody(asyncio.Protocol):
    """The body of one streaming response. `take` is called with the content of each read and its arrival interval.

    It sits between the transport and aiohttp's protocol. aiohttp parses until a read ends with a chunk; from then on
    the chunks are parsed here. Only public interfaces of both are used. The future `ended` gets None at a clean end,
    else the exception that ended the body.
    """

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        arrivals: Arrivals,
        heartbeat: Heartbeat,
        take: Callable[[Sequence[bytes], Interval], None],
    ) -> None:
        connection = response.connection
        self._response = response
        self._arrivals = arrivals
        self._heartbeat = heartbeat
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._fd = -1
        self._chunks: ChunkedBody | None = None
        self._read: list[tuple[Sequence[bytes], Interval]] = []
        self._read_bytes = 0
        self.ended: asyncio.Future[BaseException | None] = self._loop.create_future()
        self.last_byte: Instant = time.monotonic()
        # A short answer may have ended and released its connection already.
        self._aiohttp = connection.protocol if connection is not None else None
        transport = connection.transport if connection is not None else None
        if transport is not None:
            self._fd = transport.get_extra_info("socket").fileno()
            transport.set_protocol(self)
            heartbeat.attend(self._fd, arrivals)
        self._pass_on_parsed(time.monotonic())

    def data_received(self, data: bytes) -> None:
        """Take the timestamp first, then remove the framing."""
        instant = time.monotonic()
        if self._chunks is not None:
            self._take_apart(self._chunks, data, instant)
            return
        assert self._aiohttp is not None
        self._aiohttp.data_received(data)
        self._pass_on_parsed(instant)
        if data.endswith(BETWEEN_CHUNKS) and self._is_chunked and not self._content.is_eof():
            self._chunks = ChunkedBody()

    def eof_received(self) -> None:
        """The peer has sent its last byte."""
        assert self._aiohttp is not None
        self._aiohttp.eof_received()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection is closed; aiohttp sets the body's exception if the body was incomplete."""
        self._leave_heartbeat()
        assert self._aiohttp is not None
        self._aiohttp.connection_lost(exc)
        if self._chunks is None:
            self._pass_on_parsed(time.monotonic())
        self._end(self._content.exception())

    def pause_writing(self) -> None:
        """Nothing is written while a body is read."""

    def resume_writing(self) -> None:
        """Nothing is written while a body is read."""

    def abort(self) -> None:
        """End the body now, as if it were complete."""
        self._tell_end(None)

    def close(self) -> None:
        """Stop reading now."""
        self._leave_heartbeat()
        self._pass_on_read()
        self._response.close()

    @property
    def _content(self) -> aiohttp.StreamReader:
        return self._response.content

    @property
    def _is_chunked(self) -> bool:
        return self._response.headers.get("Transfer-Encoding") == "chunked"

    def _leave_heartbeat(self) -> None:
        """Unregister the socket, only once: later the same descriptor may belong to another socket."""
        self._heartbeat.forget(self._fd)
        self._fd = -1

    def _pass_on_parsed(self, instant: Instant) -> None:
        content: list[bytes] = []
        # In a loop: if aiohttp has paused parsing, emptying its buffer makes it parse more.
        while self._content.exception() is None and (piece := self._content.read_nowait()):
            content.append(piece)
        self._received(content, instant)
        if self._content.exception() is not None or self._content.is_eof():
            self._end(self._content.exception())

    def _take_apart(self, chunks: ChunkedBody, data: bytes, instant: Instant) -> None:
        try:
            self._received(chunks.feed(data), instant)
        except ChunkedBodyError as error:
            self._end(error)
        else:
            if chunks.is_over:
                self._end(None)

    def _received(self, content: Sequence[bytes], instant: Instant) -> None:
        if not content:
            return
        self.last_byte = instant
        size_bytes = sum(map(len, content))
        if not self._read:
            self._heartbeat.after_next_look(self._pass_on_read)
        self._read.append((content, self._arrivals.received(instant, size_bytes)))
        if self._read_bytes < MUCH_BYTES <= self._read_bytes + size_bytes:
            self._loop.call_soon(self._pass_on_read)
        self._read_bytes += size_bytes

    def _pass_on_read(self) -> None:
        read, self._read, self._read_bytes = self._read, [], 0
        for content, arrival in read:
            try:
                self._take(content, arrival)
            except Exception as error:  # noqa: BLE001 it costs no other read, and no end: the event loop reports it
                self._loop.call_exception_handler({"message": "bytes of a watch were not taken", "exception": error})

    def _end(self, error: BaseException | None) -> None:
        self._leave_heartbeat()
        self._loop.call_soon(self._tell_end, error)

    def _tell_end(self, error: BaseException | None) -> None:
        # First, so that everything that was read is decoded before the end becomes visible.
        self._pass_on_read()
        if not self.ended.done():
            self.ended.set_result(error)
