"""One watch: opens it, reads it to its end, and passes on each batch of events with its arrival interval."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from exporter.credentials import CredentialsError
from exporter.kubernetes.errors import StartError, end_reason, start_error, start_reason
from exporter.kubernetes.session import (
    METADATA_WATCH,
    STREAM,
    UNREACHABLE,
    AnswerError,
    Request,
    refusal,
)
from exporter.limits import refused_texts
from exporter.measure.events import Event, EventDecoder, LineBudget, LineSplitter, WatchError
from exporter.watch.body import StampedBody
from exporter.wording.quoting import printable
from exporter.wording.sentences import sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import aiohttp

    from exporter.kubernetes.lists import Collection
    from exporter.measure.arrivals import Arrivals
    from exporter.measure.times import Instant, Interval
    from exporter.vocabulary import EndReason
    from exporter.watch.heartbeat import Heartbeat

WHOLE_OBJECTS = "application/json"
HEADERS_SECONDS = 30.0
FIRST_WORDS_SECONDS = 0.25
UNFINISHED_LINES = LineBudget(64 * 2**20, always_bytes=64 * 2**10)
"""Shared by all watches of this process: enough for sixteen unfinished lines of maximum length at once."""

DEADLINE_SLACK_SECONDS = 1.0
"""Tolerance between the server's timer and ours."""


class WatchTimes(NamedTuple):
    """How long a watch is requested to last, and how long it may be silent."""

    shortest_seconds: int = 300
    longest_seconds: int = 600
    """As in client-go's reflector: random, so that watches do not reconnect all at once."""

    silent_seconds: float = 90.0
    """Bookmarks come about once a minute: a stream that is silent for longer is dead, even if TCP reports no error."""


ORDINARY = WatchTimes()


class End(NamedTuple):
    """How an open watch ended."""

    reason: EndReason
    at: Instant
    """The instant of the end, or of the last byte if the watch was silent."""

    message: str = ""
    retry_after_seconds: float | None = None


class DecodedBatch(NamedTuple):
    """The events in bytes of a watch that arrived together."""

    events: Sequence[Event]
    undecodable: int
    size_bytes: int
    repeated: Sequence[Event] = ()
    """Events that are not newer than the newest revision before them: the server sent them again."""


WatchedPart: TypeAlias = Literal["metadata", "leases", "pods", "pulls"]
"""What is read of the objects of a watch: their metadata, or more of objects that are watched whole."""


class WatchDependencies(NamedTuple):
    """What the watches of one stream share."""

    decoder: EventDecoder
    arrivals: Arrivals
    heartbeat: Heartbeat
    times: WatchTimes = ORDINARY
    reads: WatchedPart = "metadata"
    field_selector: str = ""


