"""Every query of the dashboards, asked of a real Prometheus that scraped the real exporter in good and bad times."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.generator import files
from exporter.vocabulary import HistogramFormat
from tests.conftest import FreshCluster
from tests.dashboards import grafana
from tests.dashboards.asked import Asked
from tests.dashboards.grafana import FILES, Target, board
from tests.dashboards.prometheus import Series
from tests.dashboards.world import SCRAPE_SECONDS, observed_world
from tests.real.tools import tool

STEP_SECONDS = 2 * SCRAPE_SECONDS

# A query for one of these has no data here.
EMPTY = {
    "apiserver_watch_events_dispatch_duration_seconds": "kube-apiserver has it from 1.37 on, the one here is 1.36",
}
# It is made of whole hours, here of minutes that began in time, if one did. test_clusters.py has a day.
MAYBE = "ratio_rate30d"
# A query that leaves out what did not happen may have no data for these.
ZERO = {
    "watchslo_contradictions_total": "no clock is set, no store is put back",
    "watchslo_events_unmeasured_total": "all events have a revision, and polls that date it",
    "watchslo_canary_lost_total": "what is late by seconds is not lost",
    "watchslo_canary_write_failures_total": "canaries are written through an apiserver that is up",
}

A_FIRING_ALERT = """
  - name: test
    rules: [{alert: WatchStreamDown, expr: vector(1), labels: {job: watchslo, severity: test}}]
"""


@pytest.mark.timeout(150)
@pytest.mark.parametrize("histograms", ["classic", "native"])
async def test_every_query_has_data_or_is_declared_empty(
    fresh_cluster: FreshCluster, tmp_path: Path, histograms: HistogramFormat
) -> None:
    prometheus = tool("prometheus")
    rules = tmp_path / "rules.yaml"
    rules.write_text(files(scale=60)["rules/watchslo.rules.yaml"] + A_FIRING_ALERT, encoding="utf-8")
    cluster = await fresh_cluster(apiservers=2)
    async with observed_world(cluster, prometheus, tmp_path, rules, histograms) as world:
        began = time.time()
        await asyncio.sleep(2 * SCRAPE_SECONDS)
        await world.cut()
        await asyncio.sleep(3)
        await world.late_answers(2.5, seconds=6)
        await world.exporter.wait_for(lambda scrape: scrape.sum("events_judged_total", verdict="late") > 0)
        await world.restart()
        await asyncio.sleep(4 * SCRAPE_SECONDS)
        found = [
            complaint
            for file in FILES
            async for complaint in complaints(Asked(world.prometheus, board(file), began, time.time(), SCRAPE_SECONDS))
        ]
    assert not found, "\n".join(found)


async def complaints(asked: Asked) -> AsyncIterator[str]:
    for target in grafana.targets(asked.board):
        for complaint in complaints_about(target, await asked.series(target.expression, STEP_SECONDS)):
            yield f"{target}: {complaint}"
    for panel in grafana.panels(asked.board):
        if not await bounds_in_order(asked, panel):
            yield f"{panel['title']}: at most is less than at least"
    for name, variable in grafana.variables(asked.board).items():
        if variable["type"] == "query" and name != "cluster" and not await asked.choices(variable["query"]):
            yield f"the variable {name} offers nothing"
    for annotation in asked.board["annotations"]["list"]:
        if not await asked.series(annotation["expr"], STEP_SECONDS):
            yield f"the annotation {annotation['name']} marks nothing"


async def bounds_in_order(asked: Asked, panel: dict[str, Any]) -> bool:
    expressions = {target["legendFormat"]: target["expr"] for target in panel["targets"]}
    if not {"at most", "at least"} <= expressions.keys():
        return True
    at_most, at_least = [
        values(await asked.series(expressions[name], STEP_SECONDS)) for name in ("at most", "at least")
    ]
    return all(at_least[when] <= at_most[when] + 1e-9 for when in at_least.keys() & at_most.keys())


def complaints_about(target: Target, series: list[Series]) -> Iterator[str]:
    numbers = [value for one in series for _, value in one.get("values", ()) if math.isfinite(float(value))]
    numbers += [value["sum"] for one in series for _, value in one.get("histograms", ())]
    declared = [reason for name, reason in EMPTY.items() if name in target.expression]
    left_out = "@ end())) > 0" in target.expression and any(name in target.expression for name in ZERO)
    if declared and numbers:
        yield f"it has data, though: {declared[0]}"
    if not declared and not left_out and MAYBE not in target.expression and not numbers:
        yield "it has no data"
    known = {label for one in series for label in one["metric"]} | {"group", "cluster"}  # what is "" is no label
    if "watchslo_fault" in target.expression:
        known |= {"apiserver", "resource"}
    has_buckets = any("histograms" in one for one in series)
    known |= {"le"} if has_buckets else set()
    if series and not grafana.labels_in(target.legend) <= known:
        yield f"its legend names a label that no series has: {target.legend}"


def values(series: list[Series]) -> dict[float, float]:
    return {when: float(value) for one in series for when, value in one["values"] if math.isfinite(float(value))}
