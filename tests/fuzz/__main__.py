"""`make fuzz`: a million mutated inputs for whatever takes bytes from elsewhere. Exit code 1 if one breaks a law.

A finding is made again by its target, seed and number: `--only TARGET --seed SEED --first NUMBER --count 1`.
"""
# ruff: noqa: T201 it reports its progress

import argparse
import secrets
import sys
from collections.abc import Sequence

from tests.fuzz.run import run
from tests.fuzz.targets import targets


def main(words: Sequence[str]) -> int:
    """0 if every law held."""
    known = {target.name: target for target in targets()}
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000, help="inputs for each target")
    parser.add_argument(
        "--seed", type=int, default=secrets.randbelow(2**32), help="default: another each time, printed"
    )
    parser.add_argument("--only", action="append", choices=known, help="one target, repeatable")
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    chosen = parser.parse_args(words)
    held = True
    for name in chosen.only or known:
        outcome = run(known[name], chosen.seed, chosen.count, first=chosen.first)
        found = f"{len(outcome.findings)} findings" if outcome.findings else "every law held"
        print(f"{name}: {outcome.inputs} inputs in {outcome.seconds:.0f} s, seed {chosen.seed}: {found}", flush=True)
        print("\n".join(map(str, outcome.findings)), end="\n" if outcome.findings else "", flush=True)
        held &= not outcome.findings
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
