"""Keeps one resource on one apiserver watched: discover, list, watch, resume, relist, back off.

Each event is passed on once, in order. Each end and each failed start is reported with one reason; then it tries again.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from exporter.credentials import CredentialsError
from exporter.kubernetes.api_discovery import find
from exporter.kubernetes.backoff import Backoff
from exporter.kubernetes.errors import StartError, start_error
from exporter.kubernetes.lists import Collection, current_revision
from exporter.kubernetes.session import UNREACHABLE, AnswerError
from exporter.vocabulary import FORCED_ENDS
from exporter.watch.watch import DecodedBatch, Watch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.config import ResourceName
    from exporter.kubernetes.resources import Resource
    from exporter.kubernetes.session import ApiSession
    from exporter.measure.events import Event
    from exporter.measure.times import Instant, Interval
    from exporter.vocabulary import RelistReason
    from exporter.watch.watch import End, WatchDependencies

HEALTHY_AFTER_SECONDS = 10.0
HEALTHY_WITH_EVENTS_AFTER_SECONDS = 1.0
"""A watch that lived this long (and delivered events) is resumed without a backoff; shorter ones may be a loop."""

EXPLAINING_REFUSALS = frozenset({"unauthorized", "forbidden", "not_found"})
"""Answers to a reconnect that explain why the previous watch ended early: it was not a forced close."""


class ReflectorListener(Protocol):
    """Called with what happens on a stream."""

    def found(self, resource: Resource) -> None:
        """Discovery found the resource."""

    def relisting(self, reason: RelistReason) -> None:
        """Continuity is lost, or the stream starts: events until the next watch is open are not seen."""

    def start_failed(self, error: StartError) -> None:
        """A LIST or WATCH did not start."""

    def opened(self, at: Instant, listed_revision: int | None) -> None:
        """A watch was opened at `at`; after a relist it starts from `listed_revision`."""

    def read(self, reading: DecodedBatch, arrival: Interval) -> None:
        """A batch of events of the open watch."""

    def lost(self, at: Instant) -> None:
        """The watch is no longer open since `at`."""

    def slept(self, seconds: float) -> None:
        """The machine was suspended for up to `seconds`, which the monotonic clock missed."""

    def ended(self, end: End, lived_seconds: float) -> None:
        """The lost watch ended for this reason. Called late if the answer to the reconnect is needed to know it."""


class Position:
    """The revision from which a stream's next watch starts; without one it must list."""

    def __init__(self) -> None:
        self.revision: int | None = None
        """The newest known revision; None before a relist."""
        self.listed_revision: int | None = None
        """The revision of the last relist, until the watch after it is open."""
        self.restorations = 0
        """How many times the store was restored: a revision listed before that is invalid."""

    @property
    def is_resumed(self) -> bool:
        """Whether the next watch resumes where the last one stopped."""
        return self.listed_revision is None

    def listed(self, revision: int) -> None:
        """The next watch starts from this revision."""
        self.listed_revision = self.revision = revision

    def give_up(self) -> None:
        """Forget the revision: the next start must list."""
        self.listed_revision = self.revision = None

    def take_listed(self) -> int | None:
        """The watch is open. Returns the revision that was listed for it; later watches resume."""
        listed, self.listed_revision = self.listed_revision, None
        return listed

    def advance(self, events: Sequence[Event]) -> list[Event]:
        """Advance past these events, in this order. Returns those that are repeated."""
        newest = self.revision or 0
        repeated: list[Event] = []
        for event in events:
            revision = event.revision
            if revision is None:
                continue
            if revision > newest:
                newest = revision
            elif event.event_type != "bookmark":
                repeated.append(event)
        self.revision = newest or None
        return repeated


class Pauses:
    """The waits between two starts. They can be ended early."""

    def __init__(self) -> None:
        self.backoff = Backoff()
        self._is_over = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        """Return after `seconds`, or when `end` is called."""
        self._is_over.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._is_over.wait()

    def end(self) -> None:
        """End the current wait, and reset the backoff."""
        self.backoff.succeeded()
        self._is_over.set()


