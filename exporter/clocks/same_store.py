"""Which clock is good for which resource: proven, not assumed, and proven again every ten seconds.

One clock for each store of an apiserver, shared by all resources that are proven to be in it. A LIST of the resource
between two polls of the clock must not go back, nor the second poll behind the LIST. Where that happens (another etcd,
an aggregated API) the next kind is tried, and only where no quiet kind is in its store a resource polls itself: such a
LIST waits for the very watch cache whose lag it should show.
"""

from __future__ import annotations

import asyncio
import time
from enum import Enum
from functools import partial
from math import inf
from typing import TYPE_CHECKING

from exporter.clocks.pollers import REFUSALS, SLOWING, RevisionPoller
from exporter.kubernetes.errors import StartError
from exporter.kubernetes.lists import Collection, current_revision
from exporter.kubernetes.resources import QUIET_KINDS
from exporter.measure.judging import LONGEST_WAIT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from exporter.clocks.pollers import ServerPolls
    from exporter.kubernetes.resources import Resource
    from exporter.kubernetes.session import ApiSession
    from exporter.measure.times import Instant

PROOF_PERIOD_SECONDS = 10.0
FIRST_PROOF_PERIOD_SECONDS = 1.0
PROOF_SECONDS = 20.0
PEERS_PROOF_SECONDS = 30.0
"""An apiserver that goes, or hangs, in the middle of a proof is asked no more."""

DISPROVED_SECONDS = 600.0
"""What is in another store stays there until its apiserver is started with other flags."""

LONGEST_REFUSED_SECONDS = 30.0
LINGERING_SECONDS = 2.0
"""A clock that nobody uses goes on for a moment: its resource may only be looked up anew."""


class Proof(Enum):
    """What asking a clock and a resource in turns has shown."""

    HOLDS = "holds"
    FAILS = "fails"
    REFUSED = "refused"
    """The clock's kind is refused to us: nothing is known, and something else may be asked."""

    NO_ANSWER = "no answer"
    """Nothing is known."""


class Stores:
    """The revision clocks of one apiserver, each for as long as it is good for something."""

    def __init__(
        self, polls: ServerPolls, session: ApiSession, namespace: str | None, hz: float, tasks: asyncio.TaskGroup
    ) -> None:
        self.polls = polls
        self._session = session
        self._namespace = namespace
        self._hz = hz
        self._tasks = tasks
        self._clocks: dict[Resource, tuple[RevisionPoller, asyncio.Task[None]]] = {}
        self._users: dict[Resource, set[Resource]] = {}
        self._refused: dict[Resource, tuple[float, Instant]] = {}

    @property
    def clocks(self) -> Sequence[RevisionPoller]:
        """Those that poll now."""
        return [clock for clock, _ in self._clocks.values()]

    async def keep_proving(self, resource: Resource, use: Callable[[RevisionPoller | None], None]) -> None:
        """Tell `use` which clock is good for `resource`, again whenever that changes; None while none is. For ever."""
        if self._hz > 0:
            try:
                await _Prover(self, resource, use).run()
            finally:
                self.keep_only(resource, ())

    def clock_for(self, kind: Resource, user: Resource) -> RevisionPoller:
        """The clock that polls `kind`, which polls for as long as somebody uses it."""
        self._users.setdefault(kind, set()).add(user)
        if kind not in self._clocks:
            clock = RevisionPoller(self.polls, kind, self._namespace, self._hz)
            self._clocks[kind] = clock, self._tasks.create_task(clock.run())
        return self._clocks[kind][0]

    def keep_only(self, user: Resource, kinds: Sequence[Resource]) -> None:
        """`user` needs the clocks of no other kinds any more."""
        for kind, users in self._users.items():
            if kind not in kinds and user in users:
                users.remove(user)
                if not users:
                    asyncio.get_running_loop().call_later(LINGERING_SECONDS, self._stop_unless_used, kind)

    def may_be_asked(self, kind: Resource) -> bool:
        """Whether it is worth while: a kind that is refused is asked seldom, but always again."""
        return time.monotonic() >= self._refused.get(kind, (0.0, -inf))[1]

    def proved(self, kind: Resource, proof: Proof) -> None:
        """How the last proof with the clock of `kind` ended."""
        if proof is Proof.REFUSED:
            seconds = min(2 * self._refused.get(kind, (0.5, 0.0))[0], LONGEST_REFUSED_SECONDS)
            self._refused[kind] = seconds, time.monotonic() + seconds
        elif proof is not Proof.NO_ANSWER:
            self._refused.pop(kind, None)

    async def prove(self, clock: RevisionPoller, resource: Resource) -> Proof:
        """Whether `clock` and `resource` tell of the same store."""
        try:
            async with asyncio.timeout(PROOF_SECONDS):
                if clock.answered is None or clock.kind == resource:
                    await clock.next_revision()  # before the turn: all that wait for it would go out together
                if clock.kind == resource:
                    return Proof.HOLDS
                await self.polls.pace.others.turn()
                holds = await _fits(clock, partial(self._listed_revision, resource))
        except _ListError:
            return Proof.NO_ANSWER
        except StartError as error:
            return Proof.REFUSED if error.reason in REFUSALS else Proof.NO_ANSWER
        except TimeoutError:
            return Proof.NO_ANSWER
        return Proof.HOLDS if holds else Proof.FAILS

    async def _listed_revision(self, resource: Resource) -> int:
        if not self.may_be_asked(resource):
            raise _ListError
        asked = time.monotonic()
        try:
            revision = await current_revision(Collection(self._session, resource, self._namespace))
        except StartError as error:
            if error.reason == "throttled":
                self.polls.pace.others.throttled(asked, error.retry_after_seconds)
            if error.reason in SLOWING:
                self.proved(resource, Proof.REFUSED)
            raise _ListError from error
        self._refused.pop(resource, None)
        return revision

    def _stop_unless_used(self, kind: Resource) -> None:
        if not self._users.get(kind) and kind in self._clocks:
            _, polling = self._clocks.pop(kind)
            polling.cancel()


