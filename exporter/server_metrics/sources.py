"""Where readings come from: the apiserver itself, or a Prometheus that scrapes it. Both answer in the same format."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING

import aiohttp

from exporter.kubernetes.errors import StartError, start_reason, translated
from exporter.kubernetes.session import CONNECT_SECONDS, Request, Response, pieces, refusal
from exporter.limits import refused_texts
from exporter.server_metrics.between import ServerReading
from exporter.server_metrics.families import SAMPLES
from exporter.server_metrics.reader import Periods
from exporter.server_metrics.text import TextParser

if TYPE_CHECKING:
    from exporter.kubernetes.session import ApiSession
    from exporter.measure.times import Instant
    from exporter.server_metrics.families import Samples
    from exporter.server_metrics.flows import FlowParser
    from exporter.server_metrics.text import Numbers

MOST_BYTES = 64 * 2**20
"""Large clusters serve 20 MB."""

STEP_BYTES = 16 * 2**10
"""Read at a time: that takes a quarter of a millisecond."""

TIME_LIMIT = aiohttp.ClientTimeout(total=30.0, sock_connect=CONNECT_SECONDS)

OF_APISERVERS = Periods(quiet=60.0, trouble=10.0)
OF_PROMETHEUS = Periods(quiet=60.0, trouble=30.0)
"""It knows nothing new before it has scraped again."""


async def ask_apiserver(session: ApiSession, wanted: Samples = SAMPLES) -> ServerReading:
    """What it says of itself, of the samples that are wanted. Raises StartError."""
    parser, asked = TextParser(wanted), time.monotonic()
    at = await read_text(session, "/metrics", parser, MOST_BYTES)
    numbers = _finished(parser)
    if not numbers.series:
        raise StartError("bad_response", "/metrics: these are not the metrics of an apiserver")
    return ServerReading(at, numbers, asked)


async def ask_prometheus(url: str, instance: str) -> ServerReading:
    """What a Prometheus has last read from it. Raises StartError.

    /federate, not /api/v1/query: it says when each number was read, and in a format that can be read as it comes.
    """
    names = "|".join(SAMPLES)
    parameters = {"match[]": f'{{__name__=~"{names}",instance={json.dumps(instance)}}}'}
    with translated("Prometheus"):
        async with (
            aiohttp.ClientSession(
                timeout=TIME_LIMIT,
                headers={"User-Agent": "watchslo", "Accept": "text/plain", "Accept-Encoding": "identity"},
                cookie_jar=aiohttp.DummyCookieJar(),
                response_class=Response,
                auto_decompress=False,
            ) as http,
            http.get(f"{url}/federate", params=parameters, allow_redirects=False) as response,
        ):
            assert isinstance(response, Response)
            response.expect_no_compression()
            if response.status != 200:
                raise StartError(start_reason(response.status), f"Prometheus answers with HTTP {response.status}")
            parser = TextParser()
            await _feed(response, parser, MOST_BYTES)
            numbers = _finished(parser)
    if numbers.written_at_ms is None:
        raise StartError("bad_response", f'Prometheus has no metrics of an apiserver with instance="{instance}"')
    if len(numbers.values.get("started_at", {})) > 1:
        raise StartError("bad_response", f'Prometheus has instance="{instance}" of several jobs')
    return ServerReading(numbers.written_at_ms / 1000, numbers)


async def read_text(session: ApiSession, path: str, parser: TextParser | FlowParser, most_bytes: int) -> Instant:
    """Feed what an apiserver says of itself at this path to a parser. Returns when it began. Raises StartError."""
    with translated(path):
        request = Request(path, accept="text/plain", purpose="server_metrics", time_limit=TIME_LIMIT)
        response = await session.send(request)
        async with response:
            at = time.monotonic()
            if response.status != 200:
                raise refusal(response, await response.read())
            await _feed(response, parser, most_bytes)
            response.cost.answer_read("server_metrics", parser.size_bytes)
    return at


async def _feed(response: aiohttp.ClientResponse, parser: TextParser | FlowParser, most_bytes: int) -> None:
    """In steps, between which the event loop may run."""
    async for piece in pieces(response, most_bytes):
        for begin in range(0, len(piece), STEP_BYTES):
            parser.feed(piece[begin : begin + STEP_BYTES])
            await asyncio.sleep(0)


def _finished(parser: TextParser) -> Numbers:
    numbers = parser.finish()
    refused_texts.count("server_metrics", numbers.refused)
    return numbers
