"""/api/v1/history: what the history has of the streams that are asked for, written stream by stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from exporter.history import document
from exporter.web import pieces

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from aiohttp import web

    from exporter.measure.stream_state import StreamState
    from exporter.web.page.look import Look

ALL = 10**6
"""More steps than are kept."""

HEADERS = {"Content-Type": "application/json", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


async def answer(request: web.Request, look: Look) -> web.StreamResponse:
    """Of all streams, or of those that `apiserver` and `resource` in the query name; `last` says how many steps."""
    states = [state for state in look.states if _is_asked_for(state, request.query)]
    return await pieces.answer(request, HEADERS, blocks(look, states, _last(request.query)))


def blocks(look: Look, states: Sequence[StreamState], last: int = ALL) -> Iterator[bytes]:
    """The document in pieces, none of which takes long to make."""
    notes = [document.note(one) for one in look.history.notes]
    head = msgspec.json.encode({"version": look.version, "at": look.now, "notes": notes})
    yield head[:-1] + b',"streams":['
    for number, state in enumerate(states):
        separator = b",{" if number else b"{"
        for piece in document.stream(state, look.history.stream(state), last):
            # msgspec writes null for +Inf, which JSON has no number for: no bound is known.
            yield separator + msgspec.json.encode(piece)[1:-1]
            separator = b","
        yield b"}"
    yield b"]}"


def _last(query: Mapping[str, str]) -> int:
    said = query.get("last", "")
    return int(said) if said.isdecimal() and len(said) < 10 else ALL


def _is_asked_for(state: StreamState, query: Mapping[str, str]) -> bool:
    return (
        query.get("apiserver", state.apiserver) == state.apiserver and query.get("resource", state.name) == state.name
    )
