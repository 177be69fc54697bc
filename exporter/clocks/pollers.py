"""Sends polls at a steady rate, and passes their answers to the clocks.

One revision clock per apiserver and store; if the address is one apiserver, also one cache clock per resource.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Protocol

from exporter.clocks.poll import Pool
from exporter.clocks.rate_limit import Pace, Slowing
from exporter.kubernetes.backoff import LONGEST_SECONDS
from exporter.kubernetes.cost import Sending
from exporter.kubernetes.errors import StartError
from exporter.measure.apiserver_state import WayBack
from exporter.measure.revisions import RevisionClock
from exporter.measure.serverclock import ClockContradictionError, DatedAnswer, ServerClocks
from exporter.measure.store import Store
from exporter.measure.stream_state import CacheAnswer
from exporter.measure.times import Interval

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from exporter.clocks.poll import Answer, PollConnection
    from exporter.clocks.rate_limit import Lane
    from exporter.credentials import Credentials
    from exporter.kubernetes.cost import Cost
    from exporter.kubernetes.resources import Resource
    from exporter.kubernetes.session import Server
    from exporter.measure.times import Instant
    from exporter.vocabulary import ClockName, Purpose

JITTER = 0.3
"""Polls are sent at intervals of 0.7 to 1.3 periods: their phase within the server's seconds must vary."""

PLACES = 16
"""At 5 Hz answers may take 3.2 s before a poll is skipped; more polls in flight would only burden a slow server."""

CACHE_PLACES = 8
"""A pool of their own: an etcd that hangs delays the polls of the store, but not those of a cache."""

REFUSALS = frozenset({"forbidden", "not_found", "bad_response"})
"""Errors that concern the polled kind. A 401 concerns our credentials; a timeout or a 5xx no kind in particular."""

OUTAGES = frozenset({"connect", "server_error", "server_timeout"})
"""Errors that may occur while a store is being restored."""

REFUSED_AFTER_SECONDS = 3.0
"""A kind that has answered before counts as refused after this time: a starting apiserver refuses everything."""

SLOWING = REFUSALS | {"unauthorized", "server_error", "server_timeout"}
"""Errors that slow down the polls of a kind, as a 429 slows down all polls: each poll burdens a server in trouble, or
adds a line to an audit log."""

LONGEST_SLOWED_SECONDS = 15.0
"""Longest interval of slowed-down polls at any rate, so that a clock soon notices a recovery."""

WAYS_BACK_KEPT = 64

TOLD_IN_ONE_TURN = 32
"""Listeners with nothing to do: they take a tenth of a millisecond together."""

_poll_numbers = itertools.count(1)


class ClockListener(Protocol):
    """Called with what a clock observes."""

    def poll_answered(self, kind: Resource, clock: ClockName, seconds: float) -> None:
        """A poll was answered after this time."""

    def poll_failed(self, kind: Resource, clock: ClockName, error: StartError) -> None:
        """A poll failed."""

    def date_contradicted(self) -> None:
        """A Date header contradicts earlier ones of the same clock."""

    def several_clocks(self) -> None:
        """The Date headers of an address that should be one apiserver come from several clocks."""

    def read_stale(self, kind: Resource) -> None:
        """A poll returned a revision older than the store's: from now on upper bounds are wider."""


class ServerPolls:
    """What all pollers of one apiserver address share: connections, the server's clocks and the rate limit."""

    def __init__(  # noqa: PLR0913 whom to poll, as whom, how often, and whom to call
        self,
        server: Server,
        credentials: Credentials,
        *,
        most_hz: float,
        drift: float,
        listener: ClockListener,
        cost: Cost | None = None,
    ) -> None:
        self.server = server
        self.clocks = ServerClocks(one_apiserver=server.is_one_apiserver, drift=drift)
        self.pace = Pace(most_hz)
        self.pool = Pool(PLACES, server, credentials, self.clocks.connection_closed, cost)
        self.cache_pool = Pool(CACHE_PLACES, server, credentials, self.clocks.connection_closed, cost)
        self.listener = listener
        self.ways_back: deque[WayBack] = deque(maxlen=WAYS_BACK_KEPT)
        """How long the last answers were on their way to us, the newest last."""
        self.under_way: dict[int, tuple[ClockName, Resource, Instant]] = {}
        """By its number: each poll that is sent and not answered yet."""
        self.revision_clocks: list[RevisionPoller] = []
        self.reads_stale = False
        """Whether a store of this apiserver ever read stale: then a new revision clock has wider bounds as well."""

    async def close(self) -> None:
        """Close all connections."""
        await self.pool.close()
        await self.cache_pool.close()

    def learn_date(self, kind: Resource, answer: Answer) -> Instant | None:
        """Learn from the Date of an answer about `kind`. Returns the latest time at which it was written, if known."""
        # An aggregated API looks like a custom resource, but its answers have the Date of another server.
        if answer.date is None or not kind.is_built_in:
            return None
        dated = DatedAnswer(answer.t0, answer.t1, answer.date)
        try:
            written_before = self.clocks.written_before(answer.connection, dated)
        except ClockContradictionError as contradiction:
            self._withdraw(contradiction.clock)
            self.listener.date_contradicted()
            return None
        if written_before is not None:
            written_after = self.clocks.written_after(answer.connection, dated)
            self.ways_back.append(WayBack(answer.t1, Interval(answer.t1 - written_before, answer.t1 - written_after)))
        if self.clocks.shows_several_clocks:
            self.listener.several_clocks()
        return written_before

    def is_a_balancer(self) -> None:
        """The address is a load balancer, not one apiserver."""
        self._withdraw(self.clocks.clock_of(0))
        self.clocks.is_a_balancer()

    def _withdraw(self, clock: int) -> None:
        for revision_clock in self.revision_clocks:
            revision_clock.store.dates.withdraw(clock)


