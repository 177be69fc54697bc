"""`make soak`: an hour of churn and of bad company, and docs/soak.md with what it left. Exit code 1 if that grows.

All of it is on loopback: a real etcd, two real kube-apiservers, and the command `watchslo run`.
"""
# ruff: noqa: T201 it reports its progress

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.accuracy.__main__ import server_binaries
from tests.soak import report
from tests.soak.run import soak


def main(words: Sequence[str]) -> int:
    """0 if everything stayed flat."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument(
        "--minutes",
        type=float,
        default=report.FULL_MINUTES,
        help="how long; below 8 nothing is said of whole periods of the churn",
    )
    parser.add_argument("--output", type=Path, default=report.PAGE, metavar="FILE", help="the page to write")
    chosen = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as folder:
        result = asyncio.run(soak(server_binaries(), Path(folder), chosen.minutes))
    chosen.output.write_text(report.page(result), encoding="utf-8")
    print("\n".join(report.flat(result)))
    print("everything stayed flat" if not result.faults else "\n".join(result.faults))
    return 1 if result.faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
