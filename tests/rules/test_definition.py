"""The generated files, the runbooks and the pages about alerts hold together."""

import functools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import promql_parser
import pytest
import yaml

from deploy.generator import files
from deploy.generator.objective import RUNBOOKS
from exporter.expose.families import FAMILIES
from tests.rules.scenarios import SCENARIOS
from tests.rules.shipped import ROOT, ShippedAlert, alerts, groups, recordings

FROM_PROMETHEUS = {"up", "process_resident_memory_bytes", "process_cpu_seconds_total"}
OF_TARGETS = {"job", "instance", "pod", "cluster"}
RUNBOOK_FOLDER = ROOT / "docs" / "runbooks"


@functools.cache
def exported() -> dict[str, set[str]]:
    """The series of the exporter's contract, each with its labels."""
    series: dict[str, set[str]] = {}
    for family in FAMILIES:
        labels = set(family.labels)
        if family.type == "histogram":
            series |= {f"{family.name}_sum": labels, f"{family.name}_count": labels}
            series[f"{family.name}_bucket"] = labels | {"le"}
        else:
            series[family.name] = labels
    return series


def selectors(promql: str) -> Iterator[tuple[str, set[str]]]:
    """Each series that an expression reads, with the labels that it is selected by."""
    found: list[promql_parser.VectorSelector] = []

    def visit(node: promql_parser.Expr) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)
        return True

    promql_parser.walk(promql_parser.parse(promql), visit)
    for selector in found:
        yield selector.name or "", {matcher.name for matcher in selector.matchers.matchers}


def assert_all_there(promql: str) -> None:
    contract = exported()
    recorded = {rule["record"] for rule in recordings()}
    read = list(selectors(promql))
    assert read, promql
    for name, labels in read:
        assert name in contract.keys() | recorded | FROM_PROMETHEUS, f"{name} is not exported: {promql}"
        if name in contract:
            assert labels <= contract[name] | OF_TARGETS, f"{name} has no such label: {promql}"


@pytest.mark.parametrize("name", files())
def test_a_generated_file_is_what_scripts_rules_writes(name: str) -> None:
    assert (ROOT / "deploy" / name).read_text(encoding="utf-8") == files()[name]


def test_the_generator_writes_all_files_scaled_into_any_folder(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "deploy.generator", "--scale", "60", "--into", str(tmp_path)]
    subprocess.run(words, cwd=ROOT, check=True)
    for name, text in files(scale=60).items():
        assert (tmp_path / name).read_text(encoding="utf-8") == text


def test_scaled_rules_differ_from_the_shipped_ones_in_durations_only() -> None:
    text, shipped = files(scale=60)["rules/watchslo.rules.yaml"], files()["rules/watchslo.rules.yaml"]
    changed = [
        pair for pair in zip(text.splitlines(), shipped.splitlines(), strict=True) if pair[0] != pair[1]
    ]  # fmt: skip
    assert len(changed) > 50
    duration = re.compile(r"(?<=\[)\w+(?=])|(?<=for: )\w+$|(?<=interval: )\w+$")
    for scaled, original in changed:
        assert duration.sub("", scaled) == duration.sub("", original)
    assert "(rate(watchslo_events_judged_total[60000ms]))" in text
    assert "for: 2000ms" in text


def test_rules_read_only_what_the_exporter_exports_or_what_is_recorded() -> None:
    for group in groups():
        for rule in group["rules"]:
            assert_all_there(rule["expr"])


def test_what_is_recorded_is_recorded_before_it_is_read_in_its_group() -> None:
    for group in groups():
        names = [rule.get("record") for rule in group["rules"]]
        for place, rule in enumerate(group["rules"]):
            later = {name for name, _ in selectors(rule["expr"])} & {*names[place:]}
            assert not later, f"{rule} reads {later} of the evaluation before"


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert.key)
def test_an_alert_says_what_it_is_how_much_and_where_to_read_on(alert: ShippedAlert) -> None:
    annotations = alert.rule["annotations"]
    assert annotations.keys() == {"summary", "description", "runbook_url"}
    assert "$value" in annotations["description"]
    assert annotations["runbook_url"] == f"{RUNBOOKS}/{alert.rule['alert']}.md"
    assert alert.rule["labels"]["severity"] in {"critical", "warning"}
    [labels, *_] = [
        labels
        for scenario in SCENARIOS
        if scenario.alert == alert.key
        for said in scenario.expected.values()
        for labels in said
    ]
    used = set(re.findall(r"\$labels\.(\w+)", "".join(annotations.values())))
    assert used - {"job"} <= labels.keys(), "it speaks of labels that it does not have"


def test_only_fast_burn_rates_wake_somebody_up() -> None:
    critical = {alert.key for alert in alerts() if alert.rule["labels"]["severity"] == "critical"}
    names = ("WatchLatencyBudgetBurn", "WatchLatencyClusterBudgetBurn")
    assert critical == {f"{name}-{long}" for name in names for long in ("1h", "6h")}


@pytest.mark.parametrize("name", sorted({alert.rule["alert"] for alert in alerts()}))
def test_a_runbook_has_three_queries_that_work(name: str) -> None:
    text = (RUNBOOK_FOLDER / f"{name}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {name}\n")
    assert re.findall(r"^## (.*)$", text, flags=re.MULTILINE) == ["Three queries", "What to do"]
    queries = re.findall(r"```promql\n(.*?)```", text, flags=re.DOTALL)
    assert len(queries) == 3
    for query in queries:
        assert_all_there(query)


def test_there_is_no_runbook_without_its_alert() -> None:
    assert {page.stem for page in RUNBOOK_FOLDER.glob("*.md")} == {alert.rule["alert"] for alert in alerts()}


def test_links_of_runbooks_and_of_the_page_about_alerts_lead_somewhere() -> None:
    pages = [*RUNBOOK_FOLDER.glob("*.md"), ROOT / "docs" / "alerts.md"]
    broken = [
        (page.name, link)
        for page in pages
        for link in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8"))
        if not link.startswith("http") and not (page.parent / link).exists()
    ]
    assert not broken


def test_the_page_about_alerts_names_every_alert() -> None:
    text = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
    assert not [alert.key for alert in alerts() if alert.rule["alert"] not in text]


def test_the_yaml_is_as_other_tools_read_it() -> None:
    for name in files():
        assert all(isinstance(document, dict) for document in yaml.safe_load_all(files()[name]))
