"""Memory with many live objects, and the CPU time from the start to the first judged event."""

import contextlib
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.speed import processes
from tests.speed.consumers import PATIENCE_SECONDS, Consumer, Watchslo, fetched, watchslo
from tests.speed.serving import ROOT, replaying

PORTION = 5_000
FIRST_EVENTS_PER_SECOND = 100.0
FIRST_EVENTS = 400
LOOK_SECONDS = 0.05


class Memory(NamedTuple):
    """The memory of one process."""

    peak_bytes: int
    proportional_bytes: int


def with_objects(consumer: Consumer, objects: int) -> Memory:
    """Its memory after so many objects were created and none deleted."""
    with (
        tempfile.TemporaryDirectory() as folder,
        replaying(Path(folder), objects=objects, only="ADDED") as server,
        consumer.start(server) as running,
    ):
        running.warm(server)
        handled = running.handled()
        for _ in range(0, objects, PORTION):
            server.send(PORTION)
            handled += PORTION
            running.wait_until_handled(handled)
        return _memory(running.pid)


def of_empty_server() -> Memory:
    """A minimal aiohttp server, after its first answer."""
    with empty_server() as (process, url):
        fetched(url)
        return _memory(process.pid)


@contextlib.contextmanager
def empty_server() -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """Run it."""
    words = [sys.executable, "-m", "tests.speed.empty"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def start_cpu_seconds() -> float:
    """CPU time of `watchslo run` until /metrics shows that an event was judged, including the scrapes.

    As in the image, all of it has bytecode: the first start here writes it, and the second is the one that counts.
    """
    with tempfile.TemporaryDirectory() as bytecode:
        environ = {"PYTHONPYCACHEPREFIX": bytecode, "PYTHONDONTWRITEBYTECODE": ""}
        _start_cpu_seconds(environ)
        return _start_cpu_seconds(environ)


def _start_cpu_seconds(environ: Mapping[str, str]) -> float:
    with tempfile.TemporaryDirectory() as folder, replaying(Path(folder)) as server:
        sending = threading.Thread(target=lambda: server.send(FIRST_EVENTS, per_second=FIRST_EVENTS_PER_SECOND))
        sending.start()
        with watchslo(server, environ=environ) as running:
            _until_first_event(running)
            used = processes.cpu_seconds(running.pid)
            sending.join()
        return used


def _until_first_event(running: Watchslo) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not running.handled():
        assert time.monotonic() < deadline, "no event is judged"
        time.sleep(LOOK_SECONDS)


def _memory(pid: int) -> Memory:
    return Memory(processes.peak_bytes(pid), processes.proportional_bytes(pid))
