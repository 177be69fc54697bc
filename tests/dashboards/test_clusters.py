"""The day of two clusters in a real Prometheus, with what our rules made of it: dashboards show them apart."""

import asyncio
import subprocess
import time
from collections.abc import Iterator

import pytest
import yaml

from tests.dashboards import grafana
from tests.dashboards.grafana import FILES, Board, board
from tests.dashboards.prometheus import Prometheus, Series
from tests.real.tools import tool
from tests.rules import day
from tests.rules.promtool import Values
from tests.rules.shipped import RECORDED, Rule, recordings

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

MANY = [f'apiserver="10.9.0.{number % 5}:6443", group="", resource="r{number // 5}"' for number in range(500)]
"""The watches of a third cluster: a hundred resources on each of five apiservers, for the last minutes of the day."""
MANY_SINCE = day.MINUTES - 15
AT_MOST = 20


class Day:
    """A Prometheus that has the day, which began at a Unix time."""

    def __init__(self, prometheus: Prometheus, began: int) -> None:
        self._prometheus = prometheus
        self._began = began

    async def asked(self, expression: str, of: Board, clusters: str, *, minute: int = day.MINUTES) -> list[Series]:
        """What an expression of a dashboard is worth at a minute of the day, with these clusters chosen."""
        seconds = {"__rate_interval": 240, "__interval": 120, "__range": 6 * 3600}
        query = grafana.with_all_chosen(expression, of, seconds).replace('cluster=~".*"', f'cluster=~"{clusters}"')
        # At the end of the range, which Grafana sends as an own parameter.
        return await self._prometheus.between(query, self._at(minute), self._at(minute), "1m")

    def _at(self, minute: int) -> int:
        return self._began + 60 * minute


