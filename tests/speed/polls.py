"""CPU time of polls: `python -m tests.speed.polls`.

Of one poll on the connection that was kept, and beside it as aiohttp does it: both ways take turns over the same place.
Then of a whole exporter while no event comes: polls, and looks at the sockets. The apiserver is another process.
"""
# ruff: noqa: T201 its output is what it is for

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import product
from pathlib import Path

from exporter.clocks.poll import PollConnection
from exporter.credentials import Credentials, CredentialsSource
from exporter.kubernetes.resources import EVENTS
from exporter.kubernetes.session import Server
from exporter.service import loop
from tests.speed import processes
from tests.speed.consumers import watchslo
from tests.speed.serving import replaying

ROUNDS = 9
POLLS = 500
PAUSE_SECONDS = 0.02
POLLS_WITH_PAUSES = 25
"""What an idle process does finds nothing of it in the processor's caches, and costs several times as much."""

WAYS = ("aiohttp", "kept")
IDLE_RESOURCES = (1, 3, 30)
IDLE_SECONDS = 20.0


async def polled(place: PollConnection, way: str) -> None:
    """One poll."""
    if way == "aiohttp":
        place._kept = None
    await place.poll(*EVENTS.empty_list(None))


async def microseconds(do: Callable[[], Awaitable[None]], pause_seconds: float) -> float:
    """CPU time of this process for each; what a pause costs is in it."""
    polls = POLLS if not pause_seconds else POLLS_WITH_PAUSES
    used = time.process_time()
    for _ in range(polls):
        if pause_seconds:
            await asyncio.sleep(pause_seconds)
        await do()
    return (time.process_time() - used) / polls * 1e6


async def measured(kubeconfig: Path, url: str, pause_seconds: float) -> dict[str, list[float]]:
    """Microseconds a poll, by the way, in rounds."""
    credentials = Credentials(CredentialsSource(kubeconfig))
    await credentials.load()
    connections: list[int] = []
    place = PollConnection(Server(url, is_one_apiserver=True), credentials, connections.append)
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    try:
        for _ in range(ROUNDS):
            for way in WAYS:
                await polled(place, way)
                found[way].append(await microseconds(partial(polled, place, way), pause_seconds))
    finally:
        await place.close()
    assert len(connections) == 1, "all went over one connection"
    return found


def idle_share(resources: int) -> float:
    """CPU seconds a second of an exporter that watches so many, TLS included, while nothing comes."""
    with (
        tempfile.TemporaryDirectory() as folder,
        replaying(Path(folder), resources=resources, tls=True) as server,
        watchslo(server) as running,
    ):
        running.warm(server)
        used = processes.exact_cpu_seconds(running.pid)
        time.sleep(IDLE_SECONDS)
        return (processes.exact_cpu_seconds(running.pid) - used) / IDLE_SECONDS


def main() -> int:
    """0 once it is printed."""
    for tls, pause_seconds in product((False, True), (0.0, PAUSE_SECONDS)):
        with tempfile.TemporaryDirectory() as folder, replaying(Path(folder), tls=tls) as server:
            found = loop.run(measured(server.kubeconfig, server.urls[0], pause_seconds))
        said = ", ".join(f"{way} {statistics.median(each):.1f} µs" for way, each in found.items())
        when = f"one every {pause_seconds * 1000:.0f} ms" if pause_seconds else "one after the other"
        print(f"a poll, {'TLS' if tls else 'plain'}, {when}: {said}", flush=True)
    for resources in IDLE_RESOURCES:
        print(f"idle, {resources} resources, TLS: {idle_share(resources):.2%} of a core", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
