"""One server in, what each suite came to on it out: pytest runs in a process of its own, and its report is read."""

import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Suite:
    """Tests that are one row of the page: those of `files` whose name has one of `words`, or (without) all others."""

    name: str
    files: tuple[str, ...]
    words: tuple[str, ...] = ()

    def has(self, file: str, test: str) -> bool:
        """Whether this test is one of them."""
        within = any(file == one or file.startswith(f"{one}/") for one in self.files)
        return within and (not self.words or any(word in test for word in self.words))


BAD_DAYS = "tests/live/test_bad_days.py"
# The first that has a test is its row.
SUITES = (
    Suite("contract", ("tests/contract",)),
    Suite("truth", ("tests/live/test_truth.py",)),
    Suite("slow cache", ("tests/live/test_slow_cache.py",)),
    Suite("split events", ("tests/live/test_split_events.py",)),
    Suite("restart", (BAD_DAYS,), ("killed_apiserver", "not_there_at_the_start", "compaction_while_away")),
    Suite("bad days", (BAD_DAYS,)),
)


@dataclass(slots=True)
class Outcome:
    """What one suite came to. Names are pytest's."""

    passed: int = 0
    seconds: float = 0.0
    failed: list[str] = field(default_factory=list)
    again: list[str] = field(default_factory=list)
    """Failed beside the others and passed alone: the machine's noise."""
    left_out: dict[str, str] = field(default_factory=dict)
    """What was skipped, and why."""


@dataclass(frozen=True, slots=True)
class Case:
    """One test of a report."""

    file: str
    name: str
    seconds: float
    failed: bool
    skipped: str | None

    @property
    def id(self) -> str:
        """As pytest is told."""
        return f"{self.file}::{self.name}"


def run(binaries: Path, suites: Sequence[Suite] = SUITES) -> dict[str, Outcome]:
    """The outcome of each suite that has tests here. What fails is run once more, alone, as scripts/test does."""
    files = sorted({file for suite in suites for file in suite.files if (ROOT / file).exists()})
    outcomes: defaultdict[str, Outcome] = defaultdict(Outcome)
    for case in pytest(binaries, *files):
        outcome = outcomes[next(suite.name for suite in suites if suite.has(case.file, case.name))]
        outcome.seconds += case.seconds
        if case.skipped is not None:
            outcome.left_out[case.name] = case.skipped
        elif not case.failed:
            outcome.passed += 1
        elif any(once_more.failed for once_more in pytest(binaries, case.id)):
            outcome.failed.append(case.name)
        else:
            outcome.again.append(case.name)
    return dict(outcomes)


def pytest(binaries: Path, *what: str) -> Iterator[Case]:
    """Run these tests against real servers, and read what is reported of each."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        words = ["-m", "pytest", "-m", "real", "--quiet", "--override-ini=junit_family=xunit1", f"--junitxml={report}"]
        environ = {**os.environ, "KUBEBUILDER_ASSETS": str(binaries)}
        subprocess.run([sys.executable, *words, *what], check=False, cwd=ROOT, env=environ)
        for case in ET.parse(report).iter("testcase"):  # noqa: S314  pytest, which wrote it, is ours
            skipped = case.find("skipped")
            yield Case(
                file=case.attrib["file"],
                name=case.attrib["name"],
                seconds=float(case.attrib["time"]),
                failed=case.find("failure") is not None or case.find("error") is not None,
                skipped=None if skipped is None else skipped.attrib["message"],
            )
