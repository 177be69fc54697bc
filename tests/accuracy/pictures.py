"""A table's figures in, an SVG out: the same bytes for the same figures."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.accuracy.figures import THRESHOLD_SECONDS, TRUTH, Figures
from tests.accuracy.report import Results
from tests.accuracy.scenarios import Scenario, Table

WIDTH_INCHES = 9.0
INCHES_PER_ROW = 0.32
FRAME_INCHES = 1.3
LINEAR_BELOW_SECONDS = 0.1


def draw(table: Table, scenarios: Sequence[Scenario], results: Results, file: Path) -> None:
    """For each scenario the true P99 as a line, the measured one as a bar from its lower to its upper bound."""
    rows = {scenario.id: {row.method: row for row in results.of(scenario)} for scenario in scenarios}
    drawn = {name: methods for name, methods in rows.items() if methods}
    with mpl.rc_context({"svg.hashsalt": "accuracy", "svg.fonttype": "none"}):
        figure = Figure(figsize=(WIDTH_INCHES, FRAME_INCHES + INCHES_PER_ROW * len(drawn)), layout="constrained")
        axes = figure.subplots()
        for position, methods in enumerate(drawn.values()):
            _draw_row(axes, position, methods)
        axes.axvline(THRESHOLD_SECONDS, color="tab:gray", linestyle=":", label="threshold")
        axes.set_yticks(range(len(drawn)), labels=list(drawn))
        axes.invert_yaxis()
        axes.set_xscale("symlog", linthresh=LINEAR_BELOW_SECONDS)
        axes.set_xlim(left=0)
        axes.set_xlabel("P99 of commit to arrival, seconds (linear up to 0.1, then logarithmic)")
        axes.set_title(table.title)
        handles, labels = axes.get_legend_handles_labels()
        once = dict(zip(labels, handles, strict=True))
        figure.legend(once.values(), once.keys(), loc="outside lower center", ncols=len(once), frameon=False)
        figure.savefig(file, metadata={"Date": None, "Creator": None})


def _draw_row(axes: Axes, position: int, methods: dict[str, Figures]) -> None:
    said = methods.get("watchslo")
    if said is not None:
        bounds = said.p99_lower_seconds, said.p99_upper_seconds
        axes.plot(
            bounds, (position, position), color="tab:blue", linewidth=6, alpha=0.5, label="watchslo: lower to upper"
        )
    obvious = methods.get("managedFields")
    if obvious is not None:
        label = "now - managedFields.time (at 0: below it)"
        axes.plot(max(0.0, obvious.p99_middle_seconds), position, "x", color="tab:red", clip_on=False, label=label)
    true = methods.get(TRUTH)
    if true is not None:
        axes.plot(
            true.p99_middle_seconds, position, "|", color="black", markersize=12, markeredgewidth=2, label="the truth"
        )
