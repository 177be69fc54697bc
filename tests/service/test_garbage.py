"""When circles of objects are looked for."""

import asyncio
import contextlib
import gc
import sys
import weakref
from collections.abc import AsyncIterator

import pytest

from exporter import garbage


class Circle:
    """Refers to itself."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
async def collecting() -> AsyncIterator[None]:
    """Everything that was there before is left alone, and looks are frequent."""
    garbage.keep_all()
    task = asyncio.create_task(garbage.collect_when_grown(look_seconds=0.02))
    await asyncio.sleep(0)
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    gc.unfreeze()


def old_circle() -> "weakref.ref[Circle]":
    """One that is not among the new objects any more."""
    circle = Circle()
    gc.collect(0)
    return weakref.ref(circle)


@pytest.mark.usefixtures("collecting")
async def test_the_old_are_left_alone_however_many_objects_come_and_go() -> None:
    circle = old_circle()
    for _ in range(200):
        made = [[number] for number in range(5_000)]  # each time some generations' worth
        await asyncio.sleep(0)
    assert len(made) == 5_000
    await asyncio.sleep(0.1)
    assert circle() is not None


@pytest.mark.usefixtures("collecting")
async def test_what_grows_is_looked_at() -> None:
    circle = old_circle()
    kept = [object() for _ in range(sys.getallocatedblocks() // 2)]
    await asyncio.sleep(0.1)
    assert kept
    assert circle() is None


@pytest.mark.usefixtures("collecting")
async def test_new_circles_go_by_themselves() -> None:
    circles = [weakref.ref(Circle()) for _ in range(10)]
    kept = [[] for _ in range(5_000)]  # type: ignore[var-annotated]
    assert kept
    assert not any(circle() is not None for circle in circles)


@pytest.mark.usefixtures("collecting")
async def test_what_is_new_is_looked_at_in_small_portions() -> None:
    looks = 0

    def looked(phase: str, _: object) -> None:
        nonlocal looks
        looks += phase == "start"

    gc.callbacks.append(looked)
    kept = [[] for _ in range(10 * garbage.NEW_OBJECTS)]  # type: ignore[var-annotated]
    gc.callbacks.remove(looked)
    assert kept
    assert looks >= 9


async def test_afterwards_python_collects_as_before() -> None:
    before = gc.get_threshold()
    task = asyncio.create_task(garbage.collect_when_grown())
    await asyncio.sleep(0)
    assert gc.get_threshold() != before
    task.cancel()
    await asyncio.wait({task})
    assert gc.get_threshold() == before