class _ListError(Exception):
    """The resource itself could not be listed: that says nothing about a clock."""


class _Prover:
    """Looks for the best clock for one resource, and goes on looking."""

    def __init__(self, stores: Stores, resource: Resource, use: Callable[[RevisionPoller | None], None]) -> None:
        self._stores = stores
        self._resource = resource
        self._use = use
        self._used: RevisionPoller | None = None
        self._disproved_until: dict[Resource, Instant] = {}

    async def run(self) -> None:
        """Prove until cancelled."""
        while True:
            best = await self._best()
            self._stores.keep_only(self._resource, [clock.kind for clock in (self._used, best) if clock is not None])
            if best is not self._used and (best is None or self._may_replace(best)):
                self._tell(best)
            await self._rest(PROOF_PERIOD_SECONDS if best is not None else FIRST_PROOF_PERIOD_SECONDS)

    async def _best(self) -> RevisionPoller | None:
        """The first clock that is proven; the one in use where nothing can be said, None where it is disproved."""
        for kind in (*QUIET_KINDS, self._resource):
            is_used = self._used is not None and self._used.kind == kind
            if time.monotonic() < self._disproved_until.get(kind, -inf):
                continue
            if not is_used and not self._stores.may_be_asked(kind):
                continue
            clock = self._stores.clock_for(kind, self._resource)
            proof = await self._stores.prove(clock, self._resource)
            if proof is Proof.FAILS:
                if is_used:
                    self._tell(None)
                # Once may be a store that was restored between two polls.
                proof = await self._stores.prove(clock, self._resource)
            if not (is_used and proof is Proof.REFUSED):
                self._stores.proved(kind, proof)
            if proof is Proof.HOLDS:
                return clock
            if proof is Proof.NO_ANSWER:
                break
            if proof is Proof.FAILS:
                self._disproved_until[kind] = time.monotonic() + DISPROVED_SECONDS
        return self._used

    def _may_replace(self, better: RevisionPoller) -> bool:
        """A better clock first polls for as long as an event may wait: all that is pending then is dated by it."""
        if self._used is None or self._used.is_refused:
            return True
        return better.answers_since is not None and time.monotonic() - better.answers_since > LONGEST_WAIT_SECONDS

    def _tell(self, clock: RevisionPoller | None) -> None:
        self._used = clock
        self._use(clock)

    async def _rest(self, seconds: float) -> None:
        """Until it is time for the next proof, or something else must be found because its kind is refused."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            await asyncio.sleep(min(seconds, FIRST_PROOF_PERIOD_SECONDS))
            if self._used is not None and self._used.is_refused:
                return


async def keep_proving_peers(all_stores: Callable[[], Sequence[Stores]]) -> None:
    """Make clocks of different apiservers peers where they are proven to read the same store. For ever.

    It costs no request: both are polled anyway.
    """
    proven: dict[RevisionPoller, RevisionPoller] = {}
    while True:
        # In a function of its own: between two rounds nothing here holds what may go, but for those that are proven.
        wait_seconds = await _prove_peers(all_stores(), proven)
        await asyncio.sleep(wait_seconds)


async def _prove_peers(present: Sequence[Stores], proven: dict[RevisionPoller, RevisionPoller]) -> float:
    """One round: `proven` names the first apiserver's clock of the same store. Returns the seconds until the next."""
    first = present[0].clocks if present else []
    others = [clock for stores in present[1:] for clock in stores.clocks]
    for other in others:
        try:
            async with asyncio.timeout(PEERS_PROOF_SECONDS):
                peer = await _peer_of(other, first, proven.get(other))
        except (StartError, TimeoutError):
            continue  # no answer proves nothing either way
        proven.pop(other, None)
        if peer is not None:
            proven[other] = peer
    for gone in [other for other, one in proven.items() if other not in others or one not in first]:
        del proven[gone]
    for clock in (*first, *others):
        one = proven.get(clock, clock)
        group = [one, *(other for other, peer in proven.items() if peer is one)]
        clock.peers = tuple(peer for peer in group if peer is not clock)
    return PROOF_PERIOD_SECONDS if len(present) > 1 else FIRST_PROOF_PERIOD_SECONDS


async def _peer_of(
    other: RevisionPoller, clocks: Sequence[RevisionPoller], known: RevisionPoller | None
) -> RevisionPoller | None:
    """Which of `clocks` is proven to read the same store as `other`; `known` was before. Raises StartError."""
    for one in sorted(clocks, key=lambda one: (one is not known, one.kind != other.kind)):
        if await _fits(one, other.next_revision):
            return one
    return None


async def _fits(clock: RevisionPoller, ask: Callable[[], Awaitable[int]]) -> bool:
    """Whether what `ask` answers lies between two answers of `clock`, one known before and one asked for after it.

    Raises StartError, and what `ask` raises.
    """
    first = clock.answered if clock.answered is not None else await clock.next_revision()
    between = await ask()
    last = await clock.next_revision()
    return first <= between <= last


async def read_the_same_store(one: Collection, other: Collection) -> bool:
    """The same without a clock, for who asks only once. Raises StartError."""
    first = await current_revision(one)
    between = await current_revision(other)
    last = await current_revision(one)
    return first <= between <= last
