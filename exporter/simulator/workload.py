"""Writers that keep a cluster busy: pods, nodes and custom resources come, change and go.

In: a rate. Out: writes through the apiservers' registries, by turns, as kubelets, schedulers and controllers would.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from exporter.simulator.objects import merge_patch
from exporter.simulator.resources import NODES, PODS
from exporter.simulator.simulator import WIDGETS
from exporter.simulator.status import ApiError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.simulator.apiserver import Apiserver
    from exporter.simulator.objects import Key
    from exporter.simulator.resources import JsonObject, Resource
    from exporter.simulator.simulator import Simulator

OBJECTS = 50  # of each resource, about
NAMESPACE = "workload"
PAUSE_SECONDS = 0.05
# Writes that hang (a frozen store, slow admission) must not pile up without bound.
MOST_WRITES_IN_FLIGHT = 200


class Workload:
    """`async with Workload(simulator, rate_per_second=100): ...` writes until the end of the block.

    The rate is that of all resources together. `seed` makes the order of operations repeatable.
    """

    def __init__(
        self,
        simulator: Simulator,
        *,
        rate_per_second: float,
        resources: Sequence[Resource] = (PODS, NODES, WIDGETS),
        seed: int = 0,
    ) -> None:
        self._simulator = simulator
        self._rate_per_second = rate_per_second
        self._resources = resources
        self._random = random.Random(seed)
        self._numbers = itertools.count(1)
        self._names: dict[Resource, list[Key]] = {resource: [] for resource in resources}
        self._in_flight: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        for resource in self._resources:
            if resource.group == WIDGETS.group:
                await self._simulator.define(resource)
        self._task = asyncio.create_task(self._write_at_rate())
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks = [task for task in (self._task, *self._in_flight) if task is not None]
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task

    async def _write_at_rate(self) -> None:
        began_seconds, begun = time.monotonic(), 0
        for resource in itertools.cycle(self._resources):
            due_seconds = began_seconds + begun / self._rate_per_second
            if (wait_seconds := due_seconds - time.monotonic()) > 0:
                await asyncio.sleep(wait_seconds)
            begun += 1
            if len(self._in_flight) >= MOST_WRITES_IN_FLIGHT:
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            task = asyncio.create_task(self._write(resource))
            self._in_flight.add(task)
            task.add_done_callback(self._in_flight.discard)
            if begun % 10 == 0:
                await asyncio.sleep(0)  # a rate that cannot be kept must not lock everyone else out

    async def _write(self, resource: Resource) -> None:
        apiserver = self._random.choice(self._simulator.apiservers)
        # The object may have gone between choosing it and writing to it: a real writer meets that too.
        with suppress(ApiError):
            await self._choose_and_write(apiserver, resource)

    async def _choose_and_write(self, apiserver: Apiserver, resource: Resource) -> None:
        keys, registry = self._names[resource], apiserver.registry
        dice = self._random.random()
        if len(keys) < OBJECTS // 2 or (dice < 0.1 and len(keys) < OBJECTS * 2):
            obj = _new(resource, next(self._numbers))
            keys.append((obj["metadata"].get("namespace", ""), obj["metadata"]["name"]))
            await registry.create(resource, obj, manager="controller")
            return
        key = self._random.choice(keys)
        if dice < 0.2:
            keys.remove(key)
            await registry.delete(resource, key, grace_seconds=0)
            return
        manager, subresource, patch = self._patch(dice)
        await registry.update(
            resource, key, lambda before: merge_patch(before, patch), manager=manager, subresource=subresource
        )

    def _patch(self, dice: float) -> tuple[str, str | None, JsonObject]:
        number = next(self._numbers)
        if dice < 0.6:
            return "kubelet", "status", {"status": {"phase": "Running", "heartbeat": number}}
        # One in four only removes, so it moves no managedFields time.
        written = str(number) if dice < 0.9 else None
        return "controller", None, {"metadata": {"annotations": {"example.com/written": written}}}


def _new(resource: Resource, number: int) -> JsonObject:
    metadata: JsonObject = {
        "name": f"{resource.kind.lower()}-{number}",
        "labels": {"app": "workload"},
        "annotations": {"example.com/written": "0"},
    }
    if resource.namespaced:
        metadata["namespace"] = NAMESPACE
    spec: JsonObject = {}
    if resource == PODS:
        spec = {"nodeName": "node-1", "containers": [{"name": "main", "image": "example.com/main:1"}]}
    return {"metadata": metadata, "spec": spec}
