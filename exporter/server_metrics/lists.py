"""Two readings of one apiserver in; how many LISTs of a kind it has answered in between, and from where. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from exporter.server_metrics.between import CountersChange, counted_once
from exporter.server_metrics.families import BEFORE_1_37, IN_WATCH_CACHE, LIST_FAMILIES

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from exporter.server_metrics.between import ServerReading
    from exporter.server_metrics.families import SeriesKey


class Reads(NamedTuple):
    """What was read from the store, or from the watch cache."""

    lists: int
    objects: int
    """Read, whether or not a selector let them through."""


class ServedLists(NamedTuple):
    """The LISTs of one kind, whoever sent them."""

    store: Reads
    cache: Reads
    initial_events: int
    """Sent to watches that have begun, from the cache."""


def lists_between(earlier: ServerReading, later: ServerReading, group: str, resource: str) -> ServedLists | None:
    """None if two processes have answered, or one that does not count LISTs."""
    change = CountersChange(earlier, later)
    if not change.is_one_process or not change.now("lists"):
        return None
    for family in LIST_FAMILIES:
        for _ in change.compare(family):
            pass
    names = {(group, resource), ("*", resource)}  # before 1.34 some families do not say the group
    lists, objects = (counted_once(change.increases(fact)) for fact in ("lists", "listed"))
    store, cache = (
        Reads(_sum(lists, names, is_cache=is_cache), _sum(objects, names, is_cache=is_cache))
        for is_cache in (False, True)
    )
    events = sum(number for kind, number in change.increases("initial_events").items() if kind in names)
    return ServedLists(store, cache, round(events))


def _sum(found: Mapping[SeriesKey, float], names: Container[SeriesKey], *, is_cache: bool) -> int:
    return round(
        sum(
            number
            for (storage, *kind), number in found.items()
            if tuple(kind) in names and (storage in {BEFORE_1_37, IN_WATCH_CACHE}) == is_cache
        )
    )
