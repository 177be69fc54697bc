"""Formats rows as lines of text: in columns where they fit, otherwise one cell below the other."""

from __future__ import annotations

import os
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import TextIO

GAP = "  "


def width_of(stream: TextIO) -> int | None:
    """The width of the terminal; None if it is not a terminal: files and pipes look the same everywhere."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):
        return None


def folded(line: str, width: int | None, indent: str = "") -> list[str]:
    """The line, broken between words where it does not fit. A word stays whole, to be copied."""
    if width is None:
        return [indent + line]
    return textwrap.wrap(
        line,
        width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [""]


def aligned(rows: Sequence[Sequence[str]], width: int | None) -> list[str]:
    """The first row is the heading."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if width is None or sum(widths) + len(GAP) * (len(widths) - 1) <= width:
        return [_line(row, widths) for row in rows]
    heading, *others = rows
    return [heading[0], *(line for row in others for line in _below_each_other(heading, row, width))]


def _line(row: Iterable[str], widths: Iterable[int]) -> str:
    return GAP.join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()


def _below_each_other(heading: Sequence[str], row: Sequence[str], width: int) -> Iterator[str]:
    """The row's name, and below it each cell after its heading, as many in a line as fit."""
    yield row[0]
    line = ""
    for title, cell in zip(heading[1:], row[1:], strict=True):
        pair = f"{title} {cell}".strip()
        if line and len(GAP + line + GAP + pair) > width:
            yield GAP + line
            line = ""
        line += f"{GAP if line else ''}{pair}"
    yield GAP + line


def bytes_text(size_bytes: float) -> str:
    """With three digits, in powers of 1000."""
    if size_bytes < 999.5:
        return f"{size_bytes:.0f} B"
    for unit in ("kB", "MB", "GB"):
        size_bytes /= 1000
        if size_bytes < 999.5 or unit == "GB":
            break
    return f"{size_bytes:.{max(0, 3 - len(str(int(size_bytes))))}f} {unit}"
