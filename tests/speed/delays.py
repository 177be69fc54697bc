"""From socket to stamp: the delay from the write of a burst to the arrival timestamp of each of its events."""

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from signal import SIGTERM, SIGUSR1
from typing import NamedTuple

from tests.speed.consumers import LOOK_SECONDS, PATIENCE_SECONDS, fetched, naive_words, watchslo_flags
from tests.speed.replay import Burst
from tests.speed.serving import ROOT, Server, replaying

BURST = 200
BURSTS_PER_SECOND = 1.5
BURSTS_PER_SECOND_OF_V1PODS = 0.6
"""Slow enough that each burst is processed before the next one, even if the machine is busy."""

WARM_BURSTS = 5
SETTLING_SECONDS = 0.5


class Observer(NamedTuple):
    """A consumer, the number of resources that it watches, and the pause of its scraper between two scrapes."""

    who: str
    streams: int = 1
    scraper_rests_seconds: float | None = None
    """None for no scraper."""

    def __str__(self) -> str:
        rests = self.scraper_rests_seconds
        scraper = "no scraper" if rests is None else f"a scrape every {rests:g} s" if rests else "scrapes without pause"
        return f"{self.who}, {self.streams} stream{'s' if self.streams > 1 else ''}, {scraper}"

    @property
    def bursts_per_second(self) -> float:
        """How many bursts it gets."""
        return BURSTS_PER_SECOND_OF_V1PODS if self == V1POD else BURSTS_PER_SECOND


WATCHSLO = Observer("watchslo")
PLAIN_OBJECT = Observer("Watch, plain objects")
V1POD = Observer("Watch, V1Pod")
UNSCRAPED = Observer("watchslo", 12)
SCRAPED = Observer("watchslo", 12, 1.0)
SCRAPED_WITHOUT_PAUSE = Observer("watchslo", 12, 0.0)
OBSERVERS = (WATCHSLO, PLAIN_OBJECT, V1POD, UNSCRAPED, SCRAPED, SCRAPED_WITHOUT_PAUSE)

KINDS = {PLAIN_OBJECT: "object", V1POD: "V1Pod"}


class Delays(NamedTuple):
    """The delays of all events of one run; `series` were exposed, `scrapes` were answered."""

    p50_seconds: float
    p99_seconds: float
    series: int
    scrapes: int


class Stamping:
    """A running program that keeps its timestamps. It prints the newest on SIGUSR1, and all on SIGTERM."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.greeting = self._line()

    def wait_for(self, revision: int) -> None:
        """Return once it has a stamp for `revision`."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            self._process.send_signal(SIGUSR1)
            _, newest = self._line().split()
            if int(newest) >= revision:
                return
            assert time.monotonic() < deadline, f"{newest} is stamped, {revision} is not"
            time.sleep(LOOK_SECONDS)

    def stamps(self) -> dict[int, float]:
        """End it. Returns its timestamps by revision."""
        self._process.send_signal(SIGTERM)
        return dict(json.loads(self._line()))

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


def delays(observer: Observer, bursts: int) -> Delays:
    """Run the observer, send it bursts, and read its timestamps afterwards."""
    with (
        tempfile.TemporaryDirectory() as folder,
        replaying(Path(folder), resources=observer.streams) as server,
        started(observer, server) as stamping,
    ):
        per_second = BURST * observer.bursts_per_second
        warm = server.send(BURST * WARM_BURSTS, per_second=per_second, burst=BURST)
        stamping.wait_for(warm.bursts[-1].last_revision)
        with scraped(stamping.greeting.strip(), observer.scraper_rests_seconds) as scrapes:
            sent = server.send(BURST * bursts, per_second=per_second, burst=BURST)
            stamping.wait_for(sent.bursts[-1].last_revision)
            time.sleep(SETTLING_SECONDS)
        found = sorted(since_written(sent.bursts, stamping.stamps()))
    series = max((count_series(text) for text in scrapes[-1:]), default=0)
    return Delays(found[len(found) // 2], found[len(found) * 99 // 100], series, len(scrapes))


def since_written(bursts: Sequence[Burst], stamps: dict[int, float]) -> Iterator[float]:
    """Seconds from the start of the burst to the timestamp, for each event. Raises KeyError if an event has none."""
    for burst in bursts:
        for revision in range(burst.first_revision, burst.last_revision + 1):
            yield stamps[revision] - burst.began


def count_series(exposition: str) -> int:
    """How many samples it has."""
    return sum(not line.startswith("#") for line in exposition.splitlines())


@contextlib.contextmanager
def started(observer: Observer, server: Server) -> Iterator[Stamping]:
    """Run it. The exporter prints its URL first."""
    kind = KINDS.get(observer)
    if kind is not None:
        words = [*naive_words(kind, server), "--stamps"]
    else:
        words = [sys.executable, "-m", "tests.speed.stamping", *watchslo_flags(server), "--log.level", "error"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            yield Stamping(process)
        finally:
            process.kill()


@contextlib.contextmanager
def scraped(url: str, rests_seconds: float | None) -> Iterator[list[str]]:
    """Scrape from a thread within the block; the list gets the answers."""
    scrapes: list[str] = []
    if rests_seconds is None:
        yield scrapes
        return
    ended = threading.Event()

    def scrape() -> None:
        while not ended.wait(rests_seconds):
            scrapes.append(fetched(f"{url}/metrics"))

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield scrapes
    finally:
        ended.set()
        thread.join()
