"""One watch, opened and read to its end: each line goes out with its arrival, and how the watch ended comes back."""

from __future__ import annotations

import asyncio
import errno
import random
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import aiohttp
import msgspec

from exporter.config.wording import printable
from exporter.kubernetes.credentials import CredentialsError
from exporter.kubernetes.sentences import sentence
from exporter.kubernetes.session import (
    METADATA_LIST,
    METADATA_WATCH,
    STREAM,
    UNREACHABLE,
    UNREADABLE,
    AnswerError,
    refusal,
)
from exporter.kubernetes.stamping import StampedBody
from exporter.limits import refused_texts
from exporter.measure.events import Event, EventDecoder, LineBudget, LineSplitter, WatchError, revision_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from exporter.kubernetes.heartbeat import Heartbeat
    from exporter.kubernetes.resources import Resource
    from exporter.kubernetes.session import ApiSession
    from exporter.measure.arrivals import Arrivals
    from exporter.measure.times import Instant, Interval

Refusal: TypeAlias = Literal["gone", "throttled", "unauthorized", "forbidden", "not_found", "server_timeout"]
StartReason: TypeAlias = Literal[Refusal, "connect", "server_error", "bad_response"]
EndReason: TypeAlias = Literal[
    Refusal, "timeout", "early_eof", "server_error", "transport_error", "silent", "suspended"
]

WHOLE_OBJECTS = "application/json"
HEADERS_SECONDS = 30.0
FIRST_WORDS_SECONDS = 0.25
WHAT_TO_GRANT = '; "watchslo check" with the same flags prints the missing rules'
ONLY_A_PROBE = "; all namespaces are watched, and this one is only asked for the revision"
UNFINISHED_LINES = LineBudget(64 * 2**20, always_bytes=64 * 2**10)
"""Of all watches of this process: sixteen lines of the longest kind at once, and any number of events as they are."""

DEADLINE_SLACK_SECONDS = 1.0
"""The server's timer and ours need not agree to the second."""


class Pace(NamedTuple):
    """How long a watch is asked to last, and how long it may say nothing."""

    shortest_seconds: int = 300
    longest_seconds: int = 600
    """As client-go's reflector asks: spread, so that a fleet does not return at once."""

    silent_seconds: float = 90.0
    """Bookmarks come about once a minute: a stream that says nothing for longer is dead, whatever TCP says."""


ORDINARY = Pace()


REFUSING: frozenset[StartReason] = frozenset({"throttled", "server_error", "server_timeout"})
"""Answers of an apiserver that would not have answered anybody otherwise."""

UNREACHABLE_ERRNOS = frozenset(
    {errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE, errno.ETIMEDOUT, errno.EHOSTUNREACH}
)


