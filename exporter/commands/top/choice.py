"""What a person has chosen to see, and what each key changes in it. Pure: a key in, another choice out."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, TypeAlias

import msgspec
from msgspec.structs import replace

from exporter.diagnosis.sentences import SEVERE_FIRST
from exporter.diagnosis.words import CONDITION_WORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from exporter.commands.top.documents import TopRow

Order: TypeAlias = "Callable[[TopRow], tuple[float | str, ...]]"

ESCAPE = "\x1b"


def _name(row: TopRow) -> tuple[str, ...]:
    return row.now.name, row.now.apiserver


ORDERS: dict[str, Order] = {
    "state": lambda row: (SEVERE_FIRST.index(row.now.condition), *_name(row)),
    "name": _name,
    "P99": lambda row: (-(row.now.p99_lower_seconds or 0.0), -_upper(row), *_name(row)),
    "events": lambda row: (-row.now.window_events, *_name(row)),
}
"""By what rows can be sorted, in the order in which a key goes through it."""


def _words(row: TopRow) -> str:
    return f"{row.now.name} {row.now.apiserver} {CONDITION_WORDS.get(row.now.condition, '')}"


def _upper(row: TopRow) -> float:
    upper = row.now.p99_upper_seconds
    return inf if upper is None and row.now.p99_lower_seconds is not None else upper or 0.0


class Choice(msgspec.Struct, frozen=True):
    """What is chosen."""

    order: str = "state"
    filter: str = ""
    is_typing: bool = False
    """Whether keys go into the filter."""
    selected: int = 0
    is_open: bool = False
    is_over: bool = False
    has_keys: bool = True
    """Whether there is a keyboard to choose with."""

    def shown(self, rows: Iterable[TopRow]) -> list[TopRow]:
        """The rows that pass the filter, in the chosen order."""
        return sorted([row for row in rows if self.filter in _words(row)], key=ORDERS[self.order])

    def pressed(self, key: str, rows: int) -> Choice:  # noqa: PLR0911 a way for each key
        """After a key, while so many rows are shown."""
        if self.is_typing:
            return self._typed(key)
        match key:
            case "\x1b[A" | "k":
                return replace(self, selected=max(0, self.selected - 1))
            case "\x1b[B" | "j":
                return replace(self, selected=max(0, min(rows - 1, self.selected + 1)))
            case "\r" | "\n" | " ":
                return replace(self, is_open=not self.is_open)
            case "s":
                names = list(ORDERS)
                return replace(self, order=names[(names.index(self.order) + 1) % len(names)])
            case "/":
                return replace(self, is_typing=True)
            case "\x1b":
                return replace(self, filter="", is_open=False)
        return replace(self, is_over=key == "q")

    def _typed(self, key: str) -> Choice:
        if key in {"\r", "\n"}:
            return replace(self, is_typing=False)
        if key == ESCAPE:
            return replace(self, is_typing=False, filter="")
        if key in {"\x7f", "\b"}:
            return replace(self, filter=self.filter[:-1])
        is_letter = len(key) == 1 and key.isprintable()
        return replace(self, filter=self.filter + key if is_letter else self.filter, selected=0)


def keys(text: str) -> list[str]:
    """What was typed, key by key: an arrow is several characters."""
    found: list[str] = []
    while text:
        length = 3 if text.startswith(ESCAPE + "[") else 1
        found.append(text[:length])
        text = text[length:]
    return found
