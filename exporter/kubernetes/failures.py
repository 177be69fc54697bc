"""Failures of something that is tried for ever in, a count of each and a line in the log for each cause out."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.kubernetes.errors import StartError
    from exporter.vocabulary import StartReason

log = logging.getLogger(__name__)


class RepeatedFailure:
    """`what` cannot be done, as the log says it; `count` is told the reason of each failure."""

    def __init__(self, what: str, count: Callable[[StartReason], None]) -> None:
        self._what = what
        self._count = count
        self.error: StartError | None = None
        """The last failure; None after a success."""

    def met(self, error: StartError) -> None:
        """It has failed."""
        self._count(error.reason)
        if self.error is None or (error.reason, str(error)) != (self.error.reason, str(self.error)):
            log.warning(self._what, extra={"fields": {"reason": error.reason, "error": str(error)}})
        self.error = error

    def over(self) -> None:
        """It has succeeded."""
        self.error = None
