"""When each revision was committed, as etcd itself tells: asked directly and often, past all troubles."""

import asyncio
import contextlib
import time
from bisect import bisect_left
from collections.abc import AsyncIterator

import aiohttp

from exporter.measure.times import Interval
from tests.real.etcd import Etcd

PERIOD_SECONDS = 0.02


class EtcdClock:
    """Asks for the store's revision, one question after the other, and remembers the answers."""

    def __init__(self, etcd: Etcd) -> None:
        self._url = f"{etcd.url}/v3/maintenance/status"
        self._revisions: list[int] = []
        self._asked: list[float] = []
        self._answered: list[float] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Ask during the block."""
        async with aiohttp.ClientSession(raise_for_status=True) as session:
            asking = asyncio.create_task(self._ask(session))
            try:
                yield
            finally:
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)

    def committed(self, revision: int) -> Interval | None:
        """After the last question that was answered with less, before the first answer with it; None if unknown."""
        first = bisect_left(self._revisions, revision)
        if first == 0 or first == len(self._revisions):
            return None
        return Interval(self._asked[first - 1], self._answered[first])

    async def _ask(self, session: aiohttp.ClientSession) -> None:
        while True:
            asked = time.monotonic()
            async with session.post(self._url, json={}) as response:
                answer = await response.json()
            self._asked.append(asked)
            self._answered.append(time.monotonic())
            self._revisions.append(int(answer["header"]["revision"]))
            await asyncio.sleep(PERIOD_SECONDS)
