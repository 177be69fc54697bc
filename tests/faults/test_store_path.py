"""The path between an apiserver and its etcd: one kind's watch waits, and nothing else does."""

import asyncio
import time
from collections.abc import AsyncIterator
from math import inf
from pathlib import Path

import pytest_asyncio

from tests.faults.furniture import CONFIGMAPS, NODES
from tests.faults.laboratory import LabCluster
from tests.real.api import ApiClient, WatchEvent

KEY = b"/registry/configmaps/"
DELAY_SECONDS = 1.0


@pytest_asyncio.fixture
async def cluster(server_binaries: Path, tmp_path: Path) -> AsyncIterator[LabCluster]:
    running = LabCluster(server_binaries, tmp_path, apiservers=1)
    with running.store_paths[0]:
        async with running:
            yield running


async def arrival(client: ApiClient, collection: str, name: str) -> tuple[WatchEvent, float, float]:
    """The event of a new object, how long its write took, and how long after that the event came."""
    begin = (await client.get(collection))["metadata"]["resourceVersion"]
    async with client.watch(collection, resourceVersion=begin) as events:
        sent = time.monotonic()
        await client.post(collection, {"metadata": {"name": name}})
        answered = time.monotonic()
        event = await anext(events)
    return event, answered - sent, event.received_seconds - answered


async def test_the_watch_of_one_kind_is_delayed_or_cut_off_and_all_else_is_prompt(cluster: LabCluster) -> None:
    path = cluster.store_paths[0]
    async with cluster.client() as client:
        path.watch_delay_seconds[KEY] = DELAY_SECONDS
        _, write_seconds, late_seconds = await arrival(client, CONFIGMAPS, "late")
        assert late_seconds > DELAY_SECONDS / 2 > write_seconds
        _, _, late_seconds = await arrival(client, NODES, "prompt")
        assert late_seconds < DELAY_SECONDS / 2
        path.watch_delay_seconds[KEY] = inf
        waiting = asyncio.create_task(arrival(client, CONFIGMAPS, "lost"))
        await asyncio.wait({waiting}, timeout=2 * DELAY_SECONDS)
        assert not waiting.done()
        path.watch_delay_seconds[KEY] = 0.0
        path.cut(KEY)
        event, _, _ = await asyncio.wait_for(waiting, 30)
        assert event.name == "lost"


async def test_all_requests_to_the_store_are_delayed(cluster: LabCluster) -> None:
    async with cluster.client() as client:
        cluster.store_paths[0].delay_to_store_seconds = DELAY_SECONDS
        _, write_seconds, _ = await arrival(client, NODES, "written-late")
        assert write_seconds > DELAY_SECONDS
