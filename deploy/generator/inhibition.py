"""What Alertmanager need not tell, because something that explains it is told already."""

from collections.abc import Iterator
from typing import NamedTuple

from deploy.generator.objective import DEFAULTS

HEADER = """\
# For Alertmanager: one page for each cause. Add these to the inhibit_rules of your alertmanager.yml.
# Made by scripts/rules from deploy/generator; edit that.
inhibit_rules:"""

CLUSTER = (DEFAULTS.cluster_label, "job")
RESOURCE = (*CLUSTER, "group", "resource")
WATCH = (*CLUSTER, "apiserver", "group", "resource")

BURNS = "WatchLatencyBudgetBurn|WatchLatencyClusterBudgetBurn|WatchCoverageBudgetBurn"
OF_LATENCY = "WatchLatencyBudgetBurn|WatchLatencyObjectiveMissed"
OF_A_DEAD_WATCH = "WatchUncovered|WatchStartErrors|WatchStreamSilent|WatchForcedCloses|WatchLatencyUnknown"


class Inhibition(NamedTuple):
    """While an alert of `source` fires, those of `target` with `equal` labels are not told."""

    why: str
    source: str
    target: str
    equal: tuple[str, ...]


INHIBITIONS = (
    Inhibition(
        "A page says more than a ticket about the same.",
        f'alertname=~"{BURNS}", severity="critical"',
        f'alertname=~"{BURNS}", severity="warning"',
        ("alertname", *RESOURCE),
    ),
    Inhibition(
        "The whole cluster is late: so are its resources.",
        'alertname="WatchLatencyClusterBudgetBurn", severity="critical"',
        f'alertname=~"{OF_LATENCY}"',
        CLUSTER,
    ),
    Inhibition(
        "Tickets of the cluster stand for those of its resources too.",
        'alertname="WatchLatencyClusterBudgetBurn", severity="warning"',
        f'alertname=~"{OF_LATENCY}", severity="warning"',
        CLUSTER,
    ),
    Inhibition(
        "What burns the budget misses the objective.",
        'alertname="WatchLatencyBudgetBurn"',
        'alertname="WatchLatencyObjectiveMissed"',
        RESOURCE,
    ),
    Inhibition(
        "Nothing can be watched: all else follows from it.",
        'alertname="WatchClusterDown"',
        f'alertname=~"WatchCoverageBudgetBurn|WatchStreamDown|WatchDiscoveryErrors|WatchCanariesLost|{OF_A_DEAD_WATCH}"',
        CLUSTER,
    ),
    Inhibition(
        "A watch that is down is uncovered, fails to start, and what it would show is unknown.",
        'alertname="WatchStreamDown"',
        f'alertname=~"{OF_A_DEAD_WATCH}"',
        WATCH,
    ),
    Inhibition(
        "No exporter at all: no shard either.",
        'alertname="WatchsloAbsent"',
        'alertname="WatchsloShardAbsent"',
        CLUSTER,
    ),
)


def inhibit_rules(cluster_label: str) -> str:
    """The file, with comments."""
    return "\n".join([HEADER, *(line for each in INHIBITIONS for line in _lines(each, cluster_label))]) + "\n"


def _lines(each: Inhibition, cluster_label: str) -> Iterator[str]:
    equal = ", ".join(cluster_label if name == DEFAULTS.cluster_label else name for name in each.equal)
    yield f"\n  # {each.why}"
    yield f"  - source_matchers: ['{each.source}']"
    yield f"    target_matchers: ['{each.target}']"
    yield f"    equal: [{equal}]"
