"""Globs in, the custom resources that match them out, as their definitions come and go."""

from __future__ import annotations

import asyncio
import logging
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import msgspec

from exporter.config import ResourceName
from exporter.config.wording import did_you_mean, quoted
from exporter.kubernetes.backoff import Backoff
from exporter.kubernetes.resources import CUSTOM_RESOURCE_DEFINITIONS
from exporter.kubernetes.session import METADATA_LIST
from exporter.kubernetes.watch import Collection, StartError, Watch, translated
from exporter.measure.arrivals import Arrivals
from exporter.measure.events import EventDecoder, revision_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from exporter.kubernetes.heartbeat import Heartbeat
    from exporter.kubernetes.session import ApiSession
    from exporter.kubernetes.trouble import Trouble
    from exporter.kubernetes.watch import Reading
    from exporter.measure.times import Interval

log = logging.getLogger(__name__)

PAGE = "500"
SETTLING_SECONDS = 0.5
"""A definition that comes is written several times in a row: look once they are through."""


class _Metadata(msgspec.Struct):
    name: str


class _Definition(msgspec.Struct):
    metadata: _Metadata


class _ListMetadata(msgspec.Struct, rename="camel"):
    resource_version: str
    continue_: str = msgspec.field(default="", name="continue")


class _Definitions(msgspec.Struct):
    metadata: _ListMetadata
    items: list[_Definition] | None = None


def matching(names: Sequence[str], globs: Sequence[str]) -> list[ResourceName]:
    """The resources of those definitions whose name matches a glob, in the order of their names."""
    found = sorted(name for name in names if any(fnmatchcase(name, glob) for glob in globs))
    return [ResourceName(*name.split(".", 1)) for name in found]


def unmatched(names: Sequence[str], globs: Sequence[str]) -> list[str]:
    """A sentence for each glob that matches none of those definitions, with what may have been meant."""
    return [_unmatched(names, glob) for glob in globs if not matching(names, [glob])]


def _unmatched(names: Sequence[str], glob: str) -> str:
    parts = [name.partition(".") for name in names]
    plurals, groups = {plural for plural, _, _ in parts}, {group for _, _, group in parts}
    if glob in plurals:
        hint = f', did you mean "{glob}.*"?'
    elif any(f".{group}".endswith(f".{glob}") for group in groups):
        hint = f', did you mean "*.{glob}"?'
    else:
        patterns = [*(f"{plural}.*" for plural in plurals), *(f"*.{group}" for group in groups)]
        hint = did_you_mean(glob, sorted([*names, *patterns]))
    return f"{quoted(glob)} matches no custom resource now{hint or '; those that come will be watched'}"


async def list_definitions(session: ApiSession) -> tuple[int, list[str]]:
    """The revision, and the name of every definition. Raises StartError."""
    names: list[str] = []
    parameters = {"limit": PAGE}
    path = CUSTOM_RESOURCE_DEFINITIONS.path()
    with translated(path):
        while True:
            page = msgspec.convert(await session.get_json(path, parameters, accept=METADATA_LIST), _Definitions)
            names += [definition.metadata.name for definition in page.items or []]
            if not page.metadata.continue_:
                revision = revision_of(page.metadata.resource_version)
                if revision is None:
                    raise ValueError(f"resourceVersion {page.metadata.resource_version[:30]!r}")
                return revision, names
            parameters["continue"] = page.metadata.continue_


class CustomResources:
    """Follows the CustomResourceDefinitions whose name, `plural.group`, matches a glob; at most `most` of them."""

    def __init__(  # noqa: PLR0913 what to follow, with what, and whom to tell
        self,
        globs: Sequence[str],
        most: int,
        *,
        session: ApiSession,
        heartbeat: Heartbeat,
        trouble: Trouble,
        advise: Callable[[str], None],
    ) -> None:
        self._globs = globs
        self._most = most
        self._session = session
        self._heartbeat = heartbeat
        self._trouble = trouble
        self._advise = advise
        self._advised: list[str] = []
        self._changed = asyncio.Event()

    async def follow(self, use: Callable[[set[ResourceName]], None]) -> None:
        """Tell `use` the whole set whenever it may have changed. For ever, whatever the apiserver answers."""
        backoff = Backoff()
        while True:
            try:
                revision, names = await list_definitions(self._session)
                self._say_what_matches_nothing(names)
                use(self._matching(names))
                await self._until_one_changes(revision)
                backoff.succeeded()
                self._trouble.over()
                await asyncio.sleep(SETTLING_SECONDS)
            except StartError as error:
                self._trouble.met(error)
                await asyncio.sleep(backoff.after_failure(error.retry_after_seconds))

    def _say_what_matches_nothing(self, names: Sequence[str]) -> None:
        """Once, and again where a glob matched meanwhile."""
        before, self._advised = self._advised, unmatched(names, self._globs)
        for sentence in self._advised:
            if sentence not in before:
                self._advise(f"--custom-resources: {sentence}")

    def _matching(self, names: Sequence[str]) -> set[ResourceName]:
        found = matching(names, self._globs)
        if found[self._most :]:
            fields = {"watched": self._most, "left_out": ",".join(map(str, found[self._most :]))}
            log.warning("more custom resources match than --custom-resources.max", extra={"fields": fields})
        return set(found[: self._most])

    async def _until_one_changes(self, revision: int) -> None:
        """Returns when a definition was written, or when the watch that would tell has ended. Raises StartError."""
        self._changed.clear()
        collection = Collection(self._session, CUSTOM_RESOURCE_DEFINITIONS, None)
        watch = Watch(collection, EventDecoder(), Arrivals(), self._heartbeat, self._read)
        await watch.open(revision)
        reading = asyncio.create_task(watch.read())
        changed = asyncio.create_task(self._changed.wait())
        try:
            await asyncio.wait({reading, changed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            reading.cancel()
            changed.cancel()
            await asyncio.wait({reading, changed})

    def _read(self, reading: Reading, _arrival: Interval) -> None:
        if any(event.event_type != "bookmark" for event in reading.events):
            self._changed.set()
