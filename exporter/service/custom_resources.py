"""The custom resources that are watched on every apiserver, following their definitions."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from exporter.kubernetes.failures import RepeatedFailure
from exporter.service.leaving import Leaving
from exporter.service.stream import CURABLE_ONLY_BY_PEOPLE
from exporter.watch.definitions import Definitions
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
"""After a burst of `--custom-resources.max`, one custom resource is started in each such period."""


class CustomResources:
    """Watches the custom resources that match the patterns, up to the configured maximum."""

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
        """The watched custom resources, sorted by name."""
        return sorted(self._watched, key=str)

    def unfollowed(self, *, with_errors: bool) -> str | None:
        """Why the matching custom resources are unknown; None if they are known or none are configured."""
        if not self._config.custom_resources or self._is_known:
            return None
        error = self._trouble.error
        if error is None:
            return "custom resources: no list"
        return f"custom resources cannot be followed: {why(error, with_errors=with_errors)}"

    def not_ready(self, *, with_errors: bool) -> str | None:
        """The same, except for errors that do not make the exporter unready because only people can fix them."""
        error = self._trouble.error
        if error is not None and error.reason in CURABLE_ONLY_BY_PEOPLE:
            return None
        return self.unfollowed(with_errors=with_errors)

    async def follow(self) -> None:
        """Follow the definitions until cancelled, if custom resources are configured."""
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
        """Start watching matching resources, up to the maximum and at a limited rate. Those still ending count as well.

        Resources that came back are started first: they still count.
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
                    apiserver.look_anew(name)  # its stream may be waiting in a long backoff
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
            return  # it came back, so its series continue
        for apiserver in self._apiservers():
            self._dependencies.metrics.remove_resource(apiserver.server.name, name.group, name.plural)


def why(error: StartError, *, with_errors: bool) -> str:
    """The reason of an error, and its message if `with_errors`."""
    return f"{error.reason}: {error}" if with_errors else error.reason


def say_left_out(what: str, gauge: Gauge, count: int, **more: str) -> None:
    """Log once that some are left out, until none is; set the gauge."""
    if count and not gauge.value:
        log.warning(what, extra={"fields": {**more, "left_out": count}})
    gauge.set(count)
