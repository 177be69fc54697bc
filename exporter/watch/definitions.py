"""Finds the custom resources that match the patterns, and follows their definitions."""

from __future__ import annotations

import asyncio
import time
from contextlib import closing
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated

import msgspec

from exporter.config import ResourceName
from exporter.kubernetes.backoff import Backoff
from exporter.kubernetes.errors import StartError, translated
from exporter.kubernetes.lists import Collection
from exporter.kubernetes.resources import CUSTOM_RESOURCE_DEFINITIONS
from exporter.kubernetes.session import METADATA_LIST, Request, document, too_much
from exporter.measure.arrivals import Arrivals
from exporter.measure.events import EventDecoder, revision_of
from exporter.watch.places import Allowance
from exporter.watch.watch import Watch, WatchDependencies
from exporter.wording.quoting import did_you_mean, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from exporter.kubernetes.failures import RepeatedFailure
    from exporter.kubernetes.session import ApiSession
    from exporter.measure.times import Interval
    from exporter.watch.heartbeat import Heartbeat
    from exporter.watch.watch import DecodedBatch

PAGE = "50"
MOST_PAGES = 400
MOST_DEFINITIONS = 10_000
MOST_BYTES = 2**30
LISTING_SECONDS = 60.0
"""Limits for all pages together. A large cluster has a thousand definitions."""

SETTLING_SECONDS = 0.5
"""A new definition is written several times in a row: list after the last write."""

LISTS_AT_ONCE = 10
LIST_PERIOD_SECONDS = 5.0
"""After LISTS_AT_ONCE lists, the shortest time between two lists while definitions keep changing."""


class _Metadata(msgspec.Struct, rename="camel"):
    name: Annotated[str, msgspec.Meta(max_length=253, pattern=r"^[a-z0-9.-]+\Z")]
    creation_timestamp: Annotated[str, msgspec.Meta(max_length=64)] = ""


class _Definition(msgspec.Struct):
    metadata: _Metadata


class _ListMetadata(msgspec.Struct, rename="camel"):
    resource_version: str
    continue_: Annotated[str, msgspec.Meta(max_length=2048)] = msgspec.field(default="", name="continue")


class _Definitions(msgspec.Struct):
    metadata: _ListMetadata
    items: list[_Definition] | None = None


def matching(names: Sequence[str], globs: Sequence[str]) -> list[ResourceName]:
    """The resources of the definitions whose name matches a pattern, in the same order."""
    found = [name for name in names if any(fnmatchcase(name, glob) for glob in globs)]
    return [ResourceName(*name.split(".", 1)) for name in found]


def unmatched(names: Sequence[str], globs: Sequence[str]) -> list[str]:
    """A sentence for each pattern that matches no definition, with a suggestion."""
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
    """The revision and the names of all definitions, oldest first. Raises StartError."""
    definitions: list[_Metadata] = []
    tokens: set[str] = set()
    size_bytes = 0
    parameters = {"limit": PAGE}
    path = CUSTOM_RESOURCE_DEFINITIONS.path()
    began = time.monotonic()
    with translated(path):
        while True:
            content = await session.read(Request(path, parameters, accept=METADATA_LIST))
            page = document(content, _Definitions, path)
            definitions += [definition.metadata for definition in page.items or []]
            size_bytes += len(content)
            token = page.metadata.continue_
            for beyond, is_beyond in (
                (f"more than {MOST_DEFINITIONS} definitions", len(definitions) > MOST_DEFINITIONS),
                (f"more than {MOST_PAGES} pages", len(tokens) >= MOST_PAGES),
                (f"more than {MOST_BYTES} bytes", size_bytes > MOST_BYTES),
                (f"longer than {LISTING_SECONDS:.0f} s", time.monotonic() > began + LISTING_SECONDS),
                ("a page that was there already", token in tokens),
            ):
                if is_beyond:
                    raise too_much(f"{path}: {beyond}")
            if not token:
                revision = revision_of(page.metadata.resource_version)
                if revision is None:
                    raise ValueError(f"resourceVersion {page.metadata.resource_version[:30]!r}")
                definitions.sort(key=lambda metadata: (metadata.creation_timestamp, metadata.name))
                return revision, [metadata.name for metadata in definitions]
            tokens.add(token)
            parameters["continue"] = token


class Definitions:
    """Follows the CustomResourceDefinitions whose name, `plural.group`, matches a pattern."""

    def __init__(
        self,
        globs: Sequence[str],
        *,
        session: ApiSession,
        heartbeat: Heartbeat,
        trouble: RepeatedFailure,
        advise: Callable[[str], None],
    ) -> None:
        self._globs = globs
        self._session = session
        self._heartbeat = heartbeat
        self._trouble = trouble
        self._advise = advise
        self._advised: list[str] = []
        self._changed = asyncio.Event()

    async def follow(self, use: Callable[[list[ResourceName]], None]) -> None:
        """Call `use` with the matching resources, oldest first, whenever they may have changed, until cancelled."""
        backoff = Backoff()
        lists = Allowance(LISTS_AT_ONCE, LIST_PERIOD_SECONDS)
        while True:
            try:
                lists = lists.taken(time.monotonic())
                revision, names = await list_definitions(self._session)
                self._say_what_matches_nothing(names)
                use(matching(names, self._globs))
                await self._until_one_changes(revision)
                backoff.succeeded()
                self._trouble.over()
                await asyncio.sleep(max(SETTLING_SECONDS, lists.seconds_to_next(time.monotonic())))
            except StartError as error:
                self._trouble.met(error)
                await asyncio.sleep(backoff.after_failure(error.retry_after_seconds))

    def _say_what_matches_nothing(self, names: Sequence[str]) -> None:
        """Advise about each pattern once, and again after it has matched in between."""
        before, self._advised = self._advised, unmatched(names, self._globs)
        for sentence in self._advised:
            if sentence not in before:
                self._advise(f"--custom-resources: {sentence}")

    async def _until_one_changes(self, revision: int) -> None:
        """Return when a definition has changed or the watch of definitions has ended. Raises StartError."""
        self._changed.clear()
        collection = Collection(self._session, CUSTOM_RESOURCE_DEFINITIONS, None)
        watch = Watch(collection, WatchDependencies(EventDecoder(), Arrivals(), self._heartbeat), self._read)
        with closing(watch):  # also if it is cancelled while opening
            await watch.open(revision)
            reading = asyncio.create_task(watch.read())
            changed = asyncio.create_task(self._changed.wait())
            try:
                await asyncio.wait({reading, changed}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                reading.cancel()
                changed.cancel()
                await asyncio.wait({reading, changed})

    def _read(self, reading: DecodedBatch, _arrival: Interval) -> None:
        if any(event.event_type != "bookmark" for event in reading.events):
            self._changed.set()
