"""The measured consumers. Each runs in a process of its own and reports how many events it has processed."""

import abc
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tests.live.cost import total
from tests.speed.served import GROUP, VERSION, plural
from tests.speed.serving import ROOT, Server
from tests.support.go import go_binary
from tests.support.observing import started

PATIENCE_SECONDS = 120.0
LOOK_SECONDS = 0.2
WARM_EVENTS = 200

INFORMER = Path(__file__).parent / "informer"


def wait_until(
    is_so: Callable[[], bool],
    said: Callable[[], object],
    *,
    patience_seconds: float = PATIENCE_SECONDS,
    look_seconds: float = LOOK_SECONDS,
) -> None:
    """Look again and again; if it does not come to that in time, fail with what is `said` then."""
    deadline = time.monotonic() + patience_seconds
    while not is_so():
        assert time.monotonic() < deadline, said()
        time.sleep(look_seconds)


class Running(abc.ABC):
    """A running consumer with an open watch."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    @abc.abstractmethod
    def handled(self) -> int:
        """How many events it has processed."""

    def warm(self, server: Server) -> None:
        """Warm it up: let it do everything at least once."""
        server.send(WARM_EVENTS)
        self.wait_until_handled(WARM_EVENTS)

    def wait_until_handled(self, events: int) -> None:
        """Return once it has processed exactly so many events; fail if there are more."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (handled := self.handled()) < events:
            assert time.monotonic() < deadline, f"it is done with {handled} events of {events}"
            time.sleep(LOOK_SECONDS)
        assert handled == events, f"it is done with {handled} events where there were {events}"


class Counting(Running):
    """A program that prints its number of events on SIGUSR1."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        super().__init__(process.pid)
        self._process = process
        self._hear("ready")

    def handled(self) -> int:
        self._process.send_signal(signal.SIGUSR1)
        return int(self._hear().split()[0])

    def _hear(self, expected: str | None = None) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        assert line == (expected or line), line
        return line


class Watchslo(Running):
    """`watchslo run`; its number of events is read from /metrics."""

    def __init__(self, pid: int, url: str) -> None:
        super().__init__(pid)
        self.url = url
        self._warmed = ""

    def metrics(self) -> str:
        """One scrape."""
        return fetched(f"{self.url}/metrics")

    def handled(self) -> int:
        return int(total(self.metrics(), "watchslo_events_judged_total"))

    def warm(self, server: Server) -> None:
        """Warm it up until each event is dated by polls, Date headers and timestamps, judged, and split into stages."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        arrivals = WARM_EVENTS * len(server.urls)
        while True:
            before = self.metrics()
            server.send(WARM_EVENTS)
            time.sleep(1.0)
            self._warmed = self.metrics()
            if not undone(before, self._warmed, arrivals):
                return
            assert time.monotonic() < deadline, undone(before, self._warmed, arrivals)

    def verify(self, events: int) -> None:
        """Fail if it has not done all its work for each of the last `events`, which came after the warm-up."""
        missing = undone(self._warmed, self.metrics(), events)
        assert not missing, f"of {events} events: {missing}"

    def verdicts(self) -> dict[str, int]:
        """The verdicts on the events after the warm-up."""
        now = self.metrics()
        name = "watchslo_events_judged_total"
        return {
            verdict: int(total(now, name, verdict=verdict) - total(self._warmed, name, verdict=verdict))
            for verdict in ("on_time", "late", "ambiguous")
        }


OF_EVERY_EVENT: tuple[tuple[str, dict[str, str]], ...] = (
    ("watchslo_events_judged_total", {}),
    ("watchslo_apiserver_time_span_seconds_count", {}),
    ("watchslo_interval_width_seconds_count", {}),
    ("watchslo_evidence_total", {"source": "revision_clock"}),
    ("watchslo_evidence_total", {"source": "date"}),
    ("watchslo_evidence_total", {"source": "managed_fields"}),
    ("watchslo_stage_lower_seconds_count", {"stage": "storage_to_cache"}),
    ("watchslo_stage_lower_seconds_count", {"stage": "cache_to_client"}),
)


