"""A day of two clusters, with other teams' rules beside ours: every alert fires for its cluster, and pages once."""

import subprocess
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from deploy.generator.objective import DEFAULTS
from tests.real.process import Server, answers, free_port
from tests.real.tools import tool
from tests.rules import day
from tests.rules.day import MINUTES, PAYMENTS, TOLD
from tests.rules.shipped import ROOT, RULES, SLOTH_RULES, alerts, groups
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

INHIBITIONS = ROOT / "deploy" / "alertmanager" / "inhibit_rules.yaml"
FOREIGN = (
    {"alertname": "Watchdog", "alertstate": "firing", "severity": "none"},
    {
        "alertname": "WatchtowerDown",
        "alertstate": "firing",
        "severity": "critical",
        "job": "watchslo",
        "cluster": "east",
    },
)
# What people read, at a minute of the day: summary and description.
READ = {
    ("WatchLatencyClusterBudgetBurn", 150): (
        "east: Watch events of all resources are late: the error budget of 30 days lasts 5 days or less.",
        (
            "47.5% of the watch events of all resources certainly arrived too late. The error budget burns over 14.4 "
            "times as fast as the objective allows in the last hour, or over 6 times as fast as it allows in the last "
            "6 hours, and still so in the last 5 minutes or 30 minutes."
        ),
    ),
    ("WatchCanariesLost", 560): (
        "east: Canary writes not seen on the watch of pods on 192.168.1.10:6443.",
        "2.5% of the canaries of the last hour were accepted and not seen on the watch in time.",
    ),
    ("WatchLatencyUnknown", 620): (
        "west: Compliance of pods on 192.168.1.10:6443 cannot be determined.",
        (
            "The state was unknown for 100% of the last 30 minutes: too many events are neither certainly late nor "
            "certainly on time, or events may be missing."
        ),
    ),
    ("WatchsloLagging", 700): (
        "east: Event-loop iterations delayed over 0.1 s: watchslo at 10.1.0.1:9985 is short of CPU.",
        "5% of the iterations in the last 15 minutes were delayed over 0.1 s. That makes events ambiguous, never late.",
    ),
    ("WatchsloShardAbsent", 920): (
        "west: 1 of 2 watchslo shards are missing.",
        (
            "1 of the 2 exporters that share the watches (--shard) are not scraped. What falls to them is not watched, "
            "and shows in no other number."
        ),
    ),
    ("WatchsloAbsent", 1300): (
        "west: No watchslo target scraped for 10 minutes.",
        "The job watchslo was last scraped 1h 41m 0s ago. Nobody knows how late watches are.",
    ),
}
WHY = {
    "WatchLatencyClusterBudgetBurn": "cache_behind (shown) of pods on 192.168.1.10:6443",
    "WatchLatencyUnknown": "No fault is found at the moment.",
}
OF_PAYMENTS = '{sloth_service="payments"}'
FIRING = 'timestamp(ALERTS{alertstate="firing"})'


