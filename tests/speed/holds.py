"""`python -m tests.speed.holds`: for how long a scrape, and everything else that is ours, holds the event loop.

The exporter runs in this process, as it is, against a simulator in another one. Every step of every task is timed, from
where the loop resumes it to where it gives the loop back: what arrives meanwhile gets its stamp later. CPU time, so
that neighbours on the machine do not count; on a virtual machine some of what its host does is in it nevertheless,
which is why steps of plain arithmetic are timed beside.
"""
# ruff: noqa: T201 it prints its result

import asyncio
import contextlib
import multiprocessing
import tempfile
import urllib.request
from array import array
from collections import defaultdict
from collections.abc import AsyncIterator, Generator, Sequence
from dataclasses import dataclass
from itertools import chain
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from time import thread_time
from typing import TYPE_CHECKING, Any, Self

from prometheus_client import generate_latest

from exporter import garbage
from exporter.service import loop
from exporter.service.daemon import Exporter, load_credentials
from exporter.simulator import Resource, Simulator, Workload
from tests.speed.report import milliseconds, table_row, table_rule
from tests.support.kubeconfig import kubeconfig
from tests.support.observing import config
from tests.support.stock import stock_registry
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from types import CoroutineType

RESOURCES = 14
"""On one apiserver: 5 500 series."""

WRITES_PER_SECOND = 100.0
WINDOW_SECONDS = 15
ANSWERS = 30
ADDITIONS = 20_000
PAUSE_SECONDS = 0.2

ANSWERING = "RequestHandler._handle_request"

ASKED = (
    ("scrape", "/metrics", "identity"),
    ("scrape, gzip", "/metrics", "gzip"),
    ("page", "/", "identity"),
    ("status", "/api/v1/status", "identity"),
)


