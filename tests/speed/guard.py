"""What our own code costs, as ratios to `json.loads` of the same bytes in the same process: what CI holds.

`python -m tests.speed.guard` prints them, with `--write` they are committed to guarded.json. Machines differ, such
ratios hardly do. The network and aiohttp are left out: `make bench` measures whole processes.
"""
# ruff: noqa: T201 it is a report

import argparse
import asyncio
import json
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import thread_time

from exporter.config import ResourceName
from exporter.expose import scrape
from exporter.expose.metrics import Metrics
from exporter.kubernetes.chunked import ChunkedBody
from exporter.kubernetes.clocks import CacheClockwork
from exporter.kubernetes.credentials import Credentials
from exporter.kubernetes.heartbeat import Heartbeat
from exporter.kubernetes.resources import EVENTS
from exporter.kubernetes.session import ApiSession
from exporter.kubernetes.stream import Stream
from exporter.kubernetes.watch import Collection, Watch
from exporter.measure.events import EventDecoder
from exporter.measure.revisions import RevisionClock
from exporter.measure.serverclock import Offset
from exporter.target import Surroundings, Target
from tests.live.observing import config
from tests.speed.recording import FIRST_REVISION, METADATA_JSON, Recording, recorded
from tests.test_target import clockwork

GUARDED = Path(__file__).parent / "guarded.json"
MOST_REGRESSION = 1.25

ROUNDS = 30
"""The median of so many ratios counts, each of two measurements that follow one another."""

EVENTS_IN_A_ROUND = 400
RESOURCES_OF_A_SCRAPE = 14
TEXT = f"the text of {RESOURCES_OF_A_SCRAPE} resources"


class Pipeline:
    """The way of an event from the socket's bytes to its count. Nothing is watched: what is measured is fed by hand."""

    def __init__(self) -> None:
        name = ResourceName("pods")
        self._children = Metrics(1.0, 0.99, 60.0).resource("a:1", "", name.plural)
        ahead = time.time() - time.monotonic()
        clocks = Offset(ahead - 0.1, ahead + 0.1, time.monotonic(), samples=10)
        around = Surroundings(config("--resource", "pods"), self._children, lambda: clocks, lambda _resource: None)
        self._target = Target(name, "a:1", around)
        self._clock = clockwork()
        self._cache_clock = CacheClockwork(self._clock.polls, EVENTS, None, hz=5)
        self._target.use_clock(self._clock)
        self._target.use_cache_clock(self._cache_clock)
        session = ApiSession(self._clock.polls.server, Credentials(None, None, None))
        decoder, heartbeat = EventDecoder(), Heartbeat(lambda _: None)
        arrivals = self._target.arrivals
        stream = Stream(
            name,
            None,
            session=session,
            watches=session,
            decoder=decoder,
            arrivals=arrivals,
            heartbeat=heartbeat,
            listener=self._target,
        )
        collection = Collection(session, EVENTS, None)
        self._watch = stream._watch = Watch(collection, decoder, arrivals, heartbeat, stream._read)
        stream._revision = FIRST_REVISION - 1
        self._body = ChunkedBody()
        self._recording = Recording(METADATA_JSON, objects=5_000)
        self._fed = 0
        arrivals.connected(time.monotonic(), time.monotonic())
        self._poll()

    async def seconds(self, events: int, at_once: int) -> float:
        """CPU seconds of `events`, which come `at_once`, between two polls."""
        readings: list[bytes] = []
        enough = self._fed + events
        while self._fed < enough:
            data, count = self._recording.chunks(self._fed, FIRST_REVISION + self._fed, at_once)
            readings.append(data)
            self._fed += count
        before = thread_time()
        for data in readings:
            now = time.monotonic()
            self._watch._read(self._body.feed(data), self._target.arrivals.received(now, len(data)))
            self._target.arrivals.found_empty(now)
        self._poll()
        self._target.refresh()
        while self._judged() < self._fed:  # noqa: ASYNC110 turns of the loop are what it judges in
            await asyncio.sleep(0)
        return thread_time() - before

    def _poll(self) -> None:
        for clock in (self._clock.clock, self._cache_clock.clock):
            poll(clock, FIRST_REVISION + self._fed - 1)

    def _judged(self) -> float:
        return sum(counter.value for counter in self._children.judged.values())


def poll(clock: RevisionClock, revision: int) -> None:
    """A poll goes out now, and is answered at once."""
    clock.poll_sent(revision, time.monotonic())
    assert clock.poll_answered(revision, time.monotonic(), revision) is None


def reference_seconds(lines: Sequence[bytes]) -> float:
    """CPU seconds of the reference."""
    before = thread_time()
    for line in lines:
        json.loads(line)
    return thread_time() - before


def scrape_seconds(metrics: Metrics) -> float:
    """CPU seconds of one scrape's text."""
    before = thread_time()
    for _ in scrape.blocks(metrics, ()):
        pass
    return thread_time() - before


async def ratios() -> dict[str, float]:
    """What costs how often the reference, which is `json.loads` of one recorded event."""
    metrics = Metrics(1.0, 0.99, 60.0)
    for number in range(RESOURCES_OF_A_SCRAPE):
        metrics.resource("a:1", "example.com", f"widgets{number}")
    lines = recorded(METADATA_JSON)
    burst, one_by_one = Pipeline(), Pipeline()
    found: defaultdict[str, list[float]] = defaultdict(list)
    for _ in range(ROUNDS):
        reference = reference_seconds(lines)
        found["an event of a burst"].append(await burst.seconds(EVENTS_IN_A_ROUND, 50) / reference)
        reference = reference_seconds(lines)
        found["an event by itself"].append(await one_by_one.seconds(EVENTS_IN_A_ROUND, 1) / reference)
        reference = reference_seconds(lines)
        found[TEXT].append(scrape_seconds(metrics) / reference)
    of_one = {what: len(lines) / (1 if what == TEXT else EVENTS_IN_A_ROUND) for what in found}
    return {what: round(median(ratios) * of_one[what], 3) for what, ratios in found.items()}


def main(words: Sequence[str]) -> int:
    """0 once they are printed, or written."""
    parser = argparse.ArgumentParser(prog="python -m tests.speed.guard", description=__doc__)
    parser.add_argument("--write", action="store_true", help="commit them to guarded.json")
    wants_to_write = parser.parse_args(words).write
    text = json.dumps(asyncio.run(ratios()), indent=1) + "\n"
    print(text, end="")
    if wants_to_write:
        GUARDED.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
