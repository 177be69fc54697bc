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
from deploy.generator.objective import DEFAULTS, Settings
from deploy.generator.rules import seconds_of
from exporter.metrics.families import FAMILIES
from tests.rules.scenarios import SCENARIOS
from tests.rules.shipped import RECORDED, ROOT, ShippedAlert, alerts, groups, recordings

FROM_PROMETHEUS = {"up", "process_resident_memory_bytes", "process_cpu_seconds_total"}
OF_TARGETS = {"job", "instance", "pod", "cluster"}
SUMMED_FIRST = [
    ("without", {"verdict"}),
    ("without", {"reason"}),
    ("ignoring", {"sloth_window"}),
    ("without", {"sloth_window"}),
]
ALWAYS_CLASSIC = "watchslo_loop_lag_seconds"
"""The only histogram that no format of histograms changes."""
REMEMBERED = "cluster:watchslo_last_seen:timestamp_seconds"  # it reads itself
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
            series |= {family.name: labels} if family.name != ALWAYS_CLASSIC else {}
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


def queries_of(runbook: Path) -> list[str]:
    found: list[str] = re.findall(r"```promql\n(.*?)```", runbook.read_text(encoding="utf-8"), flags=re.DOTALL)
    return found


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


def test_the_generator_writes_all_files_as_it_is_told_into_any_folder(tmp_path: Path) -> None:
    settings = Settings(cluster_label="k8s", objective=0.995, coverage=0.9, memory_mebibytes=300, runbooks="https://a")
    words = [sys.executable, "-m", "deploy.generator", "--scale", "60", "--into", str(tmp_path)]
    words += ["--cluster-label=k8s", "--objective=0.995", "--coverage=0.9", "--memory-mebibytes=300"]
    subprocess.run([*words, "--runbooks=https://a"], cwd=ROOT, check=True)
    for name, text in files(settings, scale=60).items():
        assert (tmp_path / name).read_text(encoding="utf-8") == text


def test_scaled_rules_differ_from_the_shipped_ones_in_durations_only() -> None:
    text, shipped = files(scale=60)["rules/watchslo.rules.yaml"], files()["rules/watchslo.rules.yaml"]
    changed = [
        pair for pair in zip(text.splitlines(), shipped.splitlines(), strict=True) if pair[0] != pair[1]
    ]  # fmt: skip
    assert len(changed) > 50
    duration = re.compile(r"(?<=\[)[\w:]+(?=])|(?<=for: )\w+$|(?<=interval: )\w+$")
    for scaled, original in changed:
        assert duration.sub("", scaled) == duration.sub("", original)
    assert "(rate(watchslo_events_judged_total[5000ms]))" in text
    assert "for: 2000ms" in text


def test_rules_read_only_what_the_exporter_exports_or_what_is_recorded() -> None:
    for group in groups():
        for rule in group["rules"]:
            assert_all_there(rule["expr"])


def test_no_rule_depends_on_the_format_of_histograms() -> None:
    histograms = [family.name for family in FAMILIES if family.type == "histogram" and family.name != ALWAYS_CLASSIC]
    read = {name for group in groups() for rule in group["rules"] for name, _ in selectors(rule["expr"])}
    assert f"{ALWAYS_CLASSIC}_bucket" in read
    assert not [name for name in read if name.startswith(tuple(histograms))]


def test_counters_are_read_over_an_hour_at_most() -> None:
    """Days of them are millions of samples at a hundred resources on five apiservers: recordings are for that."""
    for group in groups():
        for rule in group["rules"]:
            raw = re.findall(r"\bwatchslo_\w+(?:{[^}]*})?\[(\w+)", RECORDED.sub("", rule["expr"]))
            assert all(seconds_of(window) <= 3600 for window in raw), rule


