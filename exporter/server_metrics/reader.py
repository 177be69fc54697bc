"""Reads the metrics at one address again and again, for ever: what the last two readings of an apiserver say are facts.

Behind a balancer each reading is of another apiserver. The start of its process says of which.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple

from exporter.kubernetes.errors import StartError
from exporter.server_metrics.between import in_steps, is_same_start

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from exporter.diagnosis.server_facts import ServerFacts
    from exporter.server_metrics.between import ServerReading
    from exporter.vocabulary import ServerMetricsRead, StartReason

log = logging.getLogger(__name__)

NOT_PERMITTED: Final[frozenset[StartReason]] = frozenset({"unauthorized", "forbidden", "not_found"})

LOOK_SECONDS = 0.5
"""How soon it is noticed that something is wrong."""

FRESH_PERIODS = 2.5

SLACK_SECONDS = 2.0
"""Between the moments at which an answer began and at which its figures were taken."""

MOST_AT_ONCE = 4
"""Behind a balancer: one that does not answer keeps nobody from asking the others."""

MOST_PROCESSES = 16
FORGOTTEN_PERIODS = 10.0
"""Quiet ones. An apiserver behind a balancer that has not answered for so long is gone, or was restarted."""


class Periods(NamedTuple):
    """How often, in seconds; each wait is up to a tenth shorter or longer."""

    quiet: float
    trouble: float
    refused: float = 600.0


class Listener(NamedTuple):
    """Who is told, and of whom."""

    apiserver: str
    read: Callable[[ServerMetricsRead], None]
    is_wanted: bool
    """Whether to warn where they cannot be read: somebody has asked for them."""


class Refusals:
    """How often in a row we were refused."""

    def __init__(self) -> None:
        self._times = 0

    @property
    def are_meant(self) -> bool:
        """An apiserver that starts refuses everybody for a moment, before it knows who may do what."""
        return self._times > 1

    def note(self, error: StartError | None) -> None:
        """What came of the last request."""
        self._times = self._times + 1 if error is not None and error.reason in NOT_PERMITTED else 0


class _Process:
    """What was read of one apiserver."""

    def __init__(self) -> None:
        self.last: ServerReading | None = None
        self.read_at = 0.0
        self.facts: ServerFacts | None = None
        self.facts_at = 0.0


class Reader:
    """`ask` gives one reading, or raises StartError. Unless it is of several apiservers, `facts` are of the one."""

    def __init__(
        self,
        ask: Callable[[], Awaitable[ServerReading]],
        periods: Periods,
        listener: Listener,
        *,
        is_of_several: bool = False,
        tells_apart: bool = True,
    ) -> None:
        self.is_trouble = False
        """Whether something is wrong there: then it is read more often. To be set."""
        self._ask = ask
        self._periods = periods
        self._listener = listener
        self._tells_apart = tells_apart
        self.is_of_several = is_of_several
        """Whether the address may be a balancer's."""
        self._processes = [_Process()] * (not is_of_several)
        self._error: StartError | None = None
        self._refusals = Refusals()
        self._is_stopped = False

    @property
    def facts(self) -> ServerFacts | None:
        """Of the one apiserver: None before the second reading, and once they are old."""
        return None if self.is_of_several else next(iter(self._fresh()), None)

    @property
    def members(self) -> tuple[ServerFacts, ...]:
        """The same of each apiserver behind a balancer, but for what may have happened a long time before: nobody can
        say whether a watch there has suffered from it.
        """
        if not self.is_of_several:
            return ()
        most_seconds = FRESH_PERIODS * self._trouble_or_quiet()
        return tuple(facts if facts.seconds <= most_seconds else facts.at_its_end() for facts in self._fresh())

    def _fresh(self) -> Iterator[ServerFacts]:
        since = time.monotonic() - FRESH_PERIODS * self._trouble_or_quiet()
        for process in self._processes:
            if process.facts is not None and process.facts_at > since:
                yield process.facts

    async def run(self) -> None:
        """Until it is cancelled or stopped."""
        await asyncio.sleep(random.uniform(0, self._periods.trouble))
        async with asyncio.TaskGroup() as readings:
            pending: set[asyncio.Task[None]] = set()
            while not self._is_stopped:
                pending.add(readings.create_task(self._read()))
                if len(pending) >= (MOST_AT_ONCE if self.is_of_several else 1):
                    await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                await self._wait()
                pending = {one for one in pending if not one.done()}

    async def _read(self) -> None:
        try:
            await self._use(await self._ask())
        except StartError as error:
            self._failed(error)
        else:
            self._listener.read("ok")
            self._error = None
            self._refusals.note(None)

    async def _use(self, reading: ServerReading) -> None:
        process = self._process_of(reading)
        if process is None or (process.last is not None and reading.at <= process.last.at):
            return  # a Prometheus has not scraped it since
        last, process.last, process.read_at = process.last, reading, time.monotonic()
        if last is None:
            return
        for step in in_steps(last, reading):
            process.facts = step or process.facts
            await asyncio.sleep(0)
        process.facts_at = time.monotonic()

    def _process_of(self, reading: ServerReading) -> _Process | None:
        """None if nothing can be learned from it."""
        if not self.is_of_several:
            (one,) = self._processes
            if one.last is None or not _are_two(one.last, reading):
                return one
            self._noticed_several()
        if reading.started_at is None or self._is_stopped:
            return None
        since = time.monotonic() - FORGOTTEN_PERIODS * self._periods.quiet
        self._processes = [one for one in self._processes if one.read_at > since][-MOST_PROCESSES:]
        # Of those that started in the same tick the one that has used most CPU comes first.
        for process in self._processes:
            if process.last is not None and _is_of_same_process(process.last, reading):
                return process
        self._processes.append(_Process())
        return self._processes[-1]

    def becomes_of_several(self) -> None:
        """The address stands before several apiservers. A Prometheus is asked no more: it knows the address alone."""
        if self.is_of_several:
            return
        self.is_of_several, self._processes = True, []
        self._is_stopped = not self._tells_apart

    def _noticed_several(self) -> None:
        self.becomes_of_several()
        log.warning(
            "several processes answer at one address: their own metrics are %s",
            "told apart by their starts" if self._tells_apart else "not used",
            extra={"fields": {"apiserver": self._listener.apiserver}},
        )

    def _failed(self, error: StartError) -> None:
        self._listener.read("forbidden" if error.reason in NOT_PERMITTED else "error")
        self._refusals.note(error)
        if self._error is None or (self._error.reason, str(self._error)) != (error.reason, str(error)):
            is_not_permitted = error.reason in NOT_PERMITTED
            log.log(
                logging.WARNING if self._listener.is_wanted else logging.INFO,
                "the apiserver's own metrics %s",
                "are not permitted" if is_not_permitted else "cannot be read",
                extra={"fields": {"apiserver": self._listener.apiserver, "error": str(error)}},
            )
        self._error = error

    async def _wait(self) -> None:
        began, share = time.monotonic(), random.uniform(0.9, 1.1)
        while (left := began + share * self._period() - time.monotonic()) > 0:  # noqa: ASYNC110 nobody tells of trouble
            await asyncio.sleep(min(left, LOOK_SECONDS))

    def _period(self) -> float:
        if self._refusals.are_meant:
            return self._periods.refused
        # Each apiserver is asked as often as if it was alone.
        period = self._trouble_or_quiet()
        since = time.monotonic() - FRESH_PERIODS * period
        return period / max(1, sum(one.read_at > since for one in self._processes))

    def _trouble_or_quiet(self) -> float:
        return self._periods.trouble if self.is_trouble else self._periods.quiet


def _are_two(last: ServerReading, reading: ServerReading) -> bool:
    """Whether two processes answer: none starts earlier than the one before it, or has used less CPU than it had."""
    before, after = last.started_at, reading.started_at
    if before is None or after is None:
        return False
    return _cpu_seconds(reading) < _cpu_seconds(last) if is_same_start(before, after) else after < before


def _is_of_same_process(last: ServerReading, reading: ServerReading) -> bool:
    """Whether both have the same start, and the later one has used more CPU, but not more than there was."""
    if last.started_at is None or reading.started_at is None:
        return False
    used_seconds = _cpu_seconds(reading) - _cpu_seconds(last)
    most_seconds = (reading.numbers.value("cpu_cores") or inf) * (reading.at - last.at + SLACK_SECONDS)
    return is_same_start(last.started_at, reading.started_at) and 0 <= used_seconds <= most_seconds


def _cpu_seconds(reading: ServerReading) -> float:
    """That the process has used since its start."""
    return reading.numbers.value("cpu_seconds") or 0.0
