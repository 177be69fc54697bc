"""An apiserver that replays a recorded watch, far cheaper than anybody can read it: `python -m tests.speed.replay`.

It prints its ports, then obeys orders, one line of JSON each, and answers each when all of it is written. Its revision
is that of the last event that it has written: LISTs say it, with Audit-Id and Date, as the real one.
"""
# ruff: noqa: T201 its output is what it is for

import argparse
import asyncio
import itertools
import ssl
import sys
import time
from collections.abc import Sequence
from email.utils import formatdate
from pathlib import Path
from typing import cast
from urllib.parse import parse_qs, urlsplit

import msgspec
import uvloop

from tests.speed.recording import EVENT_TYPES, FIRST_REVISION, Format, Recording, format_of
from tests.speed.served import ADDRESS, discovery, empty_list, endpoint_slices, plural, resources

UNSENT_BYTES = 1 << 20
"""Unsent bytes above which the next events wait for the reader."""

EVENTS_AT_ONCE = 200
"""Events that are sent at full speed to one resource's watches before the next resource's."""


class Order(msgspec.Struct, frozen=True):
    """An order to send so many events: at full speed, or `per_second` events in bursts of `burst`."""

    events: int
    per_second: float = 0.0
    burst: int = 1


class Burst(msgspec.Struct, frozen=True, array_like=True):
    """Events that were written together, and when the write began."""

    first_revision: int
    last_revision: int
    began: float


class Sent(msgspec.Struct, frozen=True):
    """The result of an order."""

    bursts: list[Burst]
    size_bytes: int


class Connection(asyncio.Protocol):
    """One connection: answers GETs one after the other; a watch is the last one."""

    def __init__(self, replay: "Replay") -> None:
        self._replay = replay
        self._unread = b""
        self._transport: asyncio.Transport | None = None
        self.is_writable = asyncio.Event()
        self.is_writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # uvloop's are no subclasses
        transport.set_write_buffer_limits(high=UNSENT_BYTES)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 why does not matter
        self.is_writable.set()
        self._replay.watch_ended(self)

    def pause_writing(self) -> None:
        self.is_writable.clear()

    def resume_writing(self) -> None:
        self.is_writable.set()

    def data_received(self, data: bytes) -> None:
        *requests, self._unread = (self._unread + data).split(b"\r\n\r\n")
        for request in requests:
            self._answer(request.decode())

    def write(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)

    def _answer(self, request: str) -> None:
        line, *lines = request.split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        url = urlsplit(line.split(" ")[1])
        accept = headers.get("accept", "")
        if "watch" in parse_qs(url.query):
            form = format_of(accept)
            self.write(_head(form.content_type, "Transfer-Encoding: chunked"))
            self._replay.watch_began(self, url.path, form)
        else:
            content_type, body = self._replay.answer(url.path, accept)
            self.write(_head(content_type, f"Content-Length: {len(body)}") + body)


def _head(content_type: str, framing: str) -> bytes:
    lines = (
        "HTTP/1.1 200 OK",
        "Audit-Id: 7b0e3f5c-6c1e-4f0e-9d3a-2b1d0c5e8f11",
        f"Content-Type: {content_type}",
        f"Date: {formatdate(usegmt=True)}",
        framing,
    )
    return "\r\n".join((*lines, "", "")).encode()


class Stream:
    """The events of one resource: how many were sent, and its watches."""

    def __init__(self) -> None:
        self.position = 0
        self.watches: dict[Connection, Format] = {}