@dataclass(frozen=True)
class Holds:
    """How long steps block the loop, in CPU seconds, in several rounds. A round is an answer or a second."""

    steps: int
    p99_seconds: float
    usual_longest_seconds: float
    """The median over the rounds of their longest steps."""

    longest_seconds: float

    @classmethod
    def of(cls, rounds: Sequence[Sequence[float]]) -> Self:
        """Seconds of all steps of all rounds."""
        steps = sorted(chain.from_iterable(rounds))
        return cls(len(steps), steps[len(steps) * 99 // 100], median(max(one) for one in rounds if one), steps[-1])


@dataclass(frozen=True)
class Measured:
    """One measured exporter: what blocked its loop while it made each kind of answer, and without requests."""

    series: int
    rows: dict[str, Holds]
    """The answers, all tasks `by itself` in each of WINDOW_SECONDS seconds, and the arithmetic."""

    alone: dict[str, float]
    """The longest step by itself, by the name of the task's coroutine."""

    stock_seconds: float
    """The time that prometheus_client needs to write as many series, in one step."""


class Steps:
    """Times the steps of each task created from now on, by the name of the task's coroutine."""

    def __init__(self) -> None:
        self._seconds: defaultdict[str, array[float]] = defaultdict(lambda: array("d"))
        asyncio.get_running_loop().set_task_factory(self._task)

    def taken(self) -> "dict[str, array[float]]":
        """The seconds of all steps since the last call."""
        taken, self._seconds = self._seconds, defaultdict(lambda: array("d"))
        return taken

    def count(self, name: str, seconds: float) -> None:
        """Record the duration of one step."""
        self._seconds[name].append(seconds)

    def _task(self, running: asyncio.AbstractEventLoop, body: Any, **more: Any) -> asyncio.Task[Any]:
        async def timed() -> Any:
            return await _Timed(body, self)

        return asyncio.Task(timed(), loop=running, **more)


class _Timed:
    """Awaits a coroutine step by step."""

    def __init__(self, body: "CoroutineType[Any, Any, Any]", steps: Steps) -> None:
        self._body = body
        self._steps = steps

    def __await__(self) -> Generator[Any, Any, Any]:
        resume, sent = self._body.send, None
        while True:
            began = thread_time()
            try:
                awaited = resume(sent)
            except StopIteration as ended:
                return ended.value
            finally:
                self._steps.count(self._body.__qualname__, thread_time() - began)
            try:
                sent, resume = (yield awaited), self._body.send
            except BaseException as error:  # noqa: BLE001 the task is cancelled: that is for its coroutine to know
                sent, resume = error, self._body.throw


async def measured(apiservers: int, *flags: str) -> Measured:
    """Watch RESOURCES on each of so many simulated apiservers for longer than the window, then send requests."""
    steps = Steps()
    garbage.keep_all()  # as the command does when it starts
    async with _observed(apiservers, *flags) as exporter:
        (host, port), *_ = exporter.listens_on
        url = f"http://{host}:{port}"
        await asyncio.sleep(WINDOW_SECONDS)
        rows = {}
        for name, path, coding in ASKED:
            rounds = []
            for _ in range(ANSWERS):
                steps.taken()
                content = await asyncio.to_thread(_fetched, url + path, coding)
                rounds.append(steps.taken()[ANSWERING])
                await asyncio.sleep(PAUSE_SECONDS)
            rows[name] = Holds.of(rounds)
            if name == "scrape":
                series = content.count(b"\n")
        alone = []
        for _ in range(WINDOW_SECONDS):
            steps.taken()
            await asyncio.sleep(1)
            alone.append(steps.taken())
        rows["by itself"] = Holds.of([list(chain.from_iterable(one.values())) for one in alone])
        rounds = []
        for _ in range(ANSWERS):
            steps.taken()
            await asyncio.create_task(_arithmetic(rows["scrape"].steps // ANSWERS))
            rounds.append(steps.taken()[_arithmetic.__qualname__])
            await asyncio.sleep(PAUSE_SECONDS)
        rows["arithmetic"] = Holds.of(rounds)
    longest: defaultdict[str, float] = defaultdict(float)
    for one in alone:
        for name, seconds in one.items():
            longest[name] = max(longest[name], *seconds)
    stock = stock_registry(series)
    before = thread_time()
    generate_latest(stock)
    return Measured(series, rows, longest, thread_time() - before)


async def _arithmetic(steps: int) -> None:
    """A control: so many steps that take at most half a millisecond if no other program runs."""
    for _ in range(steps):
        sum(range(ADDITIONS))
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def _observed(apiservers: int, *flags: str) -> AsyncIterator[Exporter]:
    with _Simulation(apiservers) as simulation, tempfile.TemporaryDirectory() as folder:
        words = ["--kubeconfig", str(kubeconfig(Path(folder), simulation.urls[0])), "--slo.window", str(WINDOW_SECONDS)]
        words += [word for url in simulation.urls for word in ("--apiserver", url)]
        words += [word for resource in _resources() for word in ("--resource", resource.name)]
        settled = config(*words, *flags)
        exporter = Exporter(settled, await load_credentials(settled))
        async with exporter.running():
            await wait_until(
                lambda: len(exporter.apiservers) == apiservers and not exporter.not_ready(), "all watches are open"
            )
            yield exporter


class _Simulation:
    """Simulated apiservers with one store, in a process of their own."""

    def __init__(self, apiservers: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._told, telling = context.Pipe()
        self._process = context.Process(target=_simulate, args=(apiservers, telling), daemon=True)
        self.urls: list[str] = []

    def __enter__(self) -> Self:
        self._process.start()
        self.urls = self._told.recv()
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.join()


def _simulate(apiservers: int, telling: Connection) -> None:
    async def serve() -> None:
        async with (
            Simulator(apiservers=apiservers) as simulator,
            Workload(simulator, rate_per_second=WRITES_PER_SECOND, resources=_resources()),
        ):
            telling.send([apiserver.url for apiserver in simulator.apiservers])
            await asyncio.Event().wait()

    asyncio.run(serve())


def _resources() -> list[Resource]:
    return [Resource("example.com", "v1", f"widgets{number}", f"Widget{number}") for number in range(RESOURCES)]


def _fetched(url: str, coding: str) -> bytes:
    request = urllib.request.Request(url, headers={"Accept-Encoding": coding})  # noqa: S310 our own, on loopback
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
        content: bytes = response.read()
    return content


# The clocks of so many apiservers would cost more than one process has.
SLOW_CLOCKS = ("--cache-clock.hz", "0", "--revision-clock.hz", "1")


def table(measured: Measured) -> str:
    """Its rows in Markdown."""
    rows = [table_row("", "steps", "99th percentile", "longest of an answer, median", "longest of all"), table_rule(5)]
    for name, holds in measured.rows.items():
        times = (holds.p99_seconds, holds.usual_longest_seconds, holds.longest_seconds)
        rows.append(table_row(name, holds.steps, *map(milliseconds, times)))
    stock = milliseconds(measured.stock_seconds)
    return "\n".join([*rows, table_row("prometheus_client, as many series", 1, stock, stock, stock)])


def main() -> None:
    """Measure a usual and a huge exporter, one after the other."""
    for apiservers, flags in ((1, ()), (19, SLOW_CLOCKS)):
        result = loop.run(measured(apiservers, *flags))
        print(f"\n{result.series} series\n{table(result)}")
        for name, seconds in sorted(result.alone.items(), key=lambda one: -one[1])[:6]:
            print(f"by itself, longest: {name} {milliseconds(seconds)}")


if __name__ == "__main__":
    main()
