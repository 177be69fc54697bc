"""PromQL about the exporter's own metrics, with the dashboards' variables in it."""

from typing import Final

OF_CLUSTER: Final = 'cluster=~"$cluster", job=~"$job"'
EXPORTER: Final = f'{OF_CLUSTER}, instance=~"$instance"'
APISERVER: Final = f'{EXPORTER}, apiserver=~"$apiserver"'
WATCH: Final = f'{APISERVER}, group=~"$group", resource=~"$resource"'
# What the rules recorded: without exporters and, of resources, without apiservers.
RECORDED: Final = f'{OF_CLUSTER}, group=~"$group", resource=~"$resource"'
RECORDED_OF_WATCH: Final = f'{RECORDED}, apiserver=~"$apiserver"'

# What tells one watch from another, and how a legend names it. In HTML the two blanks around an empty group are one,
# and one at the end is none.
BY_WATCH: Final = "cluster, apiserver, group, resource"
NAME_OF_WATCH: Final = "{{resource}} {{group}} @ {{apiserver}} {{cluster}}"
# What a panel can show at once: of a hundred resources on five apiservers the worst.
WORST: Final = 20


def series(name: str, *matchers: str, scope: str = WATCH) -> str:
    """The series of a metric that the variables choose."""
    return f"watchslo_{name}{{{', '.join((scope, *matchers))}}}"


def rate(counter: str, *matchers: str, scope: str = WATCH) -> str:
    """How fast a counter grows, per second."""
    return f"rate({series(counter, *matchers, scope=scope)}[$__rate_interval])"


def increase(counter: str, *matchers: str, over: str = "$__interval", scope: str = WATCH) -> str:
    """By how much a counter grew; by default from one point of a panel to the next."""
    return f"increase({series(counter, *matchers, scope=scope)}[{over}])"


def total(counter: str, *matchers: str) -> str:
    """By how much all series of a counter grew in the dashboard's whole time range."""
    return f"sum({increase(counter, *matchers, over='$__range')})"


def grown(counter: str, by: str, scope: str = WATCH) -> str:
    """By how much a counter grew from one point to the next, for the labels with which it grew most, if at all."""
    return _if_it_grew(counter, by, increase(counter, scope=scope), scope)


def flowing(counter: str, by: str, scope: str = WATCH) -> str:
    """How fast a counter grows, for the labels with which it grew most, if at all."""
    return _if_it_grew(counter, by, rate(counter, scope=scope), scope)


def _if_it_grew(counter: str, by: str, growth: str, scope: str) -> str:
    # The zeros in between stay: without them bars would have no width of their own.
    in_all = f"increase({series(counter, scope=scope)}[$__range] @ end())"
    return f"sum by ({by}) ({growth}) and topk({WORST}, sum by ({by}) ({in_all}) > 0)"


def of_the_worst(gauge: str) -> str:
    """A gauge of each watch, for those where it was highest in the dashboard's time range."""
    highest = f"max by ({BY_WATCH}) (max_over_time({gauge}[$__range] @ end()))"
    return f"max by ({BY_WATCH}) ({gauge}) and topk({WORST}, {highest})"


def p99(histogram: str, *matchers: str, by: str = "", scope: str = WATCH) -> str:
    """The 99th percentile of a histogram, of the worst cluster if it is `by` nothing.

    Of native histograms, or else of classic ones. Beyond a minute, or where nothing bounds it, it is 60 s; classic
    histograms with fewer buckets say their last bound.
    """
    labels = by or "cluster"
    native = f"sum by ({labels}) ({rate(histogram, *matchers, scope=scope)})"
    classic = f"sum by (le, {labels}) ({rate(f'{histogram}_bucket', *matchers, scope=scope)})"
    p99 = f"clamp(histogram_quantile(0.99, {native}), 0, 60) or histogram_quantile(0.99, {classic})"
    return p99 if by else f"max({p99})"


def buckets(histogram: str, *matchers: str, scope: str = WATCH) -> str:
    """How many observations fell into each bucket: a native histogram, or else the classic buckets."""
    native = increase(histogram, *matchers, over="$__rate_interval", scope=scope)
    classic = increase(f"{histogram}_bucket", *matchers, over="$__rate_interval", scope=scope)
    return f"sum({native}) or on () sum by (le) ({classic})"


def recorded(name: str, scope: str = RECORDED) -> str:
    """A series that the rules of deploy/rules recorded, which are cheap over any time."""
    return f"{name}{{{scope}}}"


LATE_RATIO: Final = "group_resource:watchslo_events_late:ratio_rate"
AMBIGUOUS_RATIO: Final = "group_resource:watchslo_events_ambiguous:ratio_rate5m"
BUDGET_RATIO: Final = recorded("cluster:watchslo_error_budget:ratio", OF_CLUSTER)
THRESHOLD_SECONDS: Final = f"max({series('threshold_seconds', scope=EXPORTER)})"


def burn_rate(window: str) -> str:
    """How many times faster than allowed each resource spends its error budget, with what is certainly late."""
    return f"{recorded(LATE_RATIO + window)} / on (cluster, job) group_left () {BUDGET_RATIO}"
