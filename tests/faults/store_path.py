"""What lies between one apiserver and its etcd: gRPC in, the same later, and one kind's watch later still or never.

kube-apiserver reads and watches a kind over one connection. So that only its watch is late, frames of HTTP/2 are told
apart: a stream that begins with a WatchCreateRequest is a watch, and its DATA frames may wait while others pass.
"""

import asyncio
import contextlib
import functools
import re
import time
from collections.abc import Callable
from math import inf
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import urlsplit

from tests.real.loop_thread import LoopThread

PREFACE_BYTES = 24
HEADER_BYTES = 9
DATA, WINDOW_UPDATE = 0, 8
LOOK_SECONDS = 0.01
# Five bytes of gRPC, the field create_request, and the field key: requests of other methods begin with their key.
WATCH_REQUEST = re.compile(rb"\x00.{4}\x0a.{1,2}\x0a.(/registry/[^\x12]+)", re.DOTALL)


class Frame(NamedTuple):
    """One of HTTP/2."""

    header: bytes
    payload: bytes

    @property
    def kind(self) -> int:
        """DATA, HEADERS, ..."""
        return self.header[3]

    @property
    def stream(self) -> bytes:
        """The number of its stream, as it is written."""
        return self.header[5:]

    @classmethod
    async def read(cls, reader: asyncio.StreamReader) -> Self:
        """The next one. Raises IncompleteReadError at the end."""
        header = await reader.readexactly(HEADER_BYTES)
        return cls(header, await reader.readexactly(int.from_bytes(header[:3], "big")))


class StorePath:
    """A proxy in a thread of its own; what is set holds at once, also for what waits already.

    delay_to_store_seconds: how long requests, and so reads, writes and their commits, are held.
    watch_delay_seconds: by key (b"/registry/pods/"), how long the events of that kind's watch are held; inf loses them.
    """

    def __init__(self, store: Callable[[], str]) -> None:
        self.delay_to_store_seconds = 0.0
        self.watch_delay_seconds: dict[bytes, float] = {}
        self.port = 0
        self._store = store
        self._thread = LoopThread("store path")
        self._connections: dict[Connection, asyncio.Task[None]] = {}

    @property
    def url(self) -> str:
        """For --etcd-servers."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.__enter__()
        self._thread.run(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._thread.run(self._close())
        self._thread.__exit__(kind, error, traceback)

    def delay_of(self, key: bytes) -> float:
        """How long the events of a kind's watch are held now."""
        return self.watch_delay_seconds.get(key, 0.0)

    def cut(self, key: bytes) -> None:
        """Close the connections on which the kind is watched: the apiserver watches again from where it was."""
        self._thread.run(self._cut(key))

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._server.close()
        await self._cut(b"")

    async def _cut(self, key: bytes) -> None:
        tasks = [task for one, task in self._connections.items() if not key or key in one.watches.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(self)
        task = asyncio.create_task(connection.run(reader, writer, urlsplit(self._store()).netloc))
        self._connections[connection] = task
        with contextlib.suppress(asyncio.CancelledError):
            await task
        del self._connections[connection]


class Connection:
    """One of an apiserver's clients of etcd."""

    def __init__(self, path: StorePath) -> None:
        self.watches: dict[bytes, bytes] = {}
        """By stream, the key that is watched."""
        self._path = path
        self._lines: dict[bytes, Line] = {}

    async def run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, store: str) -> None:
        """Forward until one side ends."""
        host, _, port = store.rpartition(":")
        writers = [writer]
        try:
            store_reader, store_writer = await asyncio.open_connection(host, int(port))
            writers.append(store_writer)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._to_store(group, reader, store_writer))
                group.create_task(self._to_apiserver(group, store_reader, writer, store_writer))
        except* (OSError, EOFError):
            pass
        finally:
            for one in writers:
                one.transport.abort()

    async def _to_store(
        self, group: asyncio.TaskGroup, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        line = Line(writer, lambda: self._path.delay_to_store_seconds)
        group.create_task(line.run())
        writer.write(await reader.readexactly(PREFACE_BYTES))
        while True:
            frame = await Frame.read(reader)
            if frame.kind == DATA and (created := WATCH_REQUEST.match(frame.payload)):
                self.watches[frame.stream] = created[1]
            line.put(frame)

    async def _to_apiserver(
        self,
        group: asyncio.TaskGroup,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        store_writer: asyncio.StreamWriter,
    ) -> None:
        while True:
            frame = await Frame.read(reader)
            key = self.watches.get(frame.stream) if frame.kind == DATA else None
            line = self._lines.get(frame.stream)
            if key is None or (line is None and key not in self._path.watch_delay_seconds):
                writer.write(b"".join(frame))
                await writer.drain()
                continue
            if line is None:
                line = self._lines[frame.stream] = Line(writer, functools.partial(self._path.delay_of, key))
                group.create_task(line.run())
            line.put(frame)
            # What is held must not fill the windows: they are also those of the kind's reads and writes.
            store_writer.write(window_update(bytes(4), frame) + window_update(frame.stream, frame))


class Line:
    """What is held, in order, each frame for as long as is set at the moment."""

    def __init__(self, writer: asyncio.StreamWriter, seconds: Callable[[], float]) -> None:
        self._writer = writer
        self._seconds = seconds
        self._held: asyncio.Queue[tuple[float, Frame]] = asyncio.Queue()

    def put(self, frame: Frame) -> None:
        """One that arrives now."""
        self._held.put_nowait((time.monotonic(), frame))

    async def run(self) -> None:
        """Send what is due, for ever."""
        while True:
            since, frame = await self._held.get()
            if self._seconds() == inf:
                continue
            # The setting may change while a frame is held.
            while time.monotonic() < since + self._seconds():  # noqa: ASYNC110  set by another thread
                await asyncio.sleep(LOOK_SECONDS)
            self._writer.write(b"".join(frame))
            await self._writer.drain()


def window_update(stream: bytes, frame: Frame) -> bytes:
    """Says that a frame's bytes are taken."""
    size = len(frame.payload)
    return b"" if not size else bytes((0, 0, 4, WINDOW_UPDATE, 0)) + stream + size.to_bytes(4, "big")
