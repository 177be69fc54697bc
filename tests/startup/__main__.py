"""`make startup`: starts of pods on a cluster of real parts, stages beside the truth: writes docs/pod-startup.md.

Exit code 1 if an interval did not contain the truth, or a pod was not told.
"""
# ruff: noqa: T201 it reports its progress

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from string import Template

from tests.startup.lab import Lab, Row, play
from tests.versions.__main__ import built

PAGE = Path(__file__).with_name("page.md")
DOCS = Path(__file__).parents[2] / "docs" / "pod-startup.md"


def page(lab: Lab) -> str:
    """The page, with what came of it."""
    heads = [
        *("stage", "pods", "contain the truth", "true P50", "true P99", "P99, certain bounds", "interval, P50"),
        *("P99 by stamps", "worst error of a stamp"),
    ]
    rows = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|", *map(_row, lab.rows)]
    results = ", ".join(f"{pods} {result}" for result, pods in lab.results.items())
    return Template(PAGE.read_text()).substitute(
        version=lab.version,
        nodes=lab.nodes,
        pods=lab.pods,
        seconds=f"{lab.seconds:.0f}",
        table="\n".join(rows),
        results=results,
        share=f"{lab.watches_share.earliest:.1%} to {lab.watches_share.latest:.1%}",
    )


def _row(row: Row) -> str:
    bounds = f"{row.lower_p99_seconds:.2f} to {row.upper_p99_seconds:.2f} s"
    stamps = ["no stamp", ""]
    if row.stamps_p99_seconds is not None and row.stamps_worst_error_seconds is not None:
        stamps = [f"{row.stamps_p99_seconds:.0f} s", f"{row.stamps_worst_error_seconds:.2f} s"]
    figures = [
        f"{row.true_p50_seconds:.2f} s",
        f"{row.true_p99_seconds:.2f} s",
        bounds,
        f"{row.width_p50_seconds:.2f} s",
    ]
    return f"| {' | '.join([row.stage, str(row.pods), str(row.contained), *figures, *stamps])} |"


def main() -> int:
    """Play it, and write the page unless it is a smaller one."""
    parser = argparse.ArgumentParser(prog="python -m tests.startup", description=__doc__)
    parser.add_argument("--pods", type=int, default=2000)
    parser.add_argument("--nodes", type=int, default=100)
    chosen = parser.parse_args()
    folders = built("control-plane", "kwok")
    with tempfile.TemporaryDirectory(prefix="watchslo-startup-") as folder:
        parts = (folders["control-plane"], folders["kwok"])
        lab = asyncio.run(play(parts, Path(folder), nodes=chosen.nodes, pods=chosen.pods, say=print))
    print(page(lab))
    if (chosen.pods, chosen.nodes) == (2000, 100):
        DOCS.write_text(page(lab))
    return int(lab.missing > 0 or any(row.contained < row.pods for row in lab.rows))


if __name__ == "__main__":
    sys.exit(main())
