"""Writes the generated files of deploy/, or all of them into another folder."""

import argparse
from pathlib import Path

from deploy.generator import files
from deploy.generator.objective import DEFAULTS, Settings

DEPLOY = Path(__file__).parents[1]
SETTINGS = {
    "cluster_label": (str, "the label that tells clusters apart"),
    "objective": (float, "in the formats of deploy/slo; the rules take the exporter's"),
    "coverage": (float, "share of time in which a resource has to be watched"),
    "memory_mebibytes": (int, "where WatchsloMemory begins"),
    "runbooks": (str, "URL of the folder of runbooks"),
}


def main() -> None:
    """Write every file; `--scale 60` makes seconds of the minutes in the rules."""
    parser = argparse.ArgumentParser(prog="scripts/rules", description=__doc__)
    parser.add_argument("--into", type=Path, default=DEPLOY, metavar="FOLDER", help="default: deploy/")
    parser.add_argument("--scale", type=int, default=1, metavar="N", help="divide every duration in the rules by N")
    for name, (kind, text) in SETTINGS.items():
        default = getattr(DEFAULTS, name)
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=kind, default=default, help=f"{text}; default: {default}"
        )
    arguments = parser.parse_args()
    settings = Settings(**{name: getattr(arguments, name) for name in SETTINGS})
    for name, text in files(settings, scale=arguments.scale).items():
        path = arguments.into / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


main()
