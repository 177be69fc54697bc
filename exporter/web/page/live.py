"""Answers for the page: itself, what changed since a version of it (as a stream, or when asked), and rows that open.

However many look, everything is rendered once a second at most, and in steps, so that looking costs the measurement
nothing. A client says which version it has; what changed since then is the same for all that have it.
"""

from __future__ import annotations

import asyncio
import secrets
from itertools import chain
from math import inf
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from exporter.diagnosis.document import document
from exporter.turns import each_in_turns, in_turns, let_go, write_in_turns
from exporter.web import history, pieces
from exporter.web.page.body import body
from exporter.web.page.document import page, parts, policy, prepared
from exporter.web.page.row import row_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from exporter.web.page.look import Look, Scenarios
    from exporter.web.page.row import Drawn

RENDERED_EVERY_SECONDS = 1.0
STREAMED_EVERY_SECONDS = 2.0
STREAM_PATH = "/page/stream"


class Demo(Protocol):
    """What plays the scenarios of a demo."""

    def scenarios(self) -> Scenarios:
        """What it can play, and plays."""

    def play(self, name: str) -> None:
        """Play another one from now on. Raises KeyError."""


def is_stream(request: web.Request) -> bool:
    """Whether the answer goes on for as long as the client looks."""
    resource = request.match_info.route.resource
    return resource is not None and resource.canonical == STREAM_PATH


class _Part(msgspec.Struct, frozen=True):
    """One part of the page."""

    version: int
    """In which it became what it is."""
    html: str
    member: bytes
    """Its name and HTML, as a member of a JSON object."""


class _Rendered(msgspec.Struct):
    """The page of one moment."""

    version: int
    at: float = -inf
    look: Look | None = None
    """None once there is a later one: it is for whoever asks for the page at this moment."""
    parts: dict[str, _Part] = msgspec.field(default_factory=dict)
    blocks: list[bytes] = msgspec.field(default_factory=list)
    """The whole page, if somebody has asked for it already."""

    def add(self, name: str, html: str, before: _Part | None) -> None:
        """The next part, which was `before` in the version before."""
        if before is None or before.html != html:
            member = msgspec.json.encode(name) + b":" + msgspec.json.encode(html)
            before = _Part(self.version, html, member)
        self.parts[name] = before

    def since(self, version: int) -> Iterator[bytes]:
        """What changed since then, as JSON. A client that has a version which we never made gets everything."""
        known = version if version <= self.version else 0
        yield b'{"version":%d,"parts":{' % self.version
        separator = b""
        for part in self.parts.values():
            if part.version > known:
                yield separator + part.member
                separator = b","
        yield b"}}"

    def page(self, opened: str | None) -> Iterable[bytes]:
        """The whole page; `opened` is the row that is open from the start."""
        if opened is None and self.blocks:
            return self.blocks
        assert self.look is not None
        return self._made(self.look, opened)

    def _made(self, look: Look, opened: str | None) -> Iterator[bytes]:
        made = []
        for block in page(look, {name: part.html for name, part in self.parts.items()}, self.version, opened):
            made.append(block.encode())
            yield made[-1]
        if opened is None:
            self.blocks = made