def undone(before: str, after: str, events: int) -> dict[str, int]:
    """The work that between two scrapes was not done for exactly so many events, and for how many it was done."""
    found = {
        f"{name} {labels}": int(total(after, name, **labels) - total(before, name, **labels))
        for name, labels in OF_EVERY_EVENT
    }
    return {what: count for what, count in found.items() if count != events}


@dataclass(frozen=True)
class Consumer:
    """One way to consume a watch."""

    name: str
    start: Callable[[Server], AbstractContextManager[Running]]


def fetched(url: str) -> str:
    """The body of an answer."""
    with urllib.request.urlopen(url) as answer:  # noqa: S310 on loopback
        text: str = answer.read().decode()
    return text


def watchslo_flags(server: Server) -> list[str]:
    """The flags to watch all of it."""
    apiservers = [word for url in server.urls for word in ("--apiserver", url)]
    resources = [word for name in server.resources for word in ("--resource", name)]
    return ["--kubeconfig", str(server.kubeconfig), *apiservers, *resources]


def naive_words(kind: str, server: Server) -> list[str]:
    """The command line of tests.speed.naive."""
    resources = [word for name in server.resources for word in ("--resource", name)]
    words = [sys.executable, "-m", "tests.speed.naive", "--as", kind, "--kubeconfig", str(server.kubeconfig)]
    return [*words, *resources]


@contextlib.contextmanager
def watchslo(server: Server, *flags: str, environ: Mapping[str, str] = MappingProxyType({})) -> Iterator[Watchslo]:
    """The exporter with its defaults for addresses that are apiservers, but for `flags`, and variables beside ours."""
    with started(*watchslo_flags(server), *flags, environ=environ) as process:
        yield Watchslo(process._process.pid, process.url)


def following_pods(server: Server) -> AbstractContextManager[Running]:
    """The same, with pods watched whole."""
    return watchslo(server, "--pod-startup")


def naive(kind: str) -> Callable[[Server], AbstractContextManager[Running]]:
    """The obvious exporter on kubernetes_asyncio's Watch."""

    def start(server: Server) -> AbstractContextManager[Running]:
        return counting(naive_words(kind, server))

    return start


def informer(*flags: str, threads: int = 1) -> Callable[[Server], AbstractContextManager[Running]]:
    """client-go's metadata informer."""

    def start(server: Server) -> AbstractContextManager[Running]:
        names = [name if name == "pods" else f"{plural(name)}.{VERSION}.{GROUP}" for name in server.resources]
        words = [str(informer_binary()), "-kubeconfig", str(server.kubeconfig), "-resources", ",".join(names)]
        # With WatchListClient it would get its first list by the watch, which is not part of the comparison.
        environ = {"GOMAXPROCS": str(threads), "KUBE_FEATURE_WatchListClient": "false"}
        return counting([*words, *flags], environ)

    return start


@contextlib.contextmanager
def counting(words: list[str], environ: dict[str, str] | None = None) -> Iterator[Running]:
    """Run a program that counts its events."""
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, text=True, env={**os.environ, **(environ or {})}, cwd=ROOT
    ) as process:
        try:
            yield Counting(process)
        finally:
            process.kill()


def informer_binary(package: str = ".") -> Path:
    """The informer, or another program beside it, built once for each state of its sources. Needs Go."""
    return go_binary(INFORMER, package)


def has_go() -> bool:
    """Whether the informer can be built."""
    return shutil.which("go") is not None


WATCHSLO = Consumer("watchslo", watchslo)
FOLLOWING_PODS = Consumer("watchslo --pod-startup, whole pods", following_pods)
V1POD = Consumer("Watch, V1Pod", naive("V1Pod"))
PLAIN_OBJECT = Consumer("Watch, plain objects", naive("object"))
INFORMER_PROTOBUF = Consumer("metadata informer", informer())
INFORMER_TWO_THREADS = Consumer("metadata informer, GOMAXPROCS=2", informer(threads=2))
INFORMER_JSON = Consumer("metadata informer, JSON", informer("-json"))
