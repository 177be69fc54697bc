"""Polls out, at a steady rate; what their answers say into the stores. One revision clock per apiserver and store."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from typing import TYPE_CHECKING, Protocol

from exporter.kubernetes.polls import Pool
from exporter.kubernetes.watch import StartError
from exporter.measure.serverclock import ClockContradictionError, DatedAnswer, ServerClocks
from exporter.measure.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.kubernetes.polls import Answer, Place
    from exporter.kubernetes.resources import Resource
    from exporter.kubernetes.session import Credentials, Server

JITTER = 0.3
"""Polls come at intervals of 0.7 to 1.3 periods: their phases against the server's seconds must vary."""

SLOWEST_SHARE = 1 / 16
RECOVERY_PER_POLL = 1.02

REFUSED = frozenset({"unauthorized", "forbidden", "not_found", "bad_response"})

_poll_numbers = itertools.count(1)


class ClockListener(Protocol):
    """Who is told what a clock does."""

    def poll_answered(self, kind: Resource, seconds: float) -> None:
        """A poll took this long."""

    def poll_failed(self, kind: Resource, error: StartError) -> None:
        """A poll got no answer, or not the one it asked for."""

    def date_contradicted(self) -> None:
        """A Date cannot be true together with what its clock said before."""


class ServerPolls:
    """All that polls one apiserver address has in common: its connections, its clocks and its share of requests."""

    def __init__(
        self, server: Server, credentials: Credentials, *, most_hz: float, drift: float, listener: ClockListener
    ) -> None:
        self.server = server
        self.clocks = ServerClocks(one_apiserver=server.is_one_apiserver, drift=drift)
        self.pool = Pool(server, credentials, self.clocks.connection_closed)
        self.listener = listener
        self._most_hz = most_hz
        self._share = 1.0
        self._not_before = 0.0
        self._revision_clocks: list[RevisionClockwork] = []

    def join(self, clock: RevisionClockwork) -> None:
        """Count `clock` among those that share the requests per second."""
        self._revision_clocks.append(clock)

    def period_seconds(self, hz: float) -> float:
        """Seconds between two polls of one clock that would like to poll at `hz`."""
        fair_hz = min(hz, self._most_hz / max(1, len(self._revision_clocks)))
        return max(1 / (fair_hz * self._share), self._not_before - time.monotonic())

    def throttled(self, retry_after_seconds: float | None) -> None:
        """The server says 429: it is overloaded and says so. Slow answers alone change nothing."""
        self._share = max(SLOWEST_SHARE, self._share / 2)
        self._not_before = time.monotonic() + (retry_after_seconds or 0.0)

    def answered(self) -> None:
        """An answer in good order: come back to the full rate, slowly."""
        self._share = min(1.0, self._share * RECOVERY_PER_POLL)

    def withdraw_dates(self, clock: int) -> None:
        """`clock` contradicted itself: what it proved of any store counts no more."""
        for revision_clock in self._revision_clocks:
            revision_clock.store.dates.withdraw(clock)


class RevisionClockwork:
    """Polls one kind for the revision of its store, for ever."""

    def __init__(self, polls: ServerPolls, kinds: tuple[Resource, ...], namespace: str | None, hz: float) -> None:
        self.store = Store()
        self._polls = polls
        self._kinds = list(kinds)
        self._namespace = namespace
        self._hz = hz
        self._refusals_in_a_row = 0
        self._learned: list[Callable[[], None]] = []
        self._went_back: list[Callable[[], None]] = []
        polls.join(self)

    @property
    def kind(self) -> Resource:
        """What is polled."""
        return self._kinds[0]

    @property
    def stands_still(self) -> bool:
        """Whether every kind that might be polled was refused."""
        return self._refusals_in_a_row >= len(self._kinds)

    def subscribe(self, learned: Callable[[], None], went_back: Callable[[], None]) -> None:
        """Call `learned` after each answer, `went_back` when the store was restored to an older state."""
        self._learned.append(learned)
        self._went_back.append(went_back)

    def unsubscribe(self, learned: Callable[[], None], went_back: Callable[[], None]) -> None:
        """Undo `subscribe`."""
        self._learned.remove(learned)
        self._went_back.remove(went_back)

    async def run(self) -> None:
        """Poll until cancelled. An answer is not waited for before the next poll goes out."""
        async with asyncio.TaskGroup() as in_flight:
            while True:
                place = self._polls.pool.take()
                if place is not None:
                    in_flight.create_task(self._poll(place))
                await asyncio.sleep(self._polls.period_seconds(self._hz) * random.uniform(1 - JITTER, 1 + JITTER))

    async def _poll(self, place: Place) -> None:
        number = next(_poll_numbers)
        kind, asked = self.kind, time.monotonic()
        store = self.store
        t0: list[float] = []

        def sent(instant: float) -> None:
            t0.append(instant)
            store.polls.poll_sent(number, instant)

        try:
            answer = await place.poll(kind, self._namespace, sent)
        except StartError as error:
            store.polls.poll_given_up(number)
            self._polls.listener.poll_failed(kind, error)
            self._refused(kind, error)
        else:
            self._polls.listener.poll_answered(kind, answer.t1 - asked)
            self._polls.answered()
            self._refusals_in_a_row = 0
            self._take(number, t0[0], answer)
        finally:
            store.polls.poll_given_up(number)
            place.is_free = True

    def _take(self, number: int, t0: float, answer: Answer) -> None:
        self._learn_date(t0, answer)
        if self.store.poll_answered(number, answer.t1, answer.revision) is not None:
            for went_back in tuple(self._went_back):
                went_back()
        for learned in tuple(self._learned):
            learned()

    def _learn_date(self, t0: float, answer: Answer) -> None:
        if answer.date is None:
            return
        clocks = self._polls.clocks
        dated = DatedAnswer(t0, answer.t1, answer.date)
        try:
            written_before = clocks.written_before(answer.connection, dated)
        except ClockContradictionError as contradiction:
            self._polls.withdraw_dates(contradiction.clock)
            self._polls.listener.date_contradicted()
            return
        if written_before is not None:
            self.store.dates.learn(clocks.clock_of(answer.connection), answer.revision, written_before)

    def _refused(self, kind: Resource, error: StartError) -> None:
        if error.reason == "throttled":
            self._polls.throttled(error.retry_after_seconds)
        elif error.reason in REFUSED and kind == self.kind:
            # Not for us: poll the next kind, which may be in another store. The first comes round again, should a
            # permission be granted later.
            self._refusals_in_a_row += 1
            self._kinds.append(self._kinds.pop(0))
            self.store.forget()
