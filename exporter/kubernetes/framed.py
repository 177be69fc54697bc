"""Passes bytes from the socket to aiohttp, and limits those before and after the body of an answer.

aiohttp limits the size of headers, but neither the number of interim answers (`100 Continue`) nor the bytes that arrive
on an idle connection.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from exporter.limits import refused_texts

if TYPE_CHECKING:
    import aiohttp

MOST_BYTES_BEFORE = 2**20
"""Limit up to the end of the headers: more than aiohttp's own limit plus the part of the body that came with them."""

MOST_BYTES_AFTER = 64 * 2**10
"""Limit after the end of the body. Nothing should come, but some servers send a reason before they close."""


class FramedAnswer(asyncio.Protocol):
    """Sits between the transport and aiohttp's protocol. Beyond a limit it closes the connection."""

    def __init__(self, connection: aiohttp.connector.Connection) -> None:
        self._aiohttp = connection.protocol
        self._transport = connection.transport
        self._left_bytes: int | None = MOST_BYTES_BEFORE
        self.is_beyond = False
        """Whether a limit was exceeded."""
        if self._transport is not None:
            self._transport.set_protocol(self)

    @property
    def transport(self) -> asyncio.Transport | None:
        """The connection, for whoever goes on with it; None unless the answer is over, and nothing came after it."""
        transport = self._transport
        if transport is None or transport.is_closing() or self._left_bytes != MOST_BYTES_AFTER:
            return None
        return transport

    def body_begins(self) -> None:
        """The headers were received. The reader of the body limits that."""
        self._left_bytes = None

    def body_is_over(self) -> None:
        """The body is complete, and nothing more should come."""
        self._left_bytes = MOST_BYTES_AFTER

    def data_received(self, data: bytes) -> None:
        """Pass the bytes on if they are within the limit."""
        if self._left_bytes is not None:
            self._left_bytes -= len(data)
            if self._left_bytes < 0:
                self._refuse()
                return
        assert self._aiohttp is not None
        self._aiohttp.data_received(data)

    def eof_received(self) -> None:
        """The peer has sent its last byte."""
        assert self._aiohttp is not None
        self._aiohttp.eof_received()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection is closed."""
        assert self._aiohttp is not None
        self._aiohttp.connection_lost(exc)

    def pause_writing(self) -> None:
        """The transport's write buffer is full."""
        assert self._aiohttp is not None
        self._aiohttp.pause_writing()

    def resume_writing(self) -> None:
        """The transport's write buffer has room again."""
        assert self._aiohttp is not None
        self._aiohttp.resume_writing()

    def _refuse(self) -> None:
        if not self.is_beyond and self._transport is not None:
            self.is_beyond = True
            refused_texts.count("answer")
            self._transport.abort()
