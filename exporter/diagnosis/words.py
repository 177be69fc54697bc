"""Values of labels in words, for people who see them for the first time. The value itself stands beside them or in a
tooltip: it is what queries and alerts have. Another version of the exporter may have more of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

DOCS = "https://github.com/watchslo/watchslo/blob/main/docs/"


def _runbook(name: str) -> str:
    return f"{DOCS}runbooks/{name}.md"


END_WORDS: Mapping[str, str] = {
    "timeout": "its time was over",
    "early_eof": "closed by force",
    "gone": "its history was gone",
    "server_timeout": "the apiserver timed out",
    "throttled": "too many requests",
    "server_error": "error of the apiserver",
    "transport_error": "the connection broke",
    "unauthorized": "this exporter's credentials were refused",
    "forbidden": "this exporter was not permitted any more",
    "not_found": "the resource was gone",
    "silent": "silent for too long",
    "suspended": "this exporter's machine was asleep",
}
START_WORDS: Mapping[str, str] = {
    "connect": "the apiserver cannot be reached",
    "gone": "the history from which to go on is gone",
    "throttled": "the apiserver says that there are too many requests",
    "unauthorized": "the apiserver refuses this exporter's credentials",
    "forbidden": "this exporter is not permitted to watch",
    "not_found": "the apiserver does not know the resource",
    "server_timeout": "the apiserver has timed out",
    "server_error": "the apiserver answers with an error of its own",
    "bad_response": "the apiserver's answer is no watch",
}
RELIST_WORDS: Mapping[str, str] = {
    "start": "at the start",
    "gone": "the history from which to go on was gone",
    "revision_went_back": "the store was restored",
}
CLOCK_WORDS: Mapping[str, str] = {
    "store": "commits dated by polls of the store",
    "another_cache": "commits dated by polls of another watch cache",
    "own_cache": "commits dated by polls of its own watch cache, whose lag stays hidden",
    "nothing": "nothing dates the commits",
}
SOURCE_WORDS: Mapping[str, str] = {
    "revision_clock": "polls of the store",
    "arrival": "arrival of later revisions",
    "canary": "this exporter's own writes (canaries)",
    "date": "Date headers of answers",
    "managed_fields": "managedFields",
    "creation_timestamp": "creationTimestamp",
    "deletion_timestamp": "deletionTimestamp",
    "annotation": "your annotation",
    "lease": "renewals of Leases",
}

FAULT_WORDS: Mapping[str, str] = {
    "apiserver_restarted": "restart of the apiserver",
    "apiserver_unreachable": "unreachable apiserver",
    "list_storm": "storm of LISTs",
    "relist_storm": "storm of relists",
    "initial_events_burst": "burst of initial events",
    "write_storm": "storm of writes",
    "connections_unbalanced": "unbalanced connections",
    "requests_queued": "queue of requests",
    "apiserver_overloaded": "overloaded apiserver",
    "store_slow": "slow store (etcd)",
    "admission_slow": "slow admission",
    "conversion_slow": "slow conversion webhook",
    "objects_large": "large objects",
    "cache_stuck": "stuck watch cache",
    "cache_behind": "watch cache behind its store",
    "watchers_closed": "watches closed by the apiserver",
    "clients_slow": "slow clients",
    "connection_shared": "shared connections",
    "path_full": "full network path",
    "path_slow": "slow network path",
    "connection_dropped": "dropped connection",
    "exporter_starved": "starved exporter",
    "exporter_refused": "access refused to this exporter",
    "unknown_cause": "unknown cause",
}
"""A name that stands after "no" as well."""

CERTAINTY_WORDS: Mapping[str, str] = {"shown": "confirmed", "suspected": "suspected"}
CERTAINTY_MEANINGS: Mapping[str, str] = {
    "shown": "seen from outside, and confirmed by a fact",
    "suspected": "seen from outside only: nothing confirms it so far",
}

WHOSE = (
    "This exporter's own watches, opened as any client opens them: what is late here is late at the apiserver, "
    "or on the way from it."
)
"""Of whom everything is said. Its own pauses are excused, so they are never why."""


class TroubleWords(NamedTuple):
    """Why streams are in a condition that does not explain itself."""

    short: str
    clause: str
    advice: str
    """What people do about it, or wait for."""
    runbook: str


DOUBT_WORDS: Mapping[str, TroubleWords] = {
    "not_watched": TroubleWords(
        "no watch was open",
        "events may be missing, because no watch was open for longer than the threshold",
        "It is certain again one window after the last gap; until then see in the log why watches end or cannot be "
        "opened.",
        _runbook("WatchUncovered"),
    ),
    "gone": TroubleWords(
        "history was gone",
        "events may be missing, because the history from which to go on was gone (410 Gone), so that it had to relist",
        "It is certain again one window after the last relist; other clients may have had to relist as well: expect "
        "their LISTs.",
        _runbook("WatchRelistStorm"),
    ),
    "revision_went_back": TroubleWords(
        "store was restored",
        "events may be missing, because the store was restored to an earlier revision",
        "It is certain again one window after the relist; restart controllers whose caches have what the store lost.",
        _runbook("WatchRelistStorm"),
    ),
    "nothing_dates": TroubleWords(
        "nothing dates events",
        "nothing dates the events, so that their latency has no upper bound",
        "Run `watchslo check`: it says which polls would date them, and which permission is missing.",
        _runbook("WatchLatencyUnknown"),
    ),
    "undated": TroubleWords(
        "events are not dated",
        "too many events are not dated, so that their latency has no upper bound",
        "Look whether polls fail, `rate(watchslo_clock_polls_total[5m])`: events are dated once these are answered.",
        _runbook("WatchLatencyUnknown"),
    ),
    "wide": TroubleWords(
        "bounds too wide",
        "the bounds are too wide, so that the events may be on time or late",
        "Bounds are as wide as polls are slow: look at etcd, at this exporter's CPU limit, and whether it watches "
        "through a load balancer.",
        _runbook("WatchLatencyUnknown"),
    ),
}

INTERRUPTED_WORDS: Mapping[str, TroubleWords] = {
    "forced_closes": TroubleWords(
        "closed by force",
        "its watches are closed by force again and again, and are resumed",
        "They go on where they ended, so that no event is lost, but other clients on this path may have to reconnect "
        "as well. If each ends after the same time, a balancer or proxy has that limit: raise it above the 10 minutes "
        "for which watches may last. If not, look whether the apiserver restarts.",
        _runbook("WatchForcedCloses"),
    ),
    "relists": TroubleWords(
        "relisted",
        "its watches cannot be resumed, and have to relist again and again",
        "Events may be missing each time, and other clients on this path may list everything anew as well. Look why "
        "the apiserver restarts, for its history is empty then; if it does not, find who writes so much that its "
        "history is too short.",
        _runbook("WatchRelistStorm"),
    ),
}
"""By what happens again and again."""

CONDITION_WORDS: Mapping[str, str] = {
    "met": "on time",
    "violated": "late",
    "unknown": "uncertain",
    "quiet": "quiet",
    "down": "no watch",
    "interrupted": "interrupted",
}


def so_often(times: int) -> str:
    """A number of times."""
    return {1: "once", 2: "twice"}.get(times, f"{times} times")


def interrupted(forced_closes: int, relists: int) -> str:
    """What has happened to a watch, and how often."""
    counted = ((forced_closes, "closed by force"), (relists, "relisted"))
    return ", ".join([f"{what} {so_often(times)}" for times, what in counted if times])


def over(short: str, began: str, ended: str, leaves: str) -> str:
    """What only the window still knows of, with its times as they are shown there.

    `short` is why it is uncertain, and empty for what is late; `began` is empty where only the end is known.
    """
    what = f"nothing late since {ended}"
    if short:
        what = f"{short} {began}\N{EN DASH}{ended}" if began else f"{short}, the last at {ended}"
    return f"{what}; in the window until {leaves}"


def with_value(words: str, value: str) -> str:
    """Both, where there is room."""
    return f"{words} ({value})"
