"""Watch SLO: what a person who is paged looks at first."""

from typing import Final

from dashboards import panels
from dashboards.panels import QUARTER, Panel, Query
from dashboards.query import (
    BUDGET_RATIO,
    BY_WATCH,
    NAME_OF_WATCH,
    THRESHOLD_SECONDS,
    burn_rate,
    rate,
    series,
    share_judged,
)

STATES: Final = {
    0: ("met", panels.MET),
    1: ("quiet", panels.QUIET),
    2: ("unknown", panels.UNKNOWN),
    3: ("violated", panels.VIOLATED),
}
VERDICTS: Final = {"on_time": panels.MET, "ambiguous": panels.UNKNOWN, "late": panels.VIOLATED}
BURN: Final = {1.0: panels.UNKNOWN, 6.0: "dark-orange", 14.4: panels.VIOLATED}
ALERTS: Final = 'ALERTS{alertname=~"Watch.*", alertstate="firing"}'

# One of a watch's four series is 1; met counts nothing. Where several exporters watch the same, the worst state holds.
_QUIET, _UNKNOWN, _VIOLATED = (
    series("slo_state", matcher) for matcher in ('state="quiet"', 'state="unknown"', 'state="violated"')
)
STATE: Final = Query(
    f"max by ({BY_WATCH}) ({_QUIET} + ignoring (state) 2 * {_UNKNOWN} + ignoring (state) 3 * {_VIOLATED})",
    NAME_OF_WATCH,
)

# Of what the axis can show; without any limit the upper bound is infinite.
LEAST_SECONDS: Final = 0.01
MOST_SECONDS: Final = 100.0


def rows() -> dict[str, list[Panel]]:
    """Its panels, by the title of their row."""
    return {"Now": _now(), "Over time": _over_time()}


def _now() -> list[Panel]:
    return [
        panels.worded(panels.tiles("Is the objective met?", "short", STATE), STATES).description(
            "The state of the SLO in the rolling minute, for each resource and apiserver. Violated: certainly too many "
            "events are late. Unknown: the certain bounds allow both answers. Quiet: too few events to judge."
        ),
        panels.number("P99 at least, worst watch", "s", f"max({series('p99_lower_seconds')})", {1.0: panels.VIOLATED})
        .span(QUARTER)
        .description(
            "The 99th percentile of the rolling minute is certainly not below this, for the worst of the watches "
            "chosen above. From 1 s on the usual objective is certainly missed."
        ),
        panels.number("Burn rate over 5 minutes, worst resource", "short", f"max({burn_rate('5m')})", BURN)
        .span(QUARTER)
        .description(
            "How many times faster than allowed the error budget was spent in the last 5 minutes. At 1 it lasts just "
            "as long as it should; 14.4 for an hour spends two percent of a month's budget."
        ),
        panels.number(
            "Error budget left, worst resource",
            "percentunit",
            f"min(1 - {burn_rate('$__range')})",
            {-1e9: panels.VIOLATED, 0: panels.UNKNOWN, 0.25: panels.MET},
        )
        .span(QUARTER)
        .description(
            "What is left of the error budget in the time range chosen above, if only certainly late events use it. "
            "Below zero it is overspent. Choose 30 days to see the SLO's usual period."
        ),
        panels.number("Alerts that fire", "none", f"count({ALERTS}) or vector(0)", {1: panels.VIOLATED})
        .span(QUARTER)
        .description("Alerts of watchslo that fire now, if Prometheus has its rules. The panels below mark them."),
    ]


def _over_time() -> list[Panel]:
    burn_by_window = [Query(f"max({burn_rate(over)})", over) for over in ("5m", "30m", "1h", "6h")]
    return [
        panels.worded(panels.history("State of each watch", STATE), STATES).description(
            "The state of the SLO over time. Orange and grey are no violation, but no proof of health either."
        ),
        _p99_of_the_worst(),
        panels.limited(
            panels.lines(
                "P99 at most, of each watch",
                "s",
                Query(f"max by ({BY_WATCH}) ({series('p99_upper_seconds')} < +Inf)", NAME_OF_WATCH),
            ).span_nulls(60_000),
            Query(THRESHOLD_SECONDS, "threshold"),
        ).description(
            "The 99th percentile of the rolling minute is certainly not above this. A line far above the others says "
            "which resource or apiserver is late; where a line is missing, no limit was certain for a minute."
        ),
        panels.coloured(
            panels.amounts(
                "Verdicts on events",
                "cps",
                Query(f"sum by (verdict) ({rate('events_judged_total')})", "{{verdict}}"),
            ),
            VERDICTS,
        ).description(
            "Events per second that certainly arrived within the threshold, certainly did not, or of which neither is "
            "certain."
        ),
        panels.limited(
            panels.band(
                "Share of late events, worst resource",
                "percentunit",
                at_most=f"max({share_judged('late|ambiguous')})",
                at_least=f"max({share_judged('late')})",
            ),
            Query(BUDGET_RATIO, "allowed"),
        ).description(
            "At least the events that are certainly late, at most those and the ambiguous ones. The dashed line is "
            "what the objective allows."
        ),
        panels.marked(
            panels.lines("Burn rate in the alerts' windows, worst resource", "short", *burn_by_window), BURN
        ).description(
            "An alert needs a long and a short window above the same line: 14.4 in 1 hour and 5 minutes, or 6 in 6 "
            "hours and 30 minutes, pages somebody."
        ),
        panels.lines(
            "Events in the rolling minute",
            "short",
            Query(f"max by ({BY_WATCH}) ({series('window_events')})", NAME_OF_WATCH),
        ).description("What the state rests on. Below 50 events a watch is quiet; a canary keeps it above."),
    ]


def _p99_of_the_worst() -> Panel:
    p99 = panels.band(
        "P99 from commit to arrival, worst watch",
        "s",
        at_most=f"clamp(max({series('p99_upper_seconds')}), {LEAST_SECONDS}, {MOST_SECONDS})",
        at_least=f"clamp(max({series('p99_lower_seconds')}), {LEAST_SECONDS}, {MOST_SECONDS})",
    )
    panels.marked(panels.logarithmic(p99, LEAST_SECONDS, MOST_SECONDS), {1.0: panels.VIOLATED})
    return panels.limited(p99, Query(THRESHOLD_SECONDS, "threshold")).description(
        "The 99th percentile of the rolling minute certainly lies in this band, for the worst of the watches chosen "
        "above. If the band reaches the top, no limit is certain: too many events were not judged yet."
    )
