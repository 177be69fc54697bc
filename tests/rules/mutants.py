"""Mistakes in the rules, each with the scenario that has to notice it."""

import json
from dataclasses import dataclass

from tests.rules.promtool import Scenario
from tests.rules.scenarios import SCENARIOS
from tests.rules.shipped import Rule, ShippedAlert


@dataclass(frozen=True, slots=True)
class Mutant:
    """`right` becomes `wrong` wherever it stands in an alert and in what that reads, looked at as JSON."""

    alert: str
    right: str
    wrong: str
    noticed_by: str

    def rules(self, alert: ShippedAlert) -> list[Rule]:
        """The rules of the alert with the mistake in them."""
        text = json.dumps(alert.needed)
        assert self.right in text, f"{self.right} is nowhere in the rules of {self.alert}"
        changed: list[Rule] = json.loads(text.replace(self.right, self.wrong))
        return changed


PAGE, TICKET = "WatchLatencyBudgetBurn-critical", "WatchLatencyBudgetBurn-warning"
CLUSTER = "WatchLatencyClusterBudgetBurn-critical"
OUTAGE, OUTAGES = "WatchCoverageBudgetBurn-critical", "WatchCoverageBudgetBurn-warning"
LATE = "group_resource:watchslo_events_late:ratio_rate"
EACH = "on (cluster, job) group_left ()"
SHARDS = r"(count_values by (cluster, job) (\"shard\", watchslo_shard_index))"

ABOVE = "above the slow factor it fires, but not before its time"
BELOW = "just below the slow factor nothing happens"
FAST = "above the fast factor in both windows it fires, until the short one is below"
FAST_BELOW = "just below the fast factor nothing happens"
SUMMED = "what apiservers and replicas saw is summed before it is divided"
DILUTED = "ambiguous events dilute: the share is the certain, lower one"
IN_TIME = "above the share it fires, but not before its time"
OWN = "each cluster has its own objective, and labels that somebody adds to targets change nothing"
DIED = "a replica that died does not hide it"

