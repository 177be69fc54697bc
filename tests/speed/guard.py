"""Counts the work of our own code for an event, a poll, a scrape and a diagnosis. CI fails if it grows.

No time is measured, so the counts are the same on every machine. Of functions written in C only allocations count, and
the network and aiohttp are left out: `make bench` measures whole processes. `python -m tests.speed.guard` prints the
counts; `--write` updates guarded.json.
"""
# ruff: noqa: T201 it is a report

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

from exporter.clocks.poll import PollConnection
from exporter.clocks.pollers import CachePoller
from exporter.config import ResourceName
from exporter.credentials import Credentials, CredentialsSource
from exporter.diagnosis.diagnose import diagnose
from exporter.diagnosis.observing import LateRule, Observations
from exporter.kubernetes.chunked import ChunkedBody
from exporter.kubernetes.lists import Collection
from exporter.kubernetes.resources import EVENTS
from exporter.kubernetes.session import ApiSession, Server
from exporter.measure.events import EventDecoder
from exporter.measure.histogram import Histogram
from exporter.measure.revisions import RevisionClock
from exporter.measure.serverclock import Offset
from exporter.metrics import scrape
from exporter.metrics.registry import Metrics
from exporter.service.stream import Stream, StreamDependencies
from exporter.watch.heartbeat import Heartbeat
from exporter.watch.reflector import Reflector
from exporter.watch.watch import Watch, WatchDependencies
from tests.speed.diagnosing import STREAMS, WARM_UP, Cluster
from tests.speed.recording import FIRST_REVISION, METADATA_JSON, Recording
from tests.speed.served import empty_list
from tests.speed.work import Work, without_garbage
from tests.support.kubeconfig import kubeconfig
from tests.support.observing import config
from tests.support.steps import at_once
from tests.support.streams import revision_poller

GUARDED = Path(__file__).parent / "guarded.json"
PYTHON = ".".join(map(str, sys.version_info[:2]))
MOST_MORE = 1.1
MOST_MORE_ON_ANOTHER_PYTHON = 1.25
"""Comprehensions are calls in some versions only, and sizes of objects differ."""

EVENTS_IN_A_ROUND = 400
POLLS_IN_A_ROUND = 50
RESOURCES_OF_A_SCRAPE = 14


class Pipeline:
    """The path of an event from the socket's bytes to its count, without a server: the bytes are fed directly."""

    def __init__(self) -> None:
        name = ResourceName("pods")
        self._children = Metrics(1.0, 0.99, 60.0).resource("a:1", "", name.plural)
        ahead = time.time() - time.monotonic()
        clocks = Offset(ahead - 0.1, ahead + 0.1, time.monotonic(), samples=10)
        around = StreamDependencies(
            config("--resource", "pods"), self._children, lambda: clocks, lambda _resource: None
        )
        self._target = Stream(name, "a:1", around)
        self._clock = revision_poller()
        self._cache_clock = CachePoller(self._clock.polls, EVENTS, None, hz=5)
        self._target.use_clock(self._clock)
        self._target.use_cache_clock(self._cache_clock)
        session = ApiSession(self._clock.polls.server, Credentials(CredentialsSource()))
        decoder, heartbeat = EventDecoder(), Heartbeat(lambda _: None)
        arrivals = self._target.arrivals
        dependencies = WatchDependencies(decoder, arrivals, heartbeat)
        stream = Reflector(
            name,
            None,
            session=session,
            watches=session,
            dependencies=dependencies,
            listener=self._target,
        )
        collection = Collection(session, EVENTS, None)
        self._watch = stream._watch = Watch(collection, dependencies, stream._read)
        stream._position.revision = FIRST_REVISION - 1
        self._body = ChunkedBody()
        self._recording = Recording(METADATA_JSON, objects=5_000)
        self._fed = 0
        arrivals.connected(time.monotonic(), time.monotonic())
        self._poll()

    def events(self, events: int, at_once: int) -> Callable[[], Awaitable[None]]:
        """Process so many events between two polls, `at_once` of them in each read."""
        readings: list[bytes] = []
        enough = self._fed + events
        while self._fed < enough:
            data, count = self._recording.chunks(self._fed, FIRST_REVISION + self._fed, at_once)
            readings.append(data)
            self._fed += count

        async def handle() -> None:
            for data in readings:
                now = time.monotonic()
                self._watch._read(self._body.feed(data), self._target.arrivals.received(now, len(data)))
                self._target.arrivals.found_empty(now)
            self._poll()
            self._target.refresh()
            while self._judged() < self._fed:  # noqa: ASYNC110 turns of the loop are what it judges in
                await asyncio.sleep(0)

        return handle

    def _poll(self) -> None:
        for clock in (self._clock.revisions, self._cache_clock.revisions):
            poll(clock, FIRST_REVISION + self._fed - 1)

    def _judged(self) -> int:
        return sum(self._children.counts.judged.values())


