"""Ways to disturb the world between an exporter and what it watches; each is entered, and undone when it is left."""

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from exporter.simulator import WIDGETS, Simulator
from exporter.simulator.faults import ANY
from tests.accuracy.worlds import RealWorld, SimulatedWorld, World
from tests.real.proxy import Proxy

Way = Literal["answers", "requests", "watch"]

WATCH_REQUEST = b"watch=true"
ETCD_FROZEN_SECONDS = 4.0
# As a CPU quota of a tenth does it: in each period of 0.1 s the process gets a slice and is then stopped.
QUOTA_PERIOD_SECONDS = 0.1
QUOTA_SLICE_SECONDS = 0.01
STARVED_SECONDS = 1.5
SHORTEST_MEAL_SECONDS, LONGEST_MEAL_SECONDS = 0.005, 0.06
LATE_CACHE_SECONDS = 2.0
TURN_SECONDS = 1.5
FORBIDDEN_SECONDS = 6.0
AWAY_SECONDS = 5.0
PAUSED_SECONDS, BETWEEN_PAUSES_SECONDS = 0.9, 2.0
ASLEEP_SECONDS = 5.0
READING = ("get", "list", "watch")
WATCHED_NAMES = ("pods", "nodes", WIDGETS.name)


class Process(Protocol):
    """What can be stopped and go on."""

    def freeze(self) -> None: ...
    def thaw(self) -> None: ...


