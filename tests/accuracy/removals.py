"""A workload of writes that only remove: no stamp moves, the obvious method is blind."""

import asyncio
import itertools
import time
from types import TracebackType
from typing import Self

import aiohttp

from tests.real.api import ApiClient, ApiError
from tests.real.workload import Resource, Write

OBJECTS_OF_EACH = 10
ANNOTATIONS_OF_EACH = 200
COLLECTIONS: dict[Resource, str] = {"pods": "/api/v1/namespaces/default/pods", "nodes": "/api/v1/nodes"}


class Remover:
    """Takes annotations off its pods and nodes, one at a time, `rate_per_second` times a second; an open loop.

    `writes` are as those of tests.real.workload.Writer.
    """

    def __init__(self, client: ApiClient, *, rate_per_second: float, name: str) -> None:
        self.writes: list[Write] = []
        self._client = client
        self._rate_per_second = rate_per_second
        self._names = [f"{name}-{number}" for number in range(OBJECTS_OF_EACH)]
        self._in_flight: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        annotations = {f"remove-{number}": "" for number in range(ANNOTATIONS_OF_EACH)}
        for resource, name in itertools.product(COLLECTIONS, self._names):
            spec = {"containers": [{"name": "main", "image": "none"}], "nodeName": "node-1"}
            body = {"metadata": {"name": name, "annotations": annotations}}
            await self._client.post(COLLECTIONS[resource], body | ({"spec": spec} if resource == "pods" else {}))
        self._running = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._running.cancel()
        await asyncio.gather(self._running, *self._in_flight, return_exceptions=True)

    async def _run(self) -> None:
        begin = time.monotonic()
        removals = itertools.product(range(ANNOTATIONS_OF_EACH), self._names, COLLECTIONS)
        for tick, (number, name, resource) in enumerate(removals):
            await asyncio.sleep(begin + tick / self._rate_per_second - time.monotonic())
            task = asyncio.create_task(self._remove(resource, name, f"remove-{number}"))
            self._in_flight.add(task)
            task.add_done_callback(self._in_flight.discard)

    async def _remove(self, resource: Resource, name: str, annotation: str) -> None:
        sent_seconds = time.monotonic()
        body = {"metadata": {"annotations": {annotation: None}}}
        try:
            answer = await self._client.patch(f"{COLLECTIONS[resource]}/{name}", body)
        except (ApiError, aiohttp.ClientError, TimeoutError):
            return
        revision = int(answer["metadata"]["resourceVersion"])
        self.writes.append(Write(resource, name, "unannotate", revision, sent_seconds, time.monotonic()))
