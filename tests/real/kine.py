"""kine with SQLite, which k3s runs on: what kube-apiserver asks of etcd is answered out of a database.

It speaks etcd's gRPC and not its JSON gateway, so a test that asks the store itself has nobody to ask, and is skipped.
"""

import asyncio
import contextlib
from pathlib import Path
from typing import Never

import pytest

from tests.real.etcd import Etcd
from tests.real.process import PROBE_TIMEOUT, free_port

SQLITE_OPTIONS = "_journal=WAL&cache=shared&_busy_timeout=30000"


class Kine(Etcd):
    """A store of one database file."""

    def __init__(self, binaries: Path, folder: Path, name: str = "kine") -> None:
        super().__init__(binaries, folder, name)
        self._binary = binaries / "kine"

    def choose_ports(self) -> None:
        self.client_port = free_port(self.address)
        self.remove_data()

    def command(self) -> list[str]:
        self._data.mkdir(exist_ok=True)
        return [
            str(self._binary),
            f"--listen-address={self.address}:{self.client_port}",
            "--metrics-bind-address=0",
            f"--endpoint=sqlite://{self._data}/kine.db?{SQLITE_OPTIONS}",
        ]

    async def is_ready(self) -> bool:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(PROBE_TIMEOUT.total):
                _, writer = await asyncio.open_connection(self.address, self.client_port)
            writer.close()
            return True
        return False

    async def revision(self) -> Never:
        pytest.skip("kine cannot be asked for its revision but by kube-apiserver")

    async def compact(self, revision: int | None = None) -> Never:
        del revision
        pytest.skip("kine compacts by itself, not when it is told to")

    async def snapshot(self, folder: Path) -> Never:
        del folder
        pytest.skip("kine has no snapshots: a database's backup is put back")

    async def restore(self, snapshot: Path) -> Never:
        del snapshot
        pytest.skip("kine has no snapshots: a database's backup is put back")
