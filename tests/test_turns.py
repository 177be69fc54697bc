"""Long work in short turns: the loop runs in between, and nothing is lost or written twice."""

import time
from collections.abc import Iterator
from itertools import count

from exporter.turns import HOLD_SECONDS, MOST_WRITTEN_BYTES, let_go, write_in_turns
from tests.support.neighbour import Neighbour


async def written_in_turns(made: Iterator[bytes]) -> bytes:
    written: list[bytes] = []

    async def write(block: bytes) -> None:
        written.append(block)

    await write_in_turns(made, write)
    return b"".join(written)


async def test_the_loop_runs_whenever_the_clock_says_that_it_was_held() -> None:
    async def write(_: bytes) -> None:
        pass

    ticks = count()
    async with Neighbour() as neighbour:
        # Each look at the clock finds another 0.4 ms gone, so every third block ends a turn.
        await write_in_turns(iter([b"block"] * 30), write, clock=lambda: next(ticks) * 0.4 * HOLD_SECONDS)
    assert neighbour.turns == 10


async def test_blocks_are_written_once_each_and_in_order() -> None:
    made = [f"{index}\n".encode() for index in range(1000)]
    assert await written_in_turns(iter(made)) == b"".join(made)


async def test_empty_blocks_are_not_written() -> None:
    ticks = count()

    async def write(block: bytes) -> None:
        assert block == b"text"

    # An empty chunk would end a chunked response.
    await write_in_turns(iter([b"", b"", b"text", b""]), write, clock=lambda: float(next(ticks)))


async def test_the_loop_runs_after_much_is_written_whatever_the_clock_says() -> None:
    sizes: list[int] = []

    async def write(block: bytes) -> None:
        sizes.append(len(block))

    async with Neighbour() as neighbour:
        await write_in_turns(iter([b"0123456789" * 100] * 1000), write, clock=lambda: 0.0)
    assert sum(sizes) == 1_000_000
    assert max(sizes) < MOST_WRITTEN_BYTES + 1000
    assert neighbour.turns >= 1_000_000 // (MOST_WRITTEN_BYTES + 1000)


class Slow:
    """Takes longer to free than a turn may."""

    def __del__(self) -> None:
        time.sleep(2 * HOLD_SECONDS)


async def test_what_is_slow_to_free_is_let_go_of_one_by_one() -> None:
    ones = [Slow() for _ in range(20)]
    async with Neighbour() as neighbour:
        await let_go(ones)
    assert not ones
    assert neighbour.turns >= 20
