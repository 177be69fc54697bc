"""Figures in, the page and its pictures out. What is on the page is in results.json too, and follows from it alone."""

import json
import string
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path
from typing import Self

from tests.accuracy.dispatch import Dispatch
from tests.accuracy.figures import METHODS, TRUTH, Figures
from tests.accuracy.scenarios import SCENARIOS, TABLES, Scenario, Table

COLUMNS = (
    "scenario",
    "who says",
    "events",
    "contain the truth",
    "width P50",
    "width P99",
    "late",
    "ambiguous",
    "false late",
    "`violated` after",
    "P99",
    "error of lower",
    "of middle",
    "of upper",
)
NAMES = {TRUTH: "the truth", "managedFields": "`now - managedFields.time`", "revision-clock": "revision clock alone"}

PROSE = string.Template((Path(__file__).parent / "page.md").read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class Results:
    """Everything that the page shows."""

    learning_seconds: float
    trouble_seconds: float
    writes_per_second: float
    rows: tuple[Figures, ...]
    left_out: dict[str, str]
    """Scenarios that could not be run, and why."""

    def text(self) -> str:
        """As JSON, with Python's Infinity."""
        return json.dumps(_rounded(asdict(self)), indent=1) + "\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """What `text` gave."""
        fields = json.loads(text)
        fields["rows"] = tuple(Figures(**row) for row in fields["rows"])
        return cls(**fields)

    def of(self, scenario: Scenario) -> list[Figures]:
        """The rows of one scenario."""
        return [row for row in self.rows if row.scenario == scenario.id]


def write(results: Results, folder: Path) -> None:
    """Write accuracy.md, and beside it accuracy/ with the pictures and the raw figures."""
    from tests.accuracy import pictures  # noqa: PLC0415  it takes a second, and only pictures need it

    (folder / "accuracy").mkdir(parents=True, exist_ok=True)
    results = Results.parse(results.text())
    (folder / "accuracy" / "results.json").write_text(results.text(), encoding="utf-8")
    (folder / "accuracy.md").write_text(page(results, read_dispatch(folder)), encoding="utf-8")
    for table in TABLES:
        pictures.draw(table, scenarios_of(table), results, folder / "accuracy" / f"{table.name}.svg")


def write_dispatch(dispatch: Dispatch, folder: Path) -> None:
    """Write what `make versions` compared, and the page once more with it."""
    (folder / "accuracy" / "dispatch.json").write_text(dispatch.text(), encoding="utf-8")
    results = Results.parse((folder / "accuracy" / "results.json").read_text(encoding="utf-8"))
    (folder / "accuracy.md").write_text(page(results, read_dispatch(folder)), encoding="utf-8")


def read_dispatch(folder: Path) -> Dispatch | None:
    """What was written last."""
    written = folder / "accuracy" / "dispatch.json"
    return Dispatch.parse(written.read_text(encoding="utf-8")) if written.exists() else None


def page(results: Results, dispatch: Dispatch | None = None) -> str:
    """The whole page."""
    prose = PROSE.substitute(
        dispatch=dispatch.section() if dispatch is not None else "Not run.",
        summary=summary(results),
        learning=f"{results.learning_seconds:g}",
        trouble=f"{results.trouble_seconds:g}",
        writes=f"{results.writes_per_second:g}",
    )
    return "\n".join([prose, *(section(table, results) for table in TABLES)])


def summary(results: Results) -> str:
    """All scenarios in which the exporter claims to be right, together."""
    promised = [row for scenario in SCENARIOS if scenario.is_promised for row in results.of(scenario)]
    lines = ["| who says | events | contain the truth | late | false late |", "|---|---|---|---|---|"]
    for method in METHODS:
        rows = [row for row in promised if row.method == method]
        if not rows:
            continue
        events, late = sum(row.events for row in rows), sum(row.late for row in rows)
        contained, false_late = sum(row.contained for row in rows), sum(row.false_late for row in rows)
        is_truth = method == TRUTH
        found = ("", late, "") if is_truth else (share(contained, events), late, false_late)
        lines.append(_line((_name(method), events, *found)))
    return "\n".join(lines)


def section(table: Table, results: Results) -> str:
    """One table with its picture."""
    lines = [f"## {table.title}", "", table.about, ""]
    lines += [f"![{table.title}: true P99, and between which bounds it is measured](accuracy/{table.name}.svg)", ""]
    lines += [_line(COLUMNS), "|---" * len(COLUMNS) + "|"]
    for scenario in scenarios_of(table):
        if scenario.id in results.left_out:
            lines.append(_line((scenario.id, f"left out: {results.left_out[scenario.id]}", *[""] * (len(COLUMNS) - 2))))
        lines += rows(scenario.id, results.of(scenario))
    return "\n".join(lines) + "\n"


def rows(name: str, found: Sequence[Figures]) -> list[str]:
    """The lines of one scenario, the truth first."""
    true_p99 = next((row.p99_middle_seconds for row in found if row.method == TRUTH), inf)
    lines = []
    for row in found:
        is_truth = row.method == TRUTH
        errors = [p99 - true_p99 for p99 in (row.p99_lower_seconds, row.p99_middle_seconds, row.p99_upper_seconds)]
        cells = (
            f"**{name}**" if is_truth else "",
            _name(row.method),
            row.events,
            "" if is_truth else share(row.contained, row.events),
            seconds(row.width_p50_seconds),
            seconds(row.width_p99_seconds),
            share(row.late, row.events),
            share(row.ambiguous, row.events),
            "" if is_truth else row.false_late,
            "-" if row.violated_after_seconds is None else f"{row.violated_after_seconds:.1f} s",
            seconds(row.p99_middle_seconds),
            *(["", "", ""] if is_truth else [f"{error:+.3f}" for error in errors]),
        )
        lines.append(_line(cells))
    return lines


def scenarios_of(table: Table) -> list[Scenario]:
    """In the order of the page."""
    return [scenario for scenario in SCENARIOS if scenario.table == table]


def share(part: int, whole: int) -> str:
    """In per cent; cut, so that 100 % means all of them."""
    return f"{int(1000 * part / whole) / 10:g} %" if whole else "-"


def seconds(value: float) -> str:
    """To the millisecond."""
    return f"{value:.3f} s"


def _name(method: str) -> str:
    return NAMES.get(method, method)


def _line(cells: Iterable[object]) -> str:
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def _rounded(value: object) -> object:
    """To a tenth of a millisecond: more is noise."""
    match value:
        case float():
            return round(value, 4)
        case dict():
            return {key: _rounded(one) for key, one in value.items()}
        case list() | tuple():
            return [_rounded(one) for one in value]
        case _:
            return value
