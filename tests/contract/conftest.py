"""One contract, two servers: each test runs against the simulated apiserver and against the real one."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from exporter.simulator import Resource, Simulator, crd_of
from tests.contract.server import CRDS, Server, unique
from tests.real.cluster import Cluster

TOKENS = {"token-of-admin": "admin", "token-of-limited": "limited"}


@pytest.fixture(params=["simulator", pytest.param("real", marks=pytest.mark.real)])
def real_cluster(request: pytest.FixtureRequest) -> Cluster | None:
    """The cluster to test; None means the simulator."""
    if request.param == "simulator":
        return None
    cluster: Cluster = request.getfixturevalue("cluster")
    return cluster


@pytest_asyncio.fixture
async def server(real_cluster: Cluster | None) -> AsyncIterator[Server]:
    if real_cluster is not None:
        async with Server(real_cluster.apiserver.url, real_cluster.client_context) as server:
            yield server
        return
    async with Simulator(tokens=TOKENS) as simulator, Server(simulator.url, context=True) as server:
        simulator.faults.deny("*", "*", user="limited")
        yield server


@pytest_asyncio.fixture
async def custom(server: Server) -> AsyncIterator[Resource]:
    """A custom resource that is served, of the test's own."""
    group = f"{unique('contract')}.example.com"
    resource = Resource(group, "v1", "gadgets", "Gadget")
    await server.create(CRDS, crd_of(resource))
    await server.until_served(f"/apis/{group}/v1/gadgets")
    yield resource
    await server.ask("DELETE", f"{CRDS}/{resource.name}")
