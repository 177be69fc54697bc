"""Two readings of one apiserver in; how many LISTs of a kind it has answered in between, and from where. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from exporter.server_metrics.between import Change, counted_once
from exporter.server_metrics.families import BEFORE_1_37, IN_WATCH_CACHE, LIST_FAMILIES

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    change = Change(earlier, later)
    if not change.is_one_process or not change.now("lists"):
        return None
    for family in LIST_FAMILIES:
        for _ in change.compare(family):
            pass
    kind = (group, resource)
    lists, objects = (counted_once(change.increases(fact)) for fact in ("lists", "listed"))
    store, cache = (
        Reads(_sum(lists, kind, is_cache=is_cache), _sum(objects, kind, is_cache=is_cache))
        for is_cache in (False, True)
    )
    return ServedLists(store, cache, round(_of(change.increases("initial_events"), kind)))


def _sum(found: Mapping[SeriesKey, float], kind: SeriesKey, *, is_cache: bool) -> int:
    places = {storage for storage, *_ in found if (storage in {BEFORE_1_37, IN_WATCH_CACHE}) == is_cache}
    return round(
        sum(_of({key[1:]: number for key, number in found.items() if key[0] == place}, kind) for place in places)
    )


def _of(found: Mapping[SeriesKey, float], kind: SeriesKey) -> float:
    """Before 1.34 some families do not say the group."""
    return found.get(kind, found.get(("*", kind[1]), 0.0))
