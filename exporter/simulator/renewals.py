"""Holders that renew their leases: kubelets, and the apiservers for their own identity.

In: how many nodes, how often. Out: writes of Leases that say, by the holder's clock, when they were sent.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Self

from exporter.simulator.clock import WallClock
from exporter.simulator.objects import key_of, with_metadata
from exporter.simulator.resources import LEASES
from exporter.simulator.status import ApiError

if TYPE_CHECKING:
    from exporter.simulator.objects import Key
    from exporter.simulator.registry import Registry
    from exporter.simulator.resources import JsonObject
    from exporter.simulator.simulator import Simulator

NODE_LEASES = "kube-node-lease"
IDENTITY_LABELS = {"apiserver.kubernetes.io/identity": "kube-apiserver"}
JITTER = 0.04  # as wait.JitterUntil has it in the lease controller of component-helpers


class Renewals:
    """`async with Renewals(simulator, nodes=10): ...` renews until the end of the block.

    `node_clocks` are those of the nodes, which may be set wrong. A real holder renews every ten seconds.
    """

    def __init__(self, simulator: Simulator, *, nodes: int = 10, period_seconds: float = 10.0) -> None:
        self.node_clocks = [WallClock() for _ in range(nodes)]
        self._simulator = simulator
        self._period_seconds = period_seconds
        self._renewing: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        apiservers = self._simulator.apiservers
        for number, clock in enumerate(self.node_clocks, start=1):
            registry = apiservers[number % len(apiservers)].registry
            self._keep_renewing(_lease((NODE_LEASES, f"node-{number}")), clock, registry)
        for number, apiserver in enumerate(apiservers, start=1):
            lease = with_metadata(_lease(("kube-system", f"apiserver-{number}")), labels=IDENTITY_LABELS)
            self._keep_renewing(lease, apiserver.clock, apiserver.registry)
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._renewing:
            task.cancel()
        await asyncio.gather(*self._renewing, return_exceptions=True)

    def _keep_renewing(self, lease: JsonObject, clock: WallClock, registry: Registry) -> None:
        self._renewing.append(asyncio.create_task(self._renew_for_ever(lease, clock, registry)))

    async def _renew_for_ever(self, lease: JsonObject, clock: WallClock, registry: Registry) -> None:
        with suppress(ApiError):  # it was renewed in another block before
            await registry.create(LEASES, _renewed(lease, clock.micro_timestamp()), manager="kubelet")
        while True:
            await asyncio.sleep(self._period_seconds * random.uniform(1, 1 + JITTER))
            # Holders read their clock before they send: whatever delays the commit comes after it.
            renew = partial(_renewed, renew_time=clock.micro_timestamp())
            await registry.update(LEASES, key_of(lease), renew, manager="kubelet")


def _lease(key: Key) -> JsonObject:
    namespace, name = key
    return {
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"holderIdentity": name, "leaseDurationSeconds": 40},
    }


def _renewed(lease: JsonObject, renew_time: str) -> JsonObject:
    return {**lease, "spec": {**lease["spec"], "renewTime": renew_time}}