class Page:
    """`look` returns what is to be shown now."""

    def __init__(self, look: Callable[[], Look], demo: Demo | None = None) -> None:
        self._look = look
        self._demo = demo
        # Versions of other processes, as after a restart or behind a Service of several replicas, are far from ours,
        # and all of them are whole numbers in JavaScript.
        self._rendered = _Rendered(secrets.randbelow(2**19) << 30)
        self._drawn: dict[str, Drawn] = {}
        self._rendering = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._headers = {
            "Content-Security-Policy": policy(has_form=demo is not None),
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "same-origin",  # without any, a form of this page would come from nowhere
            "Cache-Control": "no-store",
        }

    @property
    def routes(self) -> list[web.RouteDef]:
        """All paths of the page."""
        routes = [
            web.get("/", self._whole),
            web.get(STREAM_PATH, self._stream, allow_head=False),
            web.get("/page/changes", self._changes),
            web.get("/page/row", self._row),
            web.get("/api/v1/history", self._history),
            web.get("/api/v1/diagnosis", self._diagnosis),
        ]
        return [*routes, web.post("/scenario", self._play)] if self._demo is not None else routes

    async def stop(self, _: web.Application) -> None:
        """End the streams: the server goes."""
        self._stopping.set()

    async def _whole(self, request: web.Request) -> web.StreamResponse:
        now = await self._current()
        headers = {**self._headers, "Content-Type": "text/html; charset=utf-8"}
        return await pieces.answer(request, headers, now.page(request.query.get("open")))

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events, all at the same moments for all who look."""
        response = web.StreamResponse(headers={**self._headers, "Content-Type": "text/event-stream"})
        await response.prepare(request)
        version = _version(request)
        while not self._stopping.is_set():
            now = await self._current()
            await write_in_turns(chain((b"data: ",), now.since(version), (b"\n\n",)), response.write)
            version = now.version
            wait_seconds = STREAMED_EVERY_SECONDS - asyncio.get_running_loop().time() % STREAMED_EVERY_SECONDS
            try:
                async with asyncio.timeout(wait_seconds):
                    await self._stopping.wait()
            except TimeoutError:
                continue
        return response

    async def _changes(self, request: web.Request) -> web.StreamResponse:
        now = await self._current()
        headers = {**self._headers, "Content-Type": "application/json"}
        return await pieces.answer(request, headers, now.since(_version(request)))

    async def _row(self, request: web.Request) -> web.Response:
        look = self._look()
        key = request.query.get("key", "")
        for state in look.states:
            if row_id(state) == key:
                html = "".join([part async for part in each_in_turns(body(state, look))])
                return web.Response(text=html, content_type="text/html", headers=self._headers)
        return web.Response(status=404, text="this stream is watched no more\n", headers=self._headers)

    async def _history(self, request: web.Request) -> web.StreamResponse:
        return await history.answer(request, self._look())

    async def _diagnosis(self, _: web.Request) -> web.Response:
        answer = msgspec.json.encode(document(self._look().findings))
        return web.Response(body=answer, content_type="application/json", headers={"Cache-Control": "no-store"})

    async def _play(self, request: web.Request) -> web.StreamResponse:
        """Another scenario, asked for by this page and no other."""
        assert self._demo is not None
        if not _is_from_here(request):
            return web.Response(status=403, text="this form is for the page of this demo\n")
        form = await request.post()
        try:
            self._demo.play(str(form.get("scenario")))
        except KeyError:
            return web.Response(status=400, text="there is no such scenario\n")
        self._rendered.at = -inf  # whoever has chosen sees it at once
        return web.Response(status=303, headers={"Location": "./"})

    async def _current(self) -> _Rendered:
        """What was rendered within the last second."""
        async with self._rendering:
            loop = asyncio.get_running_loop()
            if loop.time() - self._rendered.at >= RENDERED_EVERY_SECONDS:
                look, before = self._look(), self._rendered
                made = _Rendered(before.version + 1, loop.time(), look)
                known = await in_turns(prepared(look, self._drawn))
                async for name, html in each_in_turns(parts(look, known, self._drawn)):
                    made.add(name, html, before.parts.get(name))
                for gone in self._drawn.keys() - {row_id(state) for state in look.states}:
                    del self._drawn[gone]
                self._rendered = made
                if before.look is not None:
                    past, before.look = list(before.look.states), None
                    await let_go(past)
            return self._rendered


def _version(request: web.Request) -> int:
    said = request.headers.get("Last-Event-ID") or request.query.get("since", "0")
    return int(said) if said.isdecimal() and len(said) < 16 else 0


def _is_from_here(request: web.Request) -> bool:
    """Whether a browser says that a page of ours has sent it; what is no browser says nothing."""
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
    is_ours = origin is None or urlsplit(origin).netloc == request.host
    return is_ours and site in {None, "same-origin", "none"}