class Poller(ABC):
    """Sends polls at a steady rate, without waiting for the answer before the next poll."""

    name: ClockName
    purpose: Purpose

    def __init__(self, polls: ServerPolls, lane: Lane, pool: Pool, hz: float) -> None:
        self.polls = polls
        self._lane = lane
        self._pool = pool
        self._hz = hz
        self._slowing = Slowing()

    @property
    @abstractmethod
    def kind(self) -> Resource:
        """The polled resource."""

    @property
    @abstractmethod
    def revisions(self) -> RevisionClock:
        """The clock that the polls are evidence for."""

    @abstractmethod
    def request(self) -> tuple[str, dict[str, str]]:
        """Path and parameters of a poll."""

    @abstractmethod
    def take(self, number: int, answer: Answer) -> None:
        """Process the answer to poll `number`."""

    def failed(self, error: StartError) -> None:  # noqa: B027 a cache clock needs nothing here
        """Process the failure of a poll."""

    async def run(self) -> None:
        """Poll until cancelled."""
        async with asyncio.TaskGroup() as in_flight:
            while True:
                await self._lane.turn()
                place = self._pool.take()
                if place is not None:
                    in_flight.create_task(self._poll(place))
                now = time.monotonic()
                seconds = self._period_seconds(now) * random.uniform(1 - JITTER, 1 + JITTER)
                await asyncio.sleep(max(seconds, self._slowing.not_before - now))

    def _period_seconds(self, now: Instant) -> float:
        full = self._lane.period_seconds(self._hz)
        return max(full, min(full / self._slowing.share(now), LONGEST_SLOWED_SECONDS))

    async def _poll(self, place: PollConnection) -> None:
        number = next(_poll_numbers)
        kind, revisions, asked = self.kind, self.revisions, time.monotonic()

        def sent(instant: Instant) -> None:  # who asks which polls are late must know of it before its answer is there
            revisions.poll_sent(number, instant)
            self.polls.under_way[number] = self.name, kind, instant

        sending = Sending(sent)
        try:
            answer = await place.poll(*self.request(), sending, self.purpose)
        except StartError as error:
            revisions.poll_given_up(number)
            self.polls.listener.poll_failed(kind, self.name, error)
            self._slow_down(sending.first_sent_at, error)
            self.failed(error)
        else:
            self.polls.listener.poll_answered(kind, self.name, answer.t1 - asked)
            self.take(number, answer)
        finally:
            revisions.poll_given_up(number)
            self.polls.under_way.pop(number, None)
            place.is_free = True

    def _slow_down(self, sent: Instant | None, error: StartError) -> None:
        if sent is None:
            return
        if error.reason == "throttled":
            self._lane.throttled(sent, error.retry_after_seconds)
        if error.reason in SLOWING:
            self._slowing.refused(sent, min(error.retry_after_seconds or 0.0, LONGEST_SECONDS))


