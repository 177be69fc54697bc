from collections.abc import AsyncIterator

import pytest_asyncio

from exporter.simulator import Simulator
from tests.contract.server import Server


@pytest_asyncio.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator() as simulator:
        yield simulator


@pytest_asyncio.fixture
async def client(simulator: Simulator) -> AsyncIterator[Server]:
    async with Server(simulator.url, context=True) as client:
        yield client