def poll(clock: RevisionClock, revision: int) -> None:
    """A poll is sent now and answered at once."""
    clock.poll_sent(revision, time.monotonic())
    assert clock.poll_answered(revision, time.monotonic(), revision) is None


async def counted(what: str, each: int, prepare: Callable[[], Callable[[], Awaitable[None]]]) -> dict[str, float]:
    """Calls, lines and peak allocated bytes, each divided by the number of events."""
    await prepare()()  # what is done once is done
    work = Work()
    do = prepare()
    with work.counting():
        await do()
    do = prepare()
    with without_garbage():
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            await do()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    figures = {"calls": work.calls, "lines": work.lines, "bytes": peak - before}
    return {f"{what}: {unit}": round(figure / each, 2) for unit, figure in figures.items()}


@contextlib.asynccontextmanager
async def polling() -> AsyncIterator[PollConnection]:
    """A place whose polls are answered at once."""
    body = empty_list(FIRST_REVISION, as_protobuf=False)[1]
    answer = b"HTTP/1.1 200 OK\r\nAudit-Id: 1\r\nDate: %b\r\nContent-Length: %d\r\n\r\n%b"
    answer %= (b"Sun, 06 Nov 1994 08:49:37 GMT", len(body), body)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(answer)
        writer.close()

    with tempfile.TemporaryDirectory() as folder:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            credentials = Credentials(CredentialsSource(kubeconfig(Path(folder), url)))
            await credentials.load()
            place = PollConnection(Server(url, is_one_apiserver=True), credentials, lambda _: None)
            yield place
            await place.close()


class Diagnosed:
    """Facts and rules of many watches that are on time."""

    def __init__(self) -> None:
        self._observations, self._cluster = Observations(LateRule(1.0, 0.99)), Cluster(Histogram)
        for _ in range(WARM_UP):
            at_once(self._observations.take(self._cluster.later()))

    def moment(self) -> Callable[[], Awaitable[None]]:
        """Diagnose the next one."""
        moment = self._cluster.later()

        async def do() -> None:
            assert not at_once(diagnose(at_once(self._observations.take(moment))))

        return do


async def counts() -> dict[str, float]:
    """The counted work for an event, a poll, a scrape and a diagnosis, by name and unit."""
    metrics = Metrics(1.0, 0.99, 60.0)
    for number in range(RESOURCES_OF_A_SCRAPE):
        metrics.resource("a:1", "example.com", f"widgets{number}")

    async def text() -> None:
        for _ in scrape.blocks(metrics, ()):
            pass

    async def polls() -> None:
        for _ in range(POLLS_IN_A_ROUND):
            await place.poll(*EVENTS.empty_list(None))

    async with polling() as place:
        a_poll = await counted("a poll", POLLS_IN_A_ROUND, lambda: polls)
    burst, one_by_one, diagnosed = Pipeline(), Pipeline(), Diagnosed()
    return {
        **a_poll,
        **await counted("an event of a burst", EVENTS_IN_A_ROUND, lambda: burst.events(EVENTS_IN_A_ROUND, 50)),
        **await counted("an event by itself", EVENTS_IN_A_ROUND, lambda: one_by_one.events(EVENTS_IN_A_ROUND, 1)),
        **await counted("the text of a resource", RESOURCES_OF_A_SCRAPE, lambda: text),
        **await counted("a stream of a diagnosis", STREAMS, diagnosed.moment),
    }


def main(words: Sequence[str]) -> int:
    """Print or write the counts; returns 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.speed.guard", description=__doc__)
    parser.add_argument("--write", action="store_true", help="commit them to guarded.json")
    wants_to_write = parser.parse_args(words).write
    text = json.dumps({"python": PYTHON, "counts": asyncio.run(counts())}, indent=1) + "\n"
    print(text, end="")
    if wants_to_write:
        GUARDED.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
