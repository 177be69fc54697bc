"""A line of the log is one line of printable ASCII, whatever others have put into a value."""

import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.service import logs

FORMATTERS = [logs._Json(), logs._Logfmt()]
VALUES = st.one_of(st.text(), st.characters(), st.floats(), st.integers(), st.none(), st.binary().map(repr))


def line(formatter: logging.Formatter, value: Any) -> str:
    record = logging.LogRecord("exporter", logging.WARNING, "", 0, "said: %s", (value,), None)
    record.fields = {"error": value}
    return formatter.format(record)


@pytest.mark.parametrize("formatter", FORMATTERS)
@given(value=VALUES)
def test_a_line_is_one_line_of_printable_ascii(formatter: logging.Formatter, value: Any) -> None:
    written = line(formatter, value)
    assert written.isascii()
    assert written.isprintable()


@pytest.mark.parametrize(
    "character", ["\x1b", "\x7f", "\x9b", "\u2028", "\u2029", "\u202e", "\ufeff", "\ud800", "é", "\n"]
)
def test_what_terminals_obey_is_escaped(character: str) -> None:
    for formatter in FORMATTERS:
        assert character not in line(formatter, f"a{character}b")


@given(value=st.text(st.characters(exclude_categories=["Cs"])))
def test_nothing_of_a_value_is_lost(value: str) -> None:
    assert json.loads(line(logs._Json(), value))["error"] == value
    said = line(logs._Logfmt(), value).partition(" error=")[2] if "error=" not in value else None
    if said is not None:
        assert (json.loads(said) if said.startswith('"') else said) == value
