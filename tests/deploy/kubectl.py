"""kubectl and helm as their users call them, against a cluster of the tests."""

import asyncio
from pathlib import Path

import yaml

from tests.deploy.rendering import Object
from tests.real.cluster import Cluster
from tests.real.tools import tool

LIMIT_SECONDS = 50


class CommandError(Exception):
    """The command's words on stderr."""


class Kubectl:
    """kubectl as the administrator of `cluster`."""

    def __init__(self, binaries: Path, cluster: Cluster, folder: Path) -> None:
        self._binary = binaries / "kubectl"
        self._kubeconfig = cluster.kubeconfig(folder / "admin.kubeconfig")
        self._home = {"HOME": str(folder)}  # for a cache of what the cluster serves

    async def run(self, *arguments: str | Path, stdin: str = "") -> str:
        """What it prints. Raises CommandError if it fails."""
        return await self._run(self._binary, *arguments, stdin=stdin)

    async def helm(self, *arguments: str | Path) -> str:
        """What helm prints, as the same administrator. Raises CommandError if it fails."""
        return await self._run(tool("helm"), *arguments)

    async def _run(self, *words: str | Path, stdin: str = "") -> str:
        process = await asyncio.create_subprocess_exec(
            *map(str, words),
            *("--kubeconfig", str(self._kubeconfig)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._home,
        )
        async with asyncio.timeout(LIMIT_SECONDS):
            out, err = await process.communicate(stdin.encode())
        if process.returncode != 0:
            raise CommandError(err.decode())
        return out.decode()

    async def apply(self, *arguments: str | Path, stdin: str = "") -> str:
        """Server-side apply; a field that the apiserver does not know is an error."""
        return await self.run("apply", "--server-side", "--validate=strict", *arguments, stdin=stdin)

    async def apply_objects(self, *objects: Object, user: str | None = None) -> str:
        """The same, of objects; as another user if one is named."""
        words = () if user is None else ("--as", user)
        return await self.apply(*words, "-f", "-", stdin=yaml.safe_dump_all(objects))
