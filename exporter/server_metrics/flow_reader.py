"""Samples an apiserver's dump of requests while somebody wants to know whose they are, and never otherwise."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from typing import TYPE_CHECKING

from exporter.diagnosis.facts import FlowFacts
from exporter.kubernetes.errors import StartError
from exporter.limits import refused_texts
from exporter.server_metrics.flows import FlowKey, FlowParser, FlowRequests
from exporter.server_metrics.reader import LOOK_SECONDS, Periods, Refusals
from exporter.server_metrics.sources import read_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from exporter.kubernetes.session import ApiSession
    from exporter.server_metrics.flows import FlowDump

log = logging.getLogger(__name__)

DUMP_REQUESTS = "/debug/api_priority_and_fairness/dump_requests"

MOST_BYTES = 16 * 2**20
"""A request has a line of some 200."""

SAMPLES = 3
SAMPLING = Periods(quiet=10.0, trouble=10.0)
FRESH_SECONDS = 25.0


async def ask_flows(session: ApiSession) -> FlowDump:
    """Whose requests an apiserver executes and queues now. Raises StartError."""
    parser = FlowParser()
    await read_text(session, DUMP_REQUESTS, parser, MOST_BYTES)
    dump = parser.finish()
    refused_texts.count("server_metrics", dump.refused)
    if not dump.is_dump:
        raise StartError("bad_response", f"{DUMP_REQUESTS}: this is no dump of requests")
    return dump


class FlowReader:
    """Of one apiserver. `shown` is what may be said of a user's name."""

    def __init__(
        self, session: ApiSession, apiserver: str, shown: Callable[[str], str], periods: Periods = SAMPLING
    ) -> None:
        self.is_wanted = False
        """Whether something is wrong that somebody's requests may be the cause of. To be set."""
        self._session = session
        self._apiserver = apiserver
        self._shown = shown
        self._periods = periods
        self._samples: deque[tuple[float, FlowDump]] = deque(maxlen=SAMPLES)
        self._said = ""
        self._refusals = Refusals()

    @property
    def facts(self) -> tuple[FlowFacts, ...]:
        """Of the last samples together, whoever holds most seats first; none once they are old."""
        since = time.monotonic() - FRESH_SECONDS - SAMPLES * self._periods.trouble
        if not self._samples or self._samples[-1][0] < time.monotonic() - FRESH_SECONDS:
            return ()
        return facts_of((dump for at, dump in self._samples if at >= since), self._shown)

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self.is_wanted:
                await asyncio.sleep(await self._sample())

    async def _sample(self) -> float:
        """Returns how many seconds to wait before the next one."""
        try:
            self._samples.append((time.monotonic(), await ask_flows(self._session)))
        except StartError as error:
            said = str(error)
            if said != self._said:
                log.info(
                    "whose requests the apiserver executes cannot be read",
                    extra={"fields": {"apiserver": self._apiserver, "error": said}},
                )
            self._said = said
            self._refusals.note(error)
            return self._periods.refused if self._refusals.are_meant else self._periods.trouble
        self._said = ""
        self._refusals.note(None)
        return self._periods.trouble


def facts_of(dumps: Iterable[FlowDump], shown: Callable[[str], str]) -> tuple[FlowFacts, ...]:
    """Shares of all that these had together."""
    sums: dict[FlowKey, FlowRequests] = {}
    for dump in dumps:
        for key, requests in dump.flows.items():
            summed = sums.setdefault(key, FlowRequests())
            summed.seats += requests.seats
            summed.executing += requests.executing
            summed.waiting += requests.waiting
    seats, waiting = sum(one.seats for one in sums.values()), sum(one.waiting for one in sums.values())
    ranked = sorted(sums.items(), key=lambda item: (-item[1].seats, -item[1].waiting, item[0]))
    return tuple(
        FlowFacts(
            flow_schema=key.flow_schema,
            name=shown(key.distinguisher) if key.distinguisher else None,
            requests=one.executing + one.waiting,
            seats_share=one.seats / seats if seats else 0.0,
            waiting_share=one.waiting / waiting if waiting else 0.0,
        )
        for key, one in ranked
    )
