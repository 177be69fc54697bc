"""Recording rules: how many events were judged and how many were late, level by level, and the share that is."""

from collections.abc import Iterator

from deploy.generator.objective import BURN_RATES, EVALUATION, LONG_WINDOWS, PERIOD, RATE_WINDOW
from deploy.generator.rules import Group, Recording, seconds_of

CLUSTER = "cluster, job"
RESOURCE = "cluster, job, group, resource"
WATCH = "cluster, job, apiserver, group, resource"
LEVELS = {"apiserver_group_resource": WATCH, "group_resource": RESOURCE, "cluster": CLUSTER}
BUDGETED = ("group_resource", "cluster")
"""The levels that have long windows."""

SLOW_WINDOWS = ("6h", "1d", "3d")
SLOTH_WINDOWS = (RATE_WINDOW, *LONG_WINDOWS, PERIOD)
OF_US = '{sloth_service="watchslo"}'

BUDGET = "cluster:watchslo_error_budget:ratio"
LAST_SEEN = "cluster:watchslo_last_seen:timestamp_seconds"
UNCOVERED = f"apiserver_group_resource:watchslo_uncovered:ratio_rate{RATE_WINDOW}"


def late_rate(level: str) -> str:
    """The series with the certainly late events per second."""
    return f"{level}:watchslo_events_late:rate{RATE_WINDOW}"


def judged_rate(level: str) -> str:
    """The series with all judged events per second: each as often as it was judged."""
    return f"{level}:watchslo_events_judged:rate{RATE_WINDOW}"


def distinct_rate(level: str) -> str:
    """The series with the events per second that are different from each other."""
    return f"{level}:watchslo_events_distinct:rate{RATE_WINDOW}"


def late_ratio(level: str, window: str = RATE_WINDOW) -> str:
    """The series with the share of events that were certainly late."""
    return f"{level}:watchslo_events_late:ratio_rate{window}"


def uncovered_ratio(window: str = RATE_WINDOW) -> str:
    """The series with the share of time in which a cluster's resources were watched on no apiserver."""
    return f"cluster:watchslo_uncovered:ratio_rate{window}"


def distinct(level: str, window: str) -> str:
    """The series with the number of different events."""
    return f"{level}:watchslo_events_distinct:increase{window}"


def in_all(rate: str, window: str) -> str:
    """What a recorded rate comes to in a window."""
    return f"sum_over_time({rate}[{window}]) * {seconds_of(EVALUATION)}"


def recording_groups() -> tuple[Group, ...]:
    """The SLI's groups."""
    fast = [window for window in LONG_WINDOWS if window not in SLOW_WINDOWS]
    return (
        Group(
            name="watchslo-sli",
            comment=f"""\
                The SLI: the share of events that were certainly late. Events are summed, and only then divided. What
                is in no `by` is summed away: replicas of the exporter, and whatever else a target is labelled with.
                Ambiguous events are in the denominator, so the share is the certain, lower one. Without events it is
                0/0, which is NaN, which alerts nobody. Longer windows are sums of these series, so counters are read
                over five minutes only: that the groups are evaluated every {seconds_of(EVALUATION)} s makes events of
                rates.""",
            interval=EVALUATION,
            rules=(*_sli(), *_cover(), *_cluster(), *(rule for window in fast for rule in _long(window))),
        ),
        Group(
            name="watchslo-sli-long",
            comment="The same over long windows, which are dear to compute and change slowly.",
            interval="2m",
            rules=(*(rule for window in SLOW_WINDOWS for rule in _long(window)), *_period()),
        ),
    )


def sloth_group(objective: float) -> Group:
    """The shares as Sloth names them."""
    return Group(
        name="watchslo-sloth",
        comment="No alert reads these. Every selector names the service: the series of other SLOs have the same names.",
        interval=EVALUATION,
        rules=(*(_sloth_sli(window) for window in SLOTH_WINDOWS), *_sloth_meta(objective)),
    )


