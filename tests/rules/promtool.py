"""Scenarios for promtool: series in, what an alert must be at given moments; which scenarios failed out."""

import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.rules.shipped import Rule

Values = Sequence[float | str]
"""The values of a series, one for each step from 0 on; `_` is none, and `stale` its end."""

TEST = ".test.yaml"

Labels = Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scenario:
    """What is scraped, every `step_seconds`, and the labels of what is pending or firing at some of the steps.

    `alert` is the key of a ShippedAlert. The rules are evaluated at each step, or only at each `tick`th one.
    """

    name: str
    alert: str
    step_seconds: int
    tick: int = 1
    series: Mapping[str, Values]
    expected: Mapping[int, Sequence[Labels]]

    def as_test(self) -> dict[str, Any]:
        """The test group that promtool reads."""
        return {
            "name": self.name,
            "interval": f"{self.step_seconds}s",
            "input_series": [
                {"series": series, "values": " ".join(map(str, values))} for series, values in self.series.items()
            ],
            "promql_expr_test": [
                {
                    "expr": "ALERTS",
                    "eval_time": f"{step * self.step_seconds}s",
                    "exp_samples": [{"labels": f"ALERTS{_selector(alert)}", "value": 1} for alert in alerts],
                }
                for step, alerts in self.expected.items()
            ],
        }


@dataclass(frozen=True, slots=True)
class Case:
    """Scenarios to run against some rules, under a name."""

    name: str
    rules: Sequence[Rule]
    scenarios: Sequence[Scenario]


def run(promtool: Path, folder: Path, cases: Iterable[Case]) -> dict[str, dict[str, str]]:
    """One run of promtool: for each case the scenarios that failed, with what it said of them."""
    files = [_write(folder, case) for case in cases]
    report = folder / "report.xml"
    words = [str(promtool), "test", "rules", f"--junit={report}", *files]
    ended = subprocess.run(words, check=False, capture_output=True, text=True, cwd=folder)
    assert report.exists(), ended.stderr
    return {
        Path(suite.attrib["name"]).name.removesuffix(TEST): _failed(suite)
        for suite in ET.parse(report).iter("testsuite")  # noqa: S314  promtool wrote it just now
    }


def _write(folder: Path, case: Case) -> str:
    rules = f"{case.name}.rules.yaml"
    [every_seconds] = {scenario.step_seconds * scenario.tick for scenario in case.scenarios}
    _dump(
        folder / rules,
        {"groups": [{"name": "under-test", "rules": [_evaluated(each, every_seconds) for each in case.rules]}]},
    )
    tests = [scenario.as_test() for scenario in case.scenarios]
    test = {"rule_files": [rules], "evaluation_interval": f"{every_seconds}s", "tests": tests}
    return _dump(folder / f"{case.name}{TEST}", test)


def _evaluated(rule: Rule, every_seconds: int) -> Rule:
    """Sums of rates become events by how often these are recorded: days are tried with fewer evaluations."""
    return {**rule, "expr": rule["expr"].replace("]) * 60", f"]) * {every_seconds}")}


def _dump(path: Path, content: object) -> str:
    path.write_text(yaml.safe_dump(content, sort_keys=False, width=1000), encoding="utf-8")
    return path.name


def _failed(suite: ET.Element) -> dict[str, str]:
    cases = {case.attrib["name"]: [failure.text or "" for failure in case.iter("failure")] for case in suite}
    return {name: "\n".join(texts) for name, texts in cases.items() if texts}


def _selector(labels: Labels) -> str:
    return "{" + ", ".join(f'{name}="{value}"' for name, value in labels.items()) + "}"
