"""Finds audit events in bytes: one in each line, or in lists, however the bytes were cut and the JSON is laid out.

A line that is one event is decoded as it stands, with whatever a log collector wrote before it. All else is read as
JSON that may go over many lines: an object, or a list of objects, by itself or as a field of an object (EventList,
CloudWatch's events and logEvents). What is broken ends with its line at the latest.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from exporter.audit.decoding import AuditDecoder

if TYPE_CHECKING:
    from exporter.audit.events import AuditEvent

LONGEST_EVENT_BYTES = 4 * 1024 * 1024
"""At level RequestResponse it has two objects, each no more than 1.5 MiB unless etcd is told otherwise."""

_BEFORE_AN_EVENT = re.compile(rb'[^"{}\[\]]{0,200}(?=\{)')
_UP_TO_A_BRACKET = re.compile(rb'[^"{}\[\]]*+(?:"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"[^"{}\[\]]*+){0,999}+')
"""Over whole texts, no more of them than what the search has to remember."""

_REST_OF_TEXT = re.compile(rb'[^"\\\n]*(?:\\.[^"\\\n]*)*')


class EventReader:
    """`feed` it the bytes of one file, then `end` it. `decoder` has counted what was no event."""

    def __init__(self, longest_event_bytes: int = LONGEST_EVENT_BYTES) -> None:
        self.decoder = AuditDecoder()
        self._longest_bytes = longest_event_bytes
        self._objects = _Objects(longest_event_bytes)
        self._line = bytearray()
        self._is_too_long = False
        """The line is not over and longer than an event: what there was of it is with `_objects` already."""
        self._is_idle = True
        """Whether nothing was open where the line began, and nothing has come of it."""

    def feed(self, chunk: bytes) -> list[AuditEvent]:
        """The events that these bytes complete."""
        events: list[AuditEvent] = []
        *complete, tail = chunk.split(b"\n")
        for part in complete:
            events += self._end_line(part)
        self._line += tail
        if self._is_too_long or len(self._line) > self._longest_bytes:
            events += self._nested(bytes(self._line))
            self._is_too_long = True
            self._line.clear()
        return events

    def end(self) -> list[AuditEvent]:
        """The events that the end of the file completes; what it cuts off is counted."""
        events = self._end_line(b"")
        self.decoder.unreadable += self._objects.abandon()
        return events

    @property
    def kept_bytes(self) -> int:
        """Of a line and an object that are not complete."""
        return len(self._line) + self._objects.kept_bytes

    def _end_line(self, part: bytes) -> list[AuditEvent]:
        line = bytes(self._line + part) if self._line else part
        self._line.clear()
        if not self._is_too_long and len(line) <= self._longest_bytes:
            candidate = line.strip(b" \t\r,")
            if not candidate and self._objects.is_at_rest:
                return []
            if candidate[-1:] == b"}" and (before := _BEFORE_AN_EVENT.match(candidate)):
                is_event, event = self.decoder.try_plain(candidate[before.end() :] if before.end() else candidate)
                if is_event:
                    self.decoder.unreadable += self._objects.abandon_object()
                    self._is_idle = self._objects.is_at_rest
                    return [] if event is None else [event]
        events = self._nested(line + b"\n")
        self.decoder.unreadable += self._is_idle and self._objects.is_at_rest
        self._is_too_long, self._is_idle = False, self._objects.is_at_rest
        return events

    def _nested(self, part: bytes) -> list[AuditEvent]:
        texts = self._objects.feed(part)
        self._is_idle &= not texts
        self.decoder.unreadable += texts.count(None)
        found = (self.decoder.decode(text) for text in texts if text is not None)
        return [event for event in found if event is not None]


class _Objects:
    """Cuts JSON into the objects that may be events. Each is a text; None is one that is broken or too long.

    An object at the top is one, unless a field of it is a list of objects; then those are, and so are the elements of a
    list at the top.
    """

    def __init__(self, longest_bytes: int) -> None:
        self._longest_bytes = longest_bytes
        self._around = b""
        """What is open around the objects: nothing, `[`, `{[`, or `{` after a list in an object has ended."""
        self._depth = 0
        """Within the object that is being read; 0 between objects."""
        self._kept: bytearray | None = None
        """Its text, if there is any use for it."""
        self._begin = 0
        """Where it begins, or goes on, in the bytes that are being read."""
        self._is_in_list = False
        """Directly inside of a list that is a field of the object at the top."""
        self._is_in_text = False
        self._is_escaped = False

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing is open."""
        return not self._around and not self._depth and not self._is_in_text

    @property
    def kept_bytes(self) -> int:
        """Of an object that is not complete."""
        return len(self._kept or b"")

    def abandon_object(self) -> int:
        """The object that is open goes no further; how many are lost by it."""
        lost = int(self._depth > 0)
        self._depth, self._kept, self._is_in_text, self._is_escaped = 0, None, False, False
        return lost

    def abandon(self) -> int:
        """Nothing that is open goes any further; how many objects or lists are lost by it."""
        lost = int(not self.is_at_rest)
        self.abandon_object()
        self._around = b""
        return lost

    def feed(self, data: bytes) -> list[bytes | None]:
        """The objects that these bytes complete."""
        found: list[bytes | None] = []
        at = self._begin = 0
        while at < len(data):
            if self._is_in_text:
                at = self._rest_of_text(data, at)
                if self._is_in_text and data[at : at + 1] == b"\n":  # no text goes over the end of a line
                    found += [None] * self.abandon()
                continue
            skipped = _UP_TO_A_BRACKET.match(data, at)
            at = skipped.end() if skipped is not None else at
            mark = data[at : at + 1]
            at += 1
            if mark == b'"':
                self._is_in_text = True
            elif mark in (b"{", b"["):
                self._open(mark, at - 1)
            elif mark:
                found += self._close(mark, data, at)
        if self._depth:
            self._keep(data[self._begin :])
        return found

    def _rest_of_text(self, data: bytes, at: int) -> int:
        """Where a text ends, or the bytes do; or the end of the line that breaks it."""
        if self._is_escaped and data[at : at + 1] != b"\n":
            at += 1
        self._is_escaped = False
        rest = _REST_OF_TEXT.match(data, at)
        end = rest.end() if rest is not None else at
        match data[end : end + 1]:
            case b'"':
                self._is_in_text = False
                return end + 1
            case b"\\":  # with nothing after it, or the end of the line
                self._is_escaped = end + 1 == len(data)
                return end + 1
        return end

    def _open(self, mark: bytes, at: int) -> None:
        if not self._depth and mark == b"[" and self._around in (b"", b"{"):
            self._around += mark
        elif not self._depth:
            self._depth, self._begin, self._is_in_list = 1, at, False
            self._kept = bytearray() if self._around != b"{" else None
        elif not self._around and self._depth == 2 and self._is_in_list and mark == b"{":
            self._around, self._depth, self._begin, self._kept = b"{[", 1, at, bytearray()
        else:
            self._depth += 1
            self._is_in_list = self._depth == 2 and mark == b"["

    def _close(self, mark: bytes, data: bytes, end: int) -> list[bytes | None]:
        if not self._depth:
            if mark == (b"]" if self._around.endswith(b"[") else b"}"):
                self._around = self._around[:-1]
            return []
        self._depth -= 1
        if self._depth:
            return []
        self._keep(data[self._begin : end])
        kept, self._kept = self._kept, None
        return [] if self._around == b"{" else [None if kept is None else bytes(kept)]

    def _keep(self, part: bytes) -> None:
        if self._kept is not None and len(self._kept) + len(part) <= self._longest_bytes:
            self._kept += part
        else:
            self._kept = None
