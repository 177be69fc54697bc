"""Reads the answers to one form of LIST and measures them. Of the bodies nothing is kept."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NamedTuple

from exporter.commands.lists.plan import LIST_SECONDS
from exporter.commands.text_table import bytes_text
from exporter.credentials import CredentialsError
from exporter.kubernetes.errors import StartError, start_error
from exporter.kubernetes.event_counter import EventCounter, NotAWatchError, WatchRefusedError
from exporter.kubernetes.list_counter import ListCounter, NotAListError
from exporter.kubernetes.session import STREAM, UNREACHABLE, AnswerError, Request, refusal
from exporter.wording.quoting import printable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping

    import aiohttp

    from exporter.kubernetes.list_counter import CountedList
    from exporter.kubernetes.session import ApiSession
    from exporter.measure.times import Instant

SILENT_SECONDS = 10.0
"""A streaming list that is silent for longer before it has ended is an ordinary watch, on a server without those."""

METADATA_KIND = "PartialObjectMetadataList"


class StoppedError(Exception):
    """We have stopped reading, or it ended too early: a sentence."""


class ListTrouble(NamedTuple):
    """Why something is not whole."""

    said: str
    is_throttling: bool = False
    """Whether the apiserver asks to be left alone."""


class ListReading:
    """The figures of one form of LIST, so far."""

    def __init__(self, session: ApiSession, most_bytes: float, is_interrupted: Callable[[], bool]) -> None:
        self.size_bytes = 0
        self.objects = 0
        self.pages = 0
        self.counting_seconds = 0.0
        self._session = session
        self._most_bytes = most_bytes
        self._is_interrupted = is_interrupted
        self._sent_at: Instant | None = None
        self._first_at: Instant | None = None
        self._last_at: Instant = 0.0

    @property
    def first_byte_seconds(self) -> float | None:
        """From sending to the first byte of the first body."""
        return self._since_sent(self._first_at)

    @property
    def seconds(self) -> float | None:
        """From sending to the last byte so far; None if there was none."""
        return self._since_sent(self._last_at if self._first_at is not None else None)

    async def list_all(self, path: str, parameters: Mapping[str, str], accept: str) -> CountedList:
        """A LIST, with all of its pages; returns the last one. Raises what `troubled` knows."""
        while True:
            page = await self._page(Request(path, parameters, accept=accept, purpose="list", time_limit=STREAM))
            token = page.envelope.metadata.next_page
            if not token:
                return page
            parameters = {**parameters, "continue": token}

    async def list_page(self, path: str, parameters: Mapping[str, str], accept: str) -> CountedList:
        """One page only."""
        return await self._page(Request(path, parameters, accept=accept, purpose="list", time_limit=STREAM))

    async def stream(self, path: str, parameters: Mapping[str, str], accept: str) -> None:
        """A streaming list, to the end of its initial events. Raises what `troubled` knows."""
        request = Request(path, parameters, accept=accept, purpose="list", time_limit=STREAM)
        counter = EventCounter()
        try:
            async with await self._answer(request) as response:
                await self._initial_events(response, counter)
        except AnswerError as error:
            if error.status != 422:
                raise
            raise StoppedError(f"streaming lists are not supported here: {error}") from error
        finally:
            self.objects = counter.events
            if counter.is_complete:
                self.size_bytes = counter.size_bytes  # without what came after it in the same piece
        self.pages = 1

    async def _page(self, request: Request) -> CountedList:
        counter = ListCounter()
        before = self.objects
        try:
            async with await self._answer(request) as response:
                async for piece in self._pieces(response):
                    self._count(counter.feed, piece)
            page = counter.finish()
        finally:
            self.objects = before + counter.objects
        if page.envelope.kind != METADATA_KIND and METADATA_KIND in request.accept:
            raise StoppedError("the server has no lists of metadata only")
        self.pages += 1
        return page

    async def _initial_events(self, response: aiohttp.ClientResponse, counter: EventCounter) -> None:
        pieces = aiter(self._pieces(response))
        while not counter.is_complete:
            silence = asyncio.timeout(SILENT_SECONDS)
            try:
                async with silence:
                    self._count(counter.feed, await anext(pieces))
            except StopAsyncIteration:
                raise StoppedError("the watch ended before the initial events did") from None
            except TimeoutError:
                if not silence.expired():
                    raise
                raise StoppedError(
                    f"streaming lists are not supported here: after {counter.events} events, silence for "
                    f"{SILENT_SECONDS:g} s and no bookmark that they are all"
                ) from None

    async def _answer(self, request: Request) -> aiohttp.ClientResponse:
        response = await self._session.send(request)
        if self._sent_at is None:
            self._sent_at = request.sending.sent_at
        return await expect_ok(response)

    async def _pieces(self, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        async for piece in response.content.iter_any():
            self._last_at = time.monotonic()
            if self._first_at is None:
                self._first_at = self._last_at
            self.size_bytes += len(piece)
            if self.size_bytes > self._most_bytes:
                raise StoppedError(f"stopped after {bytes_text(self.size_bytes)}: that is much more than was expected")
            if self._is_interrupted():
                raise StoppedError("interrupted")
            yield piece

    def _count(self, count: Callable[[bytes], None], piece: bytes) -> None:
        before = time.thread_time()
        count(piece)
        self.counting_seconds += time.thread_time() - before

    def _since_sent(self, instant: Instant | None) -> float | None:
        return None if instant is None or self._sent_at is None else instant - self._sent_at


async def expect_ok(response: aiohttp.ClientResponse) -> aiohttp.ClientResponse:
    """The answer, if it is 200 and JSON. Raises AnswerError or StoppedError."""
    if response.status != 200:
        async with response:
            raise refusal(response, await response.read())
    if response.content_type != "application/json":
        response.close()
        raise StoppedError(f"the answer is {printable(response.content_type)} instead of JSON")
    return response


async def troubled(
    reading: Coroutine[object, object, object], most_seconds: float = LIST_SECONDS
) -> ListTrouble | None:
    """Read to the end; what kept it from that, or None."""
    limit = asyncio.timeout(most_seconds)
    try:
        async with limit:
            await reading
    except TROUBLES as error:
        return ListTrouble(f"stopped after {most_seconds:g} s") if limit.expired() else _trouble_of(error)
    return None


TROUBLES = (
    StoppedError,
    NotAListError,
    NotAWatchError,
    WatchRefusedError,
    StartError,
    AnswerError,
    CredentialsError,
    *UNREACHABLE,
)


def _trouble_of(error: Exception) -> ListTrouble:
    match error:
        case StoppedError():
            return ListTrouble(str(error))
        case NotAListError() | NotAWatchError():
            return ListTrouble(f"the answer is not what was asked for ({printable(str(error))})")
        case WatchRefusedError(code=code):
            error = AnswerError(code, str(error))
    refused = error if isinstance(error, StartError) else start_error(error)
    if refused.reason != "throttled":
        return ListTrouble(str(refused))
    wait = f", Retry-After {refused.retry_after_seconds:g} s" if refused.retry_after_seconds is not None else ""
    return ListTrouble(f"refused with 429{wait}: {refused}", is_throttling=True)
