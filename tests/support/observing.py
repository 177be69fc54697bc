"""The exporter under observation: in this process, with every judgement kept, or as the command that users start."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from exporter.config import Config, flag_parser, load, read_flags
from exporter.measure.judging import Judgement
from exporter.measure.times import Interval
from exporter.service.daemon import Exporter, load_credentials
from exporter.service.stream import Stream
from exporter.vocabulary import StartupStage
from tests.speed.processes import resident_bytes

WAIT_SECONDS = 30.0
LabelsOfSeries = dict[str, str]


def config(*flags: str | Path) -> Config:
    """The configuration that these flags of `watchslo run` give, on a free port of loopback.

    The apiserver's own metrics are left alone unless they say so: those are read at a moment that nobody chooses.
    """
    words = ["--web.listen-address", "127.0.0.1:0", *map(str, flags)]
    words += [] if "--apiserver.metrics" in words else ["--apiserver.metrics", "off"]
    return load(read_flags("run", flag_parser("run", ""), words), {}).config


class Scrape:
    """The families of one scrape, as prometheus_client's parser reads them."""

    def __init__(self, text: str) -> None:
        self._samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def sum(self, name: str, **labels: str) -> float:
        """The sum of all samples with this name and these labels; fails if there is none."""
        found = self.values(name, **labels)
        assert found, f"no {name} with {labels}"
        return sum(found)

    def values(self, name: str, **labels: str) -> list[float]:
        """All samples with this name and these labels."""
        return [
            sample.value
            for sample in self._samples
            if sample.name == f"watchslo_{name}" and labels.items() <= sample.labels.items()
        ]

    def labels(self, name: str) -> list[LabelsOfSeries]:
        """The labels of all samples with this name."""
        return [sample.labels for sample in self._samples if sample.name == f"watchslo_{name}"]

    def state(self, resource: str) -> str:
        """The SLO state of a resource on the only apiserver."""
        held = [
            sample.labels["state"]
            for sample in self._samples
            if sample.name == "watchslo_slo_state" and sample.labels["resource"] == resource and sample.value == 1
        ]
        assert len(held) == 1, held
        return held[0]


@dataclass
class Observed:
    """A running exporter, and what it has judged so far."""

    url: str
    judgements: list[tuple[Stream, Judgement]] = field(default_factory=list)
    pod_stages: list[tuple[str, StartupStage, Interval]] = field(default_factory=list)

    def of(self, plural: str) -> list[Judgement]:
        """The judgements about one resource, in order."""
        return [judgement for target, judgement in self.judgements if target.name.plural == plural]

    async def scrape(self) -> Scrape:
        """What Prometheus would get now."""
        # To read it takes long enough on a slow machine to starve the exporter whose loop this is.
        return await asyncio.to_thread(Scrape, await self.exposition())

    async def exposition(self) -> str:
        """The same, as text."""
        async with aiohttp.ClientSession() as http, http.get(f"{self.url}/metrics") as response:
            assert response.status == 200
            return await response.text()

    async def ready(self) -> bool:
        """Whether /readyz says so."""
        async with aiohttp.ClientSession() as http, http.get(f"{self.url}/readyz") as response:
            return response.status == 200

    async def wait_for(self, what: Callable[[Scrape], bool], seconds: float = WAIT_SECONDS) -> Scrape:
        """The first scrape of which `what` is true; fails with the last one's verdicts if none is in time."""
        until = time.monotonic() + seconds
        while True:
            scrape = await self.scrape()
            if what(scrape):
                return scrape
            assert time.monotonic() < until, "it did not come to that in time"
            await asyncio.sleep(0.1)


async def until(what: Callable[[], Awaitable[bool]], seconds: float = WAIT_SECONDS) -> None:
    """Wait until `what` is true."""
    deadline = time.monotonic() + seconds
    while not await what():
        assert time.monotonic() < deadline, "it did not come to that in time"
        await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def observed(*flags: str | Path, ready: bool = True) -> AsyncIterator[Observed]:
    """Run the exporter in this process; on entry it is ready, unless that is not to be waited for."""
    settled = config(*flags)
    judgements: list[tuple[Stream, Judgement]] = []
    pod_stages: list[tuple[str, StartupStage, Interval]] = []
    exporter = Exporter(
        settled,
        await load_credentials(settled),
        lambda *judged: judgements.append(judged),
        pod_stage=lambda *stage: pod_stages.append(stage),
    )
    async with exporter.running():
        (host, port), *_ = exporter.listens_on
        running = Observed(f"http://{host}:{port}", judgements, pod_stages)
        if ready:
            await until(running.ready)
        yield running


class Process(Observed):
    """`python -m exporter run` in a process of its own, which can be frozen."""

    def __init__(self, process: subprocess.Popen[bytes], url: str) -> None:
        super().__init__(url)
        self._process = process

    def freeze(self) -> None:
        """It gets no CPU from now on."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It runs again."""
        self._process.send_signal(signal.SIGCONT)

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def resident_bytes(self) -> int:
        """Its resident memory."""
        return resident_bytes(self.pid)

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout=20)


@contextlib.contextmanager
def started(
    *flags: str | Path,
    command: str = "run",
    module: str = "exporter",
    log: Path | None = None,
    environ: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Process]:
    """Start the command, with variables beside ours; it is killed on exit if it still runs."""
    words = [sys.executable, "-m", module, command, "--web.listen-address", "127.0.0.1:0", *map(str, flags)]
    with subprocess.Popen(words, stderr=subprocess.PIPE, env={**os.environ, **environ}) as process:
        assert process.stderr is not None
        try:
            yield Process(process, _listening_url(process, log))
        finally:
            process.send_signal(signal.SIGCONT)
            process.kill()


def _listening_url(process: subprocess.Popen[bytes], log: Path | None) -> str:
    """The URL from the line of its log that says where it listens; the rest of the log is read by a thread."""

    assert process.stderr is not None
    for line in process.stderr:
        if b"msg=listening" in line:
            address = line.decode().rsplit("address=", 1)[1].strip()
            threading.Thread(target=_drain, args=(process, log), daemon=True).start()
            return f"http://{address}"
    raise AssertionError("it ended before it listened")


def _drain(process: subprocess.Popen[bytes], log: Path | None) -> None:
    assert process.stderr is not None
    text = process.stderr.read()
    if log is not None:
        log.write_bytes(text)
