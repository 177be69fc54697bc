"""Another task of the event loop, which counts its turns: what holds the loop lets it have none."""

import asyncio
from typing import Self


class Neighbour:
    """Runs within `async with`."""

    def __init__(self) -> None:
        self.turns = 0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._take_turns())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *error: object) -> None:
        self._task.cancel()

    async def _take_turns(self) -> None:
        while True:
            await asyncio.sleep(0)
            self.turns += 1
