"""Counts the events of a watch as it comes, in the memory of one event. Pure."""

from __future__ import annotations

import msgspec

from exporter.limits import message, refused_texts
from exporter.measure.events import LineSplitter

INITIAL_EVENTS_END = "k8s.io/initial-events-end"
"""The annotation of the bookmark after the initial events of a streaming list."""


class _Type(msgspec.Struct):
    type: str


class _Metadata(msgspec.Struct):
    annotations: dict[str, str] = {}


class _Bookmark(msgspec.Struct):
    metadata: _Metadata


class _BookmarkEvent(msgspec.Struct):
    object: _Bookmark


class _Status(msgspec.Struct):
    code: int = 0
    message: str = ""


class _ErrorEvent(msgspec.Struct):
    object: _Status


class NotAWatchError(ValueError):
    """A line is no event of a watch."""


class WatchRefusedError(Exception):
    """The watch says an ERROR, with this code."""

    def __init__(self, code: int, said: str) -> None:
        super().__init__(message(said) or f"an ERROR event with code {code}")
        self.code = code


class EventCounter:
    """Fed with one body, however it is cut. Bookmarks are no events; their bytes count."""

    def __init__(self) -> None:
        self.events = 0
        self.size_bytes = 0
        self.is_complete = False
        """Whether the initial events are all there. What comes later is not counted any more."""
        self._lines = LineSplitter()

    def feed(self, data: bytes) -> None:
        """What comes next. Raises NotAWatchError or WatchRefusedError."""
        if self.is_complete:
            return
        self.size_bytes += len(data)
        lines, overlong = self._lines.feed(data)
        if overlong:
            refused_texts.count("line", overlong)
            raise NotAWatchError("a line is longer than any event")
        for number, line in enumerate(lines, start=1):
            if self._is_end(line):
                self.is_complete = True
                later = sum(len(line) + 1 for line in lines[number:]) + self._lines.unfinished_bytes
                self.size_bytes -= later
                return

    def _is_end(self, line: bytes) -> bool:
        """Whether it is the end of the initial events; count it if it is an event."""
        try:
            match msgspec.json.decode(line, type=_Type).type:
                case "BOOKMARK":
                    annotations = msgspec.json.decode(line, type=_BookmarkEvent).object.metadata.annotations
                    return annotations.get(INITIAL_EVENTS_END) == "true"
                case "ERROR":
                    status = msgspec.json.decode(line, type=_ErrorEvent).object
                    raise WatchRefusedError(status.code, status.message)
                case _:
                    self.events += 1
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise NotAWatchError(str(error)) from error
        return False
