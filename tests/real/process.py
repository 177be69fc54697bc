"""A server process: a command line in, a ready server out, and every way to disturb it.

Knows nothing of Kubernetes. A process belongs to no event loop: a server started in one test's loop serves another's.
"""

import abc
import random
import shutil
import signal
import socket
import subprocess
import threading
from pathlib import Path

import aiohttp

from tests.support.waiting import wait_until

START_SECONDS = 60.0
LOG_TAIL_LINES = 20
PORT_ATTEMPTS = 5
# Below Linux's ephemeral range: no outgoing connection takes the port of a server while that is down.
PORTS = range(20_000, 32_000)
# For one look whether a server is ready: another program that took its port may well say nothing at all.
PROBE_TIMEOUT = aiohttp.ClientTimeout(total=3)


async def answers(url: str) -> bool:
    """Whether a GET without TLS is answered with 200."""
    try:
        async with aiohttp.ClientSession(timeout=PROBE_TIMEOUT) as http, http.get(url) as response:
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


class ServerFailedError(Exception):
    """A server exited or was not ready in time; the text ends with the tail of its log."""


class Server(abc.ABC):
    """One server process on one loopback address; started again, it has the same ports and data.

    `name` is for people and names the log file in `folder`.
    """

    def __init__(self, name: str, folder: Path, address: str) -> None:
        self.name = name
        self.address = address
        self.log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @abc.abstractmethod
    def choose_ports(self) -> None:
        """Choose ports that are free at the moment."""

    @abc.abstractmethod
    def command(self) -> list[str]:
        """The command line, for the ports chosen."""

    @abc.abstractmethod
    async def is_ready(self) -> bool:
        """Whether the server can be used now."""

    @property
    def running(self) -> bool:
        """Whether there is a process, be it frozen."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id. Raises ServerFailedError if it does not run."""
        return self._require().pid

    async def create(self) -> None:
        """Start for the first time, on free ports. A port lost to another program is a reason to try others."""
        for attempts_left in reversed(range(PORT_ATTEMPTS)):
            self.choose_ports()
            try:
                return await self.start()
            except ServerFailedError as error:
                if "address already in use" not in str(error) or attempts_left == 0:
                    raise
        raise AssertionError

    async def start(self) -> None:
        """Start, or start again, and wait until it is ready. Raises ServerFailedError."""
        assert not self.running, f"{self.name} runs already"
        self._spawn()
        try:
            await self.wait_ready()
        except BaseException:
            await self.kill()
            raise

    async def wait_ready(self) -> None:
        """Wait until the server can be used. Raises ServerFailedError if it exits or takes too long."""

        async def is_ready_or_gone() -> bool:
            return not self.running or await self.is_ready()

        try:
            await wait_until(is_ready_or_gone, f"{self.name} is ready", timeout_seconds=START_SECONDS)
        except TimeoutError as error:
            raise ServerFailedError(f"{error}\n{self.log_tail()}") from None
        if not self.running:
            raise ServerFailedError(f"{self.name} exited instead of getting ready\n{self.log_tail()}")

    async def stop(self, *, grace_seconds: float = 10.0) -> None:
        """SIGTERM, and SIGKILL to what is still there `grace_seconds` later."""
        self.terminate()
        try:
            await self.wait_exit(timeout_seconds=grace_seconds)
        except TimeoutError:
            await self.kill()

    def terminate(self) -> None:
        """SIGTERM, and no waiting: with open watches kube-apiserver takes a minute to go."""
        self._require().send_signal(signal.SIGTERM)

    async def wait_exit(self, *, timeout_seconds: float) -> None:
        """Wait until the process has gone. Raises TimeoutError."""
        await wait_until(lambda: not self.running, f"{self.name} has gone", timeout_seconds=timeout_seconds)

    async def kill(self) -> None:
        """SIGKILL, also to a frozen process; returns when it has gone. Does nothing if there is none."""
        if self._process is not None:
            self._process.kill()
            await self.wait_exit(timeout_seconds=START_SECONDS)

    def freeze(self) -> None:
        """SIGSTOP: connections stay open, nothing is answered."""
        self._require().send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._require().send_signal(signal.SIGCONT)

    async def restart(self) -> None:
        """Kill and start again, on the same port and data."""
        await self.kill()
        await self.start()

    def log_tail(self) -> str:
        """The last lines of what the server printed, all its starts together."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-LOG_TAIL_LINES:])

    def _spawn(self) -> None:
        # The kernel ends a child when the thread that started it ends; the main thread ends with the program.
        assert threading.current_thread() is threading.main_thread(), "servers are started from the main thread"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen([*_dies_with_us(), *self.command()], stdout=log, stderr=log)

    def _require(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            raise ServerFailedError(f"{self.name} does not run\n{self.log_tail()}")
        return self._process


def free_port(address: str) -> int:
    """A port of `address` that nobody listens on at the moment."""
    for port in random.sample(PORTS, k=100):
        with socket.socket() as candidate:
            try:
                candidate.bind((address, port))
            except OSError:
                continue
            return port
    raise ServerFailedError(f"no free port found on {address}")


def _dies_with_us() -> list[str]:
    """A prefix for command lines: the kernel kills the process when we die, however suddenly."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
