"""`python -m tests.dashboards.record FILE`: minutes of good and bad times, and what every panel then shows, as JSON."""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.conftest import BUILD_SERVERS
from tests.dashboards.asked import Asked
from tests.dashboards.grafana import FILES, RULES, board, panels
from tests.dashboards.world import World, observed_world
from tests.real.cluster import Cluster
from tests.real.tools import BUILD_TOOLS

CALM_SECONDS = 60.0
STEP_SECONDS = 2
# As the data source would be told, so that rates are as smooth as with a usual scrape interval.
SCRAPE_SECONDS = 4


async def record(servers: Path, prometheus_binary: Path) -> dict[str, Any]:
    """One recording: the time range, the dashboards, and the series of each panel's queries."""
    with tempfile.TemporaryDirectory() as folder:
        async with (
            Cluster(servers, Path(folder), apiservers=2) as cluster,
            observed_world(cluster, prometheus_binary, Path(folder), RULES) as world,
        ):
            began = time.time()
            await good_and_bad_times(world)
            ended = time.time()
            boards = []
            for file in FILES:
                asked = Asked(world.prometheus, board(file), began, ended, SCRAPE_SECONDS)
                boards.append({"board": asked.board, "answers": await answers(asked)})
            return {"began": began, "ended": ended, "boards": boards}


async def good_and_bad_times(world: World) -> None:
    """What the pictures show; they end in the middle of the last trouble."""
    await asyncio.sleep(CALM_SECONDS)
    await world.cut()
    await asyncio.sleep(CALM_SECONDS / 2)
    await world.restart()
    await asyncio.sleep(CALM_SECONDS * 1.5)
    world.proxy.delay_to_client_seconds = 2.5
    await asyncio.sleep(CALM_SECONDS / 2)


async def answers(asked: Asked) -> dict[int, dict[str, Any]]:
    """Of each panel by its number: how far its points are apart, and the series of each query."""
    answered = {}
    for panel in panels(asked.board):
        step_seconds = max(STEP_SECONDS, int(panel.get("interval", "0s").removesuffix("s")))
        series = {
            target["refId"]: await asked.series(target["expr"], step_seconds, instant=target.get("instant", False))
            for target in panel["targets"]
        }
        answered[panel["id"]] = {"step_seconds": step_seconds, "series": series}
    return answered


def built(script: Path) -> Path:
    return Path(subprocess.run([script], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


if __name__ == "__main__":
    recording = asyncio.run(record(built(BUILD_SERVERS), built(BUILD_TOOLS) / "prometheus"))
    Path(sys.argv[1]).write_text(json.dumps(recording), encoding="utf-8")
