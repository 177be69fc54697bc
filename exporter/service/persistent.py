"""Work of our own that goes on whatever goes wrong in it: measuring must not end for a bug beside it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable

log = logging.getLogger(__name__)


class Persistent:
    """Work that is done again and again; `what` comes of it, and is missing while it fails."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._has_failed = False

    async def succeeds(self, work: Awaitable[None]) -> bool:
        """Do it once. The first error is logged, those that follow it are not."""
        try:
            await work
        except Exception:
            if not self._has_failed:
                log.exception("no %s: this is a bug in watchslo", self._what)
            self._has_failed = True
            return False
        if self._has_failed:
            log.warning("%s works again", self._what)
        self._has_failed = False
        return True
