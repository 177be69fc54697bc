"""`make accuracy`: every scenario on the real apiserver and the simulator, and docs/accuracy.md with what came out.

Exit code 1 if an interval does not contain the truth, or an event is falsely called late or not judged at all.
"""
# ruff: noqa: T201 it reports its progress

import argparse
import asyncio
import contextlib
import fnmatch
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

from tests.accuracy import report
from tests.accuracy.figures import METHODS, TRUTH, Figures
from tests.accuracy.run import TROUBLE_SECONDS, WRITES_PER_SECOND, Pace, Run, run
from tests.accuracy.scenarios import SCENARIOS, Scenario
from tests.accuracy.worlds import CREATION_HELD_BACK_SECONDS, RealWorld, World, simulated_world
from tests.conftest import BUILD_SERVERS
from tests.real.cluster import Cluster

DOCS = Path(__file__).parents[2] / "docs"
FAKETIME_LIBRARIES = ("/usr/lib/*/faketime/libfaketime.so.1", "/usr/local/lib/faketime/libfaketime.so.1")
NO_FAKETIME = "libfaketime (Debian package `faketime`) is not installed"
DEFAULT_METHODS = ("watchslo", "managedFields")
REFUTED_SHOWN = 3


def faketime_library() -> Path | None:
    """libfaketime, where Debian and `make install` put it."""
    found = [path for pattern in FAKETIME_LIBRARIES for path in Path("/").glob(pattern.removeprefix("/"))]
    return found[0] if found else None


def server_binaries() -> Path:
    """The folder with etcd and kube-apiserver, which are built if they are not there."""
    built = subprocess.run([BUILD_SERVERS], check=True, stdout=subprocess.PIPE, text=True)
    return Path(built.stdout.splitlines()[-1])


class Worlds:
    """Two real clusters for all scenarios that need one, a simulator of its own for each of the others."""

    def __init__(self, stack: contextlib.AsyncExitStack) -> None:
        self._stack = stack
        self._real: dict[bool, RealWorld] = {}

    @contextlib.asynccontextmanager
    async def of(self, scenario: Scenario) -> AsyncIterator[World]:
        """The world that the scenario is played in."""
        if scenario.world == "simulator":
            async with simulated_world(
                apiservers=scenario.apiservers,
                events_apart=scenario.events_apart,
                writer_has_its_own=scenario.leaves_gap,
            ) as world:
                yield world
        else:
            apart = scenario.events_apart
            self._real[apart] = self._real.get(apart) or await self._start(events_apart=apart)
            yield self._real[apart]

    async def _start(self, *, events_apart: bool) -> RealWorld:
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        cluster = await self._stack.enter_async_context(Cluster(server_binaries(), folder, events_store=events_apart))
        await cluster.create_resource()
        await asyncio.sleep(CREATION_HELD_BACK_SECONDS)
        return RealWorld(cluster)


async def run_all(scenarios: Sequence[Scenario], methods: Sequence[str], pace: Pace) -> tuple[report.Results, bool]:
    """The results, and whether every claim held."""
    rows: list[Figures] = []
    left_out: dict[str, str] = {}
    held = True
    faketime = faketime_library()
    async with contextlib.AsyncExitStack() as stack:
        worlds = Worlds(stack)
        for number, scenario in enumerate(scenarios, start=1):
            print(f"[{number}/{len(scenarios)}] {scenario.id}: ", end="", flush=True)
            if scenario.exporter_clock_seconds is not None and faketime is None:
                left_out[scenario.id] = NO_FAKETIME
                print(f"left out, {NO_FAKETIME}")
                continue
            async with worlds.of(scenario) as world:
                played = await run(scenario, world, pace, faketime)
            found = played.figures([TRUTH, *methods])
            rows += found
            held &= print_outcome(played, found) or not scenario.is_promised
    results = report.Results(pace.learning_seconds, pace.trouble_seconds, WRITES_PER_SECOND, tuple(rows), left_out)
    return results, held


def print_outcome(played: Run, found: Sequence[Figures]) -> bool:
    """Say in a line what came out, and whether the exporter's claims held."""
    said = next((row for row in found if row.method == "watchslo"), None)
    refuted = played.refuted()
    held = not refuted and not played.met_over_a_gap
    held &= played.unjudged == 0 or played.scenario.leaves_gap  # what a relist replays is not judged
    if said is not None:
        held = held and said.events > 0 and said.false_late == 0
        print(f"{said.events} events, {report.share(said.contained, said.events)} contain the truth, ", end="")
        print(f"late {report.share(said.late, said.events)}, false late {said.false_late}, ", end="")
        print(f"violated after {said.violated_after_seconds}, not judged {played.unjudged}", end="")
        print(f", met over a gap {played.met_over_a_gap}" if played.scenario.leaves_gap else "")
    for event in refuted[:REFUTED_SHOWN]:
        print(f"    REFUTED: {event.observation}\n    {event.truth}, latency {event.truth.latency}")
    return held


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.accuracy", description=__doc__)
    parser.add_argument("--only", metavar="GLOB", default="*", help="scenarios, as world/name; see scenarios.py")
    parser.add_argument("--seconds", type=float, default=TROUBLE_SECONDS, help="how long each trouble lasts")
    parser.add_argument(
        "--method",
        action="append",
        choices=[method for method in METHODS if method != TRUTH],
        help=f"who is compared with the truth, repeatable (default: {', '.join(DEFAULT_METHODS)})",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FOLDER", help="where accuracy.md is written (default: docs/, of all)"
    )
    return parser.parse_args(words)


def main(words: Sequence[str]) -> int:
    """0 if every claim held."""
    chosen = parse(words)
    scenarios = [scenario for scenario in SCENARIOS if fnmatch.fnmatch(scenario.id, chosen.only)]
    methods = chosen.method or DEFAULT_METHODS
    results, held = asyncio.run(run_all(scenarios, methods, Pace(trouble_seconds=chosen.seconds)))
    output = chosen.output or (DOCS if len(scenarios) == len(SCENARIOS) else None)
    if output is not None:
        report.write(results, output)
    else:
        print("\n".join(lines_of(scenarios, results)))
    print("every claim held" if held else "A CLAIM DID NOT HOLD")
    return 0 if held else 1


def lines_of(scenarios: Sequence[Scenario], results: report.Results) -> Iterator[str]:
    """The tables' lines for people at a terminal."""
    yield " | ".join(report.COLUMNS)
    for scenario in scenarios:
        yield from report.rows(scenario.id, results.of(scenario))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
