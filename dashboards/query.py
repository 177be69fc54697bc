"""PromQL about the exporter's own metrics, with the dashboards' variables in it."""

from typing import Final

EXPORTER: Final = 'job=~"$job", instance=~"$instance"'
APISERVER: Final = f'{EXPORTER}, apiserver=~"$apiserver"'
WATCH: Final = f'{APISERVER}, group=~"$group", resource=~"$resource"'

# What tells one watch from another, and how a legend names it. In HTML the two blanks around an empty group are one.
BY_WATCH: Final = "apiserver, group, resource"
NAME_OF_WATCH: Final = "{{resource}} {{group}} @ {{apiserver}}"
# As the alerts do, budgets take the events of all apiservers together.
BY_RESOURCE: Final = "group, resource"


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


def grown(counter: str, by: str) -> str:
    """By how much a counter grew from one point to the next, for the labels with which it grew at all."""
    return _if_it_grew(counter, by, increase(counter), WATCH)


def flowing(counter: str, by: str, scope: str = WATCH) -> str:
    """How fast a counter grows, for the labels with which it grew at all."""
    return _if_it_grew(counter, by, rate(counter, scope=scope), scope)


def _if_it_grew(counter: str, by: str, growth: str, scope: str) -> str:
    # The zeros in between stay: without them bars would have no width of their own.
    in_all = f"increase({series(counter, scope=scope)}[$__range] @ end())"
    return f"sum by ({by}) ({growth}) and sum by ({by}) ({in_all}) > 0"


def p99(histogram: str, *matchers: str, by: str = "", scope: str = WATCH) -> str:
    """The 99th percentile of a histogram. Beyond the last bucket it is that bucket's bound: 60 s for latencies."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile(0.99, sum by ({labels}) ({rate(f'{histogram}_bucket', *matchers, scope=scope)}))"


def buckets(histogram: str, *matchers: str, scope: str = WATCH) -> str:
    """How many observations were at most as large as each bucket's bound."""
    return f"sum by (le) ({increase(f'{histogram}_bucket', *matchers, over='$__rate_interval', scope=scope)})"


def share_judged(verdicts: str, over: str = "$__rate_interval") -> str:
    """The share of each resource's events that got one of these verdicts, which are a regular expression."""
    chosen = increase("events_judged_total", f'verdict=~"{verdicts}"', over=over)
    judged = increase("events_judged_total", over=over)
    return f"sum by ({BY_RESOURCE}) ({chosen}) / sum by ({BY_RESOURCE}) ({judged})"


THRESHOLD_SECONDS: Final = f"max({series('threshold_seconds', scope=EXPORTER)})"
BUDGET_RATIO: Final = f"1 - max({series('objective_ratio', scope=EXPORTER)})"


def burn_rate(over: str) -> str:
    """How many times faster than allowed each resource spends its error budget, with what is certainly late."""
    return f"({share_judged('late', over)}) / scalar({BUDGET_RATIO})"
