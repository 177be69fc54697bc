"""Reads audit logs: files or stdin, plain or gzip, in pieces, so that their size does not matter; one order of time."""

from __future__ import annotations

import heapq
import stat
import sys
import time
import zlib
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from exporter.audit.reading import EventReader
from exporter.wording.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from exporter.audit.events import AuditEvent
    from exporter.commands.progress_line import ProgressLine

PIECE_BYTES = 256 * 1024
GZIP = b"\x1f\x8b"
STDIN = "-"


class CannotReadError(Exception):
    """One sentence for the user."""


class LogFiles:
    """Some files, as one sequence of events in the order of time: those of several apiservers are merged."""

    def __init__(self, names: Sequence[str], progress: ProgressLine) -> None:
        self._names = names
        self._progress = progress
        self._readers: list[EventReader] = []
        self._began = time.monotonic()
        self._all_bytes: int | None = 0
        self.bytes_read = 0
        self.cut_off: list[str] = []
        """Files whose compression ends before its end: somebody still writes them, or a copy was not complete."""

    @property
    def unreadable(self) -> int:
        """How many lines and objects were no audit events."""
        return sum(reader.decoder.unreadable for reader in self._readers)

    @property
    def cut_texts(self) -> int:
        """How many texts were longer than is kept of them."""
        return sum(reader.decoder.cut for reader in self._readers)

    def events(self) -> Iterator[AuditEvent]:
        """All of them. Raises CannotReadError."""
        with ExitStack() as stack:
            files = [(name, stack.enter_context(self._opened(name))) for name in self._names]
            sequences = [self._events_of(name, file) for name, file in files]
            # Within a file times may step back a little; for what is inferred that is as good.
            yield from sequences[0] if len(sequences) == 1 else heapq.merge(*sequences, key=lambda event: event.staged)

    @property
    def speed(self) -> float:
        """Bytes a second so far, as they are on disk."""
        return self.bytes_read / max(time.monotonic() - self._began, 1e-3)

    def _opened(self, name: str) -> BinaryIO:
        try:
            status = Path(name).stat() if name != STDIN else None
            file = sys.stdin.buffer if name == STDIN else Path(name).open("rb")  # noqa: SIM115 the caller closes it
        except (OSError, ValueError) as error:
            raise CannotReadError(f"cannot read {quoted(name)}: {getattr(error, 'strerror', None) or error}") from None
        if self._all_bytes is not None:
            is_file = status is not None and stat.S_ISREG(status.st_mode)
            self._all_bytes = self._all_bytes + status.st_size if is_file and status is not None else None
        return file

    def _events_of(self, name: str, file: BinaryIO) -> Iterator[AuditEvent]:
        reader = EventReader()
        self._readers.append(reader)
        for piece in self._pieces(name, file):
            yield from reader.feed(piece)
        yield from reader.end()

    def _pieces(self, name: str, file: BinaryIO) -> Iterator[bytes]:
        try:
            piece = self._next(file)
            if not piece.startswith(GZIP):
                while piece:
                    yield piece
                    piece = self._next(file)
                return
            unpacker = zlib.decompressobj(wbits=31)
            while piece:
                yield unpacker.decompress(piece, PIECE_BYTES)
                piece = unpacker.unconsumed_tail or unpacker.unused_data or self._next(file)
                if unpacker.eof and piece:
                    unpacker = zlib.decompressobj(wbits=31)
            if not unpacker.eof:
                self.cut_off.append(name)
        except OSError as error:
            raise CannotReadError(f"cannot read {quoted(name)}: {error.strerror or error}") from None
        except zlib.error:
            raise CannotReadError(f"cannot read {quoted(name)}: its gzip compression is broken") from None

    def _next(self, file: BinaryIO) -> bytes:
        piece = file.read(PIECE_BYTES)
        self.bytes_read += len(piece)
        self._progress.say("reading", self._how_far)
        return piece

    def _how_far(self) -> str:
        speed = f"{self.bytes_read / 1e6:.0f} MB read, {self.speed / 1e6:.0f} MB/s"
        if not self._all_bytes:
            return speed
        left = max(self._all_bytes - self.bytes_read, 0) / max(self.speed, 1.0)
        return f"{100 * self.bytes_read / self._all_bytes:.0f} % of {self._all_bytes / 1e6:.0f} MB, {left:.0f} s left"
