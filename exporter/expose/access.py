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

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from exporter.config.web_config import RateLimit, WebConfig
    from exporter.measure.times import Instant

    Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

PROBES = frozenset({"/livez", "/healthz", "/readyz"})
"""What a kubelet asks, which has no password: it learns yes or no."""

# Of a random password that nobody knows. Checked for names that do not exist, so that the time of an answer does not
# tell which ones do.
NOBODYS_HASH = "$2b$10$YJLAztPVPIdS2vXZKX1j8OaQmtyVYRErHc3nMUif10UoQQF7CfaW6"

# As every other implementation does; ours would refuse longer ones.
_LONGEST_PASSWORD_BYTES = 72

MOST_REMEMBERED = 100


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
        self._tokens, self._filled_at = min(limit.burst, self._tokens + came), now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Passwords:
    """Compares passwords with their hashes, those that have fitted before at once."""

    def __init__(self) -> None:
        self._one_at_a_time = asyncio.Lock()
        self._fitted: OrderedDict[bytes, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._fitted)

    async def fit(self, password: str, password_hash: str) -> bool:
        """Whether they belong together."""
        both = _digest(password, password_hash)
        if both in self._fitted:
            return True
        # A hash takes a tenth of a second: in a thread, and one at a time, or strangers could take every core.
        async with self._one_at_a_time:
            fits = await asyncio.to_thread(_fits, password, password_hash)
        if fits:
            self._fitted[both] = None
            if len(self._fitted) > MOST_REMEMBERED:
                self._fitted.popitem(last=False)
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
        if _resource(request) in PROBES:
            answer = await handler(request)
            if answer.status != 200 and not await self._is_user(request):
                return web.Response(status=answer.status, text="not ready\n")
            return answer
        if not self._bucket.take(self.config.rate_limit, time.monotonic()):
            return web.Response(status=429, text="too many requests\n")
        if not self._has_allowed_name(request):
            return web.Response(status=403, text="the certificate has none of the names that are allowed\n")
        if not await self._is_user(request):
            return web.Response(status=401, text="who are you?\n", headers={"WWW-Authenticate": "Basic"})
        return await handler(request)

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
        user, password = _basic_auth(request.headers.get("Authorization", ""))
        fits = await self._passwords.fit(password, users.get(user, NOBODYS_HASH))
        return fits and user in users


def _resource(request: web.Request) -> str:
    """Which of our paths will answer, however the client has spelled it; "" if none will."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else ""


def _basic_auth(authorization: str) -> tuple[str, str]:
    """User and password of RFC 7617; both are empty if it says something else."""
    scheme, _, credentials = authorization.partition(" ")
    try:
        user, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
    except ValueError:
        return "", ""
    return (user, password) if scheme.lower() == "basic" else ("", "")


def _fits(password: str, password_hash: str) -> bool:
    try:
        return bcrypt.checkpw(password.encode()[:_LONGEST_PASSWORD_BYTES], password_hash.encode())
    except ValueError:
        return False


def _digest(*words: str) -> bytes:
    """Of words whose lengths count too; the words themselves are kept nowhere."""
    return hashlib.sha256("".join(f"{len(word)}:{word}" for word in words).encode()).digest()


def _name(kind: str, value: str) -> str:
    """A subject's alternative name as Go writes it."""
    return str(ip_address(value)) if kind == "IP Address" else value
