import uvloop

from exporter.simulator import Simulator
from tests.contract.server import CONFIGMAPS, Server, configmap


def test_delays_and_truth_hold_on_uvloop_too() -> None:
    """Its timers have whole milliseconds and its loop time stands still within an iteration."""

    async def watch_slowly() -> None:
        async with Simulator() as simulator, Server(simulator.url, context=True) as client:
            simulator.faults.cache_to_watch.set(0.0505)
            simulator.faults.network.to_client_seconds = 0.0505
            async with client.watch(CONFIGMAPS, resourceVersion=str(simulator.store.revision)) as watch:
                for number in range(5):
                    await client.create(CONFIGMAPS, configmap(f"object-{number}"))
                await watch.events(5)
            deliveries = simulator.truth.deliveries("configmaps")
            assert len(deliveries) == 5
            assert all(delivery.latency_seconds >= 0.101 for delivery in deliveries)

    uvloop.run(watch_slowly())
