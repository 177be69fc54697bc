"""A pool of connections to one apiserver address, and one poll of the revision over one of them.

The pool is fixed and used in rotation, so that polls keep their rate when answers are slow, without opening connections
just then. Evidence about the server's clock belongs to a connection, so each connection has its own session.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import aiohttp

from exporter.kubernetes.cost import Sending
from exporter.kubernetes.errors import StartError, translated
from exporter.kubernetes.lists import list_revision
from exporter.kubernetes.session import CONNECT_SECONDS, METADATA_LIST, ApiSession, Request, http_date

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import SimpleNamespace

    from exporter.credentials import Credentials
    from exporter.kubernetes.cost import Cost
    from exporter.kubernetes.session import Server
    from exporter.measure.times import Instant, WallTime
    from exporter.vocabulary import Purpose

POLL_LIMIT = aiohttp.ClientTimeout(total=10.0, sock_connect=CONNECT_SECONDS)
"""An event is judged after 10 s at the latest, so a later answer is useless."""

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
    """One connection, with at most one poll in flight on it."""

    def __init__(
        self, server: Server, credentials: Credentials, closed: Callable[[int], None], cost: Cost | None = None
    ) -> None:
        self._closed = closed
        self._connection = 0
        self.is_free = True
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(self._new_connection)
        self._session = ApiSession(server, credentials, connections=1, cost=cost, trace=trace)

    async def poll(
        self,
        path: str,
        parameters: Mapping[str, str],
        sending: Sending | None = None,
        purpose: Purpose = "revision_poll",
    ) -> Answer:
        """A LIST that matches nothing. Raises StartError."""
        with translated(path):
            request = Request(
                path,
                parameters,
                accept=METADATA_LIST,
                purpose=purpose,
                time_limit=POLL_LIMIT,
                sending=sending or Sending(),
            )
            response = await self._session.send(request)
            async with response:
                revision = await list_revision(response)
                t1 = time.monotonic()
            if "Age" in response.headers:
                raise StartError("bad_response", f"{path}: the answer comes from a cache on the way")
        return Answer(response.first_sent_at, t1, revision, self._connection, _trusted_date(response))

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


def _trusted_date(response: aiohttp.ClientResponse) -> WallTime | None:
    """The Date header, if the apiserver itself wrote it: its answers have an Audit-Id, and no Via of a proxy."""
    if "Audit-Id" not in response.headers or "Via" in response.headers:
        return None
    return http_date(response.headers.get("Date", ""))
