"""`make faults`: every fault is made, and docs/faults-measured.md says what the exporter called it.

Exit code 1 if a wrong name was shown, or another one than the fault's came first.
"""
# ruff: noqa: T201 it reports its progress

import argparse
import asyncio
import fnmatch
import itertools
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.faults.laboratory import SETTINGS, laboratory
from tests.faults.making import STRENGTHS
from tests.faults.playing import Played, play
from tests.faults.report import Results
from tests.faults.table import ALL
from tests.versions.__main__ import built

LEARNING_SECONDS = 75.0
"""A minute in which nothing is wrong, from which it knows what is usual."""

HEALTHY_SECONDS, HOUR_SECONDS = 300.0, 3600.0


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--only", metavar="GLOB", action="append", help="faults; see table.py; repeatable")
    parser.add_argument("--strength", action="append", choices=STRENGTHS, help="repeatable; default: all")
    names = [setting.name for setting in SETTINGS]
    parser.add_argument("--setting", action="append", choices=names, help="repeatable; default: all")
    parser.add_argument("--server", default="kubernetes-1.36", help="a row of scripts/build-versions")
    parser.add_argument("--log", type=Path, metavar="FILE", help="the exporter's log")
    parser.add_argument("--hour", action="store_true", help="watch the healthy cluster for an hour, not five minutes")
    parser.add_argument("--dry", action="store_true", help="write no page")
    return parser.parse_args(words)


async def run(chosen: argparse.Namespace, results: Results) -> list[Played]:
    """All that is chosen, a laboratory for each setting."""
    binaries = built(chosen.server)[chosen.server]
    globs = chosen.only or ["*"]
    made = [one for one in ALL if any(fnmatch.fnmatch(name, glob) for name in (one.fault, one.name) for glob in globs)]
    all_played = []
    for setting in SETTINGS:
        if setting.name not in (chosen.setting or [setting.name]):
            continue
        async with laboratory(binaries, setting, log=chosen.log) as lab:
            await asyncio.sleep(LEARNING_SECONDS)
            for one, strength in itertools.product(made, chosen.strength or STRENGTHS):
                played = await play(lab, one, strength, HOUR_SECONDS if chosen.hour else HEALTHY_SECONDS)
                all_played.append(played)
                tell(played)
                results.add(played)
                if not chosen.dry:
                    results.write()
    return all_played


def tell(played: Played) -> None:
    """For people at a terminal."""
    named, withdrawn = played.named_seconds, played.withdrawn_seconds
    times = f"named after {named and round(named)} s, withdrawn after {withdrawn and round(withdrawn)} s"
    print(f"{played.setting} {played.fault} {played.strength}: {played.outcome.upper()}, {times}", flush=True)
    print(f"    {' -> '.join(name or 'nothing' for name in played.names)}", flush=True)
    for document in played.documents:
        for one in document["findings"]:
            place = f"{one['resource']}@{one['apiserver']}" if one["apiserver"] else "the exporter"
            print(f"    {one['certainty']} {one['fault']} {place}: {'; '.join(one['evidence'])}", flush=True)


def main(words: Sequence[str]) -> int:
    """0 if all names were right."""
    chosen = parse(words)
    results = Results.read()
    results.date, results.version = f"{datetime.now(UTC):%Y-%m-%d}", chosen.server.removeprefix("kubernetes-")
    played = asyncio.run(run(chosen, results))
    return 0 if all(one.outcome in {"right", "no trouble"} for one in played) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
