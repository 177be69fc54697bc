"""Answers that are written piece by piece: however long they are, they hold the event loop for a short time only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from exporter.turns import write_in_turns

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


async def answer(request: web.Request, headers: Mapping[str, str], blocks: Iterable[bytes]) -> web.StreamResponse:
    """The blocks as the body; without one, nothing of it is made."""
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    if request.method != "HEAD":
        await write_in_turns(blocks, response.write)
    await response.write_eof()
    return response
