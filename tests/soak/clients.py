"""Everybody who comes to the exporter's address: those who should, and those who read slowly, not at all, or guess.

Each is a coroutine that goes on until it is cancelled, whatever it is answered, and counts what that was.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from itertools import count

import aiohttp

from tests.fuzz.mutation import mutated

USER, PASSWORD = "soak", "the right one"
HELD_SECONDS = 60.0
"""How long those who do not read, or do not finish, stay at most."""

ATTACKERS = 20
PAGES = ("/", "/api/v1/status", "/readyz", "/livez")
GONE = (OSError, aiohttp.ClientError, asyncio.IncompleteReadError, TimeoutError)

REQUESTS = (
    b"GET /metrics HTTP/1.1\r\nHost: watchslo\r\nAccept-Encoding: gzip\r\n\r\n",
    b"POST /-/reload HTTP/1.1\r\nHost: watchslo\r\nContent-Length: 5\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nHost: watchslo\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
)
WORDS = (
    b"\r\n\r\n",
    b"Content-Length: 99\r\n",
    b"HTTP/9.9",
    b"A: " + b"x" * 9000 + b"\r\n",
    b"\x16\x03\x01\x02\x00\x01",
)


def credentials(password: str = PASSWORD) -> str:
    """The value of Authorization."""
    return aiohttp.encode_basic_auth(USER, password)


@dataclass
class Clients:
    """They come to one address; `answers` counts who was answered with what."""

    host: str
    port: int
    answers: Counter[tuple[str, str]] = field(default_factory=Counter)

    def all(self) -> Iterator[Coroutine[None, None, None]]:
        """One coroutine for each of them."""
        yield self.scrape("scraper with gzip", "gzip")
        yield self.scrape("scraper without gzip", "identity")
        yield self.read_pages()
        yield self.guess()
        yield self.again(0.2, self.talk_nonsense)
        for late in range(ATTACKERS):
            yield self.again(1.0 + late / 10, self.never_read)
            yield self.again(1.0 + late / 10, self.never_finish)

    async def scrape(self, name: str, encoding: str) -> None:
        """As Prometheus, on a connection that is kept."""
        async with self._session(**{"Accept-Encoding": encoding}) as http:
            while True:
                await self._get(name, http, "/metrics")
                await asyncio.sleep(5.0)

    async def read_pages(self) -> None:
        """As people and kubelets: a connection of its own for each."""
        for number in count():
            async with self._session() as http:
                await self._get("reader of pages", http, PAGES[number % len(PAGES)])
            await asyncio.sleep(0.5)

    async def guess(self) -> None:
        """Another password each time."""
        for number in count():
            async with self._session(password=f"guess {number}") as http:
                await self._get("guess of a password", http, "/metrics")
            await asyncio.sleep(1.0)

    async def again(self, pause_seconds: float, visit: Callable[[int], Awaitable[None]]) -> None:
        """Visit after visit."""
        for number in count():
            with contextlib.suppress(*GONE):
                await visit(number)
            self.answers[visit.__name__.replace("_", " "), "visits"] += 1
            await asyncio.sleep(pause_seconds)

    async def talk_nonsense(self, number: int) -> None:
        """Requests that are nearly none."""
        async with self._connected() as (reader, writer):
            writer.write(mutated(REQUESTS, WORDS, 12, number, 32768))
            async with asyncio.timeout(1.0):
                await reader.read()

    async def never_read(self, _number: int) -> None:
        """Ask for a great deal and take nothing of it."""
        async with self._connected() as (_, writer):
            request = f"GET /metrics HTTP/1.1\r\nHost: watchslo\r\nAuthorization: {credentials()}\r\n\r\n"
            writer.transport.pause_reading()  # type: ignore[attr-defined]  # the transport of a socket has it
            writer.write(request.encode() * 50)
            await asyncio.sleep(HELD_SECONDS)

    async def never_finish(self, _number: int) -> None:
        """Half a request's head, then a letter now and then."""
        async with self._connected() as (reader, writer):
            writer.write(b"GET /metrics HTTP/1.1\r\nHost: watchslo\r\nX-Slow: ")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HELD_SECONDS):
                    while not reader.at_eof():
                        writer.write(b"x")
                        await asyncio.sleep(2.0)

    async def _get(self, name: str, http: aiohttp.ClientSession, path: str) -> None:
        try:
            async with http.get(f"http://{self.host}:{self.port}{path}") as response:
                await response.read()
                self.answers[name, str(response.status)] += 1
        except GONE as error:
            self.answers[name, type(error).__name__] += 1

    def _session(self, password: str = PASSWORD, **headers: str) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            headers={"Authorization": credentials(password), **headers},
            timeout=aiohttp.ClientTimeout(total=10.0),
        )

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()
