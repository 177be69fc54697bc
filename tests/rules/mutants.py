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


PAGE, SLOW_PAGE = "WatchLatencyBudgetBurn-1h", "WatchLatencyBudgetBurn-6h"
TICKET, SLOW_TICKET = "WatchLatencyBudgetBurn-1d", "WatchLatencyBudgetBurn-3d"
CLUSTER = "WatchLatencyClusterBudgetBurn-1h"
SHARDS = r"(shard) (count_values without (instance, pod) (\"shard\", watchslo_shard_index))"
LATE = "group_resource:watchslo_events_late:ratio_rate"

ABOVE = "above the factor it fires, but not before its time"
BELOW = "just below the factor nothing happens"
SHORT_ALONE = "the short window alone is not enough, until the long one is above the factor as well"
LONG_ALONE = "the long window alone is not enough: it ends when the short one is below the factor"
SUMMED = "what apiservers and replicas saw is summed before it is divided"
DILUTED = "ambiguous events dilute: the share is the certain, lower one"
IN_TIME = "above the share it fires, but not before its time"

MUTANTS = (
    # The windows and the factors of burn rates, and how they are joined.
    Mutant(PAGE, r"1h > 14.4 * 0.01\nand", r"1h > 14.4 * 0.01\nor", LONG_ALONE),
    Mutant(PAGE, r"and\ngroup_resource:watchslo_events_judged", r"or\ngroup_resource:watchslo_events_judged", BELOW),
    Mutant(PAGE, f"{LATE}1h > 14.4", f"{LATE}5m > 14.4", SHORT_ALONE),
    Mutant(PAGE, f"{LATE}5m > 14.4", f"{LATE}1h > 14.4", LONG_ALONE),
    Mutant(PAGE, f"{LATE}1h > 14.4", f"{LATE}1h > 14", SHORT_ALONE),
    Mutant(PAGE, f"{LATE}5m > 14.4", f"{LATE}5m > 14", LONG_ALONE),
    Mutant(PAGE, "50 / 3600", "48 / 3600", "fewer than 50 events wake nobody"),
    Mutant(PAGE, '"2m"', '"1m"', ABOVE),
    Mutant(PAGE, "critical", "warning", ABOVE),
    Mutant(PAGE, "[1h]", "[2h]", SHORT_ALONE),
    Mutant(PAGE, "[5m]", "[10m]", LONG_ALONE),
    Mutant(PAGE, r'verdict=\"late', r'verdict=\"ambiguous', "ambiguous events never page"),
    Mutant(PAGE, r"judged_total[", r'judged_total{verdict!=\"ambiguous\"}[', DILUTED),
    Mutant(PAGE, "instance, pod", "instance", SUMMED),
    Mutant(CLUSTER, "instance, pod", "instance, pod, cluster", SUMMED),
    Mutant(CLUSTER, "sum without (group", "max without (group", SUMMED),
    Mutant(CLUSTER, r"1h > 14.4 * 0.01\nand", r"1h > 14.4 * 0.01\nor", LONG_ALONE),
    Mutant(SLOW_PAGE, f"{LATE}6h > 6 ", f"{LATE}6h > 6.2 ", ABOVE),
    Mutant(SLOW_PAGE, f"{LATE}30m > 6 ", f"{LATE}6h > 6 ", LONG_ALONE),
    Mutant(TICKET, f"{LATE}1d > 3 ", f"{LATE}1d > 2.8 ", SHORT_ALONE),
    Mutant(TICKET, '"1h", "labels"', '"2h", "labels"', ABOVE),
    Mutant(SLOW_TICKET, r"3d > 1 * 0.01\nand", r"3d > 1 * 0.01\nor", LONG_ALONE),
    Mutant(SLOW_TICKET, "[3d]", "[1d]", SHORT_ALONE),
    # The other alerts: what they compare, and with what.
    Mutant("WatchLatencyObjectiveMissed-1m", "[1m]", "[2m]", "it ends when the window is clean"),
    Mutant("WatchLatencyObjectiveMissed-5m", "> 0.01", "> 0.009", "just below 1 % nothing happens"),
    Mutant("WatchLatencyApiserverApart", "<= 0.01", "<= 0.02", "where the others are late too it is not apart"),
    Mutant("WatchLatencyApiserverApart", r"\nand\n", r"\nor\n", "just below 6 % nothing happens"),
    Mutant("WatchLatencyApiserverApart", "ratio_rate5m", "ratio_rate30m", "it ends when the short window is clean"),
    Mutant("WatchLatencyUnknown", "unknown", "quiet", "quiet is not unknown"),
    Mutant("WatchLatencyUnknown", "min ", "max ", "what one replica knows is known"),
    Mutant("WatchStreamDown", "max ", "min ", "one replica is enough"),
    Mutant("WatchStreamSilent", r"reason=\"silent\"", r"reason=~\".+\"", r'reason="timeout" does not count'),
    Mutant("WatchForcedCloses", "max ", "sum ", "what two replicas saw is not counted twice"),
    Mutant("WatchRelistStorm", "!=", "=~", 'reason="start" does not count'),
    Mutant("WatchStartErrors", "[15m]", "[30m]", "just below nothing happens"),
    Mutant("WatchDiscoveryErrors", "max ", "sum ", "what two replicas saw is not counted twice"),
    Mutant("WatchUncovered", "0.05", "0.06", IN_TIME),
    Mutant("WatchCanariesLost", "0.01", "0.009", "just below it nothing happens"),
    Mutant("WatchEvidenceContradictory", "300", "290", "hardly any evidence says nothing, three hundred pieces do"),
    Mutant("WatchClockContradictory", "[1h]", "[30m]", "five minutes do not"),
    Mutant("WatchsloAbsent", "unless", "and", "one that is there is in order"),
    Mutant("WatchsloAbsent", "pod, version", "pod", "another pod with another version is no loss"),
    Mutant("WatchsloShardAbsent", "max ", "sum ", "three of three are in order"),
    Mutant("WatchsloShardAbsent", SHARDS, "(instance, pod) (watchslo_shard_index)", "two that are one are one"),
    Mutant("WatchsloLagging", r'le=\"0.1', r'le=\"0.25', IN_TIME),
    Mutant("WatchsloMemory", ", instance)", ")", "nor are they if they run beside it"),
)  # fmt: skip


def scenario_of(mutant: Mutant) -> Scenario:
    """The scenario that has to notice it."""
    [found] = [each for each in SCENARIOS if (each.alert, each.name) == (mutant.alert, mutant.noticed_by)]
    return found
