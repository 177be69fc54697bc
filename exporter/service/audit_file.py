"""Follows an audit log that an apiserver writes (--audit.file): what is added from now on, across rotations."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING, BinaryIO

from exporter.audit.reading import EventReader

if TYPE_CHECKING:
    from pathlib import Path

    from exporter.service.audit_intake import AuditIntake

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
PIECE_BYTES = 32 * 1024
"""So much is read before the event loop gets its turn: less than half a millisecond."""


class AuditFile:
    """One file. It may be missing, renamed for a new one, or cut to nothing; a line may come in parts.

    What is in it when we first see it was before our time, unless there was no file before. After an error we go on
    where we were.
    """

    def __init__(self, path: Path, intake: AuditIntake) -> None:
        self._path = path
        self._take = intake.take
        self._reader = EventReader()
        self._file: BinaryIO | None = None
        self._is_new = False
        """Whether the next file came while we looked, so that all of it is read."""
        self._status: os.stat_result | None = None
        """Which file is read, or was until an error."""
        self._offset = 0
        """So much of it was read, or was before our time."""
        self._is_said = False
        self._complaint = ""

    async def follow(self) -> None:
        """Count what is added, forever."""
        try:
            while True:
                await self._read()
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            self._close()
            self._end()

    async def _read(self) -> None:
        """All that there is by now."""
        try:
            while True:
                self._open()
                is_replaced = self._is_replaced()  # before it is read: what was written before that is not missed
                while piece := self._piece():
                    self._take(self._reader, self._reader.feed(piece))
                    await asyncio.sleep(0)
                self._can_be_read()
                if not is_replaced:
                    return
                self._close()
                self._end()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            self._complain(error)
            self._close()
            self._end()  # there is no log, so all of the next one is new
        except OSError as error:
            self._complain(error)
            self._close()

    def _is_replaced(self) -> bool:
        """Whether there is another file of that name, or less in it than we have read."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return False  # between two files
        assert self._status is not None
        return not os.path.samestat(self._status, status) or status.st_size < self._offset

    def _open(self) -> None:
        """Open it where we have to begin, unless it is open."""
        if self._file is not None:
            return
        self._file = self._path.open("rb", buffering=0)
        status = os.fstat(self._file.fileno())
        if self._status is None:
            self._offset = 0 if self._is_new else status.st_size
        elif not os.path.samestat(self._status, status) or status.st_size < self._offset:
            self._end()
        self._status = status
        self._file.seek(self._offset)

    def _piece(self) -> bytes:
        assert self._file is not None
        piece = self._file.read(PIECE_BYTES)
        self._offset += len(piece)
        return piece

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _end(self) -> None:
        """Nothing more comes of this file; whatever is there next is read from its beginning."""
        self._status, self._offset, self._is_new = None, 0, True
        self._is_said = False
        self._take(self._reader, self._reader.end())
        self._reader = EventReader()

    def _can_be_read(self) -> None:
        if not self._is_said or self._complaint:
            self._is_said, self._complaint = True, ""
            log.info("audit log", extra={"fields": {"file": str(self._path)}})

    def _complain(self, error: OSError) -> None:
        """Once for each reason: it is tried again every second."""
        reason = error.strerror or str(error)
        if reason != self._complaint:
            self._complaint = reason
            log.warning("audit log not read", extra={"fields": {"file": str(self._path), "error": reason}})
