"""Formats rows as one plain-text table. It does not know what the rows say."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from exporter.commands.text_table import folded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Outcome: TypeAlias = Literal["ok", "note", "missing", "failed", "not checked"]

GOOD: frozenset[Outcome] = frozenset({"ok", "note"})
WIDTH = 118
NARROWEST_DETAIL = 40
BELOW = " " * 6
RESULT_WIDTH = len("not checked")


class Row(msgspec.Struct, frozen=True):
    """One check. `rule` is a line to be copied, which is never broken; `loss` is what this costs, if it is not good."""

    check: str
    result: Outcome
    detail: str = ""
    rule: str = ""
    loss: str = ""


class Section(msgspec.Struct, frozen=True):
    """Rows that belong together."""

    title: str
    rows: tuple[Row, ...]


def table(sections: Iterable[Section], width: int | None = None) -> str:
    """The sections, one below the other in the same columns; no newline at the end.

    About 120 characters wide, or as the terminal is: there, details stand below their checks if beside is no room.
    """
    sections = [section for section in sections if section.rows]
    check_width = max(len(f"  {row.check}") for section in sections for row in section.rows)
    indent = check_width + 2 + RESULT_WIDTH + 2
    available = min(width or WIDTH, WIDTH)
    is_beside = width is None or available - indent >= NARROWEST_DETAIL
    lines = [_line("CHECK", "RESULT", "DETAIL" if is_beside else "", check_width)]
    for section in sections:
        lines += ["", section.title]
        for row in section.rows:
            if is_beside:
                lines += _beside(row, check_width, indent, max(NARROWEST_DETAIL, available - indent))
            else:
                lines.append(_line(f"  {row.check}", row.result, "", check_width))
                lines += folded(row.detail, available, BELOW) if row.detail else []
                lines += [f"{BELOW}{row.rule}"] if row.rule else []
    return "\n".join(lines)


def _beside(row: Row, check_width: int, indent: int, detail_width: int) -> Iterator[str]:
    # A path or a flag that is copied must be whole.
    first, *more = textwrap.wrap(row.detail, detail_width, break_on_hyphens=False) or [""]
    yield _line(f"  {row.check}", row.result, first, check_width)
    yield from (" " * indent + line for line in (*more, row.rule) if line)


def _line(check: str, result: str, detail: str, check_width: int) -> str:
    return f"{check:<{check_width}}  {result:<{RESULT_WIDTH}}  {detail}".rstrip()
