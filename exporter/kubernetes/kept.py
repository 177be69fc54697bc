"""Requests out over a connection that aiohttp has made and answered once, their answers in: a poll costs a tenth so.

Names, TLS, proxies and whatever goes wrong before the first answer stay aiohttp's (docs/decisions/0020).
"""

from __future__ import annotations

import asyncio
import time
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

import aiohttp

from exporter.kubernetes.answer import AnswerReader, TooMuchError
from exporter.kubernetes.framed import MOST_BYTES_BEFORE
from exporter.kubernetes.session import MOST_LIST_BYTES, USER_AGENT, too_long, too_much_before
from exporter.limits import refused_texts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from urllib.parse import SplitResult

    from exporter.kubernetes.framed import FramedAnswer
    from exporter.kubernetes.session import Request, Response
    from exporter.measure.times import Instant


class KeptAnswer(NamedTuple):
    """A whole answer, and when its last byte was here."""

    status: int
    headers: Mapping[str, str]
    url: SplitResult
    content: bytes | bytearray
    t1: Instant


class KeptConnection(asyncio.Protocol):
    """Takes aiohttp's place as the protocol of a transport; one request at a time. What nobody asked for closes it."""

    def __init__(self, url: str, transport: asyncio.Transport, aiohttps: FramedAnswer, host: str) -> None:
        self._url = urlsplit(url)
        self._transport = transport
        self._aiohttps = aiohttps
        self._host = host
        self._reader: AnswerReader | None = None
        self._answered: asyncio.Future[Instant] | None = None
        self.answer_began: Instant | None = None
        """When the head of the last answer was here."""
        transport.set_protocol(self)

    @classmethod
    def after(cls, response: Response, url: str) -> KeptConnection | None:
        """The connection of an answer to a request to `url`, which was read; None if it is not good for more."""
        transport = response.framed.transport
        if response.is_proxied or response.status != 200 or transport is None:
            return None
        return cls(url, transport, response.framed, response.request_info.headers["Host"])

    @property
    def is_open(self) -> bool:
        """Whether requests may be sent."""
        return not self._transport.is_closing()

    async def ask(self, request: Request, headers: Mapping[str, str], seconds: float) -> KeptAnswer | None:
        """The answer; None if the connection was lost before one began: then it may be asked again elsewhere.

        Raises AnswerError, aiohttp.ClientError or TimeoutError.
        """
        loop = asyncio.get_running_loop()
        self._reader = reader = AnswerReader(MOST_BYTES_BEFORE, MOST_LIST_BYTES)
        self._answered = answered = loop.create_future()
        self.answer_began = None
        message = self._message(request, headers)
        timer = loop.call_later(seconds, self._fail, TimeoutError())
        try:
            request.sending.sent(time.monotonic())
            self._transport.write(message)
            t1 = await answered
        except _LostError:
            return None
        except TooMuchError as error:
            if reader.status:
                raise too_long(reader.status, MOST_LIST_BYTES) from error
            refused_texts.count("answer")
            raise too_much_before() from error
        finally:
            timer.cancel()
            self._reader = self._answered = None
            if not (reader.is_over and reader.is_kept):
                self.close()
        return KeptAnswer(reader.status, reader.headers, self._url, reader.body, t1)

    def close(self) -> None:
        """End it now: whatever is still on its way is not wanted."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Stamp first."""
        now = time.monotonic()
        reader = self._reader
        if reader is None:
            refused_texts.count("answer")
            self.close()
            return
        try:
            reader.feed(data)
        except aiohttp.ClientError as error:
            self._fail(error)
            return
        if self.answer_began is None and reader.status:
            self.answer_began = now
        if reader.is_over:
            self._succeed(now)

    def eof_received(self) -> None:
        """The other side has sent its last byte; the connection is lost next."""

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection is gone; aiohttp drops it from its pool."""
        self._aiohttps.connection_lost(exc)
        if self._reader is None:
            return
        if not self._reader.status:
            self._fail(_LostError())
            return
        try:
            self._reader.end(is_cut=exc is not None)
        except aiohttp.ClientError as error:
            self._fail(error)
        else:
            self._succeed(time.monotonic())

    def _message(self, request: Request, headers: Mapping[str, str]) -> bytes:
        target = _target(self._url.path, request.path, tuple((request.parameters or {}).items()))
        lines = {"Host": self._host, "User-Agent": USER_AGENT, **request.headers, **headers}
        head = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in lines.items()), "", ""]
        return "\r\n".join(head).encode()

    def _succeed(self, t1: Instant) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(t1)

    def _fail(self, error: Exception) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error)


class _LostError(Exception):
    """The connection was lost before an answer began."""


@lru_cache(maxsize=1024)
def _target(prefix: str, path: str, parameters: tuple[tuple[str, str], ...]) -> str:
    """What is asked for, as it stands in a request's first line."""
    return f"{quote(prefix.rstrip('/') + path, safe=_LEFT_AS_IT_IS)}?{urlencode(parameters)}"


_LEFT_AS_IT_IS = "/%:@!$&'()*+,;="
"""In a path: what may stand there, and what is escaped already."""
