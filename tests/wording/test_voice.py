"""What the program says is about "the exporter" or "watchslo": a reader must not ask who "we" are."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

EXPORTER = Path(__file__).parents[2] / "exporter"
WE = re.compile(r"\b(we|our|ours|us)\b", re.IGNORECASE)
UNITS = re.compile(r"\b(ms|s), us\b|\bms, us or ns\b")


def said_by(tree: ast.Module) -> Iterator[str]:
    """Its sentences, also parts of them, but for docstrings: these are for who reads the code."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def ours(said: str) -> bool:
    """Whether it is a sentence of ours about us."""
    return " " in said and WE.search(UNITS.sub("", said)) is not None


def test_nobody_needs_to_ask_who_we_are() -> None:
    files = {path.relative_to(EXPORTER): ast.parse(path.read_text(encoding="utf-8")) for path in EXPORTER.rglob("*.py")}
    assert [f"{name}: {said}" for name, tree in files.items() for said in said_by(tree) if ours(said)] == []


def test_a_sentence_about_us_is_found() -> None:
    source = '"""Our docstring."""\nprint("in s, ms, us or ns", f"{x} is ahead of our clock")'
    assert [ours(one) for one in said_by(ast.parse(source)) if " " in one] == [False, True]
