"""A day of two clusters in one Prometheus, minute by minute, and what other teams have in there.

east has two replicas that watch three apiservers; west has one apiserver, with the address of one of east's, and two
exporters that share its watches. Each trouble is one that an alert is for.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from tests.rules.promtool import Values

MINUTES = 24 * 60
EVENTS = 120
"""Live events of each watch in a minute."""

Growth = tuple[int, int, float]
"""From this minute on, up to that one, by so much in each."""

EAST = [f"192.168.1.{number}:6443" for number in (10, 11, 12)]
WEST = EAST[:1]
RESOURCES = ("pods", "nodes", "widgets")
STATES = ("met", "unknown", "quiet", "violated")

STALL = (120, 160)
APART = (800, 860)
OUTAGE = (400, 460)
UNKNOWN = (540, 640)
SHARD_GONE = (900, 930)
REPLICA_MOVED = (700, 705)
WEST_ENDS = 1200


@dataclass(frozen=True)
class Told:
    """An alert that fires from one minute of the day to another."""

    alert: str
    of: Mapping[str, str]
    first: int
    last: int
    severity: str = "warning"

    @property
    def labels(self) -> dict[str, str]:
        """Those of its series."""
        return {
            "alertname": self.alert,
            "alertstate": "firing",
            "job": "watchslo",
            "severity": self.severity,
            **self.of,
        }


def _east(number: int = 0, resource: str = "", **more: str) -> dict[str, str]:
    return _of("east", f"192.168.1.{number}:6443" if number else "", resource, **more)


def _west(resource: str = "", **more: str) -> dict[str, str]:
    return _of("west", WEST[0] if resource else "", resource, **more)


def _of(cluster: str, apiserver: str, resource: str, **more: str) -> dict[str, str]:
    labels = {"cluster": cluster, "apiserver": apiserver, "resource": resource, **more}
    return {name: value for name, value in labels.items() if value}


FIRST_OF_EAST = "10.1.0.1:9985"
TOLD = (
    # The stall.
    *(Told("WatchLatencyBudgetBurn", _east(resource=each), 132, 189, "critical") for each in RESOURCES),
    Told("WatchLatencyClusterBudgetBurn", _east(), 132, 189, "critical"),
    *(Told("WatchLatencyObjectiveMissed", _east(resource=each), 136, 163) for each in RESOURCES),
    *(Told("WatchLatencyBudgetBurn", _east(resource=each), 183, 517) for each in RESOURCES),
    Told("WatchLatencyClusterBudgetBurn", _east(), 183, 517),
    # One apiserver of three is late.
    Told("WatchLatencyApiserverApart", _east(10, "pods"), 840, 861),
    Told("WatchLatencyObjectiveMissed", _east(resource="pods"), 817, 862),
    # The outage.
    Told("WatchClusterDown", _west(), 405, 459, "critical"),
    Told("WatchCoverageBudgetBurn", _west(), 413, 489, "critical"),
    Told("WatchCoverageBudgetBurn", _west(), 505, 817),
    *(Told("WatchStreamDown", _west(each), 410, 459) for each in ("pods", "nodes")),
    *(Told("WatchStartErrors", _west(each, reason="connect"), 411, 473) for each in ("pods", "nodes")),
    *(Told("WatchUncovered", _west(each), 410, 518) for each in ("pods", "nodes")),
    # What else there is to go wrong.
    Told("WatchLatencyUnknown", _west("pods"), 585, 653),
    Told("WatchStreamSilent", _east(12, "widgets"), 335, 389),
    Told("WatchForcedCloses", _east(10, "pods"), 330, 394),
    Told("WatchRelistStorm", _east(11, "nodes"), 320, 374),
    Told("WatchDiscoveryErrors", _west(reason="forbidden"), 733, 771),
    Told("WatchCustomResourcesLeftOut", _west(), 1110, 1159),
    Told("WatchCanariesLost", _east(10, "pods"), 529, 595),
    Told("WatchEvidenceContradictory", _east(11, "nodes", source="managed_fields"), 627, 707),
    Told("WatchClockContradictory", _east(12), 611, 672),
    Told("WatchsloLagging", _east(instance=FIRST_OF_EAST), 678, 731),
    Told("WatchsloMemory", _east(instance=FIRST_OF_EAST), 1015, 1059),
    Told("WatchsloShardAbsent", _west(shards="2"), 910, 929),
    Told("WatchsloAbsent", _west(), 1210, MINUTES),
)

# What somebody else's rules made of their own SLO, with Sloth; and a program that is none of ours.
PAYMENTS = 'sloth_id="payments-requests", sloth_service="payments", sloth_slo="requests"'
FOREIGN: dict[str, Values] = {
    f"payments:objective{{{PAYMENTS}}}": [0.9999] * (MINUTES + 1),
    'process_resident_memory_bytes{cluster="east", job="cache", instance="10.1.0.1:9100"}': [9e9] * (MINUTES + 1),
}
FOREIGN_RULES = f"""
groups:
  - name: other-teams
    rules:
      - alert: Watchdog
        expr: vector(1)
        labels: {{severity: none}}
      - alert: WatchtowerDown
        expr: vector(1)
        labels: {{severity: critical, job: watchslo, cluster: east}}
      - record: slo:objective:ratio
        expr: payments:objective{{{PAYMENTS}}}
      - record: slo:error_budget:ratio
        expr: 1 - payments:objective{{{PAYMENTS}}}
      - record: slo:sli_error:ratio_rate5m
        expr: payments:objective{{{PAYMENTS}}} * 0 + 0.00002
        labels: {{sloth_window: 5m}}
