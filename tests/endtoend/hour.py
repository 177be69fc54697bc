"""`python -m tests.endtoend.hour`: how much a tab with the page grows in an hour, scripts, elements and process.

Exit code 1 if it grew by more than 20 MB. It is a demo's page, in which something goes wrong every few minutes.
"""
# ruff: noqa: T201 it reports its progress

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import aiohttp

from exporter.simulator import SCENARIOS
from tests.speed import processes
from tests.support.browser import Tab, browser
from tests.support.demo import started

WARM_SECONDS = 120.0
LOOK_SECONDS = 60.0
CHANGE_SECONDS = 150.0
MOST_GROWTH_BYTES = 20e6


class Size(NamedTuple):
    """Of a tab, after a garbage collection."""

    heap_bytes: int
    nodes: int
    process_bytes: int
    """Private memory of the processes that draw pages."""

    def __str__(self) -> str:
        return f"heap {self.heap_bytes / 1e6:.1f} MB, {self.nodes} nodes, process {self.process_bytes / 1e6:.1f} MB"


async def size(tab: Tab, profile: Path) -> Size:
    """Now."""
    await tab.call("HeapProfiler.collectGarbage")
    answer = await tab.call("Performance.getMetrics")
    metrics = {one["name"]: one["value"] for one in answer["metrics"]}
    return Size(int(metrics["JSHeapUsedSize"]), int(metrics["Nodes"]), renderers_bytes(profile))


def renderers_bytes(profile: Path) -> int:
    """Of all renderers of the browser with this profile."""
    total = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_text(encoding="utf-8", errors="replace")
            if "--type=renderer" in words and str(profile) in words:
                total += processes.private_bytes(int(process.name))
        except OSError:  # it has just ended
            continue
    return total


async def grown(minutes: float) -> int:
    """Open the page for so long, and let things go wrong on it."""
    troubles = [name for name in SCENARIOS if name != "healthy"]
    with started("10") as demo, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        profile = Path(folder) / "profile"
        async with browser(profile) as tab, aiohttp.ClientSession() as http:
            await tab.call("Performance.enable")
            await tab.go(demo.url)
            await asyncio.sleep(WARM_SECONDS)
            first = last = await size(tab, profile)
            print(f"after {WARM_SECONDS / 60:.0f} min: {first}", flush=True)
            began = time.monotonic()
            changed, number = began, 0
            while (now := time.monotonic()) < began + 60 * minutes:
                if now >= changed + CHANGE_SECONDS:
                    name = troubles[number // 2 % len(troubles)] if number % 2 == 0 else "healthy"
                    # Not by its button, which loads the page anew.
                    async with http.post(demo.url.removesuffix("/") + "/scenario", data={"scenario": name}) as answer:
                        answer.raise_for_status()
                    changed, number = now, number + 1
                await asyncio.sleep(LOOK_SECONDS)
                last = await size(tab, profile)
                print(f"{(time.monotonic() - began) / 60:.0f} min: {last}", flush=True)
            assert not tab.complaints, tab.complaints
    growth = max(last.heap_bytes - first.heap_bytes, last.process_bytes - first.process_bytes)
    print(f"it grew by {growth / 1e6:.1f} MB")
    return 0 if growth <= MOST_GROWTH_BYTES else 1


def main() -> int:
    """For an hour, or as long as said."""
    parser = argparse.ArgumentParser(prog="python -m tests.endtoend.hour", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    return asyncio.run(grown(parser.parse_args().minutes))


if __name__ == "__main__":
    sys.exit(main())