MUTANTS = (
    # The windows and the factors of burn rates, and how they are joined.
    Mutant(PAGE, rf"1h > {EACH} 14.4 * cluster:watchslo_error_budget:ratio\n  and", r"1h > 0.1\n  or", FAST),
    Mutant(PAGE, rf"{LATE}1h > {EACH} 14.4", rf"{LATE}5m > {EACH} 14.4", FAST),
    Mutant(PAGE, rf"{LATE}5m > {EACH} 14.4", rf"{LATE}1h > {EACH} 14.4", FAST),
    Mutant(PAGE, f"{EACH} 14.4", f"{EACH} 14", FAST_BELOW),
    Mutant(PAGE, rf"{LATE}6h > {EACH} 6 ", rf"{LATE}6h > {EACH} 6.2 ", ABOVE),
    Mutant(PAGE, rf"{LATE}6h > {EACH} 6 ", rf"{LATE}30m > {EACH} 6 ", FAST),
    Mutant(PAGE, r")\nor\n(", r")\nand\n(", ABOVE),
    Mutant(PAGE, "increase6h >= 50", "increase6h >= 48", "fewer than 50 events wake nobody"),
    Mutant(PAGE, "max by (cluster, job, group", "sum by (cluster, job, group",
           "ten events that three apiservers and two replicas saw are ten"),
    Mutant(PAGE, '"2m"', '"1m"', ABOVE),
    Mutant(PAGE, "critical", "warning", ABOVE),
    Mutant(PAGE, "[6h]", "[1h]", "fifty events do"),
    Mutant(PAGE, "[1h])", "[2h])", FAST),
    Mutant(PAGE, r'verdict=\"late', r'verdict=\"ambiguous', "ambiguous events never page"),
    Mutant(PAGE, r"judged_total[", r'judged_total{verdict!=\"ambiguous\"}[', DILUTED),
    Mutant(PAGE, "max by (cluster, job) (last", "max by (job) (last", OWN),
    Mutant(PAGE, "by (cluster, job, group, resource)", "by (cluster, job, group, resource, node)", OWN),
    Mutant(CLUSTER, "sum by (cluster, job) (rate(", "max by (cluster, job) (rate(", SUMMED),
    Mutant(TICKET, f"{EACH} 3 ", f"{EACH} 2.8 ", FAST_BELOW),
    Mutant(TICKET, '"1h", "labels"', '"2h", "labels"', ABOVE),
    Mutant(TICKET, rf"{LATE}2h > {EACH} 3", rf"{LATE}1d > {EACH} 3", FAST),
    Mutant(TICKET, "[3d]", "[1d]", "fifty events do"),
    # Time without a watch.
    Mutant("WatchClusterDown", "max ", "min ", "one stream that is up is enough"),
    Mutant("WatchClusterDown", "critical", "warning",
           "with all streams of a cluster down it fires, but not before its time"),
    Mutant(OUTAGE, "/ 3600", "/ 3800", "above the fast factor it fires, not after a moment of it"),
    Mutant(OUTAGE, "min by", "max by", "what is watched on another apiserver, or by another replica, is covered"),
    Mutant(OUTAGES, "1 * (1 - 0.99)", "1 * (1 - 0.991)", "just below the slow factor nothing happens"),
    # The other alerts: what they compare, and with what.
    Mutant("WatchLatencyObjectiveMissed", "[5m]", "[10m]", "it ends when the window is clean"),
    Mutant("WatchLatencyObjectiveMissed", "group_left () cluster", "group_left () 0.9 * cluster",
           "just below 1 % nothing happens"),
    Mutant("WatchLatencyObjectiveMissed", "* 300", "* 310", "fewer than 50 events say nothing"),
    Mutant("WatchLatencyObjectiveMissed", "[5m]", "[1m]", "above 1 % it fires, but not before its time"),
    Mutant("WatchLatencyApiserverApart", f"<= {EACH} ", f"<= {EACH} 2 * ",
           "where the others are late too it is not apart"),
    Mutant("WatchLatencyApiserverApart", f"{EACH} 6", f"{EACH} 5.8",
           "just below 6 % nothing happens"),
    Mutant("WatchLatencyApiserverApart", "late:ratio_rate5m >", "judged:rate5m >",
           "it ends when the short window is clean"),
    Mutant("WatchLatencyUnknown", "unknown", "quiet", "quiet is not unknown"),
    Mutant("WatchLatencyUnknown", "min by", "max by", "what one replica knows is known"),
    Mutant("WatchStreamDown", "max ", "min ", "one replica is enough"),
    Mutant("WatchStreamSilent", r"reason=\"silent\"", r"reason=~\".+\"", r'reason="timeout" does not count'),
    Mutant("WatchForcedCloses", "max ", "sum ", "what two replicas saw is not counted twice"),
    Mutant("WatchRelistStorm", "!=", "=~", 'reason="start" does not count'),
    Mutant("WatchStartErrors", "[15m]", "[30m]", "just below nothing happens"),
    Mutant("WatchDiscoveryErrors", "max ", "sum ", "what two replicas saw is not counted twice"),
    Mutant("WatchCustomResourcesLeftOut", "> 0", "> 1", "one that is left out fires, but not before its time"),
    Mutant("WatchUncovered", "180", "200", IN_TIME),
    Mutant("WatchUncovered", "[5m]", "[1h]", DIED),
    Mutant("WatchCanariesLost", "0.01", "0.009", "just below it nothing happens"),
    Mutant("WatchCanariesLost", ">= 50", ">= 5", "a few canaries say nothing"),
    Mutant("WatchCanariesLost", "(sum by (cluster, job, group", "(min by (cluster, job, group",
           "of three apiservers one takes each write, and all bring it: half a percent is half a percent"),
    Mutant("WatchEvidenceContradictory", "300", "290", "hardly any evidence says nothing, three hundred pieces do"),
    Mutant("WatchClockContradictory", "[1h]", "[30m]", "five minutes do not"),
    Mutant("WatchsloAbsent", "unless", "and", "one that is there is in order"),
    Mutant("WatchsloAbsent", "30 * 86400", "1 * 86400", "an only one is missed for days, as itself"),
    Mutant("WatchsloAbsent", "(cluster, job)", "(job)", "of two clusters the one that is gone is missed, for days"),
    Mutant("WatchsloAbsent", "(cluster, job)", "(cluster, job, node)",
           "another pod with another version on another node is no loss"),
    Mutant("WatchsloShardAbsent", r"(\n  max ", r"(\n  sum ", "three of three are in order"),
    Mutant("WatchsloShardAbsent", SHARDS, "(watchslo_shard_index)", "two that are one are one"),
    Mutant("WatchsloLagging", r'le=\"0.1', r'le=\"0.25', IN_TIME),
    Mutant("WatchsloMemory", ", instance) (watchslo", ") (watchslo", "above 400 MiB it fires, but not before its time"),
    Mutant("WatchsloMemory", r"\nand\n", r"\nor\n", "other programs are nobody's business"),
)  # fmt: skip


def scenario_of(mutant: Mutant) -> Scenario:
    """The scenario that has to notice it."""
    [found] = [each for each in SCENARIOS if (each.alert, each.name) == (mutant.alert, mutant.noticed_by)]
    return found
