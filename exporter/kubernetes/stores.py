"""Which clock is good for which resource: proven, not assumed, and proven again every ten seconds.

A LIST of the resource between two polls of the clock must not go back, nor the second poll behind the LIST. Where that
happens (another etcd, an aggregated API), the resource gets a clock of its own.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING

from exporter.kubernetes.clocks import RevisionClockwork
from exporter.kubernetes.resources import QUIET_KINDS
from exporter.kubernetes.watch import Collection, StartError, current_revision

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from exporter.kubernetes.clocks import ServerPolls
    from exporter.kubernetes.resources import Resource
    from exporter.kubernetes.session import ApiSession

PROOF_PERIOD_SECONDS = 10.0
FIRST_PROOF_PERIOD_SECONDS = 1.0
PEERS_PROOF_SECONDS = 30.0
"""An apiserver that goes in the middle of a proof is asked no more."""

FAILED_PROOFS_FOR_OWN_CLOCK = 2
"""One failure may be a store that was restored between two polls."""


class Stores:
    """The revision clocks of one apiserver: one that serves all of its main store, others where that is disproved."""

    def __init__(
        self, polls: ServerPolls, session: ApiSession, namespace: str | None, hz: float, tasks: asyncio.TaskGroup
    ) -> None:
        self._polls = polls
        self._session = session
        self._namespace = namespace
        self._hz = hz
        self.main = RevisionClockwork(polls, QUIET_KINDS, namespace, hz)
        if hz > 0:
            tasks.create_task(self.main.run())

    async def keep_proving(self, resource: Resource, use: Callable[[RevisionClockwork | None], None]) -> None:
        """Tell `use` which clock is good for `resource`, again after every proof; None while none is. For ever.

        A clock of its own lives as long as this does.
        """
        failures = 0
        proven = False
        while self._hz > 0 and failures < FAILED_PROOFS_FOR_OWN_CLOCK:
            try:
                holds = not self.main.stands_still and await self._read_the_same_store(resource)
            except StartError:
                # No answer proves nothing either way.
                await asyncio.sleep(FIRST_PROOF_PERIOD_SECONDS)
                continue
            failures = 0 if holds else failures + 1
            if holds:
                proven = True
                use(self.main)
            else:
                proven = False
                use(None)
            await asyncio.sleep(PROOF_PERIOD_SECONDS if proven else FIRST_PROOF_PERIOD_SECONDS)
        if self._hz > 0:
            own = RevisionClockwork(self._polls, (resource,), self._namespace, self._hz)
            use(own)
            try:
                await own.run()
            finally:
                use(None)

    async def _read_the_same_store(self, resource: Resource) -> bool:
        if self.main.answered is None:
            await self.main.next_revision()  # before the turn: all that wait for it would go out together
        await self._polls.pace.others.turn()
        return await _fits(self.main, partial(self._listed_revision, resource))

    async def _listed_revision(self, resource: Resource) -> int:
        asked = time.monotonic()
        try:
            return await current_revision(Collection(self._session, resource, self._namespace))
        except StartError as error:
            if error.reason == "throttled":
                self._polls.pace.others.throttled(asked, error.retry_after_seconds)
            raise


async def keep_proving_peers(all_stores: Callable[[], Sequence[Stores]]) -> None:
    """Make the main clocks peers of those apiservers whose main store is proven to be that of the first. For ever.

    It costs no request: both are polled anyway.
    """
    proven: set[Stores] = set()
    while True:
        # In a function of its own: between two rounds nothing here holds what may go, but for those that are proven.
        wait_seconds = await _prove_peers(all_stores(), proven)
        await asyncio.sleep(wait_seconds)


async def _prove_peers(present: Sequence[Stores], proven: set[Stores]) -> float:
    """One round; returns the seconds until the next."""
    for other in present[1:]:
        try:
            async with asyncio.timeout(PEERS_PROOF_SECONDS):
                holds = await _fits(present[0].main, other.main.next_revision)
        except (StartError, TimeoutError):
            continue  # no answer proves nothing either way
        (proven.add if holds else proven.discard)(other)
    proven.intersection_update(present[1:])
    clocks = [stores.main for stores in present if stores is present[0] or stores in proven]
    for stores in present:
        stores.main.peers = tuple(clock for clock in clocks if stores.main in clocks and clock is not stores.main)
    return PROOF_PERIOD_SECONDS if len(present) > 1 else FIRST_PROOF_PERIOD_SECONDS


async def _fits(clock: RevisionClockwork, ask: Callable[[], Awaitable[int]]) -> bool:
    """Whether what `ask` answers lies between two answers of `clock`, one known before and one asked for after it.

    Raises StartError.
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
