"""The exporter in a process that keeps the timestamp of each revision: `python -m tests.speed.stamping FLAGS`.

Takes the flags of `watchslo run`. It prints its URL, on SIGUSR1 how many it has stamped and the last revision
of these, on SIGTERM all stamps.
"""
# ruff: noqa: T201 its output is what it is for

import asyncio
import json
import signal
import sys

from exporter.measure.judging import Judgement
from exporter.service import logs, loop
from exporter.service.daemon import Exporter, load_credentials
from exporter.service.stream import Stream
from tests.support.observing import config

Stamps = list[tuple[int, float]]


async def main(*flags: str) -> None:
    """Export until SIGTERM."""
    settled = config(*flags)
    logs.set_up(settled)
    stamps: Stamps = []

    def judged(_: Stream, judgement: Judgement) -> None:
        if judgement.event.revision is not None:
            stamps.append((judgement.event.revision, judgement.arrival.latest))

    signal.signal(signal.SIGUSR1, lambda *_: print(len(stamps), stamps[-1][0] if stamps else 0, flush=True))
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    exporter = Exporter(settled, await load_credentials(settled), judged)
    async with exporter.running():
        (host, port), *_ = exporter.listens_on
        print(f"http://{host}:{port}", flush=True)
        await stopping.wait()
    print(json.dumps(stamps), flush=True)


if __name__ == "__main__":
    loop.run(main(*sys.argv[1:]))