class Replay:
    """A store and its watches. Executes the orders."""

    def __init__(self, served: Sequence[str], objects: int, only: Sequence[str]) -> None:
        self._served = served
        self._objects = -(-objects // len(served))
        self._only = only
        self._recordings: dict[Format, Recording] = {}
        self._streams = {plural(name): Stream() for name in served}
        self._turns = itertools.cycle(self._streams.values())
        self.revision = FIRST_REVISION
        self.ports: list[int] = []

    def answer(self, path: str, accept: str) -> tuple[str, bytes]:
        """Content type and body of the answer to a request that is not a watch."""
        if path.endswith("/endpointslices"):
            return "application/json", endpoint_slices(self.ports)
        document = discovery(path, self._served)
        if document is not None:
            return "application/json", document
        return empty_list(self.revision, as_protobuf=format_of(accept).is_protobuf)

    def watch_began(self, connection: Connection, path: str, form: Format) -> None:
        """Send this watch the events of the resource with this path from now on."""
        if form not in self._recordings:
            self._recordings[form] = Recording(form, self._objects, self._only)
        self._streams[path.rsplit("/", 1)[1]].watches[connection] = form

    def watch_ended(self, connection: Connection) -> None:
        """Send this watch no more events."""
        for stream in self._streams.values():
            stream.watches.pop(connection, None)

    async def obey(self, order: Order) -> Sent:
        """Execute an order: send to the watches of one resource after the other, and wait for all of them."""
        while not all(stream.watches for stream in self._streams.values()):  # noqa: ASYNC110 orders are rare
            await asyncio.sleep(0.02)
        return await (self._send_in_time(order) if order.per_second else self._send_at_full_speed(order))

    async def _send_in_time(self, order: Order) -> Sent:
        bursts, size_bytes, due = [], 0, time.monotonic()
        for sent in range(0, order.events, order.burst):
            await asyncio.sleep(due - time.monotonic())
            due += order.burst / order.per_second
            burst, size = self._send(next(self._turns), min(order.burst, order.events - sent))
            bursts.append(burst)
            size_bytes += size
        return Sent(bursts, size_bytes)

    async def _send_at_full_speed(self, order: Order) -> Sent:
        bursts, size_bytes = [], 0
        for sent in range(0, order.events, EVENTS_AT_ONCE):
            stream = next(self._turns)
            for connection in tuple(stream.watches):
                await connection.is_writable.wait()
            burst, size = self._send(stream, min(EVENTS_AT_ONCE, order.events - sent))
            bursts.append(burst)
            size_bytes += size
            await asyncio.sleep(0)  # LISTs want their answers
        return Sent(bursts, size_bytes)

    def _send(self, stream: Stream, events: int) -> tuple[Burst, int]:
        """Commit and write so many events together."""
        first, began, size_bytes = self.revision + 1, time.monotonic(), 0
        end = self.revision + events
        while self.revision < end:
            written = 0
            for form in set(stream.watches.values()):
                data, written = self._recordings[form].chunks(stream.position, self.revision + 1, end - self.revision)
                size_bytes += len(data)
                for connection, its_form in stream.watches.items():
                    if its_form is form:
                        connection.write(data)
            assert written, "nobody watches"
            stream.position += written
            self.revision += written
        return Burst(first, end, began), size_bytes


async def serve(options: argparse.Namespace) -> None:
    """Listen, and execute orders until there are no more."""
    context = None
    if options.certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(options.certificate, options.key)
    replay = Replay(resources(options.resources), options.objects, options.only.split(","))
    loop = asyncio.get_running_loop()
    for _ in range(options.apiservers):
        server = await loop.create_server(lambda: Connection(replay), ADDRESS, 0, ssl=context)
        replay.ports.append(server.sockets[0].getsockname()[1])
    say(replay.ports)
    orders = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    async for line in orders:
        say(await replay.obey(msgspec.json.decode(line, type=Order)))


def say(what: object) -> None:
    """One line of JSON."""
    print(msgspec.json.encode(what).decode(), flush=True)


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.speed.replay", description=__doc__)
    parser.add_argument("--resources", type=int, default=1, help="pods, and custom resources beside it")
    parser.add_argument("--objects", type=int, default=1000, help="how many different ones are written to, about")
    parser.add_argument("--apiservers", type=int, default=1, help="addresses, each of which sends everything")
    parser.add_argument("--only", default=",".join(EVENT_TYPES), help="types of events, comma-separated")
    parser.add_argument("--certificate", type=Path, help="serve TLS, with this and --key")
    parser.add_argument("--key", type=Path)
    return parser.parse_args(words)


if __name__ == "__main__":
    uvloop.run(serve(parse(sys.argv[1:])))
