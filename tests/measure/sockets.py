"""A simulated watch connection: a server that writes, a kernel that buffers, and our loop that looks and reads."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from exporter.measure.arrivals import RESEND_SECONDS, STALL_SECONDS, Arrivals
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
    resent: float = 0.0
    """When what was lost came again."""
    wait: float = RESEND_SECONDS
    """How long after that it is sent once more, if it is lost again."""

    def lose_until(self, instant: float) -> None:
        """Nobody takes it before that moment: TCP sends it again, after ever longer waits."""
        self.resent = max(self.resent, self.due)
        while self.resent < instant:
            self.resent += self.wait
            self.wait *= 2


@dataclass(frozen=True)
class Turn:
    """One turn of our loop, `pause` seconds after the one before: it reads, or looks whether anything is there.

    In the pause, if it is long enough to be noticed, the whole machine may have stood still: what came in it is lost.
    """

    pause: float
    reads: bool = True
    looks: bool = True
    loses: bool = False


class SimulatedSocket:
    """Blocks its server while the receive buffer is full; what was blocked comes in one burst when it was read."""

    def __init__(self, chunks: Iterable[Chunk]) -> None:
        self._coming = deque(chunks)
        self._buffer: list[Chunk] = []
        self._blocked_since: float | None = None
        self._open_from = 0.0
        self._last_there = 0.0

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

    def lose(self, since: float, until: float) -> None:
        """Nothing that came in this time was taken from the wire."""
        self._deliver(since)
        for chunk in self._coming:
            if since < max(chunk.due, chunk.resent) < until and self._blocked_since is None:
                chunk.lose_until(until)

    def _deliver(self, now: float) -> None:
        while self._coming and self._blocked_since is None and self._there(self._coming[0]) <= now:
            chunk = self._coming[0]
            waiting_bytes = sum(buffered.size_bytes for buffered in self._buffer)
            if chunk.due > self._open_from and waiting_bytes + chunk.size_bytes > RECEIVE_BUFFER_BYTES:
                self._blocked_since = chunk.due
                return
            # In order: what comes after a hole waits until it is filled.
            chunk.arrived = self._last_there = self._there(chunk)
            self._buffer.append(self._coming.popleft())

    def _there(self, chunk: Chunk) -> float:
        return max(chunk.due, chunk.resent, self._open_from, self._last_there)


def watch(chunks: list[Chunk], turns: Iterable[Turn]) -> tuple[Arrivals, list[Interval]]:
    """Let our loop run; returns what it learned, and the first word on every chunk that it read, our lag excused."""
    arrivals = Arrivals()
    arrivals.connected(-10.0, -10.0)  # before anything was committed
    for _ in range(2):
        arrivals.found_empty(0.0)
    socket = SimulatedSocket(chunks)
    excused: list[Interval] = []
    now = last_look = 0.0
    for turn in turns:
        if turn.loses and turn.pause > STALL_SECONDS:
            socket.lose(now, now + turn.pause)
        now += turn.pause
        if turn.reads and socket.is_readable(now):
            read, is_open = socket.read(now)
            measured = arrivals.received(now, sum(chunk.size_bytes for chunk in read))
            for chunk in read:
                chunk.measured = measured
                excused.append(arrivals.excusing_us(measured, chunk.committed))
            if not is_open:
                arrivals.ended(now)
                arrivals.connected(now, now)
                socket.reconnected(now)
                continue
        if turn.looks:
            if now - last_look > STALL_SECONDS:
                arrivals.stood_still(last_look, now)
            last_look = now
            if not socket.is_readable(now):
                arrivals.found_empty(now)
    return arrivals, excused
