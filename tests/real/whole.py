"""What makes a cluster of an apiserver: kube-controller-manager, kube-scheduler, and kwok for its nodes' kubelets.

Each is a process that needs a kubeconfig and serves nobody.
"""

import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from tests.real.cluster import Cluster
from tests.real.process import Server

NODE_RESOURCES = {"cpu": "64", "memory": "256Gi", "pods": "110"}
# Their clients' own limit is 20 requests a second, with which 2 000 pods take minutes.
REQUESTS_PER_SECOND = 60


class Part(Server):
    """One program that talks to the apiserver only."""

    def __init__(self, folder: Path, words: Sequence[str | Path]) -> None:
        super().__init__(Path(words[0]).name, folder, "127.0.0.1")
        self._words = [str(word) for word in words]

    def choose_ports(self) -> None:
        """None: it listens nowhere."""

    def command(self) -> list[str]:
        return self._words

    async def is_ready(self) -> bool:
        """It says so to nobody: what it does is waited for."""
        return True


@contextlib.asynccontextmanager
async def made_whole(cluster: Cluster, control_plane: Path, kwok: Path) -> AsyncIterator[None]:
    """Run the parts within the block; `control_plane` and `kwok` are folders that `scripts/build-versions` makes."""
    kubeconfig = cluster.kubeconfig(cluster.folder / "parts.kubeconfig")
    key = cluster.folder / "service-account.key"
    limits = (f"--kube-api-qps={REQUESTS_PER_SECOND}", f"--kube-api-burst={2 * REQUESTS_PER_SECOND}")
    manager = ("--secure-port=0", f"--service-account-private-key-file={key}")
    controllers = "--controllers=*,-nodeipam,-serviceaccount-token"
    leases = ("--manage-all-nodes", "--node-lease-duration-seconds=40")
    commands: list[list[str | Path]] = [
        [control_plane / "kube-controller-manager", f"--kubeconfig={kubeconfig}", *manager, controllers, *limits],
        [control_plane / "kube-scheduler", f"--kubeconfig={kubeconfig}", "--secure-port=0", *limits],
        [kwok / "kwok", f"--kubeconfig={kubeconfig}", *leases, f"--config={kwok / 'stages.yaml'}"],
    ]
    parts = [Part(cluster.folder, words) for words in commands]
    try:
        for part in parts:
            await part.create()
        yield
        assert all(part.running for part in parts), [part.log_tail() for part in parts if not part.running]
    finally:
        for part in parts:
            await part.kill()


async def create_nodes(cluster: Cluster, count: int) -> None:
    """Nodes for kwok to play the kubelets of."""
    status = {"allocatable": NODE_RESOURCES, "capacity": NODE_RESOURCES}
    async with cluster.client() as client:
        for number in range(count):
            metadata = {"name": f"node-{number:03}", "labels": {"kubernetes.io/hostname": f"node-{number:03}"}}
            await client.post("/api/v1/nodes", {"metadata": metadata, "status": status})
