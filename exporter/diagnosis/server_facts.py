"""What an apiserver's own metrics say of the time between two readings: evidence that confirms or excludes a fault.

Which families, labels and versions these come from: exporter.server_metrics.families. Every rate is per second; a
value is None, or its key missing, where this apiserver does not export what it is made of; a Timed also where nothing
happened, and everything that is counted where another process began between the two readings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.measure.times import Instant

Kind: TypeAlias = tuple[str, str]
"""Group and resource; some families of apiservers before 1.34 name no group, which then is "*"."""


_Value = TypeVar("_Value")


class Timed(NamedTuple):
    """Operations between the two readings."""

    per_second: float
    mean_seconds: float
    most_seconds: float
    """The upper end of the bucket that holds the slowest 1 %; inf where the last bucket does."""


class ServerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One apiserver between two readings of its metrics."""

    seconds: float
    """Between the two readings."""
    asked: Instant | None = None
    """When we asked for the later one: it tells of a moment after that. None where a Prometheus has asked."""
    started_at: float | None = None
    """Unix time of its process' start."""
    cpu_cores_used: float | None = None
    cpu_cores: float | None = None
    """What Go may use (GOMAXPROCS)."""
    scheduling: Timed | None = None
    """How long goroutines that could run waited for a CPU."""
    garbage_collection_share: float | None = None
    """Of the CPU that it used; 0 where no collection ended."""

    store_requests: Mapping[str, Timed] = msgspec.field(default_factory=dict)
    """Requests to etcd by operation (get, list, create, update, delete, ...), by the names of before 1.37."""

    admission_webhooks: Mapping[str, Timed] = msgspec.field(default_factory=dict)
    """By the webhook's name."""
    conversion_webhooks: Mapping[str, Timed] = msgspec.field(default_factory=dict)
    """By the definition's name (`widgets.example.com`); "*" are all together, with those for watch caches, which are in
    no other."""

    requests: Mapping[tuple[str, Kind], Timed] = msgspec.field(default_factory=dict)
    """By verb (LIST, GET, POST, PUT, PATCH, DELETE, APPLY, ...) and kind, with its subresources; what lasts as long as
    somebody looks on (WATCH, CONNECT, logs) is left out. A LIST contains its wait for the watch cache."""
    conflicts_per_second: Mapping[Kind, float] = msgspec.field(default_factory=dict)
    """Writes answered with 409: what has changed meanwhile, and what is to be created but there."""
    too_many_per_second: float | None = None
    """Requests answered with 429."""
    listed_objects_per_second: Mapping[Kind, float] = msgspec.field(default_factory=dict)
    """Objects read for LISTs, from etcd or the watch cache."""

    queued_requests: float | None = None
    """Waiting in the queues of API Priority and Fairness now."""
    queue_wait: Timed | None = None
    rejected_per_second: float | None = None

    open_watches: Mapping[Kind, float] = msgspec.field(default_factory=dict)
    open_watches_before: float | None = None
    """All of them at the earlier reading."""
    open_connections: float | None = None
    """Open descriptors of the process: most are clients' connections."""
    terminated_watchers: Mapping[Kind, float] = msgspec.field(default_factory=dict)
    """How many were closed by force between the readings because they did not keep up."""
    initial_events_per_second: Mapping[Kind, float] = msgspec.field(default_factory=dict)
    """Replayed to watches that began: from resourceVersion 0, resumed, or as streaming lists."""
    sent_events_per_second: Mapping[Kind, float] = msgspec.field(default_factory=dict)
    """To all watches together."""
    sent_bytes_per_second: float | None = None
    """Of events and responses, before compression."""

    received_events_per_second: Mapping[Kind, float] = msgspec.field(default_factory=dict)
    """From etcd."""
    dispatch: Mapping[Kind, Mapping[str, Timed]] = msgspec.field(default_factory=dict)
    """The apiserver's own stages (1.37 and later) of each kind, whatever their names are."""
    cache_revisions: Mapping[Kind, int] = msgspec.field(default_factory=dict)
    cache_read_wait: Mapping[Kind, Timed] = msgspec.field(default_factory=dict)
    """How long consistent reads waited for the watch cache: up to 0.1 s in health where it is seldom written."""
    cache_fallbacks: Mapping[Kind, float] = msgspec.field(default_factory=dict)
    """Consistent reads between the readings that gave up waiting and went to etcd."""
    cache_initializations: Mapping[Kind, float] = msgspec.field(default_factory=dict)
    cache_inconsistencies: Mapping[Kind, float] = msgspec.field(default_factory=dict)
    """Failed comparisons of cache and etcd, since the apiserver started."""
    object_bytes: Mapping[Kind, float] = msgspec.field(default_factory=dict)
    """The mean size of an object of the kind, as stored or as sent, whichever is larger."""

    def at_its_end(self) -> ServerFacts:
        """Only how it stood at the later reading."""
        return ServerFacts(
            seconds=self.seconds,
            asked=self.asked,
            started_at=self.started_at,
            cpu_cores=self.cpu_cores,
            queued_requests=self.queued_requests,
            open_watches=self.open_watches,
            open_connections=self.open_connections,
            cache_revisions=self.cache_revisions,
            cache_inconsistencies=self.cache_inconsistencies,
        )


def of_kind(values: Mapping[Kind, _Value], group: str, resource: str) -> _Value | None:
    """What `values` say of a kind, also where the apiserver names no group; None if nothing."""
    return values.get((group, resource), values.get(("*", resource)))
