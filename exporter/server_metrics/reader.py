"""Reads one apiserver's metrics again and again, for ever: what the last two readings say is `facts`."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from exporter.kubernetes.errors import StartError
from exporter.server_metrics.between import SAME_START_SECONDS, in_steps

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from exporter.diagnosis.server_facts import ServerFacts
    from exporter.server_metrics.between import ServerReading
    from exporter.vocabulary import ServerMetricsRead, StartReason

log = logging.getLogger(__name__)

NOT_PERMITTED: Final[frozenset[StartReason]] = frozenset({"unauthorized", "forbidden", "not_found"})

LOOK_SECONDS = 0.5
"""How soon it is noticed that something is wrong."""

FRESH_PERIODS = 2.5


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


class Reader:
    """`ask` gives one reading, or raises StartError."""

    def __init__(self, ask: Callable[[], Awaitable[ServerReading]], periods: Periods, listener: Listener) -> None:
        self.is_trouble = False
        """Whether something is wrong there: then it is read more often. To be set."""
        self._ask = ask
        self._periods = periods
        self._listener = listener
        self._last: ServerReading | None = None
        self._facts: ServerFacts | None = None
        self._facts_at = 0.0
        self._error: StartError | None = None
        self._is_stopped = False

    @property
    def facts(self) -> ServerFacts | None:
        """None before the second reading, and once they are old."""
        is_fresh = time.monotonic() < self._facts_at + FRESH_PERIODS * self._trouble_or_quiet()
        return self._facts if is_fresh else None

    async def run(self) -> None:
        """Until it is cancelled or stopped."""
        await asyncio.sleep(random.uniform(0, self._periods.trouble))
        while not self._is_stopped:
            try:
                await self._use(await self._ask())
            except StartError as error:
                self._failed(error)
            else:
                self._listener.read("ok")
                self._error = None
            await self._wait()

    async def _use(self, reading: ServerReading) -> None:
        last = self._last
        if last is not None and reading.at <= last.at:
            return  # a Prometheus has not scraped it since
        self._last = reading
        if last is None:
            return
        before, after = last.started_at, reading.started_at
        if before is not None and after is not None and after < before - SAME_START_SECONDS:
            self._noticed_several()
            return
        for step in in_steps(last, reading):
            self._facts = step or self._facts
            await asyncio.sleep(0)
        self._facts_at = time.monotonic()

    def stop(self) -> None:
        """There is no one apiserver that they would be of."""
        self._is_stopped = True
        self._facts = self._last = None

    def _noticed_several(self) -> None:
        """A process never starts earlier than the one before it."""
        self.stop()
        log.warning(
            "several processes answer at one address: their own metrics are not used",
            extra={"fields": {"apiserver": self._listener.apiserver}},
        )

    def _failed(self, error: StartError) -> None:
        self._listener.read("forbidden" if error.reason in NOT_PERMITTED else "error")
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
        is_refused = self._error is not None and self._error.reason in NOT_PERMITTED
        return self._periods.refused if is_refused else self._trouble_or_quiet()

    def _trouble_or_quiet(self) -> float:
        return self._periods.trouble if self.is_trouble else self._periods.quiet
