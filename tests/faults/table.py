"""The one table of what is made, and what it may be called then."""

from dataclasses import dataclass

from tests.faults import making
from tests.faults.making import Make

NOTHING = ""
OVERLOADED = ("apiserver_overloaded",)
"""True of all that is too much for an apiserver; behind a balancer one that is overloaded says what it is too late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A fault, how it is made, and the names that are right for it."""

    fault: str
    make: Make
    how: str = ""
    """Where a fault is made in several ways."""
    also: tuple[str, ...] = ()
    """Names that are right as well, because they are true as well, or are seen first."""
    blind: tuple[str, ...] = ()
    """More names that are right where the apiserver's own metrics are not read; "" says that nobody can tell."""
    balanced: tuple[str, ...] = ()
    """More names that are right behind a balancer's address."""
    is_fault: bool = True
    """Otherwise nothing may be found for as long as it is looked at."""

    @property
    def name(self) -> str:
        """What `--only` matches."""
        return f"{self.fault}/{self.how}" if self.how else self.fault


MADE = (
    Made(fault="apiserver_overloaded", how="slices", make=making.cpu_in_slices),
    Made(fault="apiserver_overloaded", how="requests", make=making.busy_apiserver),
    Made(fault="apiserver_restarted", make=making.restarted, also=("apiserver_unreachable",)),
    Made(fault="store_slow", make=making.slow_store),
    Made(fault="admission_slow", make=making.slow_admission),
    Made(fault="cache_behind", make=making.cache_behind),
    # What it has held back comes at once, and who does not keep up with that is closed in truth.
    Made(fault="cache_stuck", make=making.cache_stuck, also=("cache_behind", "watchers_closed")),
    Made(fault="conversion_slow", make=making.slow_conversion),
    # An etcd on a shared disk is slow with writes of a megabyte as well.
    Made(
        fault="objects_large",
        make=making.large_objects,
        also=("store_slow",),
        blind=("apiserver_overloaded", NOTHING),
    ),
    Made(fault="path_full", make=making.full_path, also=("path_slow",)),
    Made(fault="path_slow", make=making.slow_path),
    Made(fault="connection_dropped", make=making.dropped),
    Made(fault="list_storm", make=making.list_storm, blind=OVERLOADED, balanced=OVERLOADED),
    Made(fault="relist_storm", make=making.relist_storm, blind=(*OVERLOADED, NOTHING), balanced=OVERLOADED),
    Made(fault="initial_events_burst", make=making.initial_events, blind=OVERLOADED, balanced=OVERLOADED),
    Made(fault="write_storm", make=making.fighting_writers, blind=OVERLOADED, balanced=OVERLOADED),
    # Who keeps the seats does so by LISTs, which take most of the apiserver's time then.
    Made(fault="requests_queued", make=making.queued_requests, also=("list_storm",)),
    Made(fault="connections_unbalanced", make=making.unbalanced, blind=OVERLOADED, balanced=OVERLOADED),
    Made(fault="watchers_closed", make=making.stalled_watchers, blind=(NOTHING,), balanced=(NOTHING,)),
    Made(fault="clients_slow", make=making.slow_watchers, also=("watchers_closed",), blind=(NOTHING,)),
    # All these watches are on one apiserver, so that it has most of them is true as well.
    Made(fault="connection_shared", make=making.shared_connection, also=("connections_unbalanced",), blind=(NOTHING,)),
    Made(fault="exporter_starved", make=making.starved),
    Made(fault="exporter_refused", make=making.refused),
)

OF_FAULT = {made.name: made for made in MADE}


def pair(one: str, other: str) -> Made:
    """Two at once: either name is right."""
    first, second = OF_FAULT[one], OF_FAULT[other]
    return Made(
        fault=f"{one}+{other}",
        make=making.both(first.make, second.make),
        also=(first.fault, *first.also, second.fault, *second.also),
        blind=(*first.blind, *second.blind),
        balanced=(*first.balanced, *second.balanced),
    )


PAIRS = (
    pair("list_storm", "connections_unbalanced"),
    pair("store_slow", "admission_slow"),
    pair("conversion_slow", "path_slow"),
    pair("cache_behind", "watchers_closed"),
    pair("exporter_starved", "path_slow"),
)
HEALTHY = Made(fault="healthy", make=making.healthy, is_fault=False)
ALL = (*MADE, *PAIRS, HEALTHY)