class Reflector:
    """Keeps one watch open while `run` runs."""

    def __init__(  # noqa: PLR0913 what to watch, with what, and whom to call
        self,
        name: ResourceName,
        namespace: str | None,
        *,
        session: ApiSession,
        watches: ApiSession,
        dependencies: WatchDependencies,
        listener: ReflectorListener,
    ) -> None:
        self._name = name
        self._namespace = namespace
        self._session = session
        self._watches = watches
        self._dependencies = dependencies
        self._listener = listener
        self._pauses = Pauses()
        self._resource: Resource | None = None
        self._hints: dict[ResourceName, str] = {}
        self._position = Position()
        self._watch: Watch | None = None
        self._unexplained: tuple[End, float] | None = None

    async def run(self) -> None:
        """Watch until cancelled."""
        self._listener.relisting("start")
        self._dependencies.heartbeat.sleepers.add(self)
        try:
            while True:
                try:
                    watch = await self._start()
                except StartError as error:
                    await self._pauses.wait(self._failed(error))
                else:
                    await self._pauses.wait(await self._follow(watch))
        finally:
            self._dependencies.heartbeat.sleepers.discard(self)
            self._explain_end(None)
            if self._watch is not None:
                self._watch.close()

    def look_anew(self) -> None:
        """Try again now, because the resource may be available again."""
        self._pauses.end()

    def store_went_back(self) -> None:
        """The store was restored, so this stream's revisions no longer exist: list again."""
        self._position.restorations += 1
        self._give_up_continuity("revision_went_back")
        watch, self._watch = self._watch, None  # first: what it still passes on is of the old store
        if watch is not None:
            watch.abandon()

    def stood_still(self, began: Instant, ended: Instant) -> None:
        """The event loop did not run between the two instants."""
        self._dependencies.arrivals.stood_still(began, ended)

    def slept(self, began: Instant, woke: Instant, seconds: float) -> None:
        """The machine was suspended between the two instants, for up to `seconds` that the monotonic clock missed."""
        self._dependencies.arrivals.slept(began, woke, seconds)
        self._listener.slept(seconds)
        if self._watch is not None:
            self._watch.slept(began, seconds)

    async def _start(self) -> Watch:
        """Open a watch from where the last one stopped, or after an empty LIST. Raises StartError."""
        resource, position = await self._found(), self._position
        while position.revision is None:
            restorations = position.restorations
            revision = await current_revision(Collection(self._session, resource, self._namespace))
            if restorations == position.restorations:
                position.listed(revision)
        collection = Collection(self._watches, resource, self._namespace)
        watch = Watch(collection, self._dependencies, self._read)
        # Set before it opens, so that it is abandoned too if the store is restored meanwhile.
        self._watch = watch
        await watch.open(position.revision)
        return watch

    async def _found(self) -> Resource:
        if self._resource is None:
            try:
                self._resource = await find(self._session, self._name, self._hints)
            except (AnswerError, CredentialsError, *UNREACHABLE) as error:
                raise start_error(error) from error
            self._listener.found(self._resource)
        return self._resource

    def _failed(self, error: StartError) -> float:
        """Report a failed start and decide what to do next. Returns the seconds to wait before that."""
        self._dependencies.arrivals.refused(time.monotonic(), is_ours=not error.is_apiservers)
        self._explain_end(error)
        self._listener.start_failed(error)
        if error.reason == "not_found":
            self._resource = None  # another version may be served, or the definition may have been deleted
        if error.reason == "gone" and self._position.is_resumed:
            # A restarted apiserver has a new cache: nearly every resume is too old, and waiting does not help.
            if self._position.revision is not None:
                self._give_up_continuity("gone")
            return self._pauses.backoff.at_once()
        if error.reason == "gone":
            self._position.revision = None
        return self._pauses.backoff.after_failure(error.retry_after_seconds)

    async def _follow(self, watch: Watch) -> float:
        """Read an open watch to its end. Returns the seconds to wait before the next start."""
        self._explain_end(None)
        is_resumed = self._position.is_resumed
        self._listener.opened(watch.opened, self._position.take_listed())
        end = await watch.read()
        self._watch = None
        self._listener.lost(end.at)
        lived_seconds = end.at - watch.opened
        self._unexplained = (end, lived_seconds)
        if end.reason not in FORCED_ENDS:
            self._explain_end(None)
        if end.reason == "gone":
            if self._position.revision is not None:
                self._give_up_continuity("gone")
            if is_resumed:
                return self._pauses.backoff.at_once()
        needed = HEALTHY_WITH_EVENTS_AFTER_SECONDS if watch.has_delivered else HEALTHY_AFTER_SECONDS
        if lived_seconds < needed or end.retry_after_seconds is not None:
            return self._pauses.backoff.after_failure(end.retry_after_seconds)
        self._pauses.backoff.succeeded()
        return self._pauses.backoff.at_once()

    def _explain_end(self, answer: StartError | None) -> None:
        """Report the last end, whose reason may be in the first answer to the reconnect."""
        if self._unexplained is None:
            return
        end, lived_seconds = self._unexplained
        self._unexplained = None
        if answer is not None and answer.reason in EXPLAINING_REFUSALS:
            end = end._replace(reason=answer.reason, message=str(answer))  # type: ignore[arg-type]  # the set says which
        self._listener.ended(end, lived_seconds)

    def _give_up_continuity(self, reason: RelistReason) -> None:
        self._position.give_up()
        self._listener.relisting(reason)

    def _read(self, reading: DecodedBatch, arrival: Interval) -> None:
        """Keep the revision to resume from, mark repeated events, and pass the batch on."""
        if self._watch is None:
            return  # events of a store that was replaced
        repeated = self._position.advance(reading.events)
        if repeated:
            again = {id(event) for event in repeated}
            fresh = [event for event in reading.events if id(event) not in again]
            reading = reading._replace(events=fresh, repeated=repeated)
        self._listener.read(reading, arrival)
