from datetime import datetime

from exporter.simulator import Renewals, Simulator
from exporter.simulator.resources import LEASES
from tests.contract.server import Server
from tests.support.waiting import wait_until

ALL_LEASES = "/apis/coordination.k8s.io/v1/leases"


def renewed_seconds(lease: dict[str, object]) -> float:
    spec = lease["spec"]
    assert isinstance(spec, dict)
    return datetime.fromisoformat(spec["renewTime"]).timestamp()


async def test_kubelets_and_apiservers_renew_by_their_own_clocks(simulator: Simulator, client: Server) -> None:
    simulator.apiserver.clock.offset_seconds = -100.0
    first_revision = simulator.store.revision
    renewals = Renewals(simulator, nodes=2, period_seconds=0.1)
    renewals.node_clocks[0].offset_seconds = 30.0
    async with renewals:
        await wait_until(lambda: simulator.store.revision >= first_revision + 12, "each renews a few times")
        answer = await client.get(ALL_LEASES)
    leases = {lease["metadata"]["name"]: lease for lease in answer.json["items"]}
    assert leases.keys() == {"node-1", "node-2", "apiserver-1"}
    assert leases["apiserver-1"]["metadata"]["labels"] == {"apiserver.kubernetes.io/identity": "kube-apiserver"}
    assert 25 < renewed_seconds(leases["node-1"]) - renewed_seconds(leases["node-2"]) < 35
    assert 95 < renewed_seconds(leases["node-2"]) - renewed_seconds(leases["apiserver-1"]) < 105


async def test_no_lease_is_renewed_after_the_block_and_a_later_block_goes_on(simulator: Simulator) -> None:
    for _ in range(2):
        async with Renewals(simulator, nodes=1, period_seconds=0.05):
            revision = simulator.store.revision
            await wait_until(lambda: simulator.store.revision >= revision + 4, "leases are renewed")  # noqa: B023 waited for here
    assert len(simulator.store.objects(LEASES)) == 2
