"""Counts the objects in the answer to a LIST as it comes, in bounded memory: none of the objects is kept. Pure.

Only the brackets of the JSON matter, and quotes, between which brackets mean nothing. All of it is done by functions in
C, at some hundred megabytes a second: a look at each byte would take longer than an apiserver takes to send it.
"""

from __future__ import annotations

import re
from array import array
from itertools import accumulate, islice
from typing import Final, Literal, NamedTuple

import msgspec

from exporter.limits import refused_texts

MOST_ENVELOPE_BYTES: Final = 64 * 2**10
"""Limit on all that is not items. Its longest part, the token in `continue`, has some hundred bytes."""

_BRACKET = re.compile(rb'[^"{}\[\]]*+(?:"[^"]*+"[^"{}\[\]]*+)*+([{}\[\]])')
"""Up to the next one outside of strings, in JSON without escapes."""

_ITEMS = re.compile(rb'"items"\s*:\s*\[\Z')
_NO_MARKS = bytes(set(range(256)) - set(b'{}[]"'))
_OPENING = b"{["
_STEPS = bytes.maketrans(b"{[}]", bytes([1, 1, 255, 255]))
"""To signed bytes: how each bracket changes the depth."""

_IN_LIST, _IN_ITEMS = 1, 2
"""Depths: how many brackets are open."""


class NotAListError(ValueError):
    """The bytes are no list of Kubernetes'."""


class ListMetadata(msgspec.Struct):
    """The metadata of a list, or of one page of it."""

    resource_version: str = msgspec.field(default="", name="resourceVersion")
    next_page: str = msgspec.field(default="", name="continue")
    remaining_objects: int | None = msgspec.field(default=None, name="remainingItemCount")


class ListEnvelope(msgspec.Struct):
    """All of a list but its items."""

    kind: str
    metadata: ListMetadata


class CountedList(NamedTuple):
    """One answer, read to its end."""

    objects: int
    size_bytes: int
    envelope: ListEnvelope


class ListCounter:
    """Fed with one body, however it is cut."""

    def __init__(self) -> None:
        self.objects = 0
        self.size_bytes = 0
        self._depth = 0
        self._part: Literal["before items", "items", "after items"] = "before items"
        self._is_in_string = False
        self._backslash = b""
        """The last byte of what came, if it escapes the next one."""
        self._envelope = bytearray()

    def feed(self, data: bytes) -> None:
        """What comes next. Raises NotAListError if that cannot belong to a list."""
        self.size_bytes += len(data)
        text = self._backslash + data
        self._backslash = b"\\" if (len(text) - len(text.rstrip(b"\\"))) % 2 else b""
        text = text[: len(text) - len(self._backslash)]
        plain = text.replace(b"\\\\", b"__").replace(b'\\"', b"__") if b"\\" in text else text
        place = self._rest_of_string(text, plain) if self._is_in_string else 0
        while place < len(text):
            place = self._count(plain, place) if self._part == "items" else self._keep(text, plain, place)

    def finish(self) -> CountedList:
        """Nothing more comes. Raises NotAListError if that was no list, or not all of it."""
        try:
            envelope = msgspec.json.decode(self._envelope, type=ListEnvelope)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise NotAListError(str(error)) from error
        if not envelope.kind.endswith("List"):
            raise NotAListError(f"a {envelope.kind[:30]!r}")
        return CountedList(self.objects, self.size_bytes, envelope)

    def _rest_of_string(self, text: bytes, plain: bytes) -> int:
        """Where the string ends that began in an earlier piece."""
        place = plain.find(b'"') + 1
        self._is_in_string = place == 0
        place = place or len(plain)
        if self._part != "items":
            self._add_to_envelope(text[:place])
        return place

    def _count(self, plain: bytes, place: int) -> int:
        """Count the objects that end among the items; returns where the items end, or the end of the piece."""
        marks = plain[place:].translate(None, _NO_MARKS).replace(b'""', b"")
        outside = marks.split(b'"')  # what is left of strings are those with brackets in them
        steps = array("b", b"".join(outside[::2]).translate(_STEPS))
        depths = list(accumulate(steps, initial=self._depth))[1:]
        if _IN_LIST not in depths:
            self.objects += depths.count(_IN_ITEMS)
            self._depth, self._is_in_string = depths[-1] if depths else self._depth, len(outside) % 2 == 0
            return len(plain)
        end = depths.index(_IN_LIST)
        self.objects += depths[:end].count(_IN_ITEMS)
        self._depth, self._part = _IN_ITEMS, "after items"
        return next(islice(_BRACKET.finditer(plain, place), end, None)).start(1)

    def _keep(self, text: bytes, plain: bytes, place: int) -> int:
        """Keep what is no items, with the next bracket; returns the place after that, or the end of the piece."""
        found = _BRACKET.match(plain, place)
        end = len(plain) if found is None else found.end()
        self._add_to_envelope(text[place:end])
        if found is None:
            self._is_in_string = plain.count(b'"', place) % 2 == 1
        elif found[1] in _OPENING:
            self._depth += 1
            if self._depth == _IN_ITEMS and _ITEMS.search(self._envelope):
                self._begin_items()
        else:
            self._depth -= 1
        return end

    def _begin_items(self) -> None:
        if self._part != "before items":
            raise NotAListError("it has items twice")
        self._part = "items"

    def _add_to_envelope(self, text: bytes) -> None:
        self._envelope += text
        if len(self._envelope) > MOST_ENVELOPE_BYTES:
            refused_texts.count("answer")
            raise NotAListError(f"more than {MOST_ENVELOPE_BYTES} bytes of it are no items")
