"""Requests in; those that the file of --web.config.file lets pass go on, the others are answered here.

It must not know where the file is, nor what an answer says.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from collections import OrderedDict
from ipaddress import ip_address
from math import inf
from typing import TYPE_CHECKING, TypeAlias

import bcrypt
from aiohttp import web

from exporter.expose.probes import is_probe

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from exporter.config.web_config import RateLimit, WebConfig
    from exporter.measure.times import Instant

    Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

# Of a random password that nobody knows. Checked for names that do not exist, so that the time of an answer does not
# tell which ones do.
NOBODYS_HASH = "$2b$10$YJLAztPVPIdS2vXZKX1j8OaQmtyVYRErHc3nMUif10UoQQF7CfaW6"

# As every other implementation does; ours would refuse longer ones.
_LONGEST_PASSWORD_BYTES = 72

MOST_REMEMBERED = 100
MOST_WAITING = 20
"""Two seconds of hashes at the usual cost."""


class CrowdedError(Exception):
    """Too many wait for their passwords to be compared."""


class Bucket:
    """Tokens that come one each interval, up to the burst; full at first."""

    def __init__(self) -> None:
        self._tokens = inf
        self._filled_at: Instant = -inf

    def take(self, limit: RateLimit, now: Instant) -> bool:
        """Take a token; whether there was one."""
        if not limit.interval_seconds:
            return True
        came = (now - self._filled_at) / limit.interval_seconds
        self._tokens, self._filled_at = min(limit.most_tokens, self._tokens + came), now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Passwords:
    """Compares passwords with their hashes, those that have been compared before at once."""

    def __init__(self) -> None:
        self._one_at_a_time = asyncio.Lock()
        self._waiting = 0
        # Apart, so that strangers who guess push out no user.
        self._fitted: OrderedDict[bytes, None] = OrderedDict()
        self._misfits: OrderedDict[bytes, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._fitted) + len(self._misfits)

    async def fit(self, password: str, password_hash: str, is_asked: Callable[[], bool] = lambda: True) -> bool:
        """Whether they belong together. `is_asked` says whether anybody waits for it still. Raises CrowdedError."""
        both = _digest(password, password_hash)
        if both in self._fitted or both in self._misfits:
            return both in self._fitted
        if self._waiting >= MOST_WAITING:
            raise CrowdedError
        self._waiting += 1
        try:
            # A hash takes a tenth of a second: in a thread, and one at a time, or strangers could take every core.
            async with self._one_at_a_time:
                fits = is_asked() and await asyncio.to_thread(_fits, password, password_hash)
        finally:
            self._waiting -= 1
        if is_asked():
            known = self._fitted if fits else self._misfits
            known[both] = None
            if len(known) > MOST_REMEMBERED:
                known.popitem(last=False)
        return fits


class Access:
    """Lets requests pass, or not. `config` may be replaced at any time and holds from then on."""

    def __init__(self, config: WebConfig) -> None:
        self.config = config
        self._bucket = Bucket()
        self._passwords = Passwords()

    def guard(self, app: web.Application) -> None:
        """From now on nothing passes but through here."""
        app.middlewares.append(self._admit)
        app.on_response_prepare.append(self._add_headers)

    @web.middleware
    async def _admit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if is_probe(request):
            answer = await handler(request)
            # Without an attempt to be somebody nothing is compared: a kubelet asks every few seconds.
            if answer.status == 200 or (self._may_be_user(request) and await self._refusal(request) is None):
                return answer
            return web.Response(status=answer.status, text="not ready\n")
        refusal = await self._refusal(request)
        return refusal if refusal is not None else await handler(request)

    def _may_be_user(self, request: web.Request) -> bool:
        return not self.config.basic_auth_users or "Authorization" in request.headers

    async def _refusal(self, request: web.Request) -> web.Response | None:
        """Why the request is not answered; None if it is."""
        if not self._bucket.take(self.config.rate_limit, time.monotonic()):
            return web.Response(status=429, text="too many requests\n")
        if not self._has_allowed_name(request):
            return web.Response(status=403, text="the certificate has none of the names that are allowed\n")
        try:
            is_user = await self._is_user(request)
        except CrowdedError:
            return web.Response(status=503, text="too many passwords to compare\n")
        if not is_user:
            return web.Response(status=401, text="who are you?\n", headers={"WWW-Authenticate": "Basic"})
        return None

    async def _add_headers(self, _request: web.Request, response: web.StreamResponse) -> None:
        for name, value in self.config.http_server_config.headers.items():
            if value:
                response.headers[name] = value

    def _has_allowed_name(self, request: web.Request) -> bool:
        allowed = self.config.tls_server_config.client_allowed_sans
        if allowed is None:
            return True
        certificate = request.transport.get_extra_info("peercert") if request.transport is not None else None
        names = (certificate or {}).get("subjectAltName", ())
        return any(_name(kind, value) in allowed for kind, value in names)

    async def _is_user(self, request: web.Request) -> bool:
        """Whether the request has the name and the password of a user, or needs none."""
        users = self.config.basic_auth_users
        if not users:
            return True
        credentials = _basic_auth(request.headers.get("Authorization", ""))
        if credentials is None:
            return False
        user, password = credentials
        fits = await self._passwords.fit(password, users.get(user, NOBODYS_HASH), lambda: request.transport is not None)
        return fits and user in users


def _basic_auth(authorization: str) -> tuple[str, str] | None:
    """User and password of RFC 7617; None if it says something else."""
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
    except ValueError:
        return None
    return user, password


def _fits(password: str, password_hash: str) -> bool:
    try:
        return bcrypt.checkpw(password.encode()[:_LONGEST_PASSWORD_BYTES], password_hash.encode())
    except ValueError:
        return False


def _digest(*words: str) -> bytes:
    """Of words whose lengths count too; the words themselves are kept nowhere."""
    return hashlib.sha256("".join(f"{len(word)}:{word}" for word in words).encode()).digest()


def _name(kind: str, value: str) -> str | None:
    """A subject's alternative name as Go writes it; None if it is of a kind that nobody allows."""
    if kind == "IP Address":
        try:
            return str(ip_address(value))
        except ValueError:
            return None
    return value if kind in {"DNS", "email", "URI"} else None
