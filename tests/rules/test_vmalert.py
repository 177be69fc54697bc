"""VictoriaMetrics' own vmalert reads the rules, expressions and templates, as VMRules hold them."""

import subprocess
from pathlib import Path

import pytest

from tests.real.tools import tool
from tests.rules.shipped import RULES, SLOTH_RULES


def read(path: Path) -> "subprocess.CompletedProcess[str]":
    """What vmalert says of a file of rules."""
    return subprocess.run([tool("vmalert"), "-dryRun", f"-rule={path}"], check=False, capture_output=True, text=True)


@pytest.mark.parametrize("path", [RULES, SLOTH_RULES], ids=lambda path: path.name)
def test_it_takes_the_rules(path: Path) -> None:
    taken = read(path)
    assert taken.returncode == 0, taken.stderr
    assert "finished reading 1 files" in taken.stderr


@pytest.mark.parametrize("word", ["humanizePercentage", "sum_over_time(", "on (cluster, job)"])
def test_it_refuses_what_it_does_not_know(word: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.rules.yaml"
    path.write_text(RULES.read_text(encoding="utf-8").replace(word, f"un{word}"), encoding="utf-8")
    assert read(path).returncode != 0
