import asyncio
import time
from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.simulator.delay_line import DelayLine

MILLISECONDS = st.integers(min_value=0, max_value=4)


async def pass_through(delays_and_gaps: list[tuple[int, int]]) -> tuple[list[int], list[float]]:
    """The order in which actions came out, and how long each was held."""
    delay_seconds = 0.0
    line = DelayLine(lambda: delay_seconds)
    order: list[int] = []
    held_seconds: list[float] = []
    done = asyncio.Event()

    def let_out(number: int, put_in_seconds: float) -> None:
        order.append(number)
        held_seconds.append(time.monotonic() - put_in_seconds)
        if len(order) == len(delays_and_gaps):
            done.set()

    for number, (delay_ms, gap_ms) in enumerate(delays_and_gaps):
        delay_seconds = delay_ms / 1000
        line.put(partial(let_out, number, time.monotonic()))
        if gap_ms:
            await asyncio.sleep(gap_ms / 1000)
    async with asyncio.timeout(10):
        await done.wait()
    return order, held_seconds


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(MILLISECONDS, MILLISECONDS), min_size=1, max_size=8))
def test_keeps_the_order_and_lets_nothing_out_before_its_delay(delays_and_gaps: list[tuple[int, int]]) -> None:
    order, held_seconds = asyncio.run(pass_through(delays_and_gaps))
    assert order == list(range(len(delays_and_gaps)))
    for (delay_ms, _), held in zip(delays_and_gaps, held_seconds, strict=True):
        assert held >= delay_ms / 1000


async def test_without_a_delay_it_acts_at_once() -> None:
    done: list[str] = []
    DelayLine(lambda: 0.0).put(lambda: done.append("now"))
    assert done == ["now"]


async def test_keeps_the_rate_instead_of_adding_delays_up() -> None:
    delay_seconds, count = 0.1, 50
    line, done = DelayLine(lambda: delay_seconds), asyncio.Event()
    began_seconds = time.monotonic()
    for _ in range(count - 1):
        line.put(lambda: None)
    line.put(done.set)
    async with asyncio.timeout(10):
        await done.wait()
    assert time.monotonic() - began_seconds < count * delay_seconds / 2


async def test_what_an_action_puts_in_comes_after_what_waits() -> None:
    delay_seconds = 0.005
    line, order, done = DelayLine(lambda: delay_seconds), list[str](), asyncio.Event()

    def first() -> None:
        order.append("first")
        line.put(lambda: order.append("put in by first"))
        line.put(done.set)

    line.put(first)
    line.put(lambda: order.append("second"))
    delay_seconds = 0.0
    async with asyncio.timeout(10):
        await done.wait()
    assert order == ["first", "second", "put in by first"]


async def test_cleared_actions_never_happen() -> None:
    line, done = DelayLine(lambda: 0.005), list[str]()
    line.put(lambda: done.append("cleared"))
    line.clear()
    line.put(lambda: done.append("kept"))
    await asyncio.sleep(0.05)
    assert done == ["kept"]
