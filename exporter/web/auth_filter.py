"""Lets requests pass whose bearer token the cluster accepts, and refuses the others.

It does not know the apiserver: a callable reviews a token for a path and returns the HTTP status.
"""

from __future__ import annotations

import asyncio
import time
from math import inf
from typing import TYPE_CHECKING, TypeAlias

from aiohttp import web

from exporter.limits import refused_texts
from exporter.web.probes import is_probe
from exporter.web.remembered import Remembered

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from exporter.measure.times import Instant
    from exporter.web.authentication import Handler

    Review: TypeAlias = Callable[[str, str], Awaitable[int]]

REMEMBERED_SECONDS = 60.0
MOST_WAITING = 100
WAITING_SECONDS = 5.0
AT_ONCE = 2
TURN_SECONDS = 0.05
"""So many reviews may be in flight for clients that were admitted before, and as many for all others, and each keeps
its slot at least this long: unknown clients cause at most 40 requests a second, and a full queue takes 2.5 s."""

MOST_TOKEN_BYTES = 7 * 2**10
"""A service account's token has one KiB, one with 200 groups in it seven; a header longer than eight never gets
here."""

METRICS, PAGE = "/metrics", "/"
"""The reviewed paths. Everything but the metrics is reviewed as the page, because it has the same content: every user
of a cluster may get /api/* and the probes of its apiserver (system:discovery, system:public-info-viewer)."""

_UNANSWERED = 503
_SENTENCES = {
    401: "a bearer token that this cluster accepts is required: Authorization: Bearer TOKEN\n",
    403: "this token's user is not allowed: bind a ClusterRole with verb get on the nonResourceURLs /metrics, or /\n",
    503: "the apiserver cannot be asked about this token now\n",
}


class AuthFilter:
    """Lets requests pass that the reviews allow. The result of a review holds for a minute from its request."""

    def __init__(self, review: Review, remembered_seconds: float = REMEMBERED_SECONDS) -> None:
        self._review = review
        self._remembered_seconds = remembered_seconds
        self._remembered: Remembered[tuple[int, Instant]] = Remembered()
        """The status of each answer, and until when it holds."""
        # Apart, so that strangers who guess make nobody wait who was admitted.
        self._turns = {True: asyncio.Semaphore(AT_ONCE), False: asyncio.Semaphore(AT_ONCE)}
        self._reviews: dict[bytes, asyncio.Task[int]] = {}

    def __len__(self) -> int:
        return len(self._remembered)

    def guard(self, app: web.Application) -> None:
        """Check every request of this app from now on."""
        app.middlewares.append(self._admit)

    @web.middleware
    async def _admit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if is_probe(request):
            answer = await handler(request)
            # The reasons are for those who may read them on the page.
            if answer.status == 200 or await self._status(request, PAGE) == 200:
                return answer
            return web.Response(status=answer.status, text="not ready\n")
        status = await self._status(request, _reviewed_path(request))
        if status == 200:
            return await handler(request)
        headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
        return web.Response(status=status, text=_SENTENCES[status], headers=headers)

    async def _status(self, request: web.Request, path: str) -> int:
        """200 if the request may pass, else the status of the refusal."""
        token = _token(request.headers.get("Authorization", ""))
        if token is None:
            return 401
        digest = self._remembered.digest(path, token)
        was_let_in = digest in self._remembered.admitted
        status, until = self._remembered.get(digest) or (_UNANSWERED, -inf)
        if time.monotonic() < until:
            return status
        review = self._reviews.get(digest)
        if review is None:
            if len(self._reviews) >= MOST_WAITING and not was_let_in:
                return _UNANSWERED
            review = asyncio.create_task(self._ask(digest, token, path))
            self._reviews[digest] = review
        return await asyncio.shield(review)  # who goes away takes the answer from nobody else

    async def _ask(self, digest: bytes, token: str, path: str) -> int:
        turns = self._turns[digest in self._remembered.admitted]
        try:
            async with asyncio.timeout(WAITING_SECONDS):
                await turns.acquire()
            asked = time.monotonic()
            try:
                status = await self._review(token, path)
            finally:
                # Whoever waits for this answer does not wait for that.
                asyncio.get_running_loop().call_later(asked + TURN_SECONDS - time.monotonic(), turns.release)
        except TimeoutError:
            return _UNANSWERED
        finally:
            del self._reviews[digest]
        if status != _UNANSWERED:
            answer = status, asked + self._remembered_seconds
            self._remembered.put(digest, answer, is_admitted=status == 200)
        return status


def _reviewed_path(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return METRICS if resource is not None and resource.canonical == METRICS else PAGE


def _token(authorization: str) -> str | None:
    """The token of RFC 6750; None if there is none, or nothing that could be one."""
    scheme, _, token = authorization.partition(" ")
    token = token.strip(" ")
    if scheme.lower() != "bearer" or not token:
        return None
    if len(token) > MOST_TOKEN_BYTES:
        refused_texts.count("token")
        return None
    return token if token.isascii() and token.isprintable() and " " not in token else None
