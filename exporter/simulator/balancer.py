"""One address in front of several apiservers, as a load balancer is.

In: connections. Out: each connection (L4), or each request (L7), goes to the next apiserver that is running.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Literal, Self

from aiohttp import web

from exporter.simulator.apiserver import Apiserver
from exporter.simulator.faults import NetworkDelay
from exporter.simulator.network import Link

if TYPE_CHECKING:
    import ssl as tls
    from collections.abc import Sequence

Balancing = Literal["connection", "request"]


CHOSEN = web.RequestKey("chosen", Apiserver)


class Closed(asyncio.Protocol):
    """What a connection meets when no apiserver is running."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close it."""
        transport.close()


class Balancer:
    """Balances over `apiservers` by turns. `by="request"` terminates HTTP, so one connection meets several of them."""

    def __init__(
        self, apiservers: Sequence[Apiserver], *, by: Balancing, port: int = 0, ssl: tls.SSLContext | None = None
    ) -> None:
        self.host = "127.0.0.1"
        self.port = port
        self.network = NetworkDelay()
        self._by = by
        self._ssl = ssl
        self._apiservers = apiservers
        self._turns = itertools.cycle(apiservers)
        self._links: set[Link] = set()
        self._server: asyncio.Server | None = None
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._forward)
        app.on_response_prepare.append(self._put_headers)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)

    @property
    def url(self) -> str:
        """What a client is told to connect to."""
        return f"{'https' if self._ssl else 'http'}://{self.host}:{self.port}"

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connection, self.host, self.port, ssl=self._ssl)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for link in list(self._links):
            link.cut()
        await asyncio.sleep(0)
        await self._runner.cleanup()

    def _connection(self) -> asyncio.Protocol:
        apiserver = self._next()
        if apiserver is None:
            return Closed()
        if self._by == "connection":
            return apiserver.connection()
        assert self._runner.server is not None
        return Link(self._runner.server(), self.network, self._links)

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        apiserver = self._next()
        if apiserver is None:
            return web.Response(status=503, text="no apiserver\n")
        request[CHOSEN] = apiserver
        return await apiserver.handlers.answer(request)

    async def _put_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        response.headers["Via"] = "1.1 balancer"
        if CHOSEN in request:
            await request[CHOSEN].handlers.put_headers(request, response)

    def _next(self) -> Apiserver | None:
        turns = itertools.islice(self._turns, len(self._apiservers))
        return next((apiserver for apiserver in turns if apiserver.is_running), None)
