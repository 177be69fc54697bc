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
    """One file. It may be missing, renamed for a new one, or cut to nothing; a line may come in parts."""

    def __init__(self, path: Path, intake: AuditIntake) -> None:
        self._path = path
        self._take = intake.take
        self._reader = EventReader()
        self._file: BinaryIO | None = None
        self._complaint = ""

    async def follow(self) -> None:
        """Count what is added, forever."""
        try:
            self._open(from_its_end=True)
            while True:
                await self._read()
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            self._close()

    async def _read(self) -> None:
        """All that there is by now."""
        try:
            while True:
                is_replaced = self._is_replaced()  # before it is read: what was written before that is not missed
                while self._file is not None and (piece := self._file.read(PIECE_BYTES)):
                    self._take(self._reader, self._reader.feed(piece))
                    await asyncio.sleep(0)
                if not is_replaced:
                    return
                self._close()
                self._open()
                if self._file is None:
                    return
        except OSError as error:
            self._complain(error)
            self._close()

    def _is_replaced(self) -> bool:
        """Whether there is another file of that name, or less in it than we have read."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return False  # between two files
        if self._file is None:
            return True
        ours = os.fstat(self._file.fileno())
        return not os.path.samestat(ours, status) or status.st_size < self._file.tell()

    def _open(self, *, from_its_end: bool = False) -> None:
        try:
            self._file = self._path.open("rb", buffering=0)
            if from_its_end:
                self._file.seek(0, 2)
        except OSError as error:
            self._complain(error)
        else:
            self._complaint = ""
            log.info("audit log", extra={"fields": {"file": str(self._path)}})

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        self._take(self._reader, self._reader.end())
        self._reader = EventReader()

    def _complain(self, error: OSError) -> None:
        """Once for each reason: it is tried again every second."""
        reason = error.strerror or str(error)
        if reason != self._complaint:
            self._complaint = reason
            log.warning("audit log not read", extra={"fields": {"file": str(self._path), "error": reason}})
