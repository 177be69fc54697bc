"""Few descriptors and many clients that want nothing: the installed exporter lives, and says so to whoever asks."""

import contextlib
import resource
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import aiohttp
import pytest

from exporter.simulator import Simulator
from tests.endtoend.servers import Exporter
from tests.support.kubeconfig import kubeconfig
from tests.support.waiting import wait_until

SOFT, HARD = 64, 256
MANY = 400
"""More than the process has descriptors, and fewer than we have."""
UNFINISHED = b"GET /metrics HTTP/1.1\r\nX-Never-Ends: "
SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: loopback\r\n\r\n" * 12


class Confined(Exporter):
    """With few descriptors."""

    def command(self) -> list[str]:
        return ["sh", "-c", f'ulimit -Sn {SOFT} && ulimit -Hn {HARD} && exec "$@"', "sh", *super().command()]

    def limit(self) -> tuple[int, int]:
        """Soft and hard."""
        return resource.prlimit(self.pid, resource.RLIMIT_NOFILE)

    def healthcheck(self) -> str:
        """What it prints."""
        words = [self._words[0], "healthcheck", f"--web.listen-address={self.address}:{self.port}"]
        return subprocess.run(words, check=False, capture_output=True, text=True).stdout

    def rss_mib(self) -> float:
        """The memory that it has."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@contextlib.asynccontextmanager
async def confined(watchslo: Path, folder: Path) -> AsyncIterator[Confined]:
    async with Simulator() as simulator:
        flags: Sequence[str] = ("--kubeconfig", str(kubeconfig(folder, simulator.url)), "--resource", "pods")
        exporter = Confined(watchslo, folder, flags)
        await exporter.create()
        try:
            yield exporter
        finally:
            await exporter.kill()


@contextlib.contextmanager
def clients(exporter: Confined, said: bytes) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        made = []
        for _ in range(MANY):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect((exporter.address, exporter.port))
            with contextlib.suppress(ConnectionError):  # it has made place already
                client.sendall(said)
            made.append(client)
        yield made


@pytest.mark.parametrize("said", [UNFINISHED, SCRAPE, b""], ids=["headers", "reads nothing", "says nothing"])
async def test_it_answers_probes_and_scrapes_whatever_others_hold(
    installed_watchslo: Path, tmp_path: Path, said: bytes
) -> None:
    async with confined(installed_watchslo, tmp_path) as exporter:
        assert exporter.limit() == (HARD, HARD), "it has raised the soft one"
        before = exporter.rss_mib()
        with clients(exporter, said):
            assert [exporter.healthcheck() for _ in range(3)] == ["ok\n"] * 3
            url = f"http://{exporter.address}:{exporter.port}"
            async with aiohttp.ClientSession() as client, client.get(f"{url}/metrics") as response:
                assert response.status == 200
                assert "watchslo_stream_up{" in await response.text()
            print(f"{MANY} clients: {before:.0f} MiB before, {exporter.rss_mib():.0f} MiB with them")  # noqa: T201
            assert exporter.rss_mib() < before + 100
        await wait_until(lambda: exporter.rss_mib() < before + 100, "it is as large as before")
        assert "Traceback" not in exporter.log.read_text()