class Watch:
    """One watch: opened once, from one revision, and read to its end."""

    def __init__(
        self, collection: Collection, dependencies: WatchDependencies, take: Callable[[DecodedBatch, Interval], None]
    ) -> None:
        decoder = dependencies.decoder
        self._collection = collection
        self._dependencies = dependencies
        self._decode = {
            "metadata": decoder.decode,
            "leases": decoder.decode_lease,
            "pods": decoder.decode_pod,
            "pulls": decoder.decode_pull,
        }[dependencies.reads]
        self._take = take
        self._splitter = LineSplitter(budget=UNFINISHED_LINES)
        self._body: StampedBody | None = None
        self._deadline: Instant = 0.0
        self._error: WatchError | None = None
        self._slept: End | None = None
        self._said_something = asyncio.Event()
        self.has_delivered = False
        self.opened: Instant = 0.0
        """When the answer's headers were received."""

    async def open(self, revision: int) -> None:
        """Open the watch from `revision`. Raises StartError, also if the first event is an ERROR."""
        times = self._dependencies.times
        lasts_seconds = random.randint(times.shortest_seconds, times.longest_seconds)
        asked, response = await self._answer(revision, lasts_seconds)
        self.opened = time.monotonic()
        self._deadline = asked + lasts_seconds
        arrivals = self._dependencies.arrivals
        arrivals.connected(asked, self.opened)
        self._body = StampedBody(response, arrivals, self._dependencies.heartbeat, self._read)
        if self._error is not None:
            self._body.abort()  # it was abandoned before it had a body
        await self._first_words()

    async def read(self) -> End:
        """Read to the end. Every error on the connection is returned as an End, never raised."""
        body = self._body
        assert body is not None
        try:
            return await self._until_end_or_silence(body)
        finally:
            self.close()

    def abandon(self) -> None:
        """End the watch from our side, because the store was restored to an older state."""
        self._end_with(WatchError(code=410, message="the store went back to an older state"))

    def _end_with(self, error: WatchError) -> None:
        """End the watch after an ERROR, even if the connection stays open."""
        self._error = error
        if self._body is not None:
            self._body.abort()

    def slept(self, began: Instant, seconds: float) -> None:
        """The machine was suspended: end the watch, because the server may have dropped the connection."""
        if self._body is not None:
            self._slept = End("suspended", began, f"the machine was suspended for {seconds:.3f} s")
            self._body.abort()

    def close(self) -> None:
        """Stop reading now."""
        if self._body is not None:
            self._dependencies.arrivals.ended(time.monotonic())
            self._body.close()
        self._splitter.leave()

    async def _answer(self, revision: int, lasts_seconds: int) -> tuple[Instant, aiohttp.ClientResponse]:
        """The instant of the request, and the answer to it. Raises StartError."""
        session, resource, namespace = self._collection
        parameters = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": str(revision),
            "timeoutSeconds": str(lasts_seconds),
        }
        if self._dependencies.field_selector:
            parameters["fieldSelector"] = self._dependencies.field_selector
        accept = METADATA_WATCH if self._dependencies.reads == "metadata" else WHOLE_OBJECTS
        request = Request(
            resource.path(namespace),
            parameters,
            accept=accept,
            purpose="watch",
            time_limit=STREAM,
        )
        try:
            async with asyncio.timeout(HEADERS_SECONDS):
                response = await session.send(request)
                if response.status != 200:
                    async with response:
                        raise refusal(response, await response.read())
        except (AnswerError, CredentialsError, *UNREACHABLE) as error:
            failed = start_error(error)
            failed.is_apiservers &= request.sending.asked_at is not None
            raise failed from error
        if response.content_type != "application/json":
            response.close()
            raise StartError("bad_response", f"the watch is answered with {printable(response.content_type)}")
        assert request.sending.asked_at is not None
        return request.sending.asked_at, response

    async def _first_words(self) -> None:
        """Some refusals are a 200 with an ERROR event (get.go newErrWatcher): wait briefly for one."""
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_WORDS_SECONDS):
                await self._said_something.wait()
        if self._error is not None and not self.has_delivered:
            self.close()
            reason = start_reason(self._error.code)
            raise StartError(reason, self._error.message, self._error.retry_after_seconds)

    async def _until_end_or_silence(self, body: StampedBody) -> End:
        silent_seconds = self._dependencies.times.silent_seconds
        while not body.ended.done():
            patience_seconds = body.last_byte + silent_seconds - time.monotonic()
            if patience_seconds <= 0:
                message = f"nothing, not even a bookmark, for {silent_seconds:.0f} s"
                return End("silent", body.last_byte, message)
            await asyncio.wait({body.ended}, timeout=patience_seconds)
        now = time.monotonic()
        if self._error is not None:
            # An ERROR explains the end better than the state of the connection.
            return End(end_reason(self._error.code), now, self._error.message, self._error.retry_after_seconds)
        if self._slept is not None:
            return self._slept
        error = body.ended.result()
        if error is not None:
            return End("transport_error", now, sentence(error))
        return End("timeout" if now >= self._deadline - DEADLINE_SLACK_SECONDS else "early_eof", now)

    def _read(self, content: Sequence[bytes], arrival: Interval) -> None:
        """Split and decode bytes that arrived together, and pass the events on."""
        events: list[Event] = []
        overlong = undecodable = 0
        for piece in content:
            lines, skipped = self._splitter.feed(piece)
            overlong += skipped
            for line in lines:
                decoded = self._decode(line)
                if isinstance(decoded, Event):
                    events.append(decoded)
                elif isinstance(decoded, WatchError):
                    self._end_with(decoded)
                else:
                    undecodable += 1
                self._said_something.set()
        if events:
            self.has_delivered = True
        if overlong or self._dependencies.decoder.refused:
            self._count_refused(overlong)
        self._take(DecodedBatch(events, undecodable + overlong, sum(map(len, content))), arrival)

    def _count_refused(self, overlong: int) -> None:
        """Count texts that exceeded a limit, in the lines or as a whole line."""
        refused = self._dependencies.decoder.refused
        refused["line"] += overlong
        for what, times in refused.items():
            refused_texts.count(what, times)
        refused.clear()
