"""Counts the cost of our requests to an apiserver: number, time in flight and bytes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import aiohttp
import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import SimpleNamespace

    from exporter.kubernetes.session import Request
    from exporter.measure.times import Instant
    from exporter.vocabulary import Purpose


class Cost:
    """Called with the cost of each request. This base class counts nothing; the daemon's counts metrics."""

    def request_sent(self, purpose: Purpose) -> None:
        """A request was sent on an open connection. Called again if it had to be sent again."""

    def request_over(self, purpose: Purpose, seconds: float) -> None:
        """The answer's headers were received or the request failed, `seconds` after it was sent."""

    def answer_read(self, purpose: Purpose, size_bytes: int) -> None:
        """The whole body of an answer was read. Not called for watches."""


class Sending(msgspec.Struct):
    """When a request was sent, and what to call then."""

    on_sent: Callable[[Instant], None] | None = None
    asked_at: Instant | None = None
    """When it was given to aiohttp, which may have to connect first; None while the credentials are loading."""
    first_sent_at: Instant | None = None
    sent_at: Instant | None = None
    """Later than the first time if it had to be sent again, which never happens to a PATCH."""

    def sent(self, instant: Instant) -> None:
        """Record that it is sent at `instant`, for the first time or again."""
        self.sent_at = instant
        if self.first_sent_at is None:
            self.first_sent_at = instant
        if self.on_sent is not None:
            self.on_sent(instant)


class CostTrace(aiohttp.TraceConfig):
    """Measures and counts each request. The trace context of each is its Request."""

    def __init__(self, cost: Cost) -> None:
        super().__init__()
        self._cost = cost
        self.on_request_headers_sent.append(self._sent)
        self.on_request_end.append(self._over)
        self.on_request_exception.append(self._over)

    async def _sent(
        self, _session: aiohttp.ClientSession, context: SimpleNamespace, _params: aiohttp.TraceRequestHeadersSentParams
    ) -> None:
        # The trace fires just before the bytes are written, after connecting and the TLS handshake.
        request: Request = context.trace_request_ctx
        request.sending.sent(time.monotonic())
        self._cost.request_sent(request.purpose)

    async def _over(
        self,
        _session: aiohttp.ClientSession,
        context: SimpleNamespace,
        _params: aiohttp.TraceRequestEndParams | aiohttp.TraceRequestExceptionParams,
    ) -> None:
        request: Request = context.trace_request_ctx
        if request.sending.sent_at is not None:
            self._cost.request_over(request.purpose, time.monotonic() - request.sending.sent_at)
