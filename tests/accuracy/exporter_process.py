"""The exporter in a process of its own, which can be starved and have a wall clock of its own.

As a program (`python -m tests.accuracy.exporter_process FLAGS`, the flags of `watchslo run`) it prints its URL, then a
line for each judgement.
"""
# ruff: noqa: T201 its output is what it is for

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import uvloop

from exporter.measure.judging import Judgement
from exporter.measure.times import ANY_TIME, Instant
from exporter.measure.write_times import apiserver_stamps
from exporter.service import logs
from exporter.service.daemon import Exporter, load_credentials
from exporter.service.stream import Stream
from tests.accuracy.observation import Observation
from tests.simulated.suspendable import VARIABLE, Asleep, fall_behind
from tests.support.observing import Observed, Scrape, config, until

ROOT = Path(__file__).parents[2]
LONGEST_LINE_BYTES = 1 << 20
STOP_SECONDS = 20.0


class ExporterProcess:
    """A running exporter and all that it has judged so far."""

    def __init__(self, process: Process, url: str, asleep: Asleep) -> None:
        self._process = process
        self._page = Observed(url)
        self._asleep = asleep
        self._sleeps: list[tuple[Instant, float]] = []
        """When by its clock the machine was suspended, and for how long that clock stood still then."""
        self.observations: list[Observation] = []

    async def scrape(self) -> Scrape:
        """What Prometheus would get now."""
        return await self._page.scrape()

    def freeze(self) -> None:
        """It gets no CPU from now on."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It runs again."""
        self._process.send_signal(signal.SIGCONT)

    async def suspend(self, seconds: float) -> None:
        """The machine sleeps; the exporter's monotonic clock does not count that."""
        self.freeze()
        began = time.monotonic()
        await asyncio.sleep(seconds)
        self._sleeps.append((began - self._asleep.seconds, time.monotonic() - began))
        self._asleep.add(self._sleeps[-1][1])
        self.thaw()

    def awake(self, instant: Instant) -> Instant:
        """What our clock showed at an instant of the exporter's."""
        return instant + sum(seconds for began, seconds in self._sleeps if instant > began)

    async def listen(self) -> None:
        """Take in its judgements, to its end."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.observations.append(Observation.parse(line).by(self.awake))


@contextlib.asynccontextmanager
async def exporting(*flags: str | Path, environ: Mapping[str, str]) -> AsyncIterator[ExporterProcess]:
    """Run it with these flags and these additions to the environment; on entry it is ready."""
    words = [sys.executable, "-m", __name__, *map(str, flags)]
    file = Path(tempfile.mkdtemp()) / "asleep"
    asleep = Asleep(file)
    process = await asyncio.create_subprocess_exec(
        *words, stdout=PIPE, env={**os.environ, **environ, VARIABLE: str(file)}, cwd=ROOT, limit=LONGEST_LINE_BYTES
    )
    try:
        assert process.stdout is not None
        url = json.loads(await process.stdout.readline())
        await until(Observed(url).ready)
        exporter = ExporterProcess(process, url, asleep)
        listening = asyncio.create_task(exporter.listen())
        yield exporter
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(listening, STOP_SECONDS)
        await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        shutil.rmtree(file.parent)


def observation(target: Stream, judgement: Judgement) -> Observation | None:
    """What is told of one judgement; None of an event without a revision."""
    event, now = judgement.event, time.monotonic()
    if event.revision is None:
        return None
    clock = target.clock
    stamps = [stamp.time for stamp in apiserver_stamps(event.stamps) if stamp.source == "managed_fields"]
    arrived_wall_time = judgement.arrival.latest + time.time() - time.monotonic()
    return Observation(
        resource=target.name.plural,
        revision=event.revision,
        judged_at=now,
        state=target.report(now).state,
        verdict=judgement.verdict,
        commit=judgement.dated.commit,
        arrival=judgement.arrival,
        latency=judgement.latency,
        polled_commit=clock.store.polls.committed(event.revision) if clock is not None else ANY_TIME,
        since_stamp_seconds=arrived_wall_time - stamps[0] if stamps else None,
    )


def tell(target: Stream, judgement: Judgement) -> None:
    """Print one judgement."""
    told = observation(target, judgement)
    if told is not None:
        print(told.line(), flush=True)


async def main(*flags: str) -> None:
    """Export until SIGTERM."""
    settled = config(*flags)
    logs.set_up(settled)
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    exporter = Exporter(settled, await load_credentials(settled), tell)
    async with exporter.running():
        (host, port), *_ = exporter.listens_on
        print(json.dumps(f"http://{host}:{port}"), flush=True)
        await stopping.wait()


if __name__ == "__main__":
    fall_behind(Path(os.environ[VARIABLE]))
    uvloop.run(main(*sys.argv[1:]))
