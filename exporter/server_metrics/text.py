"""Chunks of Prometheus' text format in, wherever they are cut; the numbers of the families that are read out.

Pure, and of bounded memory. A line of another family costs a look at its first bytes. What is no line of the format is
counted, never raised: this comes from elsewhere.
"""

from __future__ import annotations

import re
from array import array
from functools import lru_cache
from math import isnan, nan
from typing import TYPE_CHECKING, Final

import msgspec

from exporter.server_metrics.families import SAMPLES, Samples

if TYPE_CHECKING:
    from exporter.server_metrics.families import LabelValues, SeriesKey, ServerFamily

MOST_LINE_BYTES: Final = 4096
"""Those of an apiserver have at most some 600."""

MOST_LABEL_CHARACTERS: Final = 300
"""A name in Kubernetes has at most 253."""

MOST_SERIES: Final = 20_000
"""Added up; a cluster with 300 kinds has some 7000."""

MOST_BOUNDS: Final = 64
MOST_VALUE: Final = 1e24
"""All of a body together are finite, and so is what is computed of them."""

_LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\\n]|\\.)*)"', re.ASCII)
_NUMBER = re.compile(rb"[-+0-9.eE]{1,40}")
_ESCAPED = re.compile(r"\\(.)")


class Numbers(msgspec.Struct):
    """What one reading says."""

    values: dict[str, dict[SeriesKey, float]] = msgspec.field(default_factory=dict)
    """By the fact of the family, and what it is of."""
    histograms: dict[str, dict[SeriesKey, array[float]]] = msgspec.field(default_factory=dict)
    """Their sum, then their buckets: a list would take four times as much memory."""
    bounds: dict[str, dict[bytes, int]] = msgspec.field(default_factory=dict)
    """Which place each upper end has there."""
    size_bytes: int = 0
    """Of the text that was read."""
    series: int = 0
    refused: int = 0
    """How many lines were none, or of more series than are kept."""
    is_whole: bool = True
    """Whether every series found its place."""
    written_at_ms: int | None = None
    """The newest time beside a number; an apiserver writes none, a Prometheus when it has read it."""

    def value(self, fact: str) -> float | None:
        """Of what has no labels, or whose labels nobody asks for."""
        return self.values.get(fact, {}).get(())


class TextParser:
    """Fed with one body; `numbers` are those of all lines that have ended, of the samples that are wanted."""

    def __init__(self, wanted: Samples = SAMPLES) -> None:
        self._wanted = wanted
        self._line = _lines_of(frozenset(wanted))
        self.numbers = Numbers()
        self._rest = b"\n"
        """What has begun, with the newline before it."""
        self._series = b""
        self._neighbours: array[float] | None = None
        """Where the last bucket of that series went, as its neighbours do that follow it; None if they are left out."""

    @property
    def size_bytes(self) -> int:
        """How many it was fed."""
        return self.numbers.size_bytes

    def feed(self, data: bytes) -> None:
        """What comes next."""
        self.numbers.size_bytes += len(data)
        if len(self._rest) > MOST_LINE_BYTES + 1:  # the end of a line that is too long whatever it says
            ends = data.find(b"\n")
            if ends < 0:
                return
            data = data[ends:]
        text = self._rest + data
        end = text.rfind(b"\n")
        for line in self._line.finditer(text, 0, end):
            if line.end() - line.start() > MOST_LINE_BYTES + 1:
                self.numbers.refused += 1
            else:
                self._read(line[1], line[2])
        self._rest = text[end : end + MOST_LINE_BYTES + 2]

    def finish(self) -> Numbers:
        """Nothing more comes."""
        self.feed(b"\n")
        self.numbers.size_bytes -= len(b"\n")
        return self.numbers

    def _read(self, name: bytes, rest: bytes) -> None:
        """One line; whatever is wrong with it is counted."""
        head, _, numbers = rest.rpartition(b"}")
        words = numbers.split()
        try:
            is_sample = len(words) in {1, 2} and all(_NUMBER.fullmatch(word) for word in words)
            value = float(words[0]) if is_sample else nan
            is_read = abs(value) <= MOST_VALUE and self._add(name, head, value)
            if is_read and len(words) == 2:
                self.numbers.written_at_ms = max(self.numbers.written_at_ms or 0, int(words[1]))
        except ValueError:
            is_read = False
        self.numbers.refused += not is_read

    def _add(self, name: bytes, head: bytes, value: float) -> bool:
        """Whether it is a sample that found its place. Raises ValueError if it is none."""
        family, part = self._wanted[name.decode()]
        before, comma, bound = head.rpartition(b',le="')
        series = name + before
        is_last = bool(comma) and part == "bucket" and bound.find(b'"') == len(bound) - 1  # where apiservers have it
        if is_last and series == self._series:
            return self._neighbours is None or self._add_to_bucket(family, self._neighbours, bound[:-1], value)
        labels = _labels(head.decode())
        key = family.by(labels)
        if key is not None and any(len(one) > MOST_LABEL_CHARACTERS for one in key):
            return False
        if part == "value":
            return key is None or self._add_to_value(family.fact, key, value)
        numbers = None if key is None else self._histogram(family.fact, key)
        if is_last and (key is None) == (numbers is None):
            self._series, self._neighbours = series, numbers
        if numbers is not None and part == "sum":
            numbers[0] += value
        elif numbers is not None:
            return self._add_to_bucket(family, numbers, labels.get("le", "").encode(), value)
        return (key is None) == (numbers is None)

    def _add_to_value(self, fact: str, key: SeriesKey, value: float) -> bool:
        values = self.numbers.values.setdefault(fact, {})
        if key not in values and not self._has_room():
            return False
        values[key] = values.get(key, 0.0) + value
        return True

    def _histogram(self, fact: str, key: SeriesKey) -> array[float] | None:
        """The one of this key; None if there is no room for it."""
        histograms = self.numbers.histograms.setdefault(fact, {})
        if key not in histograms:
            if not self._has_room():
                return None
            histograms[key] = array("d", [0.0])
        return histograms[key]

    def _add_to_bucket(self, family: ServerFamily, numbers: array[float], bound: bytes, value: float) -> bool:
        places = self.numbers.bounds.setdefault(family.fact, {})
        place = places.get(bound)
        if place is None:
            if len(places) == MOST_BOUNDS or isnan(float(bound)):
                return False
            place = places[bound] = len(places) + 1
        while len(numbers) <= place:
            numbers.append(0.0)
        numbers[place] += value
        return True

    def _has_room(self) -> bool:
        """For one key more."""
        if self.numbers.series == MOST_SERIES:
            self.numbers.is_whole = False
            return False
        self.numbers.series += 1
        return True


@lru_cache(maxsize=8)
def _lines_of(names: frozenset[str]) -> re.Pattern[bytes]:
    """What matches their lines."""
    return re.compile(rb"\n(%b)([{ ][^\n]*)" % b"|".join(sorted(map(str.encode, names), reverse=True)))


def _labels(text: str) -> LabelValues:
    """What stands between the braces, from the first one on. Raises ValueError if that is no list of labels."""
    found = _LABEL.findall(text)
    written = len("{") + sum([len(name) + len(value) + len('="",') for name, value in found])
    if text and (text[0] != "{" or written not in {len(text), len(text) + 1}):  # the last comma may be left out
        raise ValueError("no labels")
    return {name: _ESCAPED.sub(_unescaped, value) if "\\" in value else value for name, value in found}


def _unescaped(escape: re.Match[str]) -> str:
    return "\n" if escape[1] == "n" else escape[1]