class Machine(Process, Protocol):
    """What runs on a machine that can be suspended."""

    async def suspend(self, seconds: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that a trouble may lay hands on."""

    world: World
    proxy: Proxy
    exporter: Machine
    exporter_clock: Path
    """What libfaketime reads: seconds that the exporter's wall clock is ahead."""


Trouble = Callable[[Stage], contextlib.AbstractAsyncContextManager[None]]


def delayed(way: Way, seconds: float) -> Trouble:
    """All answers (events too), all requests, or what comes over the watches only, take so much longer."""

    @contextlib.asynccontextmanager
    async def trouble(stage: Stage) -> AsyncIterator[None]:
        proxy = stage.proxy
        proxy.only_if_request_contains = WATCH_REQUEST if way == "watch" else None
        to_server, to_client = (seconds, 0.0) if way == "requests" else (0.0, seconds)
        proxy.delay_to_server_seconds, proxy.delay_to_client_seconds = to_server, to_client
        yield
        proxy.delay_to_server_seconds = proxy.delay_to_client_seconds = 0.0

    return trouble


def patience(seconds: float) -> Trouble:
    """Nothing for a while, before the next trouble begins."""

    @contextlib.asynccontextmanager
    async def trouble(_: Stage) -> AsyncIterator[None]:
        await asyncio.sleep(seconds)
        yield

    return trouble


@contextlib.asynccontextmanager
async def frozen_store(stage: Stage) -> AsyncIterator[None]:
    """etcd stops for some seconds."""
    stage.world.freeze_store()
    try:
        await asyncio.sleep(ETCD_FROZEN_SECONDS)
    finally:
        stage.world.thaw_store()
    yield


@contextlib.asynccontextmanager
async def short_of_cpu(stage: Stage) -> AsyncIterator[None]:
    """The apiserver needs all the CPU that it gets."""
    assert isinstance(stage.world, RealWorld)
    frozen_seconds = QUOTA_PERIOD_SECONDS - QUOTA_SLICE_SECONDS
    async with in_slices(stage.world.cluster.apiserver, lambda: frozen_seconds, lambda: QUOTA_SLICE_SECONDS):
        yield


@contextlib.asynccontextmanager
async def starved_exporter(stage: Stage) -> AsyncIterator[None]:
    """The exporter gets a bite of CPU now and then."""
    slices = random.Random(1)
    async with in_slices(
        stage.exporter, lambda: STARVED_SECONDS, lambda: slices.uniform(SHORTEST_MEAL_SECONDS, LONGEST_MEAL_SECONDS)
    ):
        yield


@contextlib.asynccontextmanager
async def paused_exporter(stage: Stage) -> AsyncIterator[None]:
    """The exporter stands still for a little less than the threshold, again and again."""
    async with in_slices(stage.exporter, lambda: PAUSED_SECONDS, lambda: BETWEEN_PAUSES_SECONDS):
        yield


@contextlib.asynccontextmanager
async def suspended_machine(stage: Stage) -> AsyncIterator[None]:
    """The exporter's machine sleeps once, and its monotonic clock with it."""
    await stage.exporter.suspend(ASLEEP_SECONDS)
    yield


@contextlib.asynccontextmanager
async def in_slices(
    process: Process, frozen_seconds: Callable[[], float], running_seconds: Callable[[], float]
) -> AsyncIterator[None]:
    """Stop the process and let it run, by turns."""

    async def slices() -> None:
        while True:
            process.freeze()
            await asyncio.sleep(frozen_seconds())
            process.thaw()
            await asyncio.sleep(running_seconds())

    slicing = asyncio.create_task(slices())
    try:
        yield
    finally:
        slicing.cancel()
        process.thaw()


@contextlib.asynccontextmanager
async def late_caches(stage: Stage) -> AsyncIterator[None]:
    """All watch caches are behind their store."""
    delays = simulator_of(stage).faults.storage_to_cache
    for name in WATCHED_NAMES:
        delays.set(LATE_CACHE_SECONDS, name)
    yield
    delays.clear()


@contextlib.asynccontextmanager
async def late_caches_by_turns(stage: Stage) -> AsyncIterator[None]:
    """Each apiserver's watch caches are behind their store for a while."""

    async def turns() -> None:
        for apiserver in itertools.cycle(simulator_of(stage).apiservers):
            apiserver.faults.storage_to_cache.set(TURN_SECONDS)
            await asyncio.sleep(TURN_SECONDS)
            apiserver.faults.storage_to_cache.clear()

    turning = asyncio.create_task(turns())
    yield
    turning.cancel()
    for apiserver in simulator_of(stage).apiservers:
        apiserver.faults.storage_to_cache.clear()


@contextlib.asynccontextmanager
async def forbidden(stage: Stage) -> AsyncIterator[None]:
    """All reading is forbidden for some seconds, and the open watches end."""
    apiserver = simulator_of(stage).apiserver
    for verb in READING:
        apiserver.faults.deny(verb, ANY)
    apiserver.cut_connections()
    await asyncio.sleep(FORBIDDEN_SECONDS)
    for verb in READING:
        apiserver.faults.allow(verb, ANY)
    yield


@contextlib.asynccontextmanager
async def away(stage: Stage) -> AsyncIterator[None]:
    """The apiserver is gone for some seconds; writes go on, and it comes back without history."""
    simulator = simulator_of(stage)
    await simulator.apiserver.stop()
    await asyncio.sleep(AWAY_SECONDS)
    await simulator.apiserver.start()
    yield


def simulator_of(stage: Stage) -> Simulator:
    assert isinstance(stage.world, SimulatedWorld)
    return stage.world.simulator


def exporter_clock_steps(seconds: float) -> Trouble:
    """The exporter's wall clock is set ahead (or back) within a second: libfaketime looks that often."""

    @contextlib.asynccontextmanager
    async def trouble(stage: Stage) -> AsyncIterator[None]:
        set_exporter_clock(stage.exporter_clock, seconds)
        yield

    return trouble


def set_exporter_clock(file: Path, ahead_seconds: float) -> None:
    """Whole, so that nobody reads half of it."""
    new = file.with_suffix(".new")
    new.write_text(f"{ahead_seconds:+g}\n", encoding="ascii")
    new.replace(file)


def apiserver_clock_steps(seconds: float) -> Trouble:
    """The apiserver's wall clock is set ahead (or back)."""

    @contextlib.asynccontextmanager
    async def trouble(stage: Stage) -> AsyncIterator[None]:
        assert isinstance(stage.world, SimulatedWorld)
        stage.world.simulator.apiserver.clock.offset_seconds += seconds
        yield

    return trouble
