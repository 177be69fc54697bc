"""One fault in a laboratory in, what the exporter said of it out."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from math import inf
from typing import Any

import aiohttp

from tests.faults.laboratory import Laboratory
from tests.faults.making import Strength
from tests.faults.table import NOTHING, Made
from tests.support.waiting import wait_until

LOOK_SECONDS = 0.5
LEAST_SECONDS = 15.0
"""So long a fault lasts at least: a wrong name may come after the right one."""
HELD_SECONDS = 5.0
"""And so long after it was named."""
MOST_SECONDS = 60.0
THRESHOLD_SECONDS = 1.0
"""The objective's."""
WITHDRAWN_SECONDS = 90.0
CALM_SECONDS = 10.0
"""Between two faults."""
QUIET_SECONDS = 3.0
"""And before one."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Said:
    """What is found at one moment, best first."""

    at: float
    findings: tuple[tuple[str, str], ...]
    """Fault and certainty."""
    late: int
    """How many events were certainly late so far."""
    is_down: bool
    """Whether a watch is."""

    @property
    def best(self) -> str:
        """The first fault's name; that the cause is unknown is none."""
        return next((fault for fault, _ in self.findings if fault != "unknown_cause"), NOTHING)


@dataclass(slots=True)
class Played:
    """What came of one fault. Times are of time.monotonic()."""

    fault: str
    strength: Strength
    setting: str
    right: tuple[str, ...]
    began: float = 0.0
    ended: float = inf
    said: list[Said] = field(default_factory=list)
    documents: list[Json] = field(default_factory=list)
    """A whole document for each first appearance of a finding."""

    def take(self, diagnosis: Json, status: Json) -> None:
        """What both documents say now."""
        found = tuple((one["fault"], one["certainty"]) for one in diagnosis["findings"])
        known = {pair for one in self.said for pair in one.findings}
        if set(found) - known:
            self.documents.append(diagnosis)
        late = sum(one["late"] for one in status["streams"])
        is_down = any(one["stream"] == "down" for one in status["streams"])
        self.said.append(Said(time.monotonic(), found, late, is_down))

    @property
    def during(self) -> list[Said]:
        """While it lasted."""
        return [one for one in self.said if self.began <= one.at <= self.ended]

    @property
    def certain_at(self) -> float | None:
        """When it was first certain that events are late, or not watched for longer than they may take."""
        before = max((one.late for one in self.said if one.at <= self.began), default=0)
        down_since = None
        for one in self.during:
            down_since = (down_since or one.at) if one.is_down else None
            if one.late > before or (down_since is not None and one.at - down_since >= THRESHOLD_SECONDS):
                return one.at
        return None

    @property
    def first(self) -> tuple[str, str]:
        """The first name, and the best certainty that it came to."""
        best = next((one for one in self.during if one.best), None)
        if best is None:
            return NOTHING, ""
        certainties = {certainty for one in self.said for fault, certainty in one.findings if fault == best.best}
        return best.best, "shown" if "shown" in certainties else "suspected"

    @property
    def names(self) -> list[str]:
        """What was best at any time, in order; with ! what was shown."""
        told = [f"{fault}{'!' * (certainty == 'shown')}" for one in self.said for fault, certainty in one.findings[:1]]
        return [name for number, name in enumerate(told) if number == 0 or name != told[number - 1]]

    @property
    def wrong_shown(self) -> set[str]:
        """Names that are not right and were shown."""
        shown = {fault for one in self.said for fault, certainty in one.findings if certainty == "shown"}
        return shown - set(self.right)

    @property
    def named_seconds(self) -> float | None:
        """From the moment that it was certain (or made, if it never was) until a right name was the first."""
        since = self.certain_at or self.began
        named = next((one.at for one in self.during if one.best and one.best in self.right), None)
        return None if named is None else max(0.0, named - since)

    @property
    def withdrawn_seconds(self) -> float | None:
        """From its end until nothing was found any more; None if that never came."""
        if not self.said or self.said[-1].findings:
            return None
        last = max((one.at for one in self.said if one.findings), default=self.ended)
        return max(0.0, last + LOOK_SECONDS - self.ended)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing has been found for a while."""
        if not self.said or self.said[0].at > self.said[-1].at - QUIET_SECONDS:
            return False
        return not any(one.findings for one in self.said if one.at >= self.said[-1].at - QUIET_SECONDS)

    @property
    def is_calm(self) -> bool:
        """Whether it ended some time ago, and since then nothing was found and no more events were late."""
        if not self.said:
            return False
        now = self.said[-1].at
        lately = [one for one in self.said if one.at >= now - CALM_SECONDS]
        is_over = now >= self.ended + CALM_SECONDS
        return is_over and not any(one.findings for one in lately) and lately[0].late == lately[-1].late

    @property
    def outcome(self) -> str:
        """What it came to."""
        first, _ = self.first
        if self.wrong_shown:
            return "wrong, shown"
        if first in self.right:
            return "right"
        if not first:
            return "no trouble" if self.certain_at is None else "not named"
        return "wrong"


def right_names(made: Made, lab: Laboratory) -> tuple[str, ...]:
    """All that are right in this setting."""
    if not made.is_fault:
        return (NOTHING,)
    names = (made.fault, *made.also)
    if not lab.setting.reads_metrics:
        names += made.blind
    if lab.setting.is_balanced:
        names += made.balanced
    return names


async def play(lab: Laboratory, made: Made, strength: Strength, healthy_seconds: float = 0.0) -> Played:
    """Make the fault, wait until it is named or that takes too long, end it, and wait until it is withdrawn."""
    played = Played(made.name, strength, lab.setting.name, right_names(made, lab))
    await lab.aim()
    async with listening(lab, played):
        await quiet(played)
        lab.begins()
        async with made.make(lab, strength):
            played.began = lab.began
            await (named(played) if made.is_fault else asyncio.sleep(healthy_seconds))
        played.ended = time.monotonic()
        await silent(played, WITHDRAWN_SECONDS)
    return played


async def quiet(played: Played) -> None:
    """Return when nothing has been found for a while: a laboratory that starts on a slow machine has troubles of its
    own, and they are forgotten.
    """
    with contextlib.suppress(TimeoutError):
        await wait_until(lambda: played.is_quiet, "nothing is found", timeout_seconds=MOST_SECONDS)
    del played.said[:-1], played.documents[:]


async def named(played: Played) -> None:
    """Return when it has been named for a while."""
    while (now := time.monotonic()) < played.began + MOST_SECONDS:
        found = next((one.at for one in played.during if one.best and one.best in played.right), None)
        if found is not None and now > max(played.began + LEAST_SECONDS, found + HELD_SECONDS):
            return
        await asyncio.sleep(LOOK_SECONDS)


async def silent(played: Played, seconds: float) -> None:
    """Return when nothing is found for a while, and nothing is late any more: what was held back may come only now."""
    with contextlib.suppress(TimeoutError):
        await wait_until(lambda: played.is_calm, "nothing is found", timeout_seconds=seconds)


@contextlib.asynccontextmanager
async def listening(lab: Laboratory, played: Played) -> AsyncIterator[None]:
    """Ask the exporter all the time."""

    async def ask() -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as http:
            while True:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    played.take(await got(http, lab, "diagnosis"), await got(http, lab, "status"))
                await asyncio.sleep(LOOK_SECONDS)

    asking = asyncio.create_task(ask())
    try:
        yield
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


async def got(http: aiohttp.ClientSession, lab: Laboratory, page: str) -> Json:
    """A document of the exporter's."""
    async with http.get(f"{lab.exporter.url}/api/v1/{page}") as response:
        response.raise_for_status()
        document: Json = await response.json()
        return document
