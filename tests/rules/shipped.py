"""The shipped rules, one alert at a time: an alert with the recording rules that it reads, as promtool takes them."""

import functools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "rules" / "watchslo.rules.yaml"
SLOTH_RULES = RULES.with_name("watchslo-sloth.rules.yaml")
RECORDED = re.compile(r"[a-z_]+:\w+:\w+")

Rule = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ShippedAlert:
    """An alert; those of one name are told apart by their severity."""

    rule: Rule

    @property
    def key(self) -> str:
        """WatchLatencyBudgetBurn-critical, WatchStreamDown."""
        name: str = self.rule["alert"]
        same = [rule for group in groups() for rule in group["rules"] if rule.get("alert") == name]
        return f"{name}-{self.rule['labels']['severity']}" if len(same) > 1 else name

    @property
    def needed(self) -> list[Rule]:
        """The recording rules that it reads, directly or not, in the order of the file, and the alert."""
        found: list[Rule] = [self.rule]
        for rule in reversed(recordings()):
            if rule["record"] in {name for each in found for name in RECORDED.findall(each["expr"])}:
                found.insert(0, rule)
        return found


@functools.cache
def groups() -> list[dict[str, Any]]:
    """The groups of the shipped file."""
    loaded: list[dict[str, Any]] = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return loaded


def recordings() -> list[Rule]:
    """All recording rules."""
    return [rule for group in groups() for rule in group["rules"] if "record" in rule]


def alerts() -> list[ShippedAlert]:
    """All alerts."""
    return [ShippedAlert(rule) for group in groups() for rule in group["rules"] if "alert" in rule]