def _sli() -> Iterator[Recording]:
    events, window = "watchslo_events_judged_total", RATE_WINDOW
    for level, by in LEVELS.items():
        late, judged = f'{events}{{verdict="late"}}', events
        yield Recording(record=late_rate(level), expr=f"sum by ({by}) (rate({late}[{window}]))")
        yield Recording(record=judged_rate(level), expr=f"sum by ({by}) (rate({judged}[{window}]))")
        yield Recording(record=late_ratio(level), expr=f"{late_rate(level)} / {judged_rate(level)}")
    yield Recording(
        record=distinct_rate("group_resource"),
        expr=f"max by ({RESOURCE}) (sum without (verdict) (rate({events}[{window}])))",
        comment="Each event is judged on each apiserver and by each replica: the one that saw most tells how many.",
    )
    yield Recording(record=distinct_rate("cluster"), expr=f"sum by ({CLUSTER}) ({distinct_rate('group_resource')})")
    yield Recording(
        record=f"group_resource:watchslo_events_ambiguous:ratio_rate{window}",
        expr=f"""\
            sum by ({RESOURCE}) (rate({events}{{verdict="ambiguous"}}[{window}]))
            /
            {judged_rate("group_resource")}""",
        comment="The certain, upper end of the share is this much above the lower one.",
    )


def _cover() -> Iterator[Recording]:
    rate = f"rate(watchslo_uncovered_seconds_total[{RATE_WINDOW}])"
    yield Recording(
        record=UNCOVERED,
        expr=f"min by ({WATCH}) ({rate})",
        comment="What one replica covers is covered. Over a short window: one that died is forgotten soon.",
    )
    yield Recording(
        record=uncovered_ratio(),
        expr=f"avg by ({CLUSTER}) (min by ({RESOURCE}) ({rate}))",
        comment="Clients can go to another apiserver: a resource is uncovered that is watched on none.",
    )


def _cluster() -> Iterator[Recording]:
    yield Recording(
        record=BUDGET,
        expr=f"1 - max by ({CLUSTER}) (last_over_time(watchslo_objective_ratio[1h]))",
        comment="As --slo.objective says, cluster by cluster.",
    )
    yield Recording(
        record=LAST_SEEN,
        expr=f"""\
            max by ({CLUSTER}) (timestamp(watchslo_build_info))
            or
            max by ({CLUSTER}) (last_over_time({LAST_SEEN}[1d])) > time() - 30 * 86400""",
        comment="It remembers every cluster and job for 30 days, by reading itself.",
    )


def _long(window: str) -> Iterator[Recording]:
    for level in BUDGETED:
        yield Recording(
            record=late_ratio(level, window),
            expr=f"sum_over_time({late_rate(level)}[{window}]) / sum_over_time({judged_rate(level)}[{window}])",
            comment=window if level == BUDGETED[0] else "",
        )
        if window in {burn.long for rates in BURN_RATES for burn in rates.burns}:
            yield Recording(record=distinct(level, window), expr=in_all(distinct_rate(level), window))
    yield Recording(record=uncovered_ratio(window), expr=f"{in_all(uncovered_ratio(), window)} / {seconds_of(window)}")


def _period() -> Iterator[Recording]:
    for level in BUDGETED:
        late, judged = (f"{level}:watchslo_events_{which}:increase1h" for which in ("late", "judged"))
        yield Recording(
            record=late,
            expr=in_all(late_rate(level), "1h"),
            comment=f"{PERIOD}, hour by hour." if level == BUDGETED[0] else "",
        )
        yield Recording(record=judged, expr=in_all(judged_rate(level), "1h"))
        yield Recording(
            record=late_ratio(level, PERIOD),
            expr=f"sum_over_time({late}[{PERIOD}:1h]) / sum_over_time({judged}[{PERIOD}:1h])",
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


def _sloth_meta(objective: float) -> Iterator[Recording]:
    each = f"group without (sloth_window) (slo:sli_error:ratio_rate{RATE_WINDOW}{OF_US})"
    yield Recording(record="slo:error_budget:ratio", expr=f"{each} * on ({CLUSTER}) group_left () {BUDGET}")
    yield Recording(record="slo:objective:ratio", expr=f"1 - slo:error_budget:ratio{OF_US}")
    yield Recording(record="slo:time_period:days", expr=f"{each} * {PERIOD.removesuffix('d')}")
    for name, window in (("current", RATE_WINDOW), ("period", PERIOD)):
        yield Recording(
            record=f"slo:{name}_burn_rate:ratio",
            expr=f"slo:sli_error:ratio_rate{window}{OF_US} / ignoring (sloth_window) slo:error_budget:ratio{OF_US}",
        )
    yield Recording(record="slo:period_error_budget_remaining:ratio", expr=f"1 - slo:period_burn_rate:ratio{OF_US}")
    yield Recording(
        record="sloth_slo_info",
        expr=each,
        labels={
            "sloth_mode": "cli-gen-prom",
            "sloth_objective": f"{objective * 100:g}",
            "sloth_spec": "prometheus/v1",
            "sloth_version": "none",
        },
    )
