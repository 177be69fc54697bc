"""A real Prometheus takes native histograms: quantiles, alerts and exemplars are those of the classic ones."""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from deploy.generator import files
from exporter.measure.histogram import ZERO_THRESHOLD
from exporter.metrics.families import FAMILIES
from exporter.simulator import Simulator, Workload
from tests.dashboards.prometheus import Prometheus
from tests.real.tools import tool
from tests.support.kubeconfig import kubeconfig
from tests.support.observing import Process, started, until
from tests.support.waiting import wait_until

FEATURES = ("native-histograms", "exemplar-storage")
SPANS = [family.name for family in FAMILIES if family.type == "histogram" and family.name.startswith("watchslo_a")]
LOWER = "watchslo_apiserver_time_span_lower_seconds"
RESOLUTION = 2 ** (1 / 8)

JOBS: dict[str, dict[str, Any]] = {
    "native": {},
    "text": {"scrape_protocols": ["PrometheusText0.0.4"]},
    "kept": {"always_scrape_classic_histograms": True},
}
"""How one exporter that offers both formats is scraped. The exporter that only offers one is `only`."""


ALL_SERIES = 'count({{__name__=~"watchslo_.+", __name__!~"watchslo_fault.*", job="{job}"}})'
"""But those that findings make: on a busy machine not all exporters find the same."""


class World(NamedTuple):
    """What was scraped, and how."""

    simulator: Simulator
    prometheus: Prometheus

    async def values(self, expression: str) -> dict[tuple[tuple[str, str], ...], float]:
        """What it is worth now, by job, resource and whatever else there is."""
        found = await self.prometheus.at(expression, time.time())
        return {tuple(sorted(one["metric"].items())): float(one["values"][0][1]) for one in found}

    async def everybody_is_paged(self) -> bool:
        """Whether the alert of a burnt budget fires by what each job has scraped."""
        firing = await self.values('ALERTS{alertname="WatchLatencyBudgetBurn", alertstate="firing"}')
        return {dict(labels)["job"] for labels in firing} == {*JOBS, "only"}

    async def of_job(self, job: str, expression: str) -> float:
        """What it is worth for one job, as a sum."""
        [value] = (await self.values(f"sum({expression.format(job=job)})")).values() or [math.nan]
        return value


@contextlib.asynccontextmanager
async def scraped(folder: Path) -> AsyncIterator[World]:
    async with Simulator() as simulator, contextlib.AsyncExitStack() as stack:
        flags = ("--kubeconfig", kubeconfig(folder, simulator.url), "--apiserver", simulator.url, "--resource", "pods")
        both, only = [
            stack.enter_context(started(*flags, "--metrics.histograms", format_)) for format_ in ("both", "native")
        ]
        await until(both.ready)
        await until(only.ready)
        jobs = [_job(name, both, more) for name, more in JOBS.items()]
        configuration = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yaml"],
            "scrape_configs": [*jobs, _job("only", only, {})],
        }
        (folder / "rules.yaml").write_text(files(scale=60)["rules/watchslo.rules.yaml"], encoding="utf-8")
        prometheus = Prometheus(tool("prometheus"), folder, configuration, FEATURES)
        await prometheus.create()
        stack.push_async_callback(prometheus.kill)
        yield World(simulator, prometheus)


def _job(name: str, exporter: Process, more: dict[str, Any]) -> dict[str, Any]:
    target = {"targets": [exporter.url.removeprefix("http://")]}
    return {"job_name": name, "static_configs": [target], **more}


@pytest.mark.timeout(180)
async def test_native_histograms_say_what_classic_ones_say(tmp_path: Path) -> None:
    began = time.time()
    async with scraped(tmp_path) as world:
        async with Workload(world.simulator, rate_per_second=60):
            await asyncio.sleep(5)
            world.simulator.faults.cache_to_watch.set(1.5, "pods")
            await wait_until(world.everybody_is_paged, "whoever scrapes is paged", timeout_seconds=90)
        await asyncio.sleep(4)  # nothing comes any more: all scrapes say the same
        await _agree_on_quantiles(world)
        await _store_what_they_are_asked_for(world)
        exemplars = await world.prometheus.exemplars(f'{LOWER}{{job="native"}}', began, time.time())
    assert exemplars
    assert all(set(one["labels"]) == {"revision"} and float(one["value"]) > 1 for one in exemplars)
    assert all(began < one["timestamp"] < time.time() for one in exemplars)


async def _agree_on_quantiles(world: World) -> None:
    for name in SPANS:
        for ratio in (0.1, 0.5, 0.9):
            native = await world.of_job("native", f'histogram_quantile({ratio}, {name}{{{{job="{{job}}"}}}})')
            classic = [
                await world.of_job(job, f'histogram_quantile({ratio}, {name}_bucket{{{{job="{{job}}"}}}})')
                for job in ("text", "kept")
            ]
            assert classic[0] == classic[1]
            begin, finish = _bucket_of(classic[0])
            assert begin / RESOLUTION - ZERO_THRESHOLD <= native <= finish * RESOLUTION, (name, ratio)
        late = await world.of_job("native", f'histogram_fraction(1, +Inf, {name}{{{{job="{{job}}"}}}})')
        total, on_time = [
            await world.of_job("text", f'{name}_bucket{{{{job="{{job}}", le="{bound}"}}}}') for bound in ("+Inf", "1.0")
        ]
        assert late == pytest.approx(1 - on_time / total), "the threshold is the bound of a native bucket"


def _bucket_of(seconds: float) -> tuple[float, float]:
    """The classic bucket that a quantile was found in."""
    [bounds] = {family.bounds for family in FAMILIES if family.name == LOWER}
    return max(bound for bound in (0.0, *bounds) if bound < seconds), min(bound for bound in bounds if bound >= seconds)


async def _store_what_they_are_asked_for(world: World) -> None:
    """One series for each histogram, but for that of our own event loop, which is classic."""
    for job in ("native", "only"):
        buckets = await world.values(f'count by (__name__) ({{__name__=~"watchslo_.+_bucket", job="{job}"}})')
        assert [dict(labels)["__name__"] for labels in buckets] == ["watchslo_loop_lag_seconds_bucket"]
    stored = {job: await world.of_job(job, ALL_SERIES) for job in (*JOBS, "only")}
    assert stored["native"] == stored["only"] < stored["text"] / 2 < stored["kept"] / 2
