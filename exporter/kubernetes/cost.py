"""What our requests cost an apiserver: told as each goes out, as it is answered, and as its answer is read."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import SimpleNamespace

    from exporter.measure.times import Instant
    from exporter.vocabulary import Purpose


class Cost:
    """Who is told. This one lets it pass: what is no daemon has nowhere to count it."""

    def request_sent(self, purpose: Purpose) -> None:
        """A request goes out on an open connection; told again if it has to be sent again."""

    def request_over(self, purpose: Purpose, seconds: float) -> None:
        """Its answer began, or it was given up, so long after it went out."""

    def answer_read(self, purpose: Purpose, size_bytes: int) -> None:
        """The body of an answer was read as a whole; that of an open watch never is."""


@dataclass(slots=True)
class Sending:
    """One request on its way, as aiohttp hands it to every callback of the trace."""

    purpose: Purpose
    on_sent: Callable[[Instant], None] | None = None
    sent_at: Instant | None = None


class CostTrace(aiohttp.TraceConfig):
    """Tells `load` what becomes of each request whose trace context is a Sending."""

    def __init__(self, cost: Cost) -> None:
        super().__init__()
        self._cost = cost
        self.on_request_headers_sent.append(self._sent)
        self.on_request_end.append(self._over)
        self.on_request_exception.append(self._over)

    async def _sent(
        self, _session: aiohttp.ClientSession, context: SimpleNamespace, _params: aiohttp.TraceRequestHeadersSentParams
    ) -> None:
        # The trace fires just before the bytes are written: waiting for a connection or for TLS is behind us.
        sending: Sending = context.trace_request_ctx
        sending.sent_at = time.monotonic()
        if sending.on_sent is not None:
            sending.on_sent(sending.sent_at)
        self._cost.request_sent(sending.purpose)

    async def _over(
        self,
        _session: aiohttp.ClientSession,
        context: SimpleNamespace,
        _params: aiohttp.TraceRequestEndParams | aiohttp.TraceRequestExceptionParams,
    ) -> None:
        sending: Sending = context.trace_request_ctx
        if sending.sent_at is not None:
            self._cost.request_over(sending.purpose, time.monotonic() - sending.sent_at)
