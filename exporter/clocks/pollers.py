"""Polls out, at a steady rate; what their answers say into the clocks.

One revision clock per apiserver and store; where the address is one apiserver, one cache clock per resource.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Protocol

from exporter.clocks.connections import Pool
from exporter.clocks.rate_limit import Pace, Slowing
from exporter.kubernetes.backoff import LONGEST_SECONDS
from exporter.kubernetes.cost import Sending
from exporter.kubernetes.errors import StartError
from exporter.measure.revisions import RevisionClock
from exporter.measure.serverclock import ClockContradictionError, DatedAnswer, ServerClocks
from exporter.measure.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from exporter.clocks.connections import Answer, PollConnection
    from exporter.clocks.rate_limit import Lane
    from exporter.credentials import Credentials
    from exporter.kubernetes.cost import Cost
    from exporter.kubernetes.resources import Resource
    from exporter.kubernetes.session import Server
    from exporter.measure.times import Instant
    from exporter.vocabulary import ClockName, Purpose

JITTER = 0.3
"""Polls come at intervals of 0.7 to 1.3 periods: their phases against the server's seconds must vary."""

PLACES = 16
"""At 5 Hz answers may take 3.2 s before a poll is left out; more than 16 under way help no server in trouble."""

CACHE_PLACES = 8
"""Apart from the others: an etcd that hangs holds up the store's polls, but none of a cache's."""

REFUSALS = frozenset({"forbidden", "not_found", "bad_response"})
"""Answers that tell of the kind that is polled. 401 tells of our credentials, a hang or a failure of nobody."""

OUTAGES = frozenset({"connect", "server_error", "server_timeout"})
"""What a store that is being restored may answer."""

REFUSED_AFTER_SECONDS = 3.0
"""A kind that answered before is refused once it was for so long: an apiserver that has just started refuses all."""

SLOWING = REFUSALS | {"unauthorized", "server_error", "server_timeout"}
"""Answers that slow down the polls of a kind as a 429 slows down all: each is work for a server in trouble, or a line
in somebody's audit log."""

LONGEST_SLOWED_SECONDS = 15.0
"""Between two polls that are slowed down, whatever their rate is: so soon a clock finds that all is well again."""

_poll_numbers = itertools.count(1)


class ClockListener(Protocol):
    """Who is told what a clock does."""

    def poll_answered(self, kind: Resource, clock: ClockName, seconds: float) -> None:
        """A poll took this long."""

    def poll_failed(self, kind: Resource, clock: ClockName, error: StartError) -> None:
        """A poll got no answer, or not the one it asked for."""

    def date_contradicted(self) -> None:
        """A Date cannot be true together with what its clock said before."""

    def several_clocks(self) -> None:
        """The Dates of an address that was taken for one apiserver come from several clocks."""

    def read_stale(self, kind: Resource) -> None:
        """A poll was answered with less than its store had: from now on the store's answers say less."""


