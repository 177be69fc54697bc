"""What people read names this exporter, and says neither `we` nor an identifier."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import exporter
from exporter.diagnosis.reference import reference_markdown
from exporter.vocabulary import FAULTS
from tests.diagnosis.cases import CASES, causes

PACKAGE = Path(exporter.__file__).parent
READ = ("diagnosis", "history", "web/page", "wording", "commands/top", "commands/why.py", "service/status.py")
WE = r"we|us|our|ours"
US = re.compile(rf"\b({WE}|the exporter)\b", re.IGNORECASE)
UNITS = re.compile(r"\bms, us or ns\b")


def texts(path: Path) -> Iterator[str]:
    """The words that a program may show; its docstrings are for whoever reads it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    read = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    yield from (
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in read
    )


@pytest.mark.parametrize("room", READ)
def test_one_voice_speaks(room: str) -> None:
    place = PACKAGE / room
    words = [one for path in (place.rglob("*.py") if place.is_dir() else [place]) for one in texts(path)]
    assert len(words) > 2
    assert [one for one in words if US.search(one) and " " in one] == []


def test_nobody_needs_to_ask_who_we_are() -> None:
    words = [UNITS.sub("", one) for path in PACKAGE.rglob("*.py") for one in texts(path) if " " in one]
    assert len(words) > 1_000
    assert [one for one in words if re.search(rf"\b({WE})\b", one, re.IGNORECASE)] == []


def test_the_page_of_faults_has_the_same_voice() -> None:
    assert US.findall(reference_markdown()) == []


def test_what_is_excluded_is_said_in_words() -> None:
    said = [
        words
        for pair in CASES.values()
        for one in pair
        if one is not None
        for cause in causes(one)
        for words in cause.excluded
    ]
    assert len(said) > 20
    assert [words for words in said if any(fault in words for fault in FAULTS)] == []
