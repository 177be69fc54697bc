"""One answer's bytes as they come off a socket in, the same bytes out to aiohttp, as long as they are an answer's.

aiohttp limits a header, not how many interim answers (`100 Continue`) come before the one that was asked for, nor what
comes on a connection that waits for its next request.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from exporter.limits import refused_texts

if TYPE_CHECKING:
    import aiohttp

MOST_BYTES_BEFORE = 2**20
"""Up to the end of an answer's headers: more than aiohttp takes for those, and what of the body came with them."""

MOST_BYTES_AFTER = 64 * 2**10
"""After its end. There is nothing to come, but some servers say why they close a connection that nobody uses."""


class FramedAnswer(asyncio.Protocol):
    """Stands between the transport and aiohttp's own protocol. Beyond a limit, the connection is closed."""

    def __init__(self, connection: aiohttp.connector.Connection) -> None:
        self._aiohttp = connection.protocol
        self._transport = connection.transport
        self._left_bytes: int | None = MOST_BYTES_BEFORE
        self.is_beyond = False
        """Whether more has come than an answer may have around its body."""
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
        """The headers are here; how long the body may be is known to whoever reads it."""
        self._left_bytes = None

    def body_is_over(self) -> None:
        """Nothing more should come."""
        self._left_bytes = MOST_BYTES_AFTER

    def data_received(self, data: bytes) -> None:
        """Pass it on, if it is not too much."""
        if self._left_bytes is not None:
            self._left_bytes -= len(data)
            if self._left_bytes < 0:
                self._refuse()
                return
        assert self._aiohttp is not None
        self._aiohttp.data_received(data)

    def eof_received(self) -> None:
        """The other side has sent its last byte."""
        assert self._aiohttp is not None
        self._aiohttp.eof_received()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection is gone."""
        assert self._aiohttp is not None
        self._aiohttp.connection_lost(exc)

    def pause_writing(self) -> None:
        """The request does not get away."""
        assert self._aiohttp is not None
        self._aiohttp.pause_writing()

    def resume_writing(self) -> None:
        """It does again."""
        assert self._aiohttp is not None
        self._aiohttp.resume_writing()

    def _refuse(self) -> None:
        if not self.is_beyond and self._transport is not None:
            self.is_beyond = True
            refused_texts.count("answer")
            self._transport.abort()
