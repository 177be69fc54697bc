"""What the EndpointSlice of default/kubernetes says in the simulator."""

from exporter.simulator import Simulator
from exporter.simulator.resources import ENDPOINT_SLICES, JsonObject


async def name_apiservers(simulator: Simulator, *hosts: str) -> None:
    """Name these as all apiservers, whether anybody is there or not; all have the port of the first one."""
    endpoints = [{"addresses": [host]} for host in hosts]

    def named(slice_: JsonObject) -> JsonObject:
        return {**slice_, "endpoints": endpoints}

    await simulator.apiserver.registry.update(ENDPOINT_SLICES, ("default", "kubernetes"), named, manager="test")
