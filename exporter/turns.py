"""Long work in short turns: the event loop, which stamps the arrival of events, runs between them."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable

HOLD_SECONDS = 0.0005
"""After so long a turn ends: with the step being done, and what it writes, that stays below two milliseconds."""

MOST_WRITTEN_BYTES = 32_768
"""After so much is ready to be written a turn ends as well: writing takes its time too."""

_Value = TypeVar("_Value")
_One = TypeVar("_One")


class Turn:
    """Begins anew after each pause. `clock` returns seconds."""

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._ends = clock() + HOLD_SECONDS

    @property
    def is_over(self) -> bool:
        """Whether it is time for a pause."""
        return self._clock() >= self._ends

    async def pause(self) -> None:
        """Let the loop run, and begin the next turn."""
        await asyncio.sleep(0)
        self._ends = self._clock() + HOLD_SECONDS


async def in_turns(steps: Generator[None, None, _Value]) -> _Value:
    """What the steps come to; a turn takes no longer than HOLD_SECONDS and one of them."""
    turn = Turn()
    while True:
        try:
            next(steps)
        except StopIteration as over:
            value: _Value = over.value
            return value
        if turn.is_over:
            await turn.pause()


async def each_in_turns(made: Iterable[_One]) -> AsyncIterator[_One]:
    """Each of them; after one that ends a turn the loop runs."""
    turn = Turn()
    for one in made:
        yield one
        if turn.is_over:
            await turn.pause()


async def joined_in_turns(made: Iterable[bytes]) -> bytes:
    """All blocks as one."""
    whole = bytearray()
    async for block in each_in_turns(made):
        whole += block
    return bytes(whole)


async def write_in_turns(
    made: Iterable[bytes], write: Callable[[bytes], Awaitable[None]], clock: Callable[[], float] = perf_counter
) -> None:
    """Make blocks for about HOLD_SECONDS, write them, let the loop run, and so on to the end.

    `clock` returns seconds. Raises what `write` raises.
    """
    ready = bytearray()
    turn = Turn(clock)
    for block in made:
        ready += block
        if turn.is_over or len(ready) >= MOST_WRITTEN_BYTES:
            if ready:
                await write(bytes(ready))
                ready.clear()
            await turn.pause()
    if ready:
        await write(bytes(ready))


async def let_go(ones: list[_One]) -> None:
    """Empty the list in turns: to free the last states of hundreds of streams at once takes milliseconds."""
    turn = Turn()
    while ones:
        ones.pop()
        if turn.is_over:
            await turn.pause()