"""


def series() -> dict[str, Values]:
    """All series of the day, by what selects them."""
    moved, back = REPLICA_MOVED
    gone, again = SHARD_GONE
    found: dict[str, Values] = dict(FOREIGN)
    for target in (
        Exporter("east", "10.1.0.1", node="a", apiservers=EAST, resources=RESOURCES),
        Exporter("east", "10.1.0.2", node="b", apiservers=EAST, resources=RESOURCES, until=moved),
        Exporter("east", "10.1.0.3", node="c", apiservers=EAST, resources=RESOURCES, since=back),
        Exporter("west", "10.2.0.1", node="a", apiservers=WEST, resources=("pods",), shard=0, until=WEST_ENDS),
        Exporter("west", "10.2.0.2", node="b", apiservers=WEST, resources=("nodes",), shard=1, until=gone),
        Exporter(
            "west", "10.2.0.3", node="c", apiservers=WEST, resources=("nodes",), shard=1, since=again, until=WEST_ENDS
        ),
    ):
        found.update(target.series())
    return found


class Exporter:
    """One that is scraped from a minute of the day to another."""

    def __init__(
        self,
        cluster: str,
        address: str,
        *,
        node: str,
        apiservers: list[str],
        resources: tuple[str, ...],
        shard: int | None = None,
        since: int = 0,
        until: int = MINUTES + 1,
    ) -> None:
        self._cluster = cluster
        self._first = (cluster, node) in {("east", "a"), ("west", "a")}
        self._labels = f'cluster="{cluster}", job="watchslo", instance="{address}:9985", node="{node}"'
        self._apiservers = apiservers
        self._resources = resources
        self._shard = shard
        self._since = since
        self._until = until

    def series(self) -> dict[str, Values]:
        """What it exports."""
        return {f"{name}{{{self._labels}{labels}}}": self._seen(values) for name, labels, values in self._all()}

    def _seen(self, values: Values) -> Values:
        ends = ["stale"] if self._until <= MINUTES else []
        return ["_"] * self._since + [*values[self._since : self._until]] + ends

    def _all(self) -> Iterator[tuple[str, str, Values]]:
        yield "watchslo_build_info", ', version="0.1.0"', _level(1)
        yield "watchslo_objective_ratio", "", _level(0.99)
        yield "watchslo_threshold_seconds", "", _level(1)
        yield "watchslo_shards", "", _level(1 if self._shard is None else 2)
        yield "watchslo_shard_index", "", _level(self._shard or 0)
        east, west = self._cluster == "east" and self._first, self._cluster == "west" and self._first
        if east:
            found = (
                ', apiserver="192.168.1.10:6443", group="", resource="pods", fault="cache_behind", certainty="shown"'
            )
            yield "watchslo_fault", found, _level(0, (100, 200, 1))
        yield "process_resident_memory_bytes", "", _level(6e7, *([(1000, 1060, 5e8)] if east else []))
        yield "watchslo_custom_resources_left_out", "", _level(0, *([(1100, 1160, 3)] if west else []))
        late = [(660, 720, 5700.0)] if east else []
        yield "watchslo_loop_lag_seconds_bucket", ', le="0.1"', _total(6000, *late)
        yield "watchslo_loop_lag_seconds_count", "", _total(6000)
        forbidden = [(720, 760, 2.0)] if west else []
        yield "watchslo_discovery_errors_total", ', reason="forbidden"', _total(0, *forbidden)
        for apiserver in self._apiservers:
            stepped = [(600, 620, 0.0)] if apiserver == EAST[2] else []
            yield "watchslo_date_evidence_enabled", f', apiserver="{apiserver}"', _level(1, *stepped)
        for apiserver, resource in product(self._apiservers, self._resources):
            labels = f', apiserver="{apiserver}", group="", resource="{resource}"'
            for name, more, values in self._watch(apiserver, resource):
                yield name, labels + more, values

    def _watch(self, apiserver: str, resource: str) -> Iterator[tuple[str, str, Values]]:
        def if_it_is(cluster: str, number: int, of: str, *growths: Growth) -> tuple[Growth, ...]:
            return growths if (self._cluster, apiserver, resource) == (cluster, f"192.168.1.{number}:6443", of) else ()

        outage: tuple[Growth, ...] = ((*OUTAGE, 0),) if self._cluster == "west" else ()
        late: tuple[Growth, ...] = ((*STALL, EVENTS),) if self._cluster == "east" else ()
        late += if_it_is("east", 10, "pods", (*APART, EVENTS * 0.08))
        yield "watchslo_events_judged_total", ', verdict="late"', _total(0, *late)
        on_time = [(begin, end, EVENTS - growth) for begin, end, growth in late]
        yield "watchslo_events_judged_total", ', verdict="on_time"', _total(EVENTS, *on_time, *outage)
        yield "watchslo_events_judged_total", ', verdict="ambiguous"', _total(0)
        unknown = if_it_is("west", 10, "pods", (*UNKNOWN, 1))
        for state in STATES:
            without = [(*UNKNOWN, 0)] if unknown else []
            levels = {"met": _level(1, *without), "unknown": _level(0, *unknown)}
            yield "watchslo_slo_state", f', state="{state}"', levels.get(state, _level(0))
        yield "watchslo_p99_lower_seconds", "", _level(0.01, *[(begin, end, 3) for begin, end, _ in late])
        yield "watchslo_p99_upper_seconds", "", _level(0.03, *[(begin, end, 4) for begin, end, _ in late])
        yield "watchslo_stream_up", "", _level(1, *outage)
        yield "watchslo_uncovered_seconds_total", "", _total(0, *[(*OUTAGE, 60.0) for _ in outage])
        connect = [(*OUTAGE, 10.0) for _ in outage]
        yield "watchslo_init_events_errors_total", ', reason="connect"', _total(0, *connect)
        silent = if_it_is("east", 12, "widgets", (300, 360, 0.1))
        yield "watchslo_watch_ends_total", ', reason="silent"', _total(0, *silent)
        closes = if_it_is("east", 10, "pods", (300, 360, 0.2))
        yield "watchslo_forced_closes_total", "", _total(0, *closes)
        relists = if_it_is("east", 11, "nodes", (300, 360, 0.2))
        yield "watchslo_relists_total", ', reason="gone"', _total(0, *relists)
        # All day one apiserver loses half a percent of the writes that the three take; for an hour another loses more.
        losses = if_it_is("east", 11, "pods", (0, MINUTES, 0.3)) + if_it_is("east", 10, "pods", (500, 560, 1.5))
        yield "watchslo_canary_lost_total", "", _total(0, *losses)
        yield "watchslo_canary_writes_total", "", _total(60 / len(self._apiservers))
        forged = if_it_is("east", 11, "nodes", (600, 660, 6))
        yield "watchslo_contradictions_total", ', source="managed_fields"', _total(0, *forged)
        yield "watchslo_evidence_total", ', source="managed_fields"', _total(EVENTS)


def _level(value: float, *others: Growth) -> Values:
    return [_at(minute, value, others) for minute in range(MINUTES + 1)]


def _total(growth: float, *others: Growth) -> Values:
    values = [1000.0]
    for minute in range(MINUTES):
        values.append(round(values[-1] + _at(minute, growth, others), 6))
    return values


def _at(minute: int, usual: float, others: tuple[Growth, ...]) -> float:
    return next((value for begin, end, value in others if begin <= minute < end), usual)
