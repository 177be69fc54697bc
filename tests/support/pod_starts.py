"""Pods that start on the simulator, as a scheduler and a kubelet would write it."""

import asyncio
from typing import Any

from exporter.simulator import Simulator
from exporter.simulator.resources import PODS

RUNNING: dict[str, Any] = {
    "conditions": [{"type": kind, "status": "True"} for kind in ("Initialized", "Ready")],
    "containerStatuses": [{"name": "c", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}],
}


async def start(simulator: Simulator, name: str) -> None:
    """A pod, from its creation until it is ready."""
    registry, key = simulator.apiserver.registry, ("default", name)
    pod = {"metadata": {"namespace": "default", "name": name}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    await registry.create(PODS, pod, manager="test")
    await registry.bind(PODS, key, "node")
    await asyncio.sleep(0.3)
    await registry.update(PODS, key, lambda found: {**found, "status": RUNNING}, manager="test", subresource="status")