@pytest.fixture(scope="module")
def the_day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    folder = tmp_path_factory.mktemp("day")
    began = (int(time.time()) // 3600 - 25) * 3600
    prometheus = Prometheus(tool("prometheus"), folder, {"global": {"scrape_interval": "1m"}})
    lines = folder / "day.om"
    lines.write_text("".join(openmetrics(began)), encoding="utf-8")
    backfill("openmetrics", str(lines), str(folder / "prometheus"))
    asyncio.run(prometheus.create())
    for number, rules in enumerate(in_order_of_reading()):
        file = folder / f"{number}.yaml"
        file.write_text(yaml.safe_dump({"groups": [{"name": "backfilled", "rules": rules}]}), encoding="utf-8")
        times = ("--start", str(began), "--end", str(began + 60 * day.MINUTES), "--eval-interval", "1m")
        backfill("rules", *times, "--url", prometheus.url, "--output-dir", str(folder / "prometheus"), str(file))
        asyncio.run(prometheus.kill())  # it looks for new blocks at its start
        asyncio.run(prometheus.start())
    yield Day(prometheus, began)
    asyncio.run(prometheus.kill())


def openmetrics(began: int) -> Iterator[str]:
    """The day as text: the series of exporters, the alerts that fired, and the third cluster."""
    for name, values in (*day.series().items(), *alerts_of_the_day(), *many()):
        written = name.replace('", ', '",')
        for minute, value in enumerate(values):
            if not isinstance(value, str):
                yield f"{written} {value} {began + 60 * minute}\n"
    yield "# EOF\n"


def alerts_of_the_day() -> Iterator[tuple[str, Values]]:
    for told in day.TOLD:
        labels = ", ".join(f'{name}="{value}"' for name, value in told.labels.items())
        yield f"ALERTS{{{labels}}}", ["_"] * told.first + [1] * (told.last - told.first + 1)
    for alert in ("Watchdog", "WatchtowerDown"):
        labels = f'alertname="{alert}", alertstate="firing", cluster="east", job="watchslo"'
        yield f"ALERTS{{{labels}}}", [1] * (day.MINUTES + 1)


def many() -> Iterator[tuple[str, Values]]:
    def late(values: Values) -> Values:
        return ["_"] * MANY_SINCE + [*values]

    target = 'cluster="many", job="watchslo", instance="10.9.1.1:9985"'
    for number, stream in enumerate(MANY):
        growing = [float(minute * (number + 1)) for minute in range(16)]
        for name, more, values in (
            ("slo_state", ', state="violated"', [number % 2] * 16),
            ("slo_state", ', state="unknown"', [0] * 16),
            ("slo_state", ', state="quiet"', [0] * 16),
            ("p99_lower_seconds", "", [number / 100] * 16),
            ("p99_upper_seconds", "", [number / 50] * 16),
            ("window_events", "", [number] * 16),
            ("events_judged_total", ', verdict="late"', growing),
            ("forced_closes_total", "", growing),
            ("received_bytes_total", "", growing),
            ("uncovered_seconds_total", "", growing),
            ("canary_lost_total", "", growing),
            ("canary_delivery_seconds_bucket", ', le="+Inf"', growing),
        ):
            yield f"watchslo_{name}{{{target}, {stream}{more}}}", late(values)
    for name, value in (("threshold_seconds", 1.0), ("objective_ratio", 0.99)):
        yield f"watchslo_{name}{{{target}}}", late([value] * 16)


def in_order_of_reading() -> Iterator[list[Rule]]:
    """The recording rules that dashboards need, and those before that they read."""
    left = [rule for rule in recordings() if rule["record"] not in rule["expr"]]
    while left:
        unread = {rule["record"] for rule in left}
        now = [rule for rule in left if not unread & {*RECORDED.findall(rule["expr"])}]
        yield now
        left = [rule for rule in left if rule not in now]


def backfill(what: str, *words: str) -> None:
    command = [str(tool("promtool")), "tsdb", "create-blocks-from", what, *words]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr


async def test_two_clusters_are_two_wherever_a_legend_names_them(the_day: Day) -> None:
    apart = 0
    for file in FILES:
        shown = board(file)
        for target in grafana.targets(shown):
            both, east, west = [
                {
                    tuple(sorted(one["metric"].items()))
                    for one in await the_day.asked(target.expression, shown, clusters, minute=180)
                }
                for clusters in ("east|west", "east", "west")
            ]
            if "{{cluster}}" in target.legend:
                assert both == east | west, target
                assert not east & west, target
                apart += bool(east) and bool(west)
    assert apart > 5


async def test_the_same_address_is_a_watch_of_each_cluster(the_day: Day) -> None:
    shown, state = panel("Is the objective met?")
    series = await the_day.asked(state, shown, "east|west", minute=180)
    of_pods = [one["metric"] for one in series if one["metric"]["resource"] == "pods"]
    assert {each["cluster"] for each in of_pods if each["apiserver"] == "192.168.1.10:6443"} == {"east", "west"}


@pytest.mark.parametrize(("minute", "east", "west"), [(150, 7, 0), (300, 4, 0), (430, 4, 8), (1300, 0, 1)])
async def test_alerts_that_fire_are_ours_of_the_chosen_cluster(the_day: Day, minute: int, east: int, west: int) -> None:
    shown, alerts = panel("Alerts that fire")
    for clusters, expected in (("east", east), ("west", west), ("east|west", east + west)):
        [series] = await the_day.asked(alerts, shown, clusters, minute=minute)
        assert float(series["values"][0][1]) == expected, clusters


async def test_the_budget_of_thirty_days_is_that_of_the_rules(the_day: Day) -> None:
    shown, budget = panel("Error budget left, worst resource")
    [east] = await the_day.asked(budget, shown, "east")
    [west] = await the_day.asked(budget, shown, "west", minute=day.WEST_ENDS - 1)
    # For the pods all were late in the stall, and 8 % of a third while one apiserver was. The last hour is not over.
    late = (day.STALL[1] - day.STALL[0]) + (day.APART[1] - day.APART[0]) * 0.08 / 3
    assert float(east["values"][0][1]) == pytest.approx(1 - late / (day.MINUTES - 60) / 0.01, abs=0.05)
    assert float(west["values"][0][1]) == pytest.approx(1)


async def test_of_very_many_watches_the_worst_are_shown(the_day: Day) -> None:
    seen = 0
    for file in FILES:
        shown = board(file)
        for target in grafana.targets(shown):
            series = await the_day.asked(target.expression, shown, "many")
            assert len(series) <= AT_MOST, target
            seen += len(series) == AT_MOST
    assert seen >= 6


def panel(title: str) -> tuple[Board, str]:
    """The dashboard with a panel of this title, and the panel's first query."""
    for file in FILES:
        shown = board(file)
        for target in grafana.targets(shown):
            if target.panel == title:
                return shown, target.expression
    raise AssertionError(title)
