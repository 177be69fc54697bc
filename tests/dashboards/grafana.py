"""The dashboards as Grafana would read them: files in; panels, queries and variables out."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "dashboards"
RULES = FOLDER.parent / "deploy" / "rules" / "watchslo.rules.yaml"
FILES = sorted(FOLDER.glob("*.json"))

Board = dict[str, Any]


@dataclass(frozen=True)
class Target:
    """One query of one panel."""

    board: str
    panel: str
    expression: str
    legend: str

    def __str__(self) -> str:
        return f"{self.board} / {self.panel} / {self.legend}"


def board(file: Path) -> Board:
    read: Board = json.loads(file.read_text(encoding="utf-8"))
    return read


def panels(of: Board) -> Iterator[dict[str, Any]]:
    """All panels, without the rows between them."""
    return (panel for panel in of["panels"] if panel["type"] != "row")


def targets(of: Board) -> Iterator[Target]:
    for panel in panels(of):
        for target in panel.get("targets", []):
            yield Target(of["title"], panel["title"], target["expr"], target["legendFormat"])


def variables(of: Board) -> dict[str, dict[str, Any]]:
    return {variable["name"]: variable for variable in of["templating"]["list"]}


def with_all_chosen(expression: str, of: Board, seconds: Mapping[str, int]) -> str:
    """What Grafana sends if every variable stands at All; `seconds` are its own: __rate_interval, __range."""
    chosen = {name: variable["allValue"] for name, variable in variables(of).items() if "allValue" in variable}
    chosen |= {name: f"{value}s" for name, value in seconds.items()}
    return re.sub(r"\$(\w+)", lambda name: chosen[name[1]], expression)


def labels_in(legend: str) -> set[str]:
    return set(re.findall(r"{{(\w+)}}", legend))
