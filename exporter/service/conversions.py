"""Which custom resources a webhook converts: asked for each until it is known, and again while it is late."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from exporter.diagnosis.facts import Facts
from exporter.kubernetes.conversion import converts_by_webhook
from exporter.kubernetes.resources import BUILT_IN_GROUPS
from exporter.service.persistent import Persistent

if TYPE_CHECKING:
    from exporter.kubernetes.session import ApiSession
    from exporter.measure.times import Instant

PERIOD_SECONDS = 2.0
"""One is asked for at a time: a definition may be a megabyte."""
AGAIN_SECONDS = 600.0


class Conversions:
    """What definitions say, of the kinds in the last facts."""

    def __init__(self, session: ApiSession) -> None:
        self.facts = Facts(now=0.0, threshold_seconds=0.0)
        self.known: dict[tuple[str, str], bool] = {}
        """Of each group and resource of which it is known."""
        self._session = session
        self._asking = Persistent("look at conversion webhooks")
        self._asked: dict[tuple[str, str], Instant] = {}

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            await asyncio.sleep(PERIOD_SECONDS)
            await self._asking.succeeds(self._ask())

    async def _ask(self) -> None:
        due = self._due(time.monotonic())
        if due is not None:
            self._asked[due] = time.monotonic()
            answer = await converts_by_webhook(self._session, *due)
            if answer is not None:
                self.known[due] = answer

    def _due(self, now: Instant) -> tuple[str, str] | None:
        """What is late comes first, then what is new; what is watched no more is forgotten."""
        kinds: dict[tuple[str, str], bool] = {}
        for one in self.facts.streams:
            if one.group not in BUILT_IN_GROUPS:
                kind = one.group, one.resource
                kinds[kind] = kinds.get(kind, False) or one.late_since is not None
        for kind in self._asked.keys() - kinds.keys():
            del self._asked[kind]
            self.known.pop(kind, None)
        due = [
            kind
            for kind, is_late in kinds.items()
            if kind not in self._asked
            or ((is_late or kind not in self.known) and now - self._asked[kind] >= AGAIN_SECONDS)
        ]
        return max(due, key=lambda kind: kinds[kind], default=None)