class StartError(Exception):
    """A LIST or a WATCH that did not start."""

    def __init__(
        self,
        reason: StartReason,
        message: str,
        retry_after_seconds: float | None = None,
        *,
        is_apiservers: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.reason: StartReason = reason
        self.retry_after_seconds = retry_after_seconds
        self.is_apiservers = reason in REFUSING if is_apiservers is None else is_apiservers
        """Whether it is certain that the apiserver, or the way to it, would have given nothing to anybody."""


class End(NamedTuple):
    """How a watch that was open ended."""

    reason: EndReason
    at: Instant
    """When the last was heard of it: its end, or its last byte if it fell silent."""

    message: str = ""
    retry_after_seconds: float | None = None


class Reading(NamedTuple):
    """What was found in bytes of a watch that came together."""

    events: Sequence[Event]
    undecodable: int
    size_bytes: int
    repeated: Sequence[Event] = ()
    """Events that are not above the newest revision before them: what a server says again."""


_REFUSALS: dict[int, Refusal] = {
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    410: "gone",
    429: "throttled",
    504: "server_timeout",
}


def start_reason(status: int) -> StartReason:
    """The reason under which a start is counted that was refused with this HTTP status or Status code."""
    return _REFUSALS.get(status, "server_error" if status >= 500 else "bad_response")


def end_reason(status: int) -> EndReason:
    """The reason under which an end is counted that an ERROR event with this code announced."""
    return _REFUSALS.get(status, "server_error")


def start_error(error: Exception) -> StartError:
    """Any failure of a request, under the reason that it is counted for."""
    if isinstance(error, AnswerError):
        said = f"{sentence(error)}{WHAT_TO_GRANT if error.status == 403 else ''}"
        return StartError(start_reason(error.status), said, error.retry_after_seconds)
    return StartError("connect", sentence(error), is_apiservers=_is_unreachable(error))


def _is_unreachable(error: Exception) -> bool:
    """Whether nobody is there, or nobody answers; not whether our credentials, names or files are at fault."""
    if isinstance(error, CredentialsError):
        return False
    if isinstance(error, TimeoutError | ConnectionError | aiohttp.ServerDisconnectedError):
        return True
    return isinstance(error, OSError) and error.errno in UNREACHABLE_ERRNOS


class _ListMetadata(msgspec.Struct):
    resourceVersion: str = ""  # noqa: N815 Kubernetes' own name


class EmptyList(msgspec.Struct):
    """An answer to a LIST that matches nothing; other fields are skipped."""

    kind: str
    metadata: _ListMetadata

    @property
    def revision(self) -> int:
        """The store's revision. Raises ValueError if it is no decimal number."""
        version = self.metadata.resourceVersion
        revision = revision_of(version)
        if not self.kind.endswith("List") or revision is None:
            raise ValueError(f"a {self.kind[:30]!r} with resourceVersion {version[:30]!r}")
        return revision


async def list_revision(response: aiohttp.ClientResponse) -> int:
    """The revision in the answer to a LIST that matches nothing. Raises what `translated` translates."""
    content = await response.read()
    if response.status != 200:
        raise refusal(response, content)
    return msgspec.json.decode(content, type=EmptyList).revision


@contextmanager
def translated(path: str) -> Iterator[None]:
    """Whatever can go wrong with a LIST of `path`, or with our credentials for it, becomes a StartError."""
    try:
        yield
    except (*UNREADABLE, ValueError) as error:
        raise StartError("bad_response", f"{path}: the answer is no list ({error})") from error
    except (AnswerError, CredentialsError, *UNREACHABLE) as error:
        raise start_error(error) from error


class Collection(NamedTuple):
    """The objects that a watch covers: one resource on one apiserver, in one namespace or in all (None)."""

    session: ApiSession
    resource: Resource
    namespace: str | None
    pace: Pace = ORDINARY


async def current_revision(collection: Collection) -> int:
    """The store's revision, by a consistent LIST that matches nothing. Raises StartError."""
    path, parameters = collection.resource.empty_list(collection.namespace)
    with translated(path):
        response = await collection.session.get(path, parameters, accept=METADATA_LIST, purpose="list")
        async with response:
            try:
                return await list_revision(response)
            except AnswerError as error:
                if error.status == 403 and collection.resource.is_namespaced and collection.namespace is None:
                    # It names the namespace of the path: whoever grants only what it names is refused the watch.
                    raise AnswerError(403, f"{error}{ONLY_A_PROBE}") from error
                raise


class Watch:
    """One watch: opened once, from one revision on, and read to its end."""

    def __init__(
        self,
        collection: Collection,
        decoder: EventDecoder,
        arrivals: Arrivals,
        heartbeat: Heartbeat,
        take: Callable[[Reading, Interval], None],
    ) -> None:
        self._collection = collection
        self._pace = collection.pace
        self._decoder = decoder
        self._decode = decoder.decode_lease if collection.resource.is_lease else decoder.decode
        self._arrivals = arrivals
        self._heartbeat = heartbeat
        self._take = take
        self._splitter = LineSplitter(budget=UNFINISHED_LINES)
        self._body: StampedBody | None = None
        self._deadline: Instant = 0.0
        self._error: WatchError | None = None
        self._slept: End | None = None
        self._said_something = asyncio.Event()
        self.has_delivered = False
        self.opened: Instant = 0.0
        """When the answer's headers were here."""

    async def open(self, revision: int) -> None:
        """Ask for everything after `revision`. Raises StartError, also if the first thing it says is an ERROR."""
        lasts_seconds = random.randint(self._pace.shortest_seconds, self._pace.longest_seconds)
        asked, response = await self._answer(revision, lasts_seconds)
        self.opened = time.monotonic()
        self._deadline = asked + lasts_seconds
        self._arrivals.connected(asked, self.opened)
        self._body = StampedBody(response, self._arrivals, self._heartbeat, self._read)
        if self._error is not None:
            self._body.abort()  # abandoned before there was a body to end
        await self._first_words()

    async def read(self) -> End:
        """Read to the end. Whatever happens on the wire is an End, never an exception."""
        body = self._body
        assert body is not None
        try:
            return await self._until_end_or_silence(body)
        finally:
            self.close()

    def abandon(self) -> None:
        """End it from our side: the store that it follows has gone back, and this history with it."""
        self._end_with(WatchError(code=410, message="the store went back to an older state"))

    def _end_with(self, error: WatchError) -> None:
        """Nothing follows an ERROR, even if the connection stays open."""
        self._error = error
        if self._body is not None:
            self._body.abort()

    def slept(self, began: Instant, seconds: float) -> None:
        """The machine was suspended: end it, for nobody knows whether the other side still knows this connection."""
        if self._body is not None:
            self._slept = End("suspended", began, f"the machine was suspended for {seconds:.3f} s")
            self._body.abort()

    def close(self) -> None:
        """Stop reading, now."""
        if self._body is not None:
            self._arrivals.ended(time.monotonic())
            self._body.close()
        self._splitter.leave()

    async def _answer(self, revision: int, lasts_seconds: int) -> tuple[Instant, aiohttp.ClientResponse]:
        """When the apiserver was asked, and its answer. Raises StartError."""
        session, resource, namespace, _ = self._collection
        parameters = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": str(revision),
            "timeoutSeconds": str(lasts_seconds),
        }
        accept = WHOLE_OBJECTS if resource.is_lease else METADATA_WATCH
        asked: list[Instant] = []
        try:
            async with asyncio.timeout(HEADERS_SECONDS):
                path = resource.path(namespace)
                response = await session.get(
                    path, parameters, accept=accept, time_limit=STREAM, purpose="watch", on_asking=asked.append
                )
                if response.status != 200:
                    async with response:
                        raise refusal(response, await response.read())
        except (AnswerError, CredentialsError, *UNREACHABLE) as error:
            failed = start_error(error)
            failed.is_apiservers &= bool(asked)
            raise failed from error
        if response.content_type != "application/json":
            response.close()
            raise StartError("bad_response", f"the watch is answered with {printable(response.content_type)}")
        return asked[0], response

    async def _first_words(self) -> None:
        """Refusals come as 200 and an ERROR event (get.go newErrWatcher): wait a moment for one."""
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_WORDS_SECONDS):
                await self._said_something.wait()
        if self._error is not None and not self.has_delivered:
            self.close()
            reason = start_reason(self._error.code)
            raise StartError(reason, self._error.message, self._error.retry_after_seconds)

    async def _until_end_or_silence(self, body: StampedBody) -> End:
        while not body.ended.done():
            patience_seconds = body.last_byte + self._pace.silent_seconds - time.monotonic()
            if patience_seconds <= 0:
                message = f"nothing, not even a bookmark, for {self._pace.silent_seconds:.0f} s"
                return End("silent", body.last_byte, message)
            await asyncio.wait({body.ended}, timeout=patience_seconds)
        now = time.monotonic()
        if self._error is not None:
            # It says more about the end than the connection does.
            return End(end_reason(self._error.code), now, self._error.message, self._error.retry_after_seconds)
        if self._slept is not None:
            return self._slept
        error = body.ended.result()
        if error is not None:
            return End("transport_error", now, sentence(error))
        return End("timeout" if now >= self._deadline - DEADLINE_SLACK_SECONDS else "early_eof", now)

    def _read(self, content: Sequence[bytes], arrival: Interval) -> None:
        """Split and decode what came together, and hand the events on."""
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
        if overlong or self._decoder.refused:
            self._count_refused(overlong)
        self._take(Reading(events, undecodable + overlong, sum(map(len, content))), arrival)

    def _count_refused(self, overlong: int) -> None:
        """What was beyond its limit, in the lines or as a line."""
        self._decoder.refused["line"] += overlong
        for what, times in self._decoder.refused.items():
            refused_texts.count(what, times)
        self._decoder.refused.clear()
