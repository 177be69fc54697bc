"""A tiny apiserver that answers word for word what a test wrote down, over a real socket.

In: answers to LISTs and WATCHes of config maps, used in their order. Out: the requests that came, with their times.
"""

import asyncio
import json
import ssl as tls
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple, Self

from aiohttp import web

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

LISTED_REVISION = 100
CONFIGMAPS = {"name": "configmaps", "namespaced": True, "kind": "ConfigMap", "verbs": ["list", "watch"]}
DISCOVERY = {"kind": "APIResourceList", "groupVersion": "v1", "resources": [CONFIGMAPS]}


class Asked(NamedTuple):
    """One request: when it came, what for (`discovery`, `list` or `watch`), and from which revision on."""

    at: float
    verb: str
    revision: int


class ScriptedApiserver:
    """`watches` and `lists` are used up; then `last_watch` and a good list answer for ever."""

    def __init__(
        self,
        *watches: Answer,
        lists: Iterable[Answer] = (),
        discoveries: Iterable[Answer] = (),
        last_watch: Answer | None = None,
        ssl: tls.SSLContext | None = None,
    ) -> None:
        self.asked: list[Asked] = []
        self.url = ""
        self._ssl = ssl
        self._script: dict[str, deque[Answer]] = {
            "watch": deque(watches),
            "list": deque(lists),
            "discovery": deque(discoveries),
        }
        self._at_last: dict[str, Answer] = {
            "watch": last_watch or saying(then="silence"),
            "list": document(a_list(LISTED_REVISION)),
            "discovery": document(DISCOVERY),
        }
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._ssl)
        await site.start()
        self.url = f"{'https' if self._ssl else 'http'}://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def asked_for(self, verb: str) -> list[Asked]:
        """The requests of one verb."""
        return [asked for asked in self.asked if asked.verb == verb]

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        verb = "watch" if "watch" in request.query else "list" if request.path.endswith("configmaps") else "discovery"
        self.asked.append(Asked(time.monotonic(), verb, int(request.query.get("resourceVersion", "0"))))
        script = self._script[verb]
        answer = script.popleft() if script else self._at_last[verb]
        return await answer(request)


def document(content: object, *, status: int = 200, retry_after: str | None = None) -> Answer:
    """A whole answer: JSON, or HTML if it is text, or bytes that call themselves JSON."""

    async def answer(_: web.Request) -> web.StreamResponse:
        headers = {"Retry-After": retry_after} if retry_after is not None else None
        if isinstance(content, str):
            return web.Response(text=content, content_type="text/html", status=status, headers=headers)
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return web.Response(body=body, content_type="application/json", status=status, headers=headers)

    return answer


def refusal(code: int, *, retry_after: str | None = None) -> Answer:
    """An HTTP error with a Status."""
    return document(a_status(code), status=code, retry_after=retry_after)


def saying(*lines: bytes, then: str = "eof", pause_seconds: float = 0.0) -> Answer:
    """A watch that says `lines`, one after each pause, and then ends by `eof`, `cut` (a reset), or `silence`."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        for line in lines:
            await asyncio.sleep(pause_seconds)
            await response.write(line)
        if then == "silence":
            await asyncio.Event().wait()
        if then == "cut" and request.transport is not None:
            # What was written before may be lost with a reset that follows it at once.
            await asyncio.sleep(0.05)
            request.transport.abort()
        return response

    return answer


def a_list(revision: object) -> dict[str, Any]:
    """An empty list."""
    return {"kind": "ConfigMapList", "metadata": {"resourceVersion": str(revision)}, "items": []}


def a_status(code: int, *, retry_after_seconds: float | None = None) -> dict[str, Any]:
    """A Status as the apiserver words it."""
    details = {} if retry_after_seconds is None else {"details": {"retryAfterSeconds": retry_after_seconds}}
    return {"kind": "Status", "status": "Failure", "message": f"no: {code}", "code": code, **details}


def event(revision: int, *, kind: str = "MODIFIED", padding: int = 0) -> bytes:
    """One line of a watch."""
    metadata = {"name": "é", "padding": "x" * padding, "resourceVersion": str(revision)}
    return json.dumps({"type": kind, "object": {"metadata": metadata}}, ensure_ascii=False).encode() + b"\n"


def error(code: int, *, retry_after_seconds: float | None = None) -> bytes:
    """The line by which an apiserver announces the end of a watch."""
    status = a_status(code, retry_after_seconds=retry_after_seconds)
    return json.dumps({"type": "ERROR", "object": status}).encode() + b"\n"
