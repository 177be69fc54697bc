"""Writes the generated files of deploy/, or all of them into another folder."""

import argparse
from pathlib import Path

from deploy.generator import files

DEPLOY = Path(__file__).parents[1]


def main() -> None:
    """Write every file; `--scale 60` makes seconds of the minutes in the rules."""
    parser = argparse.ArgumentParser(prog="scripts/rules", description=__doc__)
    parser.add_argument("--into", type=Path, default=DEPLOY, metavar="FOLDER", help="default: deploy/")
    parser.add_argument("--scale", type=int, default=1, metavar="N", help="divide every duration in the rules by N")
    arguments = parser.parse_args()
    for name, text in files(scale=arguments.scale).items():
        path = arguments.into / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


main()
