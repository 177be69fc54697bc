"""What the files promise to people, beyond what a linter asks."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.metrics.families import FAMILIES
from tests.dashboards.grafana import FILES, FOLDER, RULES, board, panels, targets

# By the reason for it.
WITHOUT_A_PANEL = {
    "its certain bounds have one": ["apiserver_time_span_seconds", "p99_seconds"],
    "the exporter's own P99 of five minutes has one": [
        "pod_startup_lower_seconds",
        "pod_startup_upper_seconds",
        "pod_startup_p95_lower_seconds",
        "pod_startup_p95_upper_seconds",
    ],
    "kube-state-metrics shows pods that do not start, and the page those that are starting": ["pods_starting"],
    "the width of the intervals has one, which tells what it comes to": [
        "revision_clock",
        "date_evidence_enabled",
        "stale_reads_total",
        "balancers_noticed_total",
    ],
    "it is a setting": ["objective_ratio", "shards", "shard_index"],
    "an alert or `watchslo check` says what is missing": [
        "discovery_errors_total",
        "apiservers_left_out",
        "custom_resources_left_out",
    ],
    "the requests, by purpose, have one": ["server_metrics_reads_total", "apiserver_response_bytes_total"],
    "those that are lost or refused have one": ["canary_writes_total"],
    "it says why a single client or text was refused, or is for a search for leaks": [
        "refused_text_total",
        "web_refused_total",
        "tasks",
    ],
    "docs/audit.md has the query: the apiserver's audit log tells of others' requests, not of watches": [
        "audit_request_seconds_total",
        "audit_requests_total",
    ],
    "the faults themselves have one": ["fault_changes_total"],
}

each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def test_the_files_are_what_the_script_writes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "dashboards.build", tmp_path], check=True, cwd=FOLDER.parent)
    written = {file.name: file.read_text(encoding="utf-8") for file in tmp_path.iterdir()}
    assert {file.name: file.read_text(encoding="utf-8") for file in FILES} == written


@each_file
def test_a_dashboard_has_numbers_first_and_few_panels(file: Path) -> None:
    kinds = [panel["type"] for panel in panels(board(file))]
    assert len(kinds) <= 15
    numbers = kinds.count("stat")
    assert numbers > 0
    assert kinds[:numbers] == ["stat"] * numbers


def test_a_metric_has_a_panel_or_a_reason_for_having_none() -> None:
    queries = " ".join(target.expression for file in FILES for target in targets(board(file)))
    asked = {re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"\bwatchslo_(\w+){", queries)}
    without = {name for family in FAMILIES if (name := family.name.removeprefix("watchslo_")) not in asked}
    assert without == {name for names in WITHOUT_A_PANEL.values() for name in names}


@each_file
def test_a_description_is_made_of_sentences(file: Path) -> None:
    for panel in panels(board(file)):
        assert re.fullmatch(r"[A-Z0-9].*\.", panel["description"]), panel["title"]


@each_file
def test_no_two_panels_overlap_or_share_an_id(file: Path) -> None:
    every = board(file)["panels"]
    cells = [cell for panel in every for cell in cells_of(panel["gridPos"])]
    assert len(cells) == len(set(cells))
    assert all(0 <= column < 24 for column, _ in cells)
    assert len({panel["id"] for panel in every}) == len(every)


def cells_of(position: dict[str, int]) -> list[tuple[int, int]]:
    columns = range(position.get("x", 0), position.get("x", 0) + position["w"])
    return [(column, row) for column in columns for row in range(position["y"], position["y"] + position["h"])]


@each_file
def test_an_override_is_about_a_series_that_is_there(file: Path) -> None:
    for panel in panels(board(file)):
        legends = {target["legendFormat"] for target in panel["targets"]}
        for override in panel.get("fieldConfig", {}).get("overrides", []):
            named = override["matcher"]["options"]
            assert named in legends or "{{verdict}} {{cluster}}" in legends, f"{panel['title']}: {named}"
            assert filled_to(override) <= legends


def filled_to(override: dict[str, Any]) -> set[str]:
    return {item["value"] for item in override["properties"] if item["id"] == "custom.fillBelowTo"}


def test_a_state_has_one_colour_everywhere() -> None:
    shown = [
        {result["text"]: result["color"] for result in mapping["options"].values()}
        for file in FILES
        for panel in panels(board(file))
        for mapping in panel.get("fieldConfig", {}).get("defaults", {}).get("mappings", [])
    ]
    states = {"met": "green", "quiet": "#8e8e99", "unknown": "orange", "violated": "red"}
    certainties = {"suspected": "orange", "shown": "red"}
    assert [words for words in shown if words != certainties] == [states] * 2
    assert shown.count(certainties) == 2


def test_our_alerts_and_no_others_are_marked_on_the_panels() -> None:
    rules = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"] if "alert" in rule}
    assert alerts
    for file in FILES:
        of_alerts, of_faults = board(file)["annotations"]["list"]
        (pattern,) = re.findall(r'alertname=~"([^"]+)"', of_alerts["expr"])
        assert set(pattern.split("|")) == alerts
        assert "watchslo_fault{" in of_faults["expr"]