def test_what_is_recorded_is_recorded_before_it_is_read_in_its_group() -> None:
    for group in groups():
        names = [rule.get("record") for rule in group["rules"]]
        for place, rule in enumerate(group["rules"]):
            later = {name for name, _ in selectors(rule["expr"])} & {*names[place:]} - {REMEMBERED}
            assert not later, f"{rule} reads {later} of the evaluation before"


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert.key)
def test_an_alert_says_what_it_is_how_much_and_where_to_read_on(alert: ShippedAlert) -> None:
    annotations = alert.rule["annotations"]
    is_felt = alert.rule["alert"].startswith(("WatchLatency", "WatchCoverage", "WatchClusterDown"))
    assert annotations.keys() == {"summary", "description", "runbook_url", *(["why"] if is_felt else [])}
    assert annotations["summary"].startswith("{{ with $labels.cluster }}{{ . }}: {{ end }}")
    assert "$value" in annotations["description"]
    assert annotations["runbook_url"] == f"{DEFAULTS.runbooks}/{alert.rule['alert']}.md"
    assert alert.rule["labels"]["severity"] in {"critical", "warning"}
    [labels, *_] = [
        labels
        for scenario in SCENARIOS
        if scenario.alert == alert.key
        for said in scenario.expected.values()
        for labels in said
    ]
    used = set(re.findall(r"\$labels\.(\w+)", "".join(annotations.values())))
    assert used - {"job", "cluster"} <= labels.keys(), "it speaks of labels that it does not have"


def test_only_fast_burn_rates_and_an_outage_wake_somebody_up() -> None:
    critical = {alert.key for alert in alerts() if alert.rule["labels"]["severity"] == "critical"}
    burning = ("WatchLatencyBudgetBurn", "WatchLatencyClusterBudgetBurn", "WatchCoverageBudgetBurn")
    assert critical == {*(f"{name}-critical" for name in burning), "WatchClusterDown"}


def ways_of_joining(promql: str) -> list[tuple[str, set[str]]]:
    """Every `by`, `on`, `without` and `ignoring` with its labels."""
    found = re.findall(r"\b(by|on|without|ignoring) \(([^)]*)\)", promql)
    return [(how, set(labels.split(", "))) for how, labels in found]


def test_rules_and_runbooks_name_the_labels_they_mean_and_keep_clusters_and_jobs_apart() -> None:
    written = [rule["expr"] for group in groups() for rule in group["rules"]]
    written += [query for page in RUNBOOK_FOLDER.glob("*.md") for query in queries_of(page)]
    for promql in written:
        joins = ways_of_joining(promql)
        for how, labels in joins:
            assert {"cluster", "job"} <= labels or (how, labels) in SUMMED_FIRST, promql
        aggregated = re.findall(
            r"\b(?:sum|min|max|avg|group|count|count_values) (?!by|without)|\b(?:sum|avg)\(", promql
        )
        assert not aggregated, promql


def test_the_cluster_label_has_the_name_that_is_asked_for() -> None:
    as_label = re.compile(
        r"(?<=[({\[.])cluster(?=,| }}|=%q| \))|(?<=alertname, )cluster(?=,)|(?<=- )cluster$", re.MULTILINE
    )
    named = files(Settings(cluster_label="k8s_cluster"))
    for name, text in files().items():
        assert named[name] == as_label.sub("k8s_cluster", text)
    assert [name for name, text in files().items() if text == named[name]] == ["slo/sloth.yaml", "slo/openslo.yaml"]


def test_what_else_is_set_is_in_the_rules() -> None:
    others = Settings(objective=0.999, coverage=0.995, memory_mebibytes=1000, runbooks="https://wiki.example/watch")
    rules, slo = files(others)["rules/watchslo.rules.yaml"], files(others)["slo/openslo.yaml"]
    assert rules.count("(1 - 0.995)") == files()["rules/watchslo.rules.yaml"].count("(1 - 0.99)") == 8
    assert "> 1000 * 1024 * 1024" in rules
    assert "runbook_url: https://wiki.example/watch/WatchStreamDown.md" in rules
    assert "target: 0.999" in slo


def test_runbooks_are_those_of_this_version() -> None:
    assert re.fullmatch(r"https://.*/v\d+\.\d+\.\d+/docs/runbooks", DEFAULTS.runbooks)


@pytest.mark.parametrize("name", sorted({alert.rule["alert"] for alert in alerts()}))
def test_a_runbook_has_three_queries_that_work(name: str) -> None:
    text = (RUNBOOK_FOLDER / f"{name}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {name}\n")
    assert re.findall(r"^## (.*)$", text, flags=re.MULTILINE) == ["Three queries", "What to do"]
    queries = queries_of(RUNBOOK_FOLDER / f"{name}.md")
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
