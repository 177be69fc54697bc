"""From socket to stamp: the delay from the write of a burst to the arrival timestamp of each of its events."""

import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
from collections.abc import Iterator, Sequence
from pathlib import Path
from signal import SIGTERM, SIGUSR1
from typing import NamedTuple
from urllib.parse import urlsplit

from tests.speed.consumers import fetched, naive_words, wait_until, watchslo_flags
from tests.speed.replay import Burst
from tests.speed.serving import ROOT, Server, replaying

BURST = 200
BURSTS_PER_SECOND = 1.5
BURSTS_PER_SECOND_OF_V1PODS = 0.6
"""Slow enough that each burst is processed before the next one, even if the machine is busy."""

MANY_BURSTS_PER_SECOND = 10.0
"""2 000 events/s."""

PAGES = 10
READ_SECONDS, BLOCK_BYTES = 0.1, 1 << 20

WARM_BURSTS = 5
SETTLING_SECONDS = 1.0


class Observer(NamedTuple):
    """A consumer, the number of resources that it watches, and who looks at it meanwhile."""

    who: str
    streams: int = 1
    scraper_rests_seconds: float | None = None
    """The pause of its scraper between two scrapes; None for no scraper."""
    pages: int = 0
    """Pages that are open and live."""
    bursts_per_second: float = BURSTS_PER_SECOND

    def __str__(self) -> str:
        rests = self.scraper_rests_seconds
        scraper = "no scraper" if rests is None else f"a scrape every {rests:g} s" if rests else "scrapes without pause"
        rate = f", {BURST * self.bursts_per_second:.0f} events/s" if self.bursts_per_second > BURSTS_PER_SECOND else ""
        pages = f", {self.pages} pages open" if self.pages else ""
        return f"{self.who}, {self.streams} stream{'s' if self.streams > 1 else ''}{rate}, {scraper}{pages}"


WATCHSLO = Observer("watchslo")
PLAIN_OBJECT = Observer("Watch, plain objects")
V1POD = Observer("Watch, V1Pod", bursts_per_second=BURSTS_PER_SECOND_OF_V1PODS)
UNSCRAPED = Observer("watchslo", 12)
SCRAPED = Observer("watchslo", 12, 1.0)
SCRAPED_WITHOUT_PAUSE = Observer("watchslo", 12, 0.0)
UNSEEN = Observer("watchslo", 12, bursts_per_second=MANY_BURSTS_PER_SECOND)
SEEN = Observer("watchslo", 12, pages=PAGES, bursts_per_second=MANY_BURSTS_PER_SECOND)
OBSERVERS = (WATCHSLO, PLAIN_OBJECT, V1POD, UNSCRAPED, SCRAPED, SCRAPED_WITHOUT_PAUSE, UNSEEN, SEEN)

KINDS = {PLAIN_OBJECT: "object", V1POD: "V1Pod"}


class Delays(NamedTuple):
    """The delays of all events of one run; `series` were exposed, `scrapes` were answered."""

    p50_seconds: float
    p99_seconds: float
    series: int
    scrapes: int


class Stamping:
    """A running program that keeps its timestamps. It prints how many on SIGUSR1, and all on SIGTERM."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.greeting = self._line()

    def begin(self) -> None:
        """Return once the exporter is ready, and polls have told it which events are news."""
        if self.greeting.startswith("http"):
            wait_until(lambda: is_ready(self.greeting.strip()), lambda: "it is not ready")
            time.sleep(SETTLING_SECONDS)

    def wait_for(self, events: int) -> None:
        """Return once it has so many stamps: streams are judged one after the other, so the newest says nothing."""
        wait_until(lambda: self._stamped() >= events, lambda: f"{self._stamped()} of {events} events are stamped")

    def stamps(self) -> dict[int, float]:
        """End it. Returns its timestamps by revision."""
        self._process.send_signal(SIGTERM)
        return dict(json.loads(self._line()))

    def _stamped(self) -> int:
        self._process.send_signal(SIGUSR1)
        stamped, _ = self._line().split()
        return int(stamped)

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
        warm = BURST * WARM_BURSTS
        stamping.begin()
        server.send(warm, per_second=per_second, burst=BURST)
        stamping.wait_for(warm)
        url = stamping.greeting.strip()
        with scraped(url, observer.scraper_rests_seconds) as scrapes, opened(url, observer.pages):
            seconds = bursts / BURSTS_PER_SECOND
            events = int(per_second * seconds)
            sent = server.send(events, per_second=per_second, burst=BURST)
            stamping.wait_for(warm + events)
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


def is_ready(url: str) -> bool:
    """Whether all its watches are open."""
    try:
        fetched(f"{url}/readyz")
    except urllib.error.HTTPError:
        return False
    return True


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


@contextlib.contextmanager
def opened(url: str, pages: int) -> Iterator[None]:
    """Open the page so often within the block, each with its stream of changes, which a thread reads."""
    address, ended = urlsplit(url), threading.Event()
    request = f"GET /page/stream?since=0 HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode()
    with contextlib.ExitStack() as stack:
        streams = []
        for _ in range(pages):
            fetched(f"{url}/")
            stream = stack.enter_context(socket.create_connection((address.hostname, address.port)))
            stream.sendall(request)
            assert stream.recv(BLOCK_BYTES).startswith(b"HTTP/1.1 200"), "the page is not live"
            stream.settimeout(0)
            streams.append(stream)

        def read() -> None:
            while not ended.wait(READ_SECONDS):
                for stream in streams:
                    with contextlib.suppress(BlockingIOError):
                        while stream.recv(BLOCK_BYTES):
                            pass

        thread = threading.Thread(target=read)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
