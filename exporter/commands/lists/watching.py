"""Watches one resource for a while, and counts what that costs."""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING

from exporter.commands.lists.reading import StoppedError, expect_ok, troubled
from exporter.commands.lists.result import WatchCost
from exporter.kubernetes.event_counter import EventCounter
from exporter.kubernetes.lists import current_revision
from exporter.kubernetes.session import ONLY_METADATA_WATCH, STREAM, Request

if TYPE_CHECKING:
    from exporter.commands.lists.result import ObjectSample
    from exporter.kubernetes.lists import Collection
    from exporter.measure.times import Instant

SPARE_SECONDS = 60
"""The apiserver is asked to keep the watch open for longer than we read it."""


async def watch_cost(
    collection: Collection, sample: ObjectSample, seconds: float, stopping: asyncio.Event
) -> WatchCost:
    """Of a watch of metadata, from now on; less long if it ends or somebody stops it."""
    watch = _CountedWatch(collection, seconds)
    reading = asyncio.ensure_future(troubled(watch.read(), seconds + SPARE_SECONDS))
    stopped = asyncio.ensure_future(stopping.wait())
    await asyncio.wait({reading, stopped}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    ended_at = time.monotonic()
    trouble = reading.result() if reading.done() else None
    for task in (reading, stopped):
        task.cancel()
    await asyncio.gather(reading, stopped, return_exceptions=True)
    ratio = sample.object_bytes / sample.metadata_bytes if sample.object_bytes and sample.metadata_bytes else None
    return WatchCost(
        seconds=ended_at - watch.opened_at if watch.opened_at is not None else 0.0,
        events=watch.counter.events,
        size_bytes=watch.counter.size_bytes,
        full_bytes_estimate=None if ratio is None else watch.counter.size_bytes * ratio,
        trouble=trouble and trouble.said,
    )


class _CountedWatch:
    def __init__(self, collection: Collection, seconds: float) -> None:
        self.counter = EventCounter()
        self.opened_at: Instant | None = None
        self._collection = collection
        self._seconds = seconds

    async def read(self) -> None:
        """Until it ends, which is too early. Raises what `troubled` knows."""
        session, resource, namespace = self._collection
        parameters = {
            "watch": "true",
            "resourceVersion": str(await current_revision(self._collection)),
            "timeoutSeconds": str(math.ceil(self._seconds) + SPARE_SECONDS),
        }
        path = resource.path(namespace)
        request = Request(path, parameters, accept=ONLY_METADATA_WATCH, purpose="watch", time_limit=STREAM)
        async with await expect_ok(await session.send(request)) as response:
            self.opened_at = time.monotonic()
            async for piece in response.content.iter_any():
                self.counter.feed(piece)
        raise StoppedError("the watch ended early")
