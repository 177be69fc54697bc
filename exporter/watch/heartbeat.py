"""Every ten milliseconds: measures how late our event loop runs, and finds the sockets that were certainly empty."""

from __future__ import annotations

import asyncio
import logging
import select
import time
from typing import TYPE_CHECKING, Protocol

from exporter.measure.arrivals import STALL_SECONDS
from exporter.measure.suspension import Suspension
from exporter.watch.tcp_info import socket_state

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.measure.arrivals import Arrivals
    from exporter.measure.stream_state import SocketState
    from exporter.measure.times import Instant

log = logging.getLogger(__name__)

PERIOD_SECONDS = 0.01

BOOTTIME = getattr(time, "CLOCK_BOOTTIME", None)
"""Linux only; elsewhere a suspended machine is not noticed."""


def boottime() -> float:
    """Seconds on a clock that also runs while the machine is suspended."""
    return time.clock_gettime(BOOTTIME) if BOOTTIME is not None else time.monotonic()


class Sleeper(Protocol):
    """Called when this process did not run for a while."""

    def stood_still(self, began: Instant, ended: Instant) -> None:
        """The event loop did not run between the two instants."""

    def slept(self, began: Instant, woke: Instant, seconds: float) -> None:
        """The machine was suspended between the two instants, for up to `seconds` that the monotonic clock missed."""


class Heartbeat:
    """Checks all sockets of watches with one poll(2) per beat. A socket that is not readable was empty before it."""

    def __init__(self, observe_lag: Callable[[float], None], boottime: Callable[[], float] = boottime) -> None:
        self._observe_lag = observe_lag
        self._boottime = boottime
        self._suspension = Suspension()
        self._poller = select.poll()
        self._arrivals: dict[int, Arrivals] = {}
        self._attended: dict[Arrivals, tuple[int, Instant]] = {}
        """The socket of each that has one, and since when."""
        self._after_look: list[Callable[[], None]] = []
        self._last_beat: Instant | None = None
        self.stalled_seconds = 0.0
        """In all pauses together in which nothing of ours ran."""
        self.suspended_seconds = 0.0
        """Of the machine, at most; our clock did not count them."""
        self.sleepers: set[Sleeper] = set()
        """Called for every pause, even without an open watch."""

    def attend(self, fd: int, arrivals: Arrivals) -> None:
        """Check the socket `fd` from now on; its bytes are recorded in `arrivals`."""
        self._poller.register(fd, select.POLLIN | select.POLLPRI)
        self._arrivals[fd] = arrivals
        self._attended[arrivals] = fd, time.monotonic()

    def forget(self, fd: int) -> None:
        """Stop checking `fd`. Must be called before the descriptor can be reused by another socket."""
        arrivals = self._arrivals.pop(fd, None)
        if arrivals is not None:
            self._poller.unregister(fd)
            if arrivals in self._attended and self._attended[arrivals][0] == fd:
                del self._attended[arrivals]

    def after_next_look(self, do: Callable[[], None]) -> None:
        """Call it once, in the iteration of the event loop after the next look at the sockets."""
        self._after_look.append(do)

    def socket_of(self, arrivals: Arrivals) -> SocketState | None:
        """What the kernel says of the socket whose bytes these follow; None if there is none, or it does not tell."""
        attended = self._attended.get(arrivals)
        return socket_state(*attended) if attended is not None else None

    async def run(self) -> None:
        """Beat until cancelled."""
        # A timer's callback: a task that sleeps would wake the loop twice for each beat.
        loop = asyncio.get_running_loop()
        failed: asyncio.Future[None] = loop.create_future()
        timer: asyncio.TimerHandle | None = None

        def beat(due: Instant) -> None:
            try:
                self._observe_lag(max(0.0, time.monotonic() - due))
                self._beat()
            except Exception as error:  # noqa: BLE001 it is raised where it is waited for
                failed.set_exception(error)
            else:
                wait_until(due + PERIOD_SECONDS)

        def wait_until(due: Instant) -> None:
            nonlocal timer
            now = time.monotonic()
            due = max(due, now)
            timer = loop.call_later(due - now, beat, due)

        wait_until(time.monotonic() + PERIOD_SECONDS)
        try:
            await failed
        finally:
            if timer is not None:
                timer.cancel()

    def _beat(self) -> None:
        before = time.monotonic()
        boottime = self._boottime()
        self._tell_pauses(before, boottime, time.monotonic())
        readable = dict(self._poller.poll(0))
        for fd, arrivals in self._arrivals.items():
            if fd not in readable:
                arrivals.found_empty(before)
        waiting, self._after_look = self._after_look, []
        for do in waiting:
            asyncio.get_running_loop().call_soon(do)

    def _tell_pauses(self, now: Instant, boottime: float, after: Instant) -> None:
        since, self._last_beat = now if self._last_beat is None else self._last_beat, now
        slept_seconds = self._suspension.slept(now, boottime, after)
        if slept_seconds:
            self.suspended_seconds += slept_seconds
            log.warning("the machine was suspended", extra={"fields": {"seconds": slept_seconds}})
            for sleeper in tuple(self.sleepers):
                # Up to `after`, because the suspension may have been between the two clock reads.
                sleeper.slept(since, after, slept_seconds)
        if now - since > STALL_SECONDS:
            self.stalled_seconds += now - since
            for sleeper in tuple(self.sleepers):
                sleeper.stood_still(since, now)
