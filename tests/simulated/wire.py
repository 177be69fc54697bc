"""What really goes over the wire: a relay before an apiserver that counts the requests and the bodies it passes on."""

import asyncio
import re
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Self
from urllib.parse import parse_qs, urlsplit

REQUEST_LINE = re.compile(rb"^(?:GET|POST|PUT|PATCH|DELETE) (\S+) HTTP/1\.1\r$", re.MULTILINE)
BODY_LENGTH = re.compile(rb"^content-length: (\d+)\r$", re.MULTILINE | re.IGNORECASE)
CHUNK_BYTES = 1 << 20


def kind_of(target: str) -> str:
    """What a request is, as far as its target tells: polls and LISTs of the store look the same."""
    parts = urlsplit(target)
    query = parse_qs(parts.query)
    if query.get("watch") == ["true"]:
        return "watch"
    if parts.path.endswith("/customresourcedefinitions"):
        return "discovery"
    if query.get("fieldSelector", [""])[0].startswith("metadata.name="):
        return "cache_poll" if query.get("resourceVersion") == ["0"] else "list"
    return "discovery"


class Wire:
    """`async with Wire(host, port) as wire: wire.url`; the bodies of watches have no length and so are not counted."""

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self._connections: set[asyncio.Task[None]] = set()
        self.requests: Counter[str] = Counter()
        self.body_bytes = 0
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for connection in list(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._relay(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(*self._upstream)
        try:
            async with asyncio.TaskGroup() as directions:
                directions.create_task(_pass_on(reader, server_writer, self._count_requests))
                directions.create_task(_pass_on(server_reader, writer, self._count_bodies))
        finally:
            server_writer.close()
            writer.close()

    def _count_requests(self, sent: bytes) -> None:
        self.requests.update(kind_of(target.decode()) for target in REQUEST_LINE.findall(sent))

    def _count_bodies(self, answered: bytes) -> None:
        self.body_bytes += sum(map(int, BODY_LENGTH.findall(answered)))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: Callable[[bytes], None]) -> None:
    with suppress(ConnectionError):
        while piece := await reader.read(CHUNK_BYTES):
            count(piece)
            writer.write(piece)
            await writer.drain()
    writer.close()
