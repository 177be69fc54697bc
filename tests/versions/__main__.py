"""`make versions`: the suites on every server, a rollout on real parts, the apiserver as a witness; docs/support.md.

Exit code 1 if a test failed, or something that is promised did not hold.
"""
# ruff: noqa: T201 it reports its progress

import argparse
import asyncio
import fnmatch
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from tests.accuracy import report as accuracy
from tests.accuracy.dispatch import compare
from tests.conftest import BUILD_SERVERS
from tests.live.rollout import Rollout, roll_out
from tests.versions import report
from tests.versions.probes import probe
from tests.versions.report import Played, Results
from tests.versions.suites import ROOT, run

DOCS = ROOT / "docs"
RESULTS = DOCS / "support" / "results.json"
DEFAULT = "kubernetes-1.36"
WITH_DISPATCH_METRIC = "kubernetes-1.37"
SERVERS = ("kubernetes-1.34", "kubernetes-1.35", DEFAULT, WITH_DISPATCH_METRIC, "kine")
ROLLOUT, DISPATCH = "rollout", "dispatch"
PARTS = (*SERVERS, ROLLOUT, DISPATCH)


def built(*names: str) -> dict[str, Path]:
    """The folders of these binaries, or of all, which are built if they are not there."""
    default = _last_lines(BUILD_SERVERS)[-1]
    others = [name for name in names if name != DEFAULT]
    rows = _last_lines(BUILD_SERVERS.with_name("build-versions"), *others) if others or not names else []
    folders = {words[0]: Path(words[2]) for words in map(str.split, rows) if len(words) == 3}
    return {DEFAULT: Path(default), **folders}


def _last_lines(script: Path, *words: str) -> list[str]:
    # What is being built is said at once, so that nobody waits for an hour without a word.
    with subprocess.Popen([script, *words], stdout=subprocess.PIPE, text=True) as building:
        assert building.stdout is not None
        lines = []
        for said in building.stdout:
            print(said, end="", flush=True)
            lines.append(said.rstrip("\n"))
    if building.returncode:
        raise SystemExit(building.returncode)
    return lines


def play(name: str, binaries: Path, tested: str) -> Played:
    """All tests on one server."""
    began = time.monotonic()
    outcomes = run(binaries)
    found = asyncio.run(probe(binaries))
    store = "kine with SQLite" if (binaries / "kine").exists() else "etcd"
    return Played(name, store, today(), tested, time.monotonic() - began, outcomes, found)


def roll(binaries: dict[str, Path]) -> Rollout:
    """The rollout on a cluster of real parts."""
    parts = (binaries[DEFAULT], binaries["control-plane"], binaries["kwok"])
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(roll_out(*parts, Path(folder), say=partial(print, flush=True)))


def today() -> str:
    """The date, as the page shows it."""
    return datetime.now(UTC).date().isoformat()


def commit() -> str:
    """What was tested; + if there were changes beside it."""
    said = subprocess.run(["git", "describe", "--always", "--dirty=+"], check=False, capture_output=True, cwd=ROOT)
    return said.stdout.decode().strip() or "no commit"


def main(words: Sequence[str]) -> int:
    """0 if all of it held."""
    parser = argparse.ArgumentParser(prog="python -m tests.versions", description=__doc__)
    parser.add_argument("--only", metavar="GLOB", default="*", help=f"of {', '.join(PARTS)}")
    chosen = fnmatch.filter(PARTS, parser.parse_args(words).only)
    binaries = built()
    results = Results.parse(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else Results()
    held: dict[str, bool] = {}
    tested = commit()

    def server(name: str) -> bool:
        results.servers[name] = play(name, binaries[name], tested)
        return results.servers[name].holds

    def rollout() -> bool:
        results.rollout = roll(binaries)
        results.rollout_on = f"{today()}, {tested}, {results.rollout.version}"
        return results.rollout.holds

    def dispatch() -> bool:
        found = replace(asyncio.run(compare(binaries[WITH_DISPATCH_METRIC])), date=today())
        accuracy.write_dispatch(found, DOCS)
        return all(one.holds for one in found.compared)

    parts: dict[str, Callable[[], bool]] = {name: partial(server, name) for name in SERVERS}
    for name in chosen:
        print(f"== {name}", flush=True)
        held[name] = {**parts, ROLLOUT: rollout, DISPATCH: dispatch}[name]()
        # After each: an hour's work is not lost with its last minute.
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(results.text(), encoding="utf-8")
        written = Results.parse(RESULTS.read_text(encoding="utf-8"))
        (DOCS / "support.md").write_text(report.page(written), encoding="utf-8")
    for name, was_held in held.items():
        print(f"{name}: {'all of it held' if was_held else 'NOT ALL OF IT HELD'}")
    return 0 if all(held.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
