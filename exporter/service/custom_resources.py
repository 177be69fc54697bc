"""The custom resources that are watched on every apiserver, as their definitions come and go."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from exporter.kubernetes.failures import RepeatedFailure
from exporter.service.leaving import Leaving
from exporter.service.stream import CURABLE_ONLY_BY_PEOPLE
from exporter.watch.custom_resources import Definitions
from exporter.watch.places import Allowance, newcomers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from exporter.config import ResourceName
    from exporter.kubernetes.errors import StartError
    from exporter.kubernetes.session import ApiSession
    from exporter.metrics.series import Gauge
    from exporter.service.apiserver import Apiserver
    from exporter.service.dependencies import Dependencies

log = logging.getLogger(__name__)

START_PERIOD_SECONDS = 2.0
"""Custom resources that come, or come back, are watched one after the other, once as many as may be watched have."""


class CustomResources:
    """Watches what matches, as far as there are places."""

    def __init__(
        self,
        dependencies: Dependencies,
        session: ApiSession,
        tasks: asyncio.TaskGroup,
        apiservers: Callable[[], Sequence[Apiserver]],
    ) -> None:
        self._dependencies = dependencies
        self._config = dependencies.config
        self._session = session
        self._apiservers = apiservers
        self._matching: dict[ResourceName, None] = {}
        self._watched: set[ResourceName] = set()
        self._starts = Allowance(self._config.custom_resources_max, START_PERIOD_SECONDS)
        self._leaving = Leaving(tasks, self._stop, self._drop)
        self._is_known = False
        self._trouble = RepeatedFailure("custom resources cannot be followed", dependencies.count_discovery_error)

    @property
    def watched(self) -> list[ResourceName]:
        """In the order of their names."""
        return sorted(self._watched, key=str)

    def unfollowed(self, *, with_errors: bool) -> str | None:
        """Why it is not known which ones there are to watch; None where it is, or none are asked for."""
        if not self._config.custom_resources or self._is_known:
            return None
        error = self._trouble.error
        if error is None:
            return "custom resources: no list"
        return f"custom resources cannot be followed: {why(error, with_errors=with_errors)}"

    def not_ready(self, *, with_errors: bool) -> str | None:
        """The same, unless that is as good as it gets."""
        error = self._trouble.error
        if error is not None and error.reason in CURABLE_ONLY_BY_PEOPLE:
            return None
        return self.unfollowed(with_errors=with_errors)

    async def follow(self) -> None:
        """Follow their definitions until cancelled, if any are asked for."""
        if self._config.custom_resources:
            definitions = Definitions(
                self._config.custom_resources,
                session=self._session,
                heartbeat=self._dependencies.heartbeat,
                trouble=self._trouble,
                advise=self._dependencies.advise,
            )
            await definitions.follow(self._use)

    def fill_places(self) -> None:
        """Watch what matches as far as there are places, and not too many at once. Whatever still ends holds a place.

        What is back goes first: it has one.
        """
        back = [name for name in self._leaving if name in self._matching]
        most = self._config.custom_resources_max - self._leaving.ending
        new = newcomers(self._matching, self._watched.union(self._leaving), most)
        now = time.monotonic()
        coming = [*back, *new][: self._starts.left(now)]
        self._starts = self._starts.taken(now, len(coming))
        for name in coming:
            is_leaving = self._leaving.stay(name)
            for apiserver in self._apiservers():
                if is_leaving:
                    apiserver.look_anew(name)  # its stream may be in the middle of a long wait
                apiserver.watch(name)
        self._watched.update(coming)
        left_out = len(self._matching) - len(self._watched)
        gauge = self._dependencies.metrics.custom_resources_left_out
        say_left_out("more custom resources match than may be watched, or come at once", gauge, left_out)

    def _use(self, names: Iterable[ResourceName]) -> None:
        self._is_known = True
        self._matching = dict.fromkeys(name for name in names if not self._config.watches(name.group, name.plural))
        for name in self._watched - self._matching.keys():
            self._leaving.leave(name)
        self._watched &= self._matching.keys()
        self.fill_places()

    async def _stop(self, name: ResourceName) -> None:
        await asyncio.gather(*[apiserver.unwatch(name) for apiserver in self._apiservers()])

    async def _drop(self, name: ResourceName) -> None:
        if name in self._watched or name in self._leaving:
            return  # it was back, and its series go on
        for apiserver in self._apiservers():
            self._dependencies.metrics.remove_resource(apiserver.server.name, name.group, name.plural)


def why(error: StartError, *, with_errors: bool) -> str:
    """Its reason, and what others have said of it."""
    return f"{error.reason}: {error}" if with_errors else error.reason


def say_left_out(what: str, gauge: Gauge, count: int, **more: str) -> None:
    """Once, until all have places again."""
    if count and not gauge.value:
        log.warning(what, extra={"fields": {**more, "left_out": count}})
    gauge.set(count)
