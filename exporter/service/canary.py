"""Writes one canary object at a fixed rate; its events are awaited on every watch of its kind.

The writes go to the watched apiservers in turn, one at a time: a slow server gets no second write while the first is in
flight, and one that refuses is skipped for a backoff.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from math import floor
from typing import TYPE_CHECKING

import msgspec

from exporter.kubernetes.backoff import Backoff
from exporter.kubernetes.errors import StartError
from exporter.kubernetes.writes import write
from exporter.measure.window import QUIET_BELOW_EVENTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from exporter.config import Config
    from exporter.kubernetes.session import Server
    from exporter.kubernetes.writes import CanaryObject
    from exporter.measure.canaries import Canary
    from exporter.measure.times import Instant
    from exporter.service.apiserver import Apiserver

log = logging.getLogger(__name__)


def too_few_alone(config: Config, seconds: float) -> str | None:
    """A warning if canaries alone are too few for a verdict about this time.

    The minimum number of events holds for canaries too: of fewer than 50, a single late one is over 1 %.
    """
    interval_seconds = config.canary_interval_seconds
    if not interval_seconds or (canaries := floor(seconds / interval_seconds + 1e-9)) >= QUIET_BELOW_EVENTS:
        return None
    return (
        f"--canary.interval: {canaries} canaries in {seconds:g} s are fewer than the {QUIET_BELOW_EVENTS} events that "
        f"a verdict needs: where nothing else happens the state stays quiet; write at least every "
        f"{floor(seconds / QUIET_BELOW_EVENTS * 1000) / 1000:g} s"
    )


class _Failure(msgspec.Struct):
    backoff: Backoff
    reason: str = ""
    rests_until: Instant = 0.0


class Failures:
    """The servers at which the last write failed: each rests for a backoff."""

    def __init__(self) -> None:
        self._failures: dict[Server, _Failure] = {}

    def failed(self, server: Server, error: StartError, now: Instant) -> bool:
        """It failed again or for the first time; returns whether the cause is another one than before."""
        failure = self._failures.setdefault(server, _Failure(Backoff()))
        failure.rests_until = now + failure.backoff.after_failure(error.retry_after_seconds)
        is_new = failure.reason != error.reason
        failure.reason = error.reason
        return is_new

    def succeeded(self, server: Server) -> None:
        """Its next failure is a first one."""
        self._failures.pop(server, None)

    def rests(self, server: Server, now: Instant) -> bool:
        """Whether it is to be left alone."""
        failure = self._failures.get(server)
        return failure is not None and failure.rests_until > now

    def keep(self, servers: Iterable[Server]) -> None:
        """Forget all others."""
        for gone in self._failures.keys() - set(servers):
            del self._failures[gone]


class CanaryKeeper:
    """Writes one object until cancelled, each time through the next of `apiservers` that is not in backoff."""

    def __init__(
        self,
        what: CanaryObject,
        interval_seconds: float,
        apiservers: Callable[[], Sequence[Apiserver]],
    ) -> None:
        self._what = what
        self._interval_seconds = interval_seconds
        self._apiservers = apiservers
        self._turn = 0
        self._failures = Failures()

    async def run(self) -> None:
        """Write until cancelled. The first write has a random delay, so that exporters do not write in step."""
        due = time.monotonic() + random.uniform(0, self._interval_seconds)
        while True:
            await asyncio.sleep(due - time.monotonic())
            due = max(due + self._interval_seconds, time.monotonic())
            apiserver = self._next_apiserver()
            if apiserver is not None:
                await self._write(apiserver)

    def _next_apiserver(self) -> Apiserver | None:
        now, apiservers = time.monotonic(), self._apiservers()
        self._failures.keep(one.server for one in apiservers)
        willing = [one for one in apiservers if not self._failures.rests(one.server, now)]
        self._turn += 1
        return willing[self._turn % len(willing)] if willing else None

    async def _write(self, apiserver: Apiserver) -> None:
        group, plural = self._what.resource.group, self._what.resource.plural
        streams = [stream for one in self._apiservers() if (stream := one.stream(group, plural)) is not None]
        if not streams:
            return  # other shards watch this kind, and write canaries of their own
        # Only the shard that watches the kind on this apiserver counts the write: others have no such series.
        owner = apiserver.stream(group, plural)
        if owner is not None:
            owner.counts.canary_writes += 1
        for stream in streams:
            stream.canary_sending(is_through_here=stream is owner)
        canary: Canary | None = None
        try:
            canary = await write(apiserver.session, self._what)
        except StartError as error:
            if owner is not None:
                owner.counts.canary_write_failures += 1
            self._failed(apiserver.server, error)
        else:
            if owner is not None:
                owner.counts.canary_write.observe(canary.answered - canary.sent)
            self._failures.succeeded(apiserver.server)
        finally:
            for stream in streams:
                stream.canary_answered(canary)

    def _failed(self, server: Server, error: StartError) -> None:
        """Skip the server for a backoff: logged once per cause, counted every time."""
        if self._failures.failed(server, error, time.monotonic()):
            fields = {"apiserver": server.name, "object": str(self._what), "reason": error.reason, "error": str(error)}
            log.warning("canary is not written", extra={"fields": fields})
