from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.real.cluster import Cluster


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def listed_cluster(server_binaries: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """A cluster that says that its one apiserver is all there are. Shared: what a test breaks it mends again."""
    async with Cluster(server_binaries, tmp_path_factory.mktemp("listed-cluster")) as running:
        await running.list_apiservers(running.apiserver.url)
        yield running
