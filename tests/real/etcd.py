"""One etcd: data in a folder, a client URL out; can be compacted and put back to what it was.

Talks to etcd's JSON gateway, so that no other program is needed. Knows nothing of Kubernetes.
"""

import shutil
from pathlib import Path

import aiohttp

from tests.real.process import Server, answers, free_port


class Etcd(Server):
    """A store of one member that never waits for the disk."""

    def __init__(self, binaries: Path, folder: Path, name: str = "etcd") -> None:
        super().__init__(name, folder, "127.0.0.1")
        self._binary = binaries / "etcd"
        self._data = folder / f"{name}-data"
        self.client_port = 0
        self.peer_port = 0

    @property
    def url(self) -> str:
        """Where clients connect, without TLS."""
        return f"http://{self.address}:{self.client_port}"

    def choose_ports(self) -> None:
        self.client_port = free_port(self.address)
        self.peer_port = free_port(self.address)
        # The member's address is in its data: other ports need a new member.
        self.remove_data()

    def command(self) -> list[str]:
        peer_url = f"http://{self.address}:{self.peer_port}"
        return [
            str(self._binary),
            f"--data-dir={self._data}",
            "--name=only",
            f"--initial-cluster=only={peer_url}",
            f"--initial-advertise-peer-urls={peer_url}",
            f"--listen-peer-urls={peer_url}",
            f"--listen-client-urls={self.url}",
            f"--advertise-client-urls={self.url}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ]

    async def is_ready(self) -> bool:
        return await answers(f"{self.url}/health")

    async def revision(self) -> int:
        """The store's revision."""
        answer = await self._call("maintenance/status", {})
        return int(answer["header"]["revision"])

    async def compact(self, revision: int | None = None) -> int:
        """Forget what was before `revision`, or before now; returns the revision.

        A watch of a resource without watch cache (events) then gets 410. Others are answered out of
        kube-apiserver's memory until that is restarted as well.
        """
        revision = revision or await self.revision()
        await self._call("kv/compaction", {"revision": str(revision), "physical": True})
        return revision

    async def snapshot(self, folder: Path) -> Path:
        """Stop, copy the data into the new `folder`, start again."""
        await self.stop()
        shutil.copytree(self._data, folder)
        await self.start()
        return folder

    async def restore(self, snapshot: Path) -> None:
        """Stop, put the data of `snapshot` in place, start again: revisions go back."""
        await self.stop()
        self.remove_data()
        shutil.copytree(snapshot, self._data)
        await self.start()

    def remove_data(self) -> None:
        """Delete the data folder, if there is one."""
        shutil.rmtree(self._data, ignore_errors=True)

    async def _call(self, method: str, body: dict[str, object]) -> dict[str, dict[str, str]]:
        async with (
            aiohttp.ClientSession(raise_for_status=True) as session,
            session.post(f"{self.url}/v3/{method}", json=body) as response,
        ):
            answer: dict[str, dict[str, str]] = await response.json()
            return answer