def test_every_alert_fires_for_the_right_cluster_once(tmp_path: Path) -> None:
    minutes: dict[str, set[int]] = {_selector(labels): {*range(1, MINUTES + 1)} for labels in FOREIGN}
    for told in TOLD:
        minutes.setdefault(_selector(told.labels), set()).update(range(told.first, told.last + 1))
    asked = {
        f"min_over_time({FIRING}[1d:1m]) / 60": [(labels, min(those)) for labels, those in minutes.items()],
        f"max_over_time({FIRING}[1d:1m]) / 60": [(labels, max(those)) for labels, those in minutes.items()],
        'count_over_time(ALERTS{alertstate="firing"}[1d])': [(labels, len(those)) for labels, those in minutes.items()],
        f"round(1e5 * slo:objective:ratio{OF_PAYMENTS})": [(f"{{{PAYMENTS}}}", 99990)],
        f"round(1e5 * slo:error_budget:ratio{OF_PAYMENTS})": [(f"{{{PAYMENTS}}}", 10)],
        f"count({OF_PAYMENTS})": [("{}", 4)],  # with what they are made of
    }
    (tmp_path / "foreign.yaml").write_text(day.FOREIGN_RULES, encoding="utf-8")
    test = {
        "rule_files": [str(RULES), str(SLOTH_RULES), "foreign.yaml"],
        "evaluation_interval": "1m",
        "group_eval_order": [*(group["name"] for group in groups()), "watchslo-sloth", "other-teams"],
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": name, "values": " ".join(map(str, values))} for name, values in day.series().items()
                ],
                "alert_rule_test": [_as_read(alert, minute, *texts) for (alert, minute), texts in READ.items()],
                "promql_expr_test": [
                    {
                        "expr": expr,
                        "eval_time": f"{MINUTES}m",
                        "exp_samples": [{"labels": labels, "value": value} for labels, value in samples],
                    }
                    for expr, samples in asked.items()
                ],
            }
        ],
    }
    (tmp_path / "day.test.yaml").write_text(yaml.safe_dump(test, width=100_000), encoding="utf-8")
    words = [str(tool("promtool")), "test", "rules", "day.test.yaml"]
    ended = subprocess.run(words, check=False, capture_output=True, text=True, cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_day_has_every_alert() -> None:
    assert {told.alert for told in TOLD} == {alert.rule["alert"] for alert in alerts()}


class Alertmanager(Server):
    """An Alertmanager with the shipped inhibition rules, and one receiver for all."""

    def __init__(self, folder: Path) -> None:
        super().__init__("alertmanager", folder, "127.0.0.1")
        self._folder = folder
        self._port = 0
        self.configuration = folder / "alertmanager.yml"
        inhibitions = INHIBITIONS.read_text(encoding="utf-8")
        whole = f"route: {{receiver: all}}\nreceivers: [{{name: all}}]\n{inhibitions}"
        self.configuration.write_text(whole, encoding="utf-8")

    def choose_ports(self) -> None:
        self._port = free_port(self.address)

    def command(self) -> list[str]:
        return [
            str(tool("alertmanager")),
            f"--config.file={self.configuration}",
            f"--storage.path={self._folder / 'alertmanager'}",
            f"--web.listen-address={self.address}:{self._port}",
            "--cluster.listen-address=",
        ]

    async def is_ready(self) -> bool:
        return await answers(f"http://{self.address}:{self._port}/-/ready")

    async def fire(self, alerts: list[dict[str, str]]) -> None:
        """Let these fire from now on."""
        async with (
            aiohttp.ClientSession() as http,
            http.post(self._url, json=[{"labels": each} for each in alerts]) as answer,
        ):
            assert answer.status == 200, await answer.text()

    async def told(self, *, inhibited: bool = False) -> list[dict[str, str]]:
        """The labels of what somebody is told of, or of everything that fires."""
        which = {"active": "true", "inhibited": str(inhibited).lower()}
        async with aiohttp.ClientSession() as http, http.get(self._url, params=which) as answer:
            found: list[dict[str, Any]] = await answer.json()
        return [each["labels"] for each in found]

    @property
    def _url(self) -> str:
        return f"http://{self.address}:{self._port}/api/v2/alerts"


# Of the minute: what somebody is paged for, and how many tickets are opened beside it.
PAGES = {
    150: ([("WatchLatencyClusterBudgetBurn", "east")], 0),
    187: ([("WatchLatencyClusterBudgetBurn", "east")], 0),
    250: ([], 1),
    430: ([("WatchClusterDown", "west")], 1),
    470: ([("WatchCoverageBudgetBurn", "west")], 5),
    515: ([], 4),
    920: ([], 1),
    1300: ([], 1),
}


@pytest.mark.parametrize("minute", PAGES)
async def test_there_is_one_page_for_each_cause(minute: int, tmp_path: Path) -> None:
    firing = [told.labels for told in TOLD if told.first <= minute <= told.last]
    firing = [{name: value for name, value in each.items() if name != "alertstate"} for each in [*firing, *FOREIGN]]
    pages, tickets = PAGES[minute]
    expected = sorted([*pages, ("WatchtowerDown", "east")])
    alertmanager = Alertmanager(tmp_path)
    await alertmanager.create()
    try:
        await alertmanager.fire(firing)

        async def is_as_expected() -> bool:
            told = await alertmanager.told()
            critical = [each for each in told if each["severity"] == "critical"]
            warnings = [each for each in told if each["severity"] == "warning"]
            is_told_of = sorted((each["alertname"], each["cluster"]) for each in critical)
            return (is_told_of, len(warnings)) == (expected, tickets)

        await wait_until(is_as_expected, f"{expected} and {tickets} tickets", timeout_seconds=30)
        assert len(await alertmanager.told(inhibited=True)) == len(firing)
    finally:
        await alertmanager.kill()


def test_amtool_finds_no_fault_with_the_inhibition_rules(tmp_path: Path) -> None:
    words = [str(tool("amtool")), "check-config", str(Alertmanager(tmp_path).configuration)]
    checked = subprocess.run(words, check=False, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "7 inhibit rules" in checked.stdout


def _as_read(alert: str, minute: int, summary: str, description: str) -> dict[str, Any]:
    [told] = [each for each in TOLD if each.alert == alert and each.first <= minute <= each.last]
    labels = {name: value for name, value in told.labels.items() if name not in {"alertname", "alertstate"}}
    annotations = {"summary": summary, "description": description, "runbook_url": f"{DEFAULTS.runbooks}/{alert}.md"}
    if alert in WHY:
        annotations["why"] = WHY[alert]
    wanted = {"exp_labels": labels, "exp_annotations": annotations}
    return {"alertname": alert, "eval_time": f"{minute}m", "exp_alerts": [wanted]}


def _selector(labels: dict[str, str]) -> str:
    return "{" + ", ".join(f'{name}="{value}"' for name, value in labels.items()) + "}"