class ServerPolls:
    """All that polls one apiserver address has in common: its connections, its clocks and its pace."""

    def __init__(  # noqa: PLR0913 whom to poll, as whom, how often, and whom to tell
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
        self.revision_clocks: list[RevisionPoller] = []
        self.reads_stale = False
        """Whether a store of this apiserver ever did: a new clock of it is not trusted more than the one before."""

    async def close(self) -> None:
        """Close all connections."""
        await self.pool.close()
        await self.cache_pool.close()

    def learn_date(self, kind: Resource, answer: Answer) -> Instant | None:
        """Learn from the Date of an answer about `kind`; returns by when it was written, if that is known."""
        # What an aggregated API serves comes with the Date of its own server, and looks like a custom resource.
        if answer.date is None or not kind.is_built_in:
            return None
        try:
            written_before = self.clocks.written_before(
                answer.connection, DatedAnswer(answer.t0, answer.t1, answer.date)
            )
        except ClockContradictionError as contradiction:
            self._withdraw(contradiction.clock)
            self.listener.date_contradicted()
            return None
        if self.clocks.shows_several_clocks:
            self.listener.several_clocks()
        return written_before

    def is_a_balancer(self) -> None:
        """This address is no apiserver but stands before several."""
        self._withdraw(self.clocks.clock_of(0))
        self.clocks.is_a_balancer()

    def _withdraw(self, clock: int) -> None:
        for revision_clock in self.revision_clocks:
            revision_clock.store.dates.withdraw(clock)


class Poller(ABC):
    """Sends polls at a steady rate, for ever; an answer is not waited for before the next poll goes out."""

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
        """What is polled."""

    @property
    @abstractmethod
    def revisions(self) -> RevisionClock:
        """Whom it tells what the polls say."""

    @abstractmethod
    def request(self) -> tuple[str, dict[str, str]]:
        """Path and parameters of a poll."""

    @abstractmethod
    def take(self, number: int, answer: Answer) -> None:
        """Take in the answer to poll `number`."""

    def failed(self, error: StartError) -> None:  # noqa: B027 of a cache that says nothing more
        """A poll got no answer, or not the one it asked for."""

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
        # The clock must know of a poll before its answer is there.
        sending = Sending(on_sent=partial(revisions.poll_sent, number))
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
            place.is_free = True

    def _slow_down(self, sent: Instant | None, error: StartError) -> None:
        if sent is None:
            return
        if error.reason == "throttled":
            self._lane.throttled(sent, error.retry_after_seconds)
        if error.reason in SLOWING:
            self._slowing.refused(sent, min(error.retry_after_seconds or 0.0, LONGEST_SECONDS))


class RevisionPoller(Poller):
    """Asks for the revision of a store, always by the same kind: which store that is never changes."""

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
        """What the last answer said; None while there is none."""
        self.answers_since: Instant | None = None
        """The first answer since the kind was refused last; None while it is."""
        self._refused_since: Instant | None = None
        self._awaited: list[tuple[Instant, asyncio.Future[int]]] = []
        self._learned: list[Callable[[], None]] = []
        self._went_back: list[Callable[[], None]] = []

    @property
    def kind(self) -> Resource:
        """What is polled."""
        return self._kind

    @property
    def revisions(self) -> RevisionClock:
        """The store's."""
        return self.store.polls

    @property
    def is_refused(self) -> bool:
        """Whether its kind is refused, and not only for a moment."""
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
        """What the first answer to a poll that goes out from now on says. Raises StartError if a poll fails before."""
        revision: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        awaited = (time.monotonic(), revision)
        self._awaited.append(awaited)
        try:
            return await revision
        finally:
            self._awaited.remove(awaited)

    def arrived(self, revision: int, instant: Instant) -> None:
        """`revision` of this store was seen at `instant`: evidence here, and against a slow apiserver elsewhere."""
        self.store.polls.arrived(revision, instant)
        for peer in self.peers:
            peer.store.polls.arrived(revision, instant)

    def subscribe(self, learned: Callable[[], None], went_back: Callable[[], None]) -> None:
        """Call `learned` after each answer, `went_back` when the store was restored to an older state."""
        self._learned.append(learned)
        self._went_back.append(went_back)

    def unsubscribe(self, learned: Callable[[], None], went_back: Callable[[], None]) -> None:
        """Undo `subscribe`."""
        self._learned.remove(learned)
        self._went_back.remove(went_back)

    def take(self, number: int, answer: Answer) -> None:
        """Revision and Date, for the store; then those who wait for either are told."""
        self._refused_since = None
        if self.answers_since is None:
            self.answers_since = answer.t1
        written_before = self.polls.learn_date(self.kind, answer)
        # A poll that went out before the store was forgotten tells of revisions that mean something else now.
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
        """Until it is proven again: what still arrives there may be of the history that is gone."""
        for peer in self.peers:
            peer.peers = tuple(other for other in peer.peers if other is not self)
        self.peers = ()

    def _tell(self, learned: Iterator[Callable[[], None]]) -> None:
        """Tell one of them, and the next in the loop's next turn: sockets are looked at in between."""
        one = next(learned, None)
        if one is not None:
            asyncio.get_running_loop().call_soon(self._tell, learned)
            one()

    def failed(self, error: StartError) -> None:
        """What it says of the kind, of the store, and to those who wait for an answer."""
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
    """Asks which revision this apiserver's watch cache of one resource has reached."""

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

    @property
    def kind(self) -> Resource:
        """The watched resource itself."""
        return self._resource

    @property
    def revisions(self) -> RevisionClock:
        """When each revision was in the cache."""
        return self._revisions

    def request(self) -> tuple[str, dict[str, str]]:
        """A LIST from the cache."""
        return self._resource.empty_list(self._namespace, from_cache=True)

    def take(self, number: int, answer: Answer) -> None:
        """A cache that goes back is another one: its apiserver was restarted, or the address stands before several."""
        self.polls.learn_date(self.kind, answer)
        went_back = self._revisions.poll_answered(number, answer.t1, answer.revision)
        if went_back is not None:
            self._revisions = RevisionClock()
            if self._went_back is not None:
                self._went_back(went_back.known_at)
