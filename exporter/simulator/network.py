"""The way between clients and a server: every byte in both directions passes a delay line, so delay keeps the rate.

In: a server's protocol for one connection. Out: a protocol around it, for `loop.create_server`. Knows no HTTP.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from exporter.simulator.delay_line import DelayLine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from exporter.simulator.faults import NetworkDelay


class Wire(asyncio.Transport):
    """What the server writes to: the real transport behind a delay line."""

    def __init__(self, transport: asyncio.Transport, delay: NetworkDelay) -> None:
        super().__init__()
        self._transport = transport
        self._to_client = DelayLine(self._delay_seconds)
        self._delay = delay
        self._closing = False
        self._before_next_write: Callable[[], object] | None = None
        self.carries_watch = False

    def _delay_seconds(self) -> float:
        watch_seconds = self._delay.watch_to_client_seconds if self.carries_watch else 0.0
        return self._delay.to_client_seconds + watch_seconds

    def call_before_next_write(self, action: Callable[[], object]) -> None:
        """Do `action` in the moment before the next bytes that are written here reach the socket."""
        self._before_next_write = action

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Send after the delay."""
        action, self._before_next_write = self._before_next_write, None
        self._to_client.put(partial(self._write_now, bytes(data), action))

    def _write_now(self, data: bytes, action: Callable[[], object] | None) -> None:
        if action is not None and not self._transport.is_closing():
            action()
        self._transport.write(data)

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview[Any]]) -> None:
        """Send after the delay, in one piece."""
        self.write(b"".join(list_of_data))

    def close(self) -> None:
        """Close after everything written before has gone out."""
        if not self._closing:
            self._closing = True
            self._to_client.put(self._transport.close)

    def abort(self) -> None:
        """Cut at once."""
        self.forget()
        self._transport.abort()

    def forget(self) -> None:
        """The connection is gone: what is under way will not arrive."""
        self._closing = True
        self._to_client.clear()

    def is_closing(self) -> bool:
        """Whether close or abort was asked for, here or by the network."""
        return self._closing or self._transport.is_closing()

    def pause_reading(self) -> None:
        """Read no more from the client."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        self._transport.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Ask the real transport."""
        return self._transport.get_extra_info(name, default)


class Link(asyncio.Protocol):
    """One connection, as the event loop sees it: passes everything on to the server's protocol, later."""

    def __init__(self, server: asyncio.Protocol, delay: NetworkDelay, links: set[Link]) -> None:
        self._server = server
        self._delay = delay
        self._links = links
        self._from_client = DelayLine(lambda: delay.from_client_seconds)
        self._wire: Wire | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        self._wire = Wire(cast("asyncio.Transport", transport), self._delay)
        self._links.add(self)
        self._server.connection_made(self._wire)

    def data_received(self, data: bytes) -> None:
        """The client sent something."""
        self._from_client.put(partial(self._server.data_received, data))

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, and with it what was under way."""
        self._links.discard(self)
        self._from_client.clear()
        if self._wire is not None:
            self._wire.forget()
        self._server.connection_lost(exc)

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        self._server.pause_writing()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._server.resume_writing()

    def cut(self) -> None:
        """Abort the connection."""
        if self._wire is not None:
            self._wire.abort()
