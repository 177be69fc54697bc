"""`make bench`: the cost of an event in watchslo and in other consumers, on this machine. Writes docs/performance.md.

Exit code 1 if a consumer did not process all events. The page shows whether the targets are met.
"""
# ruff: noqa: T201 it reports its progress

import argparse
import sys
import time
from collections.abc import Sequence

from tests.speed import delays, report
from tests.speed.consumers import INFORMER_PROTOBUF, WATCHSLO, has_go, informer_binary
from tests.speed.costs import PACED, Case, cases, measured
from tests.speed.footprint import of_empty_server, start_cpu_seconds, with_objects
from tests.speed.report import Results

ROUNDS = 3
BURSTS = 12
OBJECTS = 100_000


def all_of_it() -> Results:
    """All measurements, in rounds."""
    results = Results(ROUNDS)
    for number in range(1, ROUNDS + 1):
        run_costs(results, cases(), number)
        for observer in delays.OBSERVERS:
            results.delays.setdefault(observer, []).append(delays.delays(observer, BURSTS))
            print(f"[{number}] stamp delay, {observer}: {results.delays[observer][-1]}", flush=True)
        results.start_cpu_seconds.append(start_cpu_seconds())
        print(f"[{number}] start: {results.start_cpu_seconds[-1]:.2f} s", flush=True)
    run_memory(results)
    return results


def run_costs(results: Results, chosen: Sequence[Case], number: int) -> None:
    """One round of these cases."""
    for case in chosen:
        cost = measured(case)
        results.costs.setdefault((case.scene, case.consumer.name), []).append(cost)
        print(f"[{number}] {case.scene}, {case.consumer.name}: {cost.cpu_microseconds_per_event:.1f} µs", flush=True)


def run_memory(results: Results) -> None:
    """Memory is measured once, because it is not noisy."""
    results.memory["empty aiohttp server"] = of_empty_server()
    consumers = [WATCHSLO, *([INFORMER_PROTOBUF] if has_go() else [])]
    for consumer in consumers:
        results.memory[consumer.name] = with_objects(consumer, OBJECTS)
        print(f"memory, {consumer.name}: {results.memory[consumer.name]}", flush=True)


def quick() -> None:
    """One round of the scenes with one stream. Writes no files."""
    results = Results(1)
    run_costs(results, [case for case in cases() if case.scene.streams == 1 and case.scene not in PACED[1:]], 1)
    print("\n".join(report.cpu_ratio_table(results)))
    print(f"empty aiohttp server: {of_empty_server()}")
    print(f"start to first judged event: {start_cpu_seconds():.2f} s CPU")
    for observer in (delays.WATCHSLO, delays.V1POD):
        print(f"stamp delay, {observer}: {delays.delays(observer, BURSTS // 3)}")


def main(words: Sequence[str]) -> int:
    """0 once everything is measured."""
    parser = argparse.ArgumentParser(prog="python -m tests.speed", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of the most important, nothing is written")
    if has_go():
        informer_binary()
    if parser.parse_args(words).quick:
        quick()
        return 0
    began = time.monotonic()
    results = all_of_it()
    results.seconds = time.monotonic() - began
    report.write(results)
    print("\n".join([*report.cpu_ratio_table(results), "", *report.other_ratio_table(results)]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
