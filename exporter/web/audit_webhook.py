"""Takes the batches of apiservers' audit webhooks (EventList), piece by piece: no body is kept as a whole."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

from exporter.audit.reading import EventReader
from exporter.web.connections import Limits
from exporter.web.http import METRICS, without_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from exporter.audit.events import AuditEvent
    from exporter.metrics.registry import Metrics

    Take = Callable[[EventReader, Iterable[AuditEvent]], None]

PIECE_BYTES = 32 * 1024
"""So much is read before the event loop gets its turn."""

BODY_SECONDS = 30.0
"""An apiserver waits no longer for its answer."""

LIMITS = Limits(connections=50, requests=10, unanswered_bytes=64 * 1024 * 1024)
"""An apiserver's batch is 400 events; with truncation on, no more than 10 MiB."""


def application(metrics: Metrics, take: Take) -> web.Application:
    """POST to any path. `take` is told what each piece of a body has brought."""

    async def receive(request: web.Request) -> web.Response:
        if request.headers.get("Content-Encoding", "identity") != "identity":
            return web.Response(status=415, text="compressed bodies are not taken\n")
        reader = EventReader()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                async for piece in request.content.iter_chunked(PIECE_BYTES):
                    take(reader, reader.feed(piece))
                    await asyncio.sleep(0)
        except TimeoutError:
            return web.Response(status=408, text="the body took too long\n")
        finally:
            take(reader, reader.end())
        return web.Response(text="ok\n")

    app = web.Application()
    app[METRICS] = metrics
    app.on_response_prepare.append(without_version)
    app.add_routes([web.post("/{path:.*}", receive)])
    return app
