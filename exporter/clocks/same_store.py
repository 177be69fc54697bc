"""Chooses the revision clock for each resource: proven, not assumed, and proven again every ten seconds.

All resources that are proven to be in the same store share one clock. The proof: the revision of a LIST of the resource
lies between the revisions of two polls of the clock, one before and one after it. If it does not (another etcd, an
aggregated API), the next kind is tried. Only if no quiet kind is in its store, a resource is polled itself: such a LIST
waits for the watch cache whose lag it should measure.
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
"""Time limit of a proof, for apiservers that hang or are removed meanwhile."""

DISPROVED_SECONDS = 600.0
"""A resource stays in another store until its apiserver is restarted with other flags."""

LONGEST_REFUSED_SECONDS = 30.0
LINGERING_SECONDS = 2.0
"""An unused clock polls for this time: its resource may only be going through discovery again."""


class Proof(Enum):
    """The result of a proof."""

    HOLDS = "holds"
    FAILS = "fails"
    REFUSED = "refused"
    """The clock's kind is refused: nothing is known, and another kind may be tried."""

    NO_ANSWER = "no answer"
    """Nothing is known."""


class Stores:
    """The revision clocks of one apiserver. Each polls while a resource uses it."""

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
        """The clocks that poll now."""
        return [clock for clock, _ in self._clocks.values()]

    async def keep_proving(self, resource: Resource, use: Callable[[RevisionPoller | None], None]) -> None:
        """Call `use` with the proven clock for `resource`, or None, whenever that changes. Runs until cancelled."""
        if self._hz > 0:
            try:
                await _Prover(self, resource, use).run()
            finally:
                self.keep_only(resource, ())

    def clock_for(self, kind: Resource, user: Resource) -> RevisionPoller:
        """The clock that polls `kind`, started if necessary. It polls while it has users."""
        self._users.setdefault(kind, set()).add(user)
        if kind not in self._clocks:
            clock = RevisionPoller(self.polls, kind, self._namespace, self._hz)
            self._clocks[kind] = clock, self._tasks.create_task(clock.run())
        return self._clocks[kind][0]

    def keep_only(self, user: Resource, kinds: Sequence[Resource]) -> None:
        """Remove `user` from the clocks of all other kinds."""
        for kind, users in self._users.items():
            if kind not in kinds and user in users:
                users.remove(user)
                if not users:
                    asyncio.get_running_loop().call_later(LINGERING_SECONDS, self._stop_unless_used, kind)

    def may_be_asked(self, kind: Resource) -> bool:
        """Whether a kind may be listed now: refused kinds are tried less often, but never given up."""
        return time.monotonic() >= self._refused.get(kind, (0.0, -inf))[1]

    def proved(self, kind: Resource, proof: Proof) -> None:
        """Record the result of a proof with the clock of `kind`."""
        if proof is Proof.REFUSED:
            seconds = min(2 * self._refused.get(kind, (0.5, 0.0))[0], LONGEST_REFUSED_SECONDS)
            self._refused[kind] = seconds, time.monotonic() + seconds
        elif proof is not Proof.NO_ANSWER:
            self._refused.pop(kind, None)

    async def prove(self, clock: RevisionPoller, resource: Resource) -> Proof:
        """Prove whether `clock` and `resource` read the same store."""
        try:
            async with asyncio.timeout(PROOF_SECONDS):
                if clock.answered is None or clock.kind == resource:
                    await clock.next_revision()  # before waiting for a turn: else all proofs would be sent together
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
    """The resource itself could not be listed, which is no evidence about a clock."""


class _Prover:
    """Finds the best clock for one resource, again and again."""

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
        """The first proven clock; the clock in use if nothing is known, None if that is disproved."""
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
                # A single failure may be a store that was restored between two polls.
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
        """Whether `better` has polled for as long as events may be pending, so that it can date all of them."""
        if self._used is None or self._used.is_refused:
            return True
        return better.answers_since is not None and time.monotonic() - better.answers_since > LONGEST_WAIT_SECONDS

    def _tell(self, clock: RevisionPoller | None) -> None:
        self._used = clock
        self._use(clock)

    async def _rest(self, seconds: float) -> None:
        """Wait until the next proof, or until the kind of the used clock is refused."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            await asyncio.sleep(min(seconds, FIRST_PROOF_PERIOD_SECONDS))
            if self._used is not None and self._used.is_refused:
                return


async def keep_proving_peers(all_stores: Callable[[], Sequence[Stores]]) -> None:
    """Make clocks of different apiservers peers if they are proven to read the same store. Runs until cancelled.

    This needs no extra requests, because both clocks poll anyway.
    """
    proven: dict[RevisionPoller, RevisionPoller] = {}
    while True:
        # In a function of its own, so that between two rounds only `proven` keeps clocks alive.
        wait_seconds = await _prove_peers(all_stores(), proven)
        await asyncio.sleep(wait_seconds)


async def _prove_peers(present: Sequence[Stores], proven: dict[RevisionPoller, RevisionPoller]) -> float:
    """One round. `proven` maps a clock to the first apiserver's of the same store. Returns the seconds to wait."""
    first = present[0].clocks if present else []
    others = [clock for stores in present[1:] for clock in stores.clocks]
    for other in others:
        try:
            async with asyncio.timeout(PEERS_PROOF_SECONDS):
                peer = await _peer_of(other, first, proven.get(other))
        except (StartError, TimeoutError):
            continue  # without an answer nothing is proven or disproved
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
    """The clock that is proven to read the same store as `other`; `known` is tried first. Raises StartError."""
    for one in sorted(clocks, key=lambda one: (one is not known, one.kind != other.kind)):
        if await _fits(one, other.next_revision):
            return one
    return None


async def _fits(clock: RevisionPoller, ask: Callable[[], Awaitable[int]]) -> bool:
    """Whether the revision from `ask` lies between two revisions of `clock`, one known before it and one polled after.

    Raises StartError, and what `ask` raises.
    """
    first = clock.answered if clock.answered is not None else await clock.next_revision()
    between = await ask()
    last = await clock.next_revision()
    return first <= between <= last


async def read_the_same_store(one: Collection, other: Collection) -> bool:
    """The same proof without a clock, for a single check. Raises StartError."""
    first = await current_revision(one)
    between = await current_revision(other)
    last = await current_revision(one)
    return first <= between <= last
