"""Recording rules: how many events were judged and how many were late, level by level, and the share that is."""

from collections.abc import Iterator

from deploy.generator.objective import BUDGET, OBJECTIVE, OBJECTIVE_WINDOWS, PERIOD, RATE_WINDOWS
from deploy.generator.rules import Group, Recording

SLOW_WINDOWS = ("6h", "1d", "3d")
SLOTH_WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d", PERIOD)


def late_rate(level: str, window: str) -> str:
    """The series with the certainly late events per second."""
    return f"{level}:watchslo_events_late:rate{window}"


def judged_rate(level: str, window: str) -> str:
    """The series with all judged events per second."""
    return f"{level}:watchslo_events_judged:rate{window}"


def late_ratio(level: str, window: str) -> str:
    """The series with the share of events that were certainly late."""
    return f"{level}:watchslo_events_late:ratio_rate{window}"


def recording_groups() -> tuple[Group, ...]:
    """The SLI's groups."""
    return (
        Group(
            name="watchslo-sli",
            comment="""\
                The SLI: the share of events that were certainly late. Events are summed level by level, and only then
                divided. Replicas of the exporter (instance, pod) are summed away; every other label of a target, and a
                cluster label, stays. Ambiguous events are in the denominator, so the share is the certain, lower one.
                Without events it is 0/0, which is NaN, which alerts nobody.""",
            rules=tuple(rule for window in RATE_WINDOWS if window not in SLOW_WINDOWS for rule in _sli(window)),
        ),
        Group(
            name="watchslo-sli-long",
            comment="The same over long windows, which are dear to compute and change slowly.",
            interval="2m",
            rules=(*(rule for window in SLOW_WINDOWS for rule in _sli(window)), *_period()),
        ),
    )


def sloth_group() -> Group:
    """The shares as Sloth names them."""
    return Group(
        name="watchslo-sloth",
        comment="""\
            The same shares under Sloth's names, so that its stock dashboards show them. No alert reads these: delete
            the group if you do not use them, or if Sloth itself makes them from deploy/slo/sloth.yaml.""",
        interval="1m",
        rules=(*(_sloth_sli(window) for window in SLOTH_WINDOWS), *_sloth_meta()),
    )


def _sli(window: str) -> Iterator[Recording]:
    late, judged = 'watchslo_events_judged_total{verdict="late"}', "watchslo_events_judged_total"
    yield Recording(
        record=late_rate("apiserver_group_resource", window),
        expr=f"sum without (instance, pod, verdict) (rate({late}[{window}]))",
        comment=window,
    )
    yield Recording(
        record=judged_rate("apiserver_group_resource", window),
        expr=f"sum without (instance, pod, verdict) (rate({judged}[{window}]))",
    )
    yield _ratio("apiserver_group_resource", window)
    yield from _summed("group_resource", "apiserver", "apiserver_group_resource", window)
    yield from _summed("cluster", "group, resource", "group_resource", window)
    if window in OBJECTIVE_WINDOWS:
        yield Recording(
            record=f"group_resource:watchslo_events_ambiguous:ratio_rate{window}",
            expr=f"""\
                sum without (instance, pod, apiserver, verdict) (
                  rate(watchslo_events_judged_total{{verdict="ambiguous"}}[{window}])
                )
                /
                {judged_rate("group_resource", window)}""",
            comment="The certain, upper end of the share is this much above the lower one.",
        )


def _summed(level: str, summed_away: str, below: str, window: str) -> Iterator[Recording]:
    """The rates of a level from those of the level below, and the share."""
    for rate in (late_rate, judged_rate):
        yield Recording(record=rate(level, window), expr=f"sum without ({summed_away}) ({rate(below, window)})")
    yield _ratio(level, window)


def _ratio(level: str, window: str) -> Recording:
    return Recording(
        record=late_ratio(level, window), expr=f"{late_rate(level, window)} / {judged_rate(level, window)}"
    )


def _period() -> Iterator[Recording]:
    for level in ("group_resource", "cluster"):
        yield Recording(
            record=late_ratio(level, PERIOD),
            expr=f"""\
                sum_over_time({late_rate(level, "1h")}[{PERIOD}])
                /
                sum_over_time({judged_rate(level, "1h")}[{PERIOD}])""",
            comment=f"{PERIOD}, from the hourly rates: a range of raw counters this long would be too dear."
            if level == "group_resource"
            else "",
        )


def _sloth_sli(window: str) -> Recording:
    return Recording(
        record=f"slo:sli_error:ratio_rate{window}",
        expr=f"""\
            label_replace(
              label_replace({late_ratio("cluster", window)}, "sloth_slo", "watch-latency", "", "")
              or
              label_replace(
                label_join({late_ratio("group_resource", window)}, "sloth_slo", ".", "resource", "group"),
                "sloth_slo", "watch-latency-$1", "sloth_slo", "(.+?)[.]?"
              ),
              "sloth_id", "watchslo-$1", "sloth_slo", "(.+)"
            )""",
        labels={"sloth_service": "watchslo", "sloth_window": window},
        comment="sloth_slo is watch-latency for the cluster, and watch-latency-pods and so on for each resource."
        if window == SLOTH_WINDOWS[0]
        else "",
    )


def _sloth_meta() -> Iterator[Recording]:
    each = "group without (sloth_window) (slo:sli_error:ratio_rate5m)"
    yield Recording(record="slo:objective:ratio", expr=f"{each} * {OBJECTIVE}")
    yield Recording(record="slo:error_budget:ratio", expr=f"{each} * {BUDGET}")
    yield Recording(record="slo:time_period:days", expr=f"{each} * {PERIOD.removesuffix('d')}")
    for name, window in (("current", "5m"), ("period", PERIOD)):
        yield Recording(
            record=f"slo:{name}_burn_rate:ratio",
            expr=f"slo:sli_error:ratio_rate{window} / ignoring (sloth_window) slo:error_budget:ratio",
        )
    yield Recording(record="slo:period_error_budget_remaining:ratio", expr="1 - slo:period_burn_rate:ratio")
    yield Recording(
        record="sloth_slo_info",
        expr=each,
        labels={
            "sloth_mode": "cli-gen-prom",
            "sloth_objective": f"{OBJECTIVE * 100:g}",
            "sloth_spec": "prometheus/v1",
            "sloth_version": "none",
        },
    )
