"""Failures of something that is retried for ever: each is counted, each new cause is logged once."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.kubernetes.errors import StartError
    from exporter.vocabulary import StartReason

log = logging.getLogger(__name__)


class RepeatedFailure:
    """`what` is the log message; `count` is called with the reason of each failure."""

    def __init__(self, what: str, count: Callable[[StartReason], None]) -> None:
        self._what = what
        self._count = count
        self.error: StartError | None = None
        """The error of the last try; None after a success."""

    def met(self, error: StartError) -> None:
        """A try failed."""
        self._count(error.reason)
        if self.error is None or (error.reason, str(error)) != (self.error.reason, str(self.error)):
            log.warning(self._what, extra={"fields": {"reason": error.reason, "error": str(error)}})
        self.error = error

    def over(self) -> None:
        """A try succeeded."""
        self.error = None
