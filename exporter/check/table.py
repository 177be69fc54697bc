"""Rows in, one plain-text table out. What the rows say is not known here."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

Result: TypeAlias = Literal["ok", "note", "missing", "failed", "not checked"]

GOOD: frozenset[Result] = frozenset({"ok", "note"})
WIDTH = 118
NARROWEST_DETAIL = 40
RESULT_WIDTH = len("not checked")


@dataclass(frozen=True, slots=True)
class Row:
    """One check. `rule` is a line to be copied, which is never broken; `loss` is what this costs, if it is not good."""

    check: str
    result: Result
    detail: str = ""
    rule: str = ""
    loss: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """Rows that belong together."""

    title: str
    rows: tuple[Row, ...]


def table(sections: Iterable[Section]) -> str:
    """The sections, one below the other in the same columns, about 120 characters wide; no newline at the end."""
    sections = [section for section in sections if section.rows]
    check_width = max(len(f"  {row.check}") for section in sections for row in section.rows)
    indent = check_width + 2 + RESULT_WIDTH + 2
    lines = [_line("CHECK", "RESULT", "DETAIL", check_width)]
    for section in sections:
        lines += ["", section.title]
        for row in section.rows:
            # A path or a flag that is copied must be whole.
            lines_of_detail = textwrap.wrap(row.detail, max(NARROWEST_DETAIL, WIDTH - indent), break_on_hyphens=False)
            first, *more = lines_of_detail or [""]
            lines.append(_line(f"  {row.check}", row.result, first, check_width))
            lines += [" " * indent + line for line in (*more, row.rule) if line]
    return "\n".join(lines)


def _line(check: str, result: str, detail: str, check_width: int) -> str:
    return f"{check:<{check_width}}  {result:<{RESULT_WIDTH}}  {detail}".rstrip()
