"""What really happened: when each write was committed, and when each event's bytes were handed to the socket.

In: changes as the stores commit them, deliveries as the sockets take them. Out: exact latencies.
All times are of `time.monotonic()`, in seconds. Memory is bounded: the oldest entries go first.
"""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from exporter.simulator.store import Change, Store

REMEMBERED = 100_000  # commits, and deliveries of each resource
WINDOW_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Commit:
    """One write. `stamped_seconds` is when managedFields was stamped, None if this write moved no stamp."""

    resource: str
    revision: int
    stamped_seconds: float | None
    committed_seconds: float


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on one watch. `cached_seconds` is when the apiserver's watch cache had it."""

    apiserver: str
    resource: str
    revision: int
    committed_seconds: float
    cached_seconds: float
    sent_seconds: float

    @property
    def latency_seconds(self) -> float:
        """Commit to socket: the true ApiserverTimeSpan."""
        return self.sent_seconds - self.committed_seconds


class Truth:
    """The simulator's memory of commits and deliveries. A revision that a restore brought back means its last use."""

    def __init__(self, *, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._commits: dict[tuple[str, int], Commit] = {}
        self._deliveries: dict[str, deque[Delivery]] = {}

    def changed(self, change: Change) -> None:
        """Remember a commit (a store calls this)."""
        name, revision = change.resource.name, change.revision
        self._commits[name, revision] = Commit(name, revision, change.stamped_seconds, change.committed_seconds)
        if len(self._commits) > self._remembered:
            del self._commits[next(iter(self._commits))]

    def compacted(self, store: Store) -> None:
        """What happened stays true (a store calls this)."""

    def restored(self, store: Store) -> None:
        """What happened stays true (a store calls this)."""

    def delivered(self, apiserver: str, change: Change, *, cached_seconds: float, sent_seconds: float) -> None:
        """Remember that an event's bytes went out (an apiserver calls this)."""
        name = change.resource.name
        delivery = Delivery(apiserver, name, change.revision, change.committed_seconds, cached_seconds, sent_seconds)
        self._deliveries.setdefault(name, deque(maxlen=self._remembered)).append(delivery)

    def committed(self, resource: str, revision: int) -> Commit | None:
        """The write of `resource` with this revision, or None if there was none or it was long ago."""
        return self._commits.get((resource, revision))

    def deliveries(self, resource: str, *, since_seconds: float = -math.inf) -> list[Delivery]:
        """Events of `resource` that went out at or after `since_seconds`, in order."""
        recent: list[Delivery] = []
        for delivery in reversed(self._deliveries.get(resource, ())):
            if delivery.sent_seconds < since_seconds:
                break
            recent.append(delivery)
        return recent[::-1]

    def p99_seconds(self, resource: str, *, window_seconds: float = WINDOW_SECONDS) -> float | None:
        """The latency that 99 % of the window's deliveries did not exceed (nearest rank); None without any."""
        since_seconds = time.monotonic() - window_seconds
        latencies = sorted(
            delivery.latency_seconds for delivery in self.deliveries(resource, since_seconds=since_seconds)
        )
        return latencies[math.ceil(0.99 * len(latencies)) - 1] if latencies else None
