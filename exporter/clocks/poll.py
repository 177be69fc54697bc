"""A pool of connections to one apiserver address, and one poll of the revision over one of them.

The pool is fixed and used in rotation, so that polls keep their rate when answers are slow, without opening connections
just then. Evidence about the server's clock belongs to a connection, so each connection has its own session.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import aiohttp
from msgspec.structs import replace

from exporter.kubernetes.cost import Cost, Sending
from exporter.kubernetes.errors import StartError, translated
from exporter.kubernetes.kept import KeptAnswer, KeptConnection
from exporter.kubernetes.lists import list_revision
from exporter.kubernetes.session import (
    CONNECT_SECONDS,
    METADATA_LIST,
    ApiSession,
    Request,
    expect_no_compression,
    http_date,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import SimpleNamespace

    from exporter.credentials import Credentials
    from exporter.kubernetes.session import Server
    from exporter.measure.times import Instant, WallTime
    from exporter.vocabulary import Purpose

POLL_SECONDS = 10.0
"""An event is judged after 10 s at the latest, so a later answer is useless."""

SHORTEST_SECONDS = 0.001
"""None at all would be no limit to aiohttp."""

_connections = itertools.count(1)


class Answer(NamedTuple):
    """A poll's answer. The Date is None unless the apiserver's clock certainly wrote it."""

    t0: Instant
    """When the poll was sent."""
    t1: Instant
    """When the answer was complete."""
    revision: int
    connection: int
    date: WallTime | None


class PollConnection:
    """One connection, with at most one poll in flight on it.

    aiohttp makes it and sends the first poll; then it is kept, and polls are cheap. Through a proxy, aiohttp
    sends all polls.
    """

    def __init__(
        self, server: Server, credentials: Credentials, closed: Callable[[int], None], cost: Cost | None = None
    ) -> None:
        self._closed = closed
        self._connection = 0
        self.is_free = True
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(self._new_connection)
        self._cost = cost or Cost()
        self._session = ApiSession(server, credentials, connections=1, cost=cost, trace=trace)
        self._kept: KeptConnection | None = None
        self._generation = 0
        """Of the credentials that the kept connection was made with."""

    async def poll(
        self,
        path: str,
        parameters: Mapping[str, str],
        sending: Sending | None = None,
        purpose: Purpose = "revision_poll",
    ) -> Answer:
        """A LIST that matches nothing. Raises StartError."""
        sending = sending or Sending()
        with translated(path):
            request = Request(path, parameters, accept=METADATA_LIST, purpose=purpose, sending=sending)
            answer, left_seconds = await self._over_kept(request)
            if answer is None:
                answer = await self._over_aiohttp(request, left_seconds)
            revision = list_revision(answer, answer.content)
            if "age" in answer.headers:
                raise StartError("bad_response", f"{path}: the answer comes from a cache on the way")
        assert sending.first_sent_at is not None
        return Answer(sending.first_sent_at, answer.t1, revision, self._connection, _trusted_date(answer.headers))

    async def _over_kept(self, request: Request) -> tuple[KeptAnswer | None, float]:
        """None if there is no connection to send it over, or none any more; and how long an answer may still take."""
        server, credentials = self._session.server, self._session.credentials
        if self._kept is None:
            return None, POLL_SECONDS
        headers = await credentials.headers(server.url)
        if self._kept.is_open and self._generation != credentials.generation:
            self._kept.close()
        if not self._kept.is_open:
            self._kept = None
            return None, POLL_SECONDS
        asked = time.monotonic()
        answer = await self._counted(self._kept, request, headers)
        if answer is not None:
            if answer.status == 401:
                credentials.refused()
            expect_no_compression(answer, answer.headers.get("content-encoding", ""))
            self._cost.answer_read(request.purpose, len(answer.content))
        return answer, max(SHORTEST_SECONDS, asked + POLL_SECONDS - time.monotonic())

    async def _counted(self, kept: KeptConnection, request: Request, headers: Mapping[str, str]) -> KeptAnswer | None:
        self._cost.request_sent(request.purpose)
        asked = time.monotonic()
        try:
            return await kept.ask(request, headers, POLL_SECONDS)
        finally:
            self._cost.request_over(request.purpose, (kept.answer_began or time.monotonic()) - asked)

    async def _over_aiohttp(self, request: Request, seconds: float) -> KeptAnswer:
        limit = aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS)
        response = await self._session.send(replace(request, time_limit=limit))
        async with response:
            content = await response.read()
            t1 = time.monotonic()
            url = self._session.server.url
            self._kept, self._generation = KeptConnection.after(response, url), self._session.generation
        return KeptAnswer(response.status, response.headers, urlsplit(url), content, t1)

    async def close(self) -> None:
        """Close the connection."""
        await self._session.close()

    async def _new_connection(
        self,
        _session: aiohttp.ClientSession,
        _context: SimpleNamespace,
        _params: aiohttp.TraceConnectionCreateEndParams,
    ) -> None:
        self._closed(self._connection)
        self._connection = next(_connections)


class Pool:
    """A fixed number of connections to one apiserver address, used in rotation."""

    def __init__(
        self, places: int, server: Server, credentials: Credentials, closed: Callable[[int], None], cost: Cost | None
    ) -> None:
        self._places = deque(PollConnection(server, credentials, closed, cost) for _ in range(places))

    def take(self) -> PollConnection | None:
        """Take the free connection that was used least recently; None if all are busy."""
        for place in self._places:
            if place.is_free:
                place.is_free = False
                self._places.remove(place)
                self._places.append(place)
                return place
        return None

    async def close(self) -> None:
        """Close all connections."""
        for place in self._places:
            await place.close()


def _trusted_date(headers: Mapping[str, str]) -> WallTime | None:
    """The Date header, if the apiserver itself wrote it: its answers have an Audit-Id, and no Via of a proxy."""
    if "audit-id" not in headers or "via" in headers:
        return None
    return http_date(headers.get("date", ""))
