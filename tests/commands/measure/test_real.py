import asyncio
from pathlib import Path

import pytest

from tests.commands.measure.command import Running
from tests.real.cluster import Cluster
from tests.real.workload import Writer


@pytest.mark.timeout(150)
async def test_a_real_apiserver_that_is_well_meets_the_objective(cluster: Cluster, tmp_path: Path) -> None:
    kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig")
    async with cluster.client() as client, Writer(client, rate_per_second=60, resources=("pods", "nodes")) as writer:
        async with Running("--kubeconfig", kubeconfig, "--duration=8", "--output=json") as running:
            ended = await running.ended()
        await asyncio.sleep(0)
    assert ended.exit_code == 0, ended
    measured = sum(stream["events"] for stream in ended.document["streams"])
    assert 200 < measured <= 1.5 * (len(writer.writes) + len(writer.unversioned))
    for stream in ended.document["streams"]:
        assert (stream["state"], stream["late"], stream["revision_clock"]) == ("met", 0, "events")
        assert sum(stream["contradictions"].values()) == 0
    (apiserver,) = ended.document["apiservers"]
    assert apiserver["polls_answered"] > 20
