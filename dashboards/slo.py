"""Watch SLO: what a person who is paged looks at first."""

from typing import Final

from dashboards import panels
from dashboards.panels import QUARTER, Panel, Query
from dashboards.query import (
    AMBIGUOUS_RATIO,
    BUDGET_RATIO,
    BY_WATCH,
    EXPORTER,
    LATE_RATIO,
    NAME_OF_WATCH,
    OF_CLUSTER,
    THRESHOLD_SECONDS,
    WORST,
    burn_rate,
    of_the_worst,
    rate,
    recorded,
    series,
)
from dashboards.why import fault_tiles, faults_over_time
from deploy.generator.alerts import alert_groups
from deploy.generator.objective import DEFAULTS
from deploy.generator.rules import Alert

STATES: Final = {
    0: ("met", panels.MET),
    1: ("quiet", panels.QUIET),
    2: ("unknown", panels.UNKNOWN),
    3: ("violated", panels.VIOLATED),
}
VERDICTS: Final = {"on_time": panels.MET, "ambiguous": panels.UNKNOWN, "late": panels.VIOLATED}
BURN: Final = {1.0: panels.UNKNOWN, 6.0: "dark-orange", 14.4: panels.VIOLATED}
# By name: "Watch.*" would take Watchdog along, which always fires.
OURS: Final = sorted(
    {rule.alert for group in alert_groups(DEFAULTS) for rule in group.rules if isinstance(rule, Alert)}
)
ALERTS: Final = f'ALERTS{{alertname=~"{"|".join(OURS)}", alertstate="firing", {OF_CLUSTER}}}'


def _state(of: str = "{}") -> str:
    """One of a watch's four series is 1; met counts nothing. Of several exporters that watch the same, the worst."""
    quiet, unknown, violated = (
        of.format(series("slo_state", f'state="{state}"')) for state in ("quiet", "unknown", "violated")
    )
    return f"max by ({BY_WATCH}) ({quiet} + ignoring (state) 2 * {unknown} + ignoring (state) 3 * {violated})"


STATE: Final = Query(f"topk({WORST}, {_state()})", NAME_OF_WATCH)
STATES_OVER_TIME: Final = Query(
    f"{_state()} and topk({WORST}, {_state('avg_over_time({}[$__range] @ end())')})", NAME_OF_WATCH
)

# Of what the axis can show; without any limit the upper bound is infinite.
LEAST_SECONDS: Final = 0.01
MOST_SECONDS: Final = 100.0


def rows() -> dict[str, list[Panel]]:
    """Its panels, by the title of their row."""
    return {"Now": _now(), "Why": [fault_tiles(), faults_over_time()], "Over time": _over_time()}


def _now() -> list[Panel]:
    return [
        panels.worded(
            panels.for_each_cluster(panels.tiles("Is the objective met?", "short", STATE)), STATES
        ).description(
            f"The state of the SLO in the rolling minute, for the {WORST} worst watches of each cluster. Violated: "
            "certainly too many events are late. Unknown: the certain bounds allow both answers. Quiet: too few events "
            "to judge."
        ),
        panels.number(
            "P99 in thresholds, worst watch",
            "percentunit",
            f"max({series('p99_lower_seconds')} / on (cluster, job, instance) group_left () "
            f"{series('threshold_seconds', scope=EXPORTER)})",
            {1.0: panels.VIOLATED},
        )
        .span(QUARTER)
        .description(
            "The 99th percentile of the rolling minute is certainly not below this share of the threshold, for the "
            "worst of the watches chosen above. From 100 % on an objective of 99 % is certainly missed."
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
            f"min(1 - {burn_rate('30d')})",
            {-1e9: panels.VIOLATED, 0: panels.UNKNOWN, 0.25: panels.MET},
        )
        .span(QUARTER)
        .description(
            "What is left of the error budget of the last 30 days, if only certainly late events use it. Below zero "
            "it is overspent. The rules record it hour by hour."
        ),
        panels.number("Alerts that fire", "none", f"count({ALERTS}) or vector(0)", {1: panels.VIOLATED})
        .span(QUARTER)
        .description("Alerts of watchslo that fire now, if Prometheus has its rules. The panels below mark them."),
    ]


def _over_time() -> list[Panel]:
    burn_by_window = [Query(f"max({burn_rate(over)})", over) for over in ("5m", "30m", "1h", "6h")]
    return [
        panels.worded(panels.history("State of the worst watches", STATES_OVER_TIME), STATES).description(
            f"The state of the SLO over time, for the {WORST} watches that did worst. Orange and grey are no "
            "violation, but no proof of health either."
        ),
        _p99_of_the_worst(),
        panels.limited(
            panels.lines(
                "P99 at most, of the worst watches",
                "s",
                Query(f"({of_the_worst(series('p99_upper_seconds'))}) < +Inf", NAME_OF_WATCH),
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
                Query(f"sum by (cluster, verdict) ({rate('events_judged_total')})", "{{verdict}} {{cluster}}"),
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
                at_most=f"max({recorded(f'{LATE_RATIO}5m')} + {recorded(AMBIGUOUS_RATIO)})",
                at_least=f"max({recorded(f'{LATE_RATIO}5m')})",
            ),
            Query(f"max({BUDGET_RATIO})", "allowed"),
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
            Query(of_the_worst(series("window_events")), NAME_OF_WATCH),
        ).description("What the state rests on. Below 50 events a watch is quiet; a canary keeps it above."),
    ]


def _p99_of_the_worst() -> Panel:
    p99 = panels.band(
        "P99 from commit to arrival, worst watch",
        "s",
        at_most=f"clamp(max({series('p99_upper_seconds')}), {LEAST_SECONDS}, {MOST_SECONDS})",
        at_least=f"clamp(max({series('p99_lower_seconds')}), {LEAST_SECONDS}, {MOST_SECONDS})",
    )
    panels.logarithmic(p99, LEAST_SECONDS, MOST_SECONDS)
    return panels.limited(p99, Query(THRESHOLD_SECONDS, "threshold")).description(
        "The 99th percentile of the rolling minute certainly lies in this band, for the worst of the watches chosen "
        "above. If the band reaches the top, no limit is certain: too many events were not judged yet."
    )