class RevisionPoller(Poller):
    """Polls the revision of a store, always by listing the same kind, so that it is always the same store."""

    name = "revision"
    purpose = "revision_poll"

    def __init__(self, polls: ServerPolls, kind: Resource, namespace: str | None, hz: float) -> None:
        super().__init__(polls, polls.pace.revisions, polls.pool, hz)
        self.store = Store(reads_stale=polls.reads_stale)
        self._kind = kind
        self._namespace = namespace
        self.peers: tuple[RevisionPoller, ...] = ()
        """The clocks of other apiservers that are proven to read the same store."""
        self.answered: int | None = None
        """The revision in the last answer; None before the first answer."""
        self.answers_since: Instant | None = None
        """When the first answer since the last refusal arrived; None while the kind is refused."""
        self._refused_since: Instant | None = None
        self._awaited: list[tuple[Instant, asyncio.Future[int]]] = []
        self._learned: list[Callable[[], bool]] = []
        self._went_back: list[Callable[[], None]] = []

    @property
    def kind(self) -> Resource:
        """The polled resource."""
        return self._kind

    @property
    def revisions(self) -> RevisionClock:
        """The revisions of the store."""
        return self.store.polls

    @property
    def is_refused(self) -> bool:
        """Whether its kind is refused, and not only briefly."""
        if self._refused_since is None:
            return False
        return self.answered is None or time.monotonic() - self._refused_since > REFUSED_AFTER_SECONDS

    async def run(self) -> None:
        """Poll until cancelled."""
        self.polls.revision_clocks.append(self)
        try:
            await super().run()
        finally:
            self.polls.revision_clocks.remove(self)

    def request(self) -> tuple[str, dict[str, str]]:
        """A consistent LIST."""
        return self.kind.empty_list(self._namespace)

    async def next_revision(self) -> int:
        """The revision from the first answered poll that is sent from now on. Raises StartError if one fails first."""
        revision: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        awaited = (time.monotonic(), revision)
        self._awaited.append(awaited)
        try:
            return await revision
        finally:
            self._awaited.remove(awaited)

    def arrived(self, revision: int, instant: Instant) -> None:
        """`revision` of this store arrived at `instant`: evidence for this clock and its peers."""
        self.store.polls.arrived(revision, instant)
        for peer in self.peers:
            peer.store.polls.arrived(revision, instant)

    def subscribe(self, learned: Callable[[], bool], went_back: Callable[[], None]) -> None:
        """Call `learned` after each answer, and `went_back` when the store was restored to an older state.

        `learned` returns whether it had anything to do.
        """
        self._learned.append(learned)
        self._went_back.append(went_back)

    def unsubscribe(self, learned: Callable[[], bool], went_back: Callable[[], None]) -> None:
        """Undo `subscribe`."""
        self._learned.remove(learned)
        self._went_back.remove(went_back)

    def take(self, number: int, answer: Answer) -> None:
        """Process the revision and the Date, then notify the subscribers and those waiting for a revision."""
        self._refused_since = None
        if self.answers_since is None:
            self.answers_since = answer.t1
        written_before = self.polls.learn_date(self.kind, answer)
        # The store was restored after this poll was sent: its revision means something else now.
        if self.revisions.sent_at(number) is None:
            return
        if written_before is not None:
            self.store.dates.learn(self.polls.clocks.clock_of(answer.connection), answer.revision, written_before)
        news = self.store.poll_answered(number, answer.t1, answer.revision)
        if news == "read_stale":
            self.polls.reads_stale = True
            self.polls.listener.read_stale(self.kind)
        if news == "restored":
            self._leave_peers()
            for went_back in tuple(self._went_back):
                went_back()
        self.answered = answer.revision
        for asked, revision in self._awaited:
            if asked < answer.t0 and not revision.done():
                revision.set_result(answer.revision)
        self._tell(iter(tuple(self._learned)))

    def _leave_peers(self) -> None:
        """Leave all peers until it is proven again: their arrivals may be of the old store."""
        for peer in self.peers:
            peer.peers = tuple(other for other in peer.peers if other is not self)
        self.peers = ()

    def _tell(self, learned: Iterator[Callable[[], bool]]) -> None:
        """Notify subscribers; after one with something to do, the next in another iteration of the event loop.

        So sockets are read in between. Most streams are quiet, and an iteration for each would cost more than they do.
        """
        for told, one in enumerate(learned, 1):
            if one() or told == TOLD_IN_ONE_TURN:
                asyncio.get_running_loop().call_soon(self._tell, learned)
                return

    def failed(self, error: StartError) -> None:
        """Record an outage or a refusal, and pass the error to those waiting for a revision."""
        if error.reason in OUTAGES:
            self.store.poll_failed()
        if error.reason in REFUSALS:
            if self._refused_since is None:
                self._refused_since = time.monotonic()
            self.answers_since = None
        for _, revision in self._awaited:
            if not revision.done():
                revision.set_exception(error)


class CachePoller(Poller):
    """Polls the revision of this apiserver's watch cache of one resource."""

    name = "cache"
    purpose = "cache_poll"

    def __init__(
        self,
        polls: ServerPolls,
        resource: Resource,
        namespace: str | None,
        hz: float,
        went_back: Callable[[Instant], None] | None = None,
    ) -> None:
        super().__init__(polls, polls.pace.others, polls.cache_pool, hz)
        self._resource = resource
        self._namespace = namespace
        self._revisions = RevisionClock()
        self._went_back = went_back
        self.answer: CacheAnswer | None = None
        """The last one; None before the first."""

    @property
    def kind(self) -> Resource:
        """The watched resource itself."""
        return self._resource

    @property
    def revisions(self) -> RevisionClock:
        """The revisions of the watch cache."""
        return self._revisions

    def request(self) -> tuple[str, dict[str, str]]:
        """A LIST from the cache."""
        return self._resource.empty_list(self._namespace, from_cache=True)

    def take(self, number: int, answer: Answer) -> None:
        """Process the revision and the Date. A cache that goes back is another one: the apiserver was restarted, or the
        address is a load balancer.
        """
        self.polls.learn_date(self.kind, answer)
        if self.answer is None or answer.t0 > self.answer.asked:  # else a later poll was answered before
            is_same = self.answer is not None and self.answer.revision == answer.revision
            since = self.answer.since if self.answer is not None and is_same else answer.t1
            self.answer = CacheAnswer(answer.revision, since, answer.t0)
        went_back = self._revisions.poll_answered(number, answer.t1, answer.revision)
        if went_back is not None:
            self._revisions = RevisionClock()
            if self._went_back is not None:
                self._went_back(went_back.known_at)
