"""Lets requests pass that --web.config.file allows, and refuses the others.

It does not know where the file is, nor what an answer contains.
"""

from __future__ import annotations

import asyncio
import base64
import re
import time
from collections import deque
from ipaddress import ip_address
from math import inf
from typing import TYPE_CHECKING, TypeAlias

import bcrypt
from aiohttp import web

from exporter.web.probes import is_probe
from exporter.web.remembered import Remembered

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from exporter.config.web_config import RateLimit, WebConfig
    from exporter.measure.times import Instant

    Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

# Of a random password that nobody knows. Checked for names that do not exist, so that the time of an answer does not
# tell which ones do.
NOBODYS_HASH = "$2b$10$YJLAztPVPIdS2vXZKX1j8OaQmtyVYRErHc3nMUif10UoQQF7CfaW6"

_COST = re.compile(r"\$[^$]+\$(\d+)\$.*", re.DOTALL)

# As every other implementation does; ours would refuse longer ones.
_LONGEST_PASSWORD_BYTES = 72

MOST_WAITING = 100
"""At the usual cost they are compared in less than the ten seconds that Prometheus waits for."""


class CrowdedError(Exception):
    """Too many logins wait for their passwords to be compared."""


class Bucket:
    """A token bucket: one token each interval, up to the burst; full at first."""

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
    """Compares passwords with their hashes, those that have been compared before at once.

    A hash takes a tenth of a second: one at a time, or strangers could take every core. Clients take turns, whatever
    each of them has waiting, so that one that guesses keeps no other one out.
    """

    def __init__(self) -> None:
        self._remembered: Remembered[bool] = Remembered()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        """Waiting logins by client, the next client first."""
        self._is_comparing = False

    def __len__(self) -> int:
        return len(self._remembered)

    async def fit(
        self, user: str, password: str, password_hash: str, *, client: str, is_asked: Callable[[], bool] = lambda: True
    ) -> bool:
        """Whether the last two belong together. `is_asked` says whether anybody waits for it still.

        Raises CrowdedError.
        """
        # With the user: else a quick answer would tell that two names have the same hash, which is nobody's.
        attempt = self.digest(user, password, password_hash)
        if self._remembered.get(attempt) is None:
            await self._turn(client)
            try:
                if self._remembered.get(attempt) is None and is_asked():
                    fits = await asyncio.to_thread(_fits, password, password_hash)
                    self._remembered.put(attempt, fits, is_admitted=fits)
            finally:
                self._is_comparing = False
                self._next()
        return bool(self._remembered.get(attempt))

    def digest(self, *words: str) -> bytes:
        """Of words; always the same while this process runs."""
        return self._remembered.digest(*words)

    async def _turn(self, client: str) -> None:
        """Wait until this client may have a password compared. Raises CrowdedError."""
        if sum(map(len, self._waiting.values())) >= MOST_WAITING:
            greediest = max(self._waiting, key=lambda other: len(self._waiting[other]))
            if len(self._waiting[greediest]) <= len(self._waiting.get(client, ())) + 1:
                raise CrowdedError
            self._waiting[greediest].pop().set_exception(CrowdedError())
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(client, deque()).append(turn)
        if not self._is_comparing:
            self._next()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._waiting[client].remove(turn)
                if not self._waiting[client]:
                    del self._waiting[client]
            else:
                self._is_comparing = False
                self._next()
            raise

    def _next(self) -> None:
        """Let the next client have its turn."""
        if self._waiting:
            client = next(iter(self._waiting))
            turns = self._waiting.pop(client)
            turns.popleft().set_result(None)
            if turns:
                self._waiting[client] = turns
            self._is_comparing = True


class Access:
    """Lets requests pass, or not. `config` may be replaced at any time and holds from then on."""

    def __init__(self, config: WebConfig) -> None:
        self.config = config
        self._bucket = Bucket()
        self._passwords = Passwords()

    @property
    def is_protected(self) -> bool:
        """Whether clients have to authenticate, with a password or a certificate."""
        tls = self.config.tls_server_config
        return bool(self.config.basic_auth_users) or tls.client_auth_type == "RequireAndVerifyClientCert"

    def guard(self, app: web.Application) -> None:
        """Check every request of this app from now on."""
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
            return web.Response(status=403, text="the client certificate has no allowed name\n")
        try:
            is_user = await self._is_user(request)
        except CrowdedError:
            return web.Response(status=503, text="too many logins at once: try again in a few seconds\n")
        if not is_user:
            return web.Response(status=401, text="authentication required\n", headers={"WWW-Authenticate": "Basic"})
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
        password_hash = users.get(user) or self._nobodys_hash(user)
        fits = await self._passwords.fit(
            user,
            password,
            password_hash,
            client=request.remote or "",
            is_asked=lambda: request.transport is not None,
        )
        return fits and user in users

    def _nobodys_hash(self, user: str) -> str:
        """A hash that costs as much as one of the users', and always the same for this name."""
        costs = sorted(_COST.sub(r"\1", password_hash) for password_hash in self.config.basic_auth_users.values())
        cost = costs[self._passwords.digest(user)[0] % len(costs)]
        return NOBODYS_HASH.replace("$10$", f"${cost}$", 1)


def _basic_auth(authorization: str) -> tuple[str, str] | None:
    """User and password of RFC 7617; None if the header has something else."""
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


def _name(kind: str, value: str) -> str | None:
    """A subject's alternative name as Go writes it; None if it is of a kind that nobody allows."""
    if kind == "IP Address":
        try:
            return str(ip_address(value))
        except ValueError:
            return None
    return value if kind in {"DNS", "email", "URI"} else None
