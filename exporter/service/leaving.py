"""Removal in two steps: first the watches end, which a scrape must see, then the series are removed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

LEAVING_SECONDS = 120.0

One = TypeVar("One")


class Leaving(Generic[One]):
    """The items to be removed after a delay. An item that comes back before then stays as it was."""

    def __init__(
        self,
        tasks: asyncio.TaskGroup,
        stop: Callable[[One], Awaitable[None]],
        drop: Callable[[One], Awaitable[None]],
    ) -> None:
        self.ending = 0
        """How many items are being stopped."""
        self._tasks = tasks
        self._stop = stop
        self._drop = drop
        self._waiting: dict[One, asyncio.Task[None]] = {}

    def __contains__(self, one: object) -> bool:
        return one in self._waiting

    def __iter__(self) -> Iterator[One]:
        return iter(self._waiting)

    def leave(self, one: One) -> None:
        """Stop the item after a delay, then drop it."""
        self._waiting[one] = self._tasks.create_task(self._leave(one))

    def stay(self, one: One) -> bool:
        """Keep the item. Returns whether it was to be removed."""
        leaving = self._waiting.pop(one, None)
        if leaving is not None:
            leaving.cancel()
        return leaving is not None

    async def _leave(self, one: One) -> None:
        await asyncio.sleep(LEAVING_SECONDS)
        del self._waiting[one]
        self.ending += 1
        await self._stop(one)
        self.ending -= 1
        await self._drop(one)
