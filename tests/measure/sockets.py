"""A simulated watch connection: a server that writes, a kernel that buffers, and our loop that looks and reads."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from exporter.measure.arrivals import Arrivals
from exporter.measure.times import Interval

RECEIVE_BUFFER_BYTES = 64 * 1024
LARGEST_CHUNK_BYTES = 48 * 1024

NETWORK_SECONDS = 0.04
"""Once there is room again, what the server held back needs this long to be here."""

PATIENCE_SECONDS = 0.5
"""A server whose watcher stays blocked for longer than this closes the watch."""


@dataclass
class Chunk:
    """An event on its way: committed, due at our host, there at last, and what we made of it."""

    size_bytes: int
    committed: float
    due: float
    """When it would have reached our host had we read at once."""
    arrived: float = -1.0
    measured: Interval | None = None


@dataclass(frozen=True)
class Turn:
    """One turn of our loop, `pause` seconds after the one before: it reads, or looks whether anything is there."""

    pause: float
    reads: bool = True
    looks: bool = True


class SimulatedSocket:
    """Blocks its server while the receive buffer is full; what was blocked comes in one burst when it was read."""

    def __init__(self, chunks: Iterable[Chunk]) -> None:
        self._coming = deque(chunks)
        self._buffer: list[Chunk] = []
        self._blocked_since: float | None = None
        self._open_from = 0.0

    def is_readable(self, now: float) -> bool:
        self._deliver(now)
        return bool(self._buffer)

    def read(self, now: float) -> tuple[list[Chunk], bool]:
        """All that is there, and whether the connection is still open after it."""
        self._deliver(now)
        read, self._buffer = self._buffer, []
        waited = now - self._blocked_since if self._blocked_since is not None else 0.0
        if self._blocked_since is not None:
            self._open_from = now + NETWORK_SECONDS
            self._blocked_since = None
        return read, waited <= PATIENCE_SECONDS

    def reconnected(self, now: float) -> None:
        self._open_from = now + NETWORK_SECONDS

    def _deliver(self, now: float) -> None:
        while self._coming and self._blocked_since is None and max(self._coming[0].due, self._open_from) <= now:
            chunk = self._coming[0]
            waiting_bytes = sum(buffered.size_bytes for buffered in self._buffer)
            if chunk.due > self._open_from and waiting_bytes + chunk.size_bytes > RECEIVE_BUFFER_BYTES:
                self._blocked_since = chunk.due
                return
            chunk.arrived = max(chunk.due, self._open_from)
            self._buffer.append(self._coming.popleft())


def watch(chunks: list[Chunk], turns: Iterable[Turn]) -> tuple[Arrivals, list[Interval]]:
    """Let our loop run; returns what it learned, and the first word on every chunk that it read, our lag excused."""
    arrivals = Arrivals()
    arrivals.connected(0.0)
    socket = SimulatedSocket(chunks)
    excused: list[Interval] = []
    now = 0.0
    for turn in turns:
        now += turn.pause
        if turn.reads and socket.is_readable(now):
            read, is_open = socket.read(now)
            measured = arrivals.received(now, sum(chunk.size_bytes for chunk in read))
            for chunk in read:
                chunk.measured = measured
                excused.append(arrivals.excusing_us(measured, chunk.committed))
            if not is_open:
                arrivals.ended(now)
                arrivals.connected(now)
                socket.reconnected(now)
                continue
        if turn.looks and not socket.is_readable(now):
            arrivals.found_empty(now)
    return arrivals, excused
