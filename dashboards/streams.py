"""Streams: how often watches end, why, and what is missed until they are back."""

from typing import Final

from dashboards import panels
from dashboards.panels import THIRD, Panel, Query
from dashboards.query import (
    BY_WATCH,
    NAME_OF_WATCH,
    RECORDED_OF_WATCH,
    buckets,
    flowing,
    grown,
    of_the_worst,
    p99,
    recorded,
    series,
    total,
)

ANY: Final = {1.0: panels.UNKNOWN}
AFTER_A_LOSS: Final = 'reason!="start"'


def rows() -> dict[str, list[Panel]]:
    """Its panels, by the title of their row."""
    return {"Now": _now(), "Ends and starts": _ends_and_starts(), "Cover and traffic": _cover_and_traffic()}


def _now() -> list[Panel]:
    return [
        panels.number(
            "Watches down", "none", f"count({series('stream_up')} == 0) or vector(0)", {1: panels.VIOLATED}
        ).description("Watches that are not open at this moment. What happens to their resources is not measured."),
        panels.number("Forced closes", "none", total("forced_closes_total"), ANY)
        .decimals(0)
        .description(
            "Watches that the other side ended too early, in the time range chosen above. An apiserver does that to "
            "slow clients; restarts and balancers look the same."
        ),
        panels.number("Relists after a loss", "none", total("relists_total", AFTER_A_LOSS), ANY)
        .decimals(0)
        .description(
            "Times that a watch could not go on from its last revision, in the time range chosen above. Every informer "
            "of that resource then pays for a full list."
        ),
        panels.number("Failed starts", "none", total("init_events_errors_total"), ANY)
        .decimals(0)
        .description("Lists and watches that could not begin, in the time range chosen above."),
        panels.number(
            "Time without a watch",
            "s",
            total("uncovered_seconds_total"),
            {60: panels.UNKNOWN, 600: panels.VIOLATED},
        ).description(
            "Time without an open watch, of all watches together, in the time range chosen above. What happened then "
            "was not measured."
        ),
        panels.number(
            "Longest silence",
            "s",
            f"max(time() - {series('last_activity_timestamp_seconds')})",
            {75: panels.UNKNOWN, 90: panels.VIOLATED},
        ).description(
            "Time since the last byte of the quietest watch. Bookmarks come about once a minute, so a watch that is "
            "silent for 90 s is dead."
        ),
    ]


def _ends_and_starts() -> list[Panel]:
    return [
        panels.bars(
            "Ends of watches, by reason", Query(grown("watch_ends_total", "cluster, reason"), "{{reason}} {{cluster}}")
        )
        .span(THIRD)
        .description(
            "Only timeout is an end in good order. early_eof and transport_error are forced closes, gone means that "
            "history was lost, silent that nothing came for too long."
        ),
        panels.bars(
            "Forced closes, by watch",
            Query(grown("forced_closes_total", BY_WATCH), NAME_OF_WATCH),
        )
        .span(THIRD)
        .description(
            "Whose watches are closed too early. If it is one resource, there is too much of it for a client; if it is "
            "one apiserver, ask that one."
        ),
        panels.bars(
            "Relists and failed starts, by reason",
            Query(grown("relists_total", "cluster, reason"), "relist, {{reason}} {{cluster}}"),
            Query(grown("init_events_errors_total", "cluster, reason"), "failed start, {{reason}} {{cluster}}"),
        )
        .span(THIRD)
        .description("Relists give up continuity, failed starts keep a watch closed. The relist at a start is normal."),
    ]


def _cover_and_traffic() -> list[Panel]:
    return [
        panels.lines(
            "Time to the next open watch, P99",
            "s",
            Query(p99("rewatch_seconds"), "rewatch"),
            Query(p99("relist_seconds"), "relist"),
        )
        .span(THIRD)
        .description(
            "How long a loss lasts. A rewatch goes on from the last revision, a relist gives up continuity. This "
            "relist lists nothing; an informer's own takes longer."
        ),
        panels.lines(
            "Share of time without a watch",
            "percentunit",
            Query(
                of_the_worst(recorded("apiserver_group_resource:watchslo_uncovered:ratio_rate5m", RECORDED_OF_WATCH)),
                NAME_OF_WATCH,
            ),
        )
        .span(THIRD)
        .description("Of five minutes each, by what the rules record. At 100 % a watch is down all the time."),
        panels.heat_map("Lifetimes of watches", buckets("watch_lifetime_seconds")).description(
            "How long watches had been open when they ended. Minutes are normal; many short ones are trouble."
        ),
        panels.lines(
            "Traffic of each watch",
            "Bps",
            Query(flowing("received_bytes_total", BY_WATCH), NAME_OF_WATCH),
        ).description("Bytes per second received. The watch that carries most is the first to be closed as too slow."),
        panels.amounts(
            "Events, by type",
            "cps",
            Query(flowing("events_total", "cluster, event_type, phase"), "{{event_type}}, {{phase}} {{cluster}}"),
        ).description("Events per second. Replayed ones tell the state at a watch's start; they are never judged."),
    ]
