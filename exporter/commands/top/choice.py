"""What a person has chosen to see, and what each key changes in it. Pure: a key in, another choice out."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, TypeAlias

import msgspec
from msgspec.structs import replace

from exporter.diagnosis.sentences import SEVERE_FIRST
from exporter.diagnosis.words import CONDITION_WORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from exporter.commands.top.documents import TopRow
    from exporter.history.recording import StreamKey

Order: TypeAlias = "Callable[[TopRow], tuple[float | str, ...]]"

ESCAPE = "\x1b"


def _name(row: TopRow) -> tuple[str, ...]:
    return row.now.name, row.now.apiserver


_RANKS: dict[str, int] = {condition: rank for rank, condition in enumerate(SEVERE_FIRST)}

ORDERS: dict[str, Order] = {
    # Another version may have states that this one does not know.
    "state": lambda row: (_RANKS.get(row.now.condition, len(_RANKS)), *_name(row)),
    "name": _name,
    "P99": lambda row: (-(row.now.p99_lower_seconds or 0.0), -_upper(row), *_name(row)),
    "events": lambda row: (-row.now.window_events, *_name(row)),
}
"""By what rows can be sorted, in the order in which a key goes through it."""


def _words(row: TopRow) -> str:
    return f"{row.now.name} {row.now.apiserver} {CONDITION_WORDS.get(row.now.condition, row.now.condition)}"


def _upper(row: TopRow) -> float:
    upper = row.now.p99_upper_seconds
    return inf if upper is None and row.now.p99_lower_seconds is not None else upper or 0.0


class Choice(msgspec.Struct, frozen=True):
    """What is chosen."""

    order: str = "state"
    filter: str = ""
    is_typing: bool = False
    """Whether keys go into the filter."""
    selected: StreamKey | None = None
    """None is the first row, whichever that is."""
    is_open: bool = False
    is_over: bool = False
    has_keys: bool = True
    """Whether there is a keyboard to choose with."""

    def shown(self, rows: Iterable[TopRow]) -> list[TopRow]:
        """The rows that pass the filter, in the chosen order."""
        return sorted([row for row in rows if self.filter in _words(row)], key=ORDERS[self.order])

    def place(self, rows: Sequence[TopRow]) -> int | None:
        """Where the selected one is among these rows; None if it is not there, or nobody can select."""
        if not self.has_keys or not rows:
            return None
        if self.selected is None:
            return 0
        return next((place for place, row in enumerate(rows) if row.key == self.selected), None)

    def pressed(self, key: str, rows: Sequence[TopRow]) -> Choice:  # noqa: PLR0911 a way for each key
        """After a key, while these rows are shown."""
        if self.is_typing:
            return self._typed(key)
        match key:
            case "\x1b[A" | "k":
                return self._moved(-1, rows)
            case "\x1b[B" | "j":
                return self._moved(1, rows)
            case "\r" | "\n" | " ":
                return replace(self._moved(0, rows), is_open=not self.is_open and bool(rows))
            case "s":
                names = list(ORDERS)
                return replace(self, order=names[(names.index(self.order) + 1) % len(names)])
            case "/":
                return replace(self, is_typing=True)
            case "\x1b":
                return replace(self, filter="", is_open=False)
        return replace(self, is_over=key == "q")

    def _moved(self, rows_down: int, rows: Sequence[TopRow]) -> Choice:
        """Another row selected; the first one if the one before is gone."""
        place = self.place(rows)
        to = 0 if place is None else max(0, min(len(rows) - 1, place + rows_down))
        return replace(self, selected=rows[to].key) if rows else self

    def _typed(self, key: str) -> Choice:
        if key in {"\r", "\n"}:
            return replace(self, is_typing=False)
        if key == ESCAPE:
            return replace(self, is_typing=False, filter="")
        if key in {"\x7f", "\b"}:
            return replace(self, filter=self.filter[:-1])
        if len(key) == 1 and key.isprintable():
            return replace(self, filter=self.filter + key, selected=None, is_open=False)
        return self


def keys(text: str) -> list[str]:
    """What was typed, key by key: an arrow is several characters."""
    found: list[str] = []
    while text:
        length = 3 if text.startswith(ESCAPE + "[") else 1
        found.append(text[:length])
        text = text[length:]
    return found
