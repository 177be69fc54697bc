"""Runs targets: so many inputs in, what broke a law out."""

import contextlib
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.mutation import mutated
from tests.fuzz.targets import Target

MOST_FINDINGS = 5
MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Finding:
    """An input that broke a law."""

    target: str
    number: int
    data: bytes
    trace: str

    def __str__(self) -> str:
        return f"{self.target}, input {self.number}: {self.data!r}\n{self.trace}"


@dataclass(frozen=True)
class Outcome:
    """What came of a target's inputs; it stops at MOST_FINDINGS."""

    inputs: int
    seconds: float
    findings: list[Finding]


def run(target: Target, seed: int, count: int, *, first: int = 0) -> Outcome:
    """Check inputs `first` to `first + count` of a target."""
    findings: list[Finding] = []
    began = time.monotonic()
    number = first
    with in_an_empty_folder():
        for number in range(first, first + count):
            data = mutated(target.inputs, target.words, seed, number, target.most_bytes)
            try:
                target.check(data, number)
            except Exception:  # noqa: BLE001 that is what is looked for
                findings.append(Finding(target.name, number, data, traceback.format_exc(limit=-4)))
                if len(findings) == MOST_FINDINGS:
                    break
    return Outcome(number - first + 1, time.monotonic() - began, findings)


@contextlib.contextmanager
def in_an_empty_folder() -> Iterator[None]:
    """But for a file that the inputs may name. In memory where there is such a place: inputs are written as files."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder, contextlib.chdir(folder):
        Path("credentials.yaml").write_text("kind: Config\n", encoding="utf-8")
        yield
