"""Bounds the time that an event spent in each stage between commit, watch cache and arrival."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from exporter.measure.times import Interval, latency_between

if TYPE_CHECKING:
    from exporter.measure.serverclock import Offset
    from exporter.measure.times import WallTime
    from exporter.vocabulary import Stage

STAMP_SECONDS = 1.0
"""managedFields times are cut to whole seconds."""


class Stages(NamedTuple):
    """Seconds from commit into the apiserver's watch cache, and from there to our arrival."""

    storage_to_cache: Interval
    cache_to_client: Interval

    @property
    def slowest(self) -> Stage | None:
        """The one that certainly took longer; None if the bounds allow both answers."""
        if self.storage_to_cache.earliest > self.cache_to_client.latest:
            return "storage_to_cache"
        return "cache_to_client" if self.cache_to_client.earliest > self.storage_to_cache.latest else None


def write_stage(stamp: WallTime, clocks: Offset, commit: Interval) -> Interval:
    """Seconds from the stamp that a write put into its object to its commit: admission, webhooks and the transaction.

    The stamp is cut to whole seconds of an apiserver's clock, which `clocks` bounds.
    """
    return latency_between(Interval(stamp - clocks.upper, stamp + STAMP_SECONDS - clocks.lower), commit)


def stages_of(commit: Interval, polled: Interval, arrival: Interval) -> Stages | None:
    """The stages of one event; `polled` is what polls of the cache say of when its revision was there.

    An event is in the cache after its commit and before its arrival. None if the polls cannot be true together with
    that: the cache they asked was another one, of an apiserver that has been restarted since.
    """
    cached = Interval(max(polled.earliest, commit.earliest), min(polled.latest, arrival.latest))
    if cached.earliest > cached.latest:
        return None
    return Stages(latency_between(commit, cached), latency_between(cached, arrival))
