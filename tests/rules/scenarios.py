"""For every alert: it fires, with these labels; not before its `for`; not just below; not without data."""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.rules.promtool import Labels, Scenario, Values

MINUTE = 60
"""Prometheus scrapes once in this time in all scenarios: the slowest that the rules are for."""

TARGET = 'cluster="east", job="watchslo", instance="10.0.0.1:9985", pod="watchslo-0"'
OTHER_REPLICA = 'cluster="east", job="watchslo", instance="10.0.0.2:9985", pod="watchslo-1"'
OF_TARGET = {"cluster": "east", "job": "watchslo"}
OF_CLUSTER = OF_TARGET
OF_PODS = {**OF_TARGET, "resource": "pods"}
STREAM = 'apiserver="10.0.0.8:6443", group="", resource="pods"'
OF_STREAM = {**OF_TARGET, "apiserver": "10.0.0.8:6443", "resource": "pods"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Burning:
    """What the issue asks for, not what the generator says: two pairs of windows, in minutes, and their factors."""

    severity: str
    fast: float
    fast_long: int
    fast_short: int
    slow: float
    slow_long: int
    hold: int
    tick: int


BURNING = (
    Burning(severity="critical", fast=14.4, fast_long=60, fast_short=5, slow=6, slow_long=360, hold=2, tick=1),
    Burning(severity="warning", fast=3, fast_long=24 * 60, fast_short=120, slow=1, slow_long=72 * 60, hold=60, tick=10),
)


def total(*increments: tuple[float, int]) -> Values:
    """A counter: (growth in each step, steps). It is far from 0, where Prometheus would expect it to have begun."""
    values = [1_000_000.0]
    for growth, steps in increments:
        values += [round(values[-1] + growth * step, 6) for step in range(1, steps + 1)]
    return values


def gauge(*levels: tuple[float | str, int]) -> Values:
    """A gauge: (value, steps)."""
    return [value for value, steps in levels for _ in range(steps)]


def judged(
    late: Values, on_time: Values, ambiguous: Values | None = None, *, target: str = TARGET, stream: str = STREAM
) -> dict[str, Values]:
    """The events of one stream by verdict, and the objective of whom they are of."""
    verdicts = {"late": late, "on_time": on_time, "ambiguous": ambiguous or [0.0] * len(late)}
    events: dict[str, Values] = {
        f'watchslo_events_judged_total{{{target}, {stream}, verdict="{verdict}"}}': values
        for verdict, values in verdicts.items()
    }
    return {**events, f"watchslo_objective_ratio{{{target}}}": [0.99] * len(late)}


def steadily(percent: float, steps: int, per_step: float = 1000, *, stream: str = STREAM) -> dict[str, Values]:
    """Events of one stream of which this share is late all the time."""
    late = per_step * percent / 100
    return judged(total((late, steps)), total((per_step - late, steps)), stream=stream)


def late_in_between(
    good: int, bad: int, good_again: int = 0, *, percent: float = 100, before: float = 1000
) -> dict[str, Values]:
    """Events on time, `before` of them in each step, then in that share late, then on time again."""
    late, on_time = percent * 10, (100 - percent) * 10
    return judged(
        total((0, good), (late, bad), (0, good_again)), total((before, good), (on_time, bad), (1000, good_again))
    )


class Alert:
    """Writes the scenarios of one alert."""

    def __init__(self, key: str, severity: str = "warning", tick: int = 1) -> None:
        self._key = key
        self._tick = tick
        self._labels = {"alertname": key.split("-", maxsplit=1)[0], "severity": severity}

    def pending(self, of: Labels = OF_STREAM) -> list[Labels]:
        """One alert about `of`, not for long enough yet."""
        return [{**self._labels, "alertstate": "pending", **of}]

    def firing(self, of: Labels = OF_STREAM) -> list[Labels]:
        """One alert about `of`."""
        return [{**self._labels, "alertstate": "firing", **of}]

    def scenario(self, name: str, series: dict[str, Values], expected: dict[int, list[Labels]]) -> Scenario:
        """A scenario of this alert."""
        return Scenario(
            name=name, alert=self._key, step_seconds=MINUTE, tick=self._tick, series=series, expected=expected
        )


def _burn(rates: Burning, *, of_cluster: bool) -> Iterator[Scenario]:
    """The rates need two samples, so what is true from the start is true in step 1."""
    key = f"WatchLatency{'Cluster' if of_cluster else ''}BudgetBurn-{rates.severity}"
    alert = Alert(key, rates.severity, rates.tick)
    of = OF_CLUSTER if of_cluster else OF_PODS
    tick, hold, slow = rates.tick, rates.hold, rates.slow
    end = hold + 3 * tick
    yield alert.scenario(
        "above the slow factor it fires, but not before its time",
        steadily(slow * 1.02, end),
        {tick: alert.pending(of), hold: alert.pending(of), hold + tick: alert.firing(of)},
    )
    yield alert.scenario("just below the slow factor nothing happens", steadily(slow * 0.98, end), {end: []})

    # A long good time with many events keeps the slow pair out of it.
    good, bad = rates.slow_long, rates.fast_long + 6 * tick + hold
    over = good + bad + rates.fast_short + 6 * tick
    yield alert.scenario(
        "above the fast factor in both windows it fires, until the short one is below",
        late_in_between(good, bad, rates.fast_short + 10 * tick, percent=rates.fast * 1.3, before=5000),
        {good + rates.fast_short + 10 * tick: [], good + bad: alert.firing(of), over: []},
    )
    yield alert.scenario(
        "just below the fast factor nothing happens",
        late_in_between(good, bad, percent=rates.fast * 0.98, before=5000),
        {good + bad: []},
    )
    full, few = rates.slow_long + end, 50 / rates.slow_long
    yield alert.scenario("fewer than 50 events wake nobody", steadily(100, full, few * 0.97), {full: []})
    yield alert.scenario("fifty events do", steadily(100, full, few * 1.03), {full: alert.firing(of)})
    yield alert.scenario(
        "ambiguous events never page", judged(total((0, end)), total((0, end)), total((1000, end))), {end: []}
    )
    yield alert.scenario(
        "ambiguous events dilute: the share is the certain, lower one",
        judged(total((slow * 10, end)), total((0, end)), total((1000 - slow * 9.8, end))),
        {end: []},
    )
    yield alert.scenario("without events nothing happens", steadily(0, end, 0), {end: []})
    yield alert.scenario("without series nothing happens", {}, {end: []})


def _burn_of_several(rates: Burning, *, of_cluster: bool) -> Iterator[Scenario]:
    """Two replicas watch the pods of one apiserver; another one has most of the pods, and the nodes."""
    key = f"WatchLatency{'Cluster' if of_cluster else ''}BudgetBurn-{rates.severity}"
    alert = Alert(key, rates.severity, rates.tick)
    end = rates.hold + 3 * rates.tick
    pods, nodes = (f'apiserver="10.0.0.9:6443", group="", resource="{resource}"' for resource in ("pods", "nodes"))
    of, all_events, parts = (OF_CLUSTER, 5000, 4) if of_cluster else (OF_PODS, 4000, 3)
    for name, share, expected in (
        ("what apiservers and replicas saw is summed before it is divided", 1.02, alert.firing(of)),
        ("what any of them saw on time counts", 0.98, []),
    ):
        late = all_events * rates.slow / 100 * share / parts

        def seen(events: float, late: float = late, **by: str) -> dict[str, Values]:
            return judged(total((late, end)), total((events - late, end)), **by)

        of_nodes = seen(1000, stream=nodes) if of_cluster else steadily(0, end, stream=nodes)
        series = {**seen(500), **seen(500, target=OTHER_REPLICA), **seen(3000, stream=pods), **of_nodes}
        yield alert.scenario(name, series, {end: expected})

    ten = [1_000_000.0] * 8 + [1_000_010.0] * 30
    six_times = {
        name: values
        for target in (TARGET, OTHER_REPLICA)
        for number in range(3)
        for name, values in judged(
            ten, [0.0] * len(ten), target=target, stream=f'apiserver="10.0.0.{number}:6443", group="", resource="pods"'
        ).items()
    }
    yield alert.scenario("ten events that three apiservers and two replicas saw are ten", six_times, {30: []})
    yield alert.scenario(
        "each cluster has its own objective, and labels that somebody adds to targets change nothing",
        {
            **judged(total((rates.slow * 1.02, end)), total((1000, end)), target=f'{TARGET}, node="a"'),
            f'watchslo_objective_ratio{{{TARGET}, node="a"}}': [0.999] * (end + 1),
            **judged(total((rates.slow * 1.02, end)), total((1000, end)), target=TARGET.replace("east", "west")),
        },
        {end: alert.firing(of)},
    )
    nowhere, without = 'job="watchslo", instance="10.0.0.1:9985"', {k: v for k, v in of.items() if k != "cluster"}
    yield alert.scenario(
        "without a cluster label it speaks of the job",
        judged(total((rates.slow * 10.2, end)), total((1000 - rates.slow * 10.2, end)), target=nowhere),
        {end: alert.firing(without)},
    )


def _objective() -> Iterator[Scenario]:
    alert = Alert("WatchLatencyObjectiveMissed")
    of = OF_PODS
    yield alert.scenario(
        "above 1 % it fires, but not before its time",
        steadily(1.02, 17),
        {1: alert.pending(of), 15: alert.pending(of), 16: alert.firing(of)},
    )
    yield alert.scenario("just below 1 % nothing happens", steadily(0.98, 17), {2: [], 17: []})
    yield alert.scenario("it ends when the window is clean", late_in_between(5, 5, 5), {13: alert.pending(of), 14: []})
    yield alert.scenario("fewer than 50 events say nothing", steadily(100, 10, 9.7), {10: []})
    yield alert.scenario("fifty events do", steadily(100, 10, 10.3), {10: alert.pending(of)})
    yield alert.scenario("without events nothing happens", steadily(0, 10, 0), {10: []})


def _apart() -> Iterator[Scenario]:
    alert = Alert("WatchLatencyApiserverApart")
    other = 'apiserver="10.0.0.9:6443", group="", resource="pods"'
    third = 'apiserver="10.0.0.10:6443", group="", resource="pods"'
    nodes = 'apiserver="10.0.0.9:6443", group="", resource="nodes"'

    def together(late: float, others_late: float, per_step: float = 1000) -> dict[str, Values]:
        others = {
            **steadily(others_late, 33, per_step, stream=other),
            **steadily(others_late, 33, per_step, stream=third),
        }
        return {**steadily(late, 33), **others, **steadily(50, 33, stream=nodes)}

    yield alert.scenario(
        "one late apiserver among others on time fires, but not before its time",
        together(6.1, 0.98),
        {1: alert.pending(), 15: alert.pending(), 16: alert.firing()},
    )
    yield alert.scenario("just below 6 % nothing happens", together(5.9, 0), {1: [], 30: []})
    yield alert.scenario("where the others are late too it is not apart", together(50, 1.02), {1: [], 30: []})
    yield alert.scenario("others with hardly any events prove nothing", together(50, 0, 0.7), {1: [], 33: []})
    yield alert.scenario("others with 50 events do", together(50, 0, 0.9), {33: alert.pending()})
    yield alert.scenario("an only apiserver is not apart", steadily(50, 30), {1: [], 30: []})
    yield alert.scenario("without events nothing happens", steadily(0, 30, 0), {30: []})
    yield alert.scenario(
        "it ends when the short window is clean",
        {**late_in_between(1, 30, 10), **steadily(0, 41, stream=other)},
        {30: alert.firing(), 34: alert.firing(), 36: []},
    )
    yield alert.scenario(
        "two bad minutes that are over never fire",
        {**late_in_between(30, 2, 33), **steadily(0, 65, stream=other)},
        {35: alert.pending(), 37: [], 42: [], 47: [], 57: []},
    )


def _state(unknown: Values, quiet: Values, *, target: str = TARGET) -> dict[str, Values]:
    return {
        f'watchslo_slo_state{{{target}, {STREAM}, state="unknown"}}': unknown,
        f'watchslo_slo_state{{{target}, {STREAM}, state="quiet"}}': quiet,
    }


def _unknown() -> Iterator[Scenario]:
    alert = Alert("WatchLatencyUnknown")
    no = gauge((0, 80))
    yield alert.scenario(
        "unknown for long fires, but not before its time",
        _state(gauge((1, 40)), no),
        {1: alert.pending(), 29: alert.pending(), 31: alert.firing()},
    )
    yield alert.scenario(
        "unknown for more than half of the window is long",
        _state(gauge((0, 30), (1, 50)), no),
        {44: [], 46: alert.pending()},
    )
    yield alert.scenario("quiet is not unknown", _state(no, gauge((1, 80))), {1: [], 40: []})
    yield alert.scenario(
        "what one replica knows is known",
        {**_state(gauge((1, 80)), no), **_state(no, no, target=OTHER_REPLICA)},
        {1: [], 70: []},
    )
    yield alert.scenario(
        "a replica that died does not hide it",
        {**_state(gauge((1, 80)), no), **_state(gauge((0, 20), ("stale", 1)), no, target=OTHER_REPLICA)},
        {36: alert.pending()},
    )
    yield alert.scenario("without series nothing happens", {}, {8: []})


def _down() -> Iterator[Scenario]:
    alert = Alert("WatchStreamDown")
    up, other = (f"watchslo_stream_up{{{target}, {STREAM}}}" for target in (TARGET, OTHER_REPLICA))
    yield alert.scenario(
        "a stream that is down fires, but not before its time",
        {up: gauge((0, 12)), other: gauge((0, 12))},
        {0: alert.pending(), 9: alert.pending(), 10: alert.firing()},
    )
    yield alert.scenario("a stream that is up is in order", {up: gauge((1, 12))}, {11: []})
    yield alert.scenario("one replica is enough", {up: gauge((0, 12)), other: gauge((1, 12))}, {1: [], 11: []})
    yield alert.scenario("without series nothing happens", {}, {11: []})


def _cluster_down() -> Iterator[Scenario]:
    alert = Alert("WatchClusterDown", "critical")
    pods, nodes = (
        f'watchslo_stream_up{{{TARGET}, apiserver="10.0.0.8:6443", group="", resource="{resource}"}}'
        for resource in ("pods", "nodes")
    )
    west = pods.replace("east", "west")
    yield alert.scenario(
        "with all streams of a cluster down it fires, but not before its time",
        {pods: gauge((1, 2), (0, 9)), nodes: gauge((0, 11)), west: gauge((1, 11))},
        {1: [], 2: alert.pending(OF_CLUSTER), 6: alert.pending(OF_CLUSTER), 7: alert.firing(OF_CLUSTER)},
    )
    yield alert.scenario("one stream that is up is enough", {pods: gauge((0, 9)), nodes: gauge((1, 9))}, {1: [], 8: []})
    yield alert.scenario("without series nothing happens", {}, {8: []})


def _coverage(rates: Burning) -> Iterator[Scenario]:
    alert = Alert(f"WatchCoverageBudgetBurn-{rates.severity}", rates.severity, rates.tick)

    def uncovered(seconds: Values, **of: str) -> dict[str, Values]:
        stream = f'apiserver="{of.get("apiserver", "a")}", group="", resource="{of.get("resource", "pods")}"'
        return {f"watchslo_uncovered_seconds_total{{{of.get('target', TARGET)}, {stream}}}": seconds}

    good, per_minute = rates.slow_long, 0.6
    bad = rates.fast_long + 6 * rates.tick + rates.hold
    above, below = (total((0, good), (rates.fast * per_minute * by, bad)) for by in (1.02, 0.98))
    yield alert.scenario(
        "above the fast factor it fires, not after a moment of it",
        uncovered(above),
        {good + rates.fast_short + 10 * rates.tick: [], good + bad: alert.firing(OF_CLUSTER)},
    )
    yield alert.scenario("just below the fast factor nothing happens", uncovered(below), {good + rates.fast_long: []})
    slow = good + rates.hold + 10 * rates.tick
    above, below = (total((rates.slow * per_minute * by, slow)) for by in (1.03, 0.98))
    yield alert.scenario("above the slow factor it fires", uncovered(above), {slow: alert.firing(OF_CLUSTER)})
    yield alert.scenario("just below the slow factor nothing happens", uncovered(below), {slow: []})
    whole = total((60, 30))
    yield alert.scenario(
        "what is watched on another apiserver, or by another replica, is covered",
        uncovered(whole)
        | uncovered(total((0, 30)), apiserver="b")
        | uncovered(whole, resource="nodes")
        | uncovered(total((0, 30)), resource="nodes", target=OTHER_REPLICA),
        {30: []},
    )
    yield alert.scenario("without series nothing happens", {}, {30: []})


def _left_out() -> Iterator[Scenario]:
    alert = Alert("WatchCustomResourcesLeftOut")
    one, other = (f"watchslo_custom_resources_left_out{{{target}}}" for target in (TARGET, OTHER_REPLICA))
    yield alert.scenario(
        "one that is left out fires, but not before its time",
        {one: gauge((1, 12)), other: gauge((1, 12))},
        {0: alert.pending(OF_CLUSTER), 9: alert.pending(OF_CLUSTER), 10: alert.firing(OF_CLUSTER)},
    )
    yield alert.scenario("none is in order", {one: gauge((0, 12))}, {11: []})
    yield alert.scenario("without series nothing happens", {}, {11: []})


def _counts(
    key: str, family: str, *, window_steps: int, hold_steps: int, fewest: int, counted: str = "", not_counted: str = ""
) -> Iterator[Scenario]:
    """An alert about `fewest` of something within a window: one comes every second step, then no more."""
    alert = Alert(key)
    of = OF_STREAM
    series, other = (
        f"{family}{{{target}, {STREAM}{', ' if counted else ''}{counted}}}" for target in (TARGET, OTHER_REPLICA)
    )

    def once_in_two_steps(count: int, steps: int) -> Values:
        return [min((step + 1) // 2, count) for step in range(steps)]

    at = 2 * fewest - 1
    end = window_steps + 3
    yield alert.scenario(
        f"{fewest} in the window fire, but not before their time",
        {series: once_in_two_steps(fewest, at + hold_steps + 1)},
        {at - 1: [], at: alert.pending(of), at + hold_steps - 1: alert.pending(of), at + hold_steps: alert.firing(of)},
    )
    yield alert.scenario("one less does not", {series: once_in_two_steps(fewest - 1, end)}, {at: [], end - 4: []})
    yield alert.scenario(
        "it ends when the first of them is out of the window",
        {series: once_in_two_steps(fewest, end)},
        {window_steps - 1: alert.firing(of), window_steps + 1: []},
    )
    yield alert.scenario(
        "what two replicas saw is not counted twice",
        {series: once_in_two_steps(fewest - 1, at + 4), other: once_in_two_steps(fewest - 1, at + 4)},
        {at + 3: []},
    )
    if not_counted:
        yield alert.scenario(
            f"{not_counted} does not count",
            {f"{family}{{{TARGET}, {STREAM}, {not_counted}}}": once_in_two_steps(3 * fewest, 6 * fewest)},
            {6 * fewest - 1: []},
        )
    yield alert.scenario("without series nothing happens", {}, {end: []})


def _errors(key: str, family: str, more: str, of: Labels) -> Iterator[Scenario]:
    """An alert about failures by reason."""
    alert = Alert(key)
    one, other = (f'{family}{{{target}, {more}reason="forbidden"}}' for target in (TARGET, OTHER_REPLICA))
    of = {**of, "reason": "forbidden"}
    yield alert.scenario(
        "five in 15 minutes, for as long as they go on, fire, but not before their time",
        {one: total((0.35, 26), (0, 3))},
        {13: [], 14: alert.pending(of), 23: alert.pending(of), 24: alert.firing(of), 28: []},
    )
    yield alert.scenario("just below nothing happens", {one: total((0.32, 40))}, {15: [], 40: []})
    yield alert.scenario(
        "what two replicas saw is not counted twice", {one: total((0.3, 30)), other: total((0.3, 30))}, {30: []}
    )
    yield alert.scenario("without series nothing happens", {}, {15: []})


def _shares(
    key: str, above: dict[str, Values], below: dict[str, Values], hold_steps: int, of: Labels = OF_STREAM
) -> Iterator[Scenario]:
    """An alert about a steady share."""
    alert = Alert(key)
    yield alert.scenario(
        "above the share it fires, but not before its time",
        above,
        {1: alert.pending(of), hold_steps: alert.pending(of), hold_steps + 1: alert.firing(of)},
    )
    yield alert.scenario("just below it nothing happens", below, {1: [], hold_steps + 1: []})
    yield alert.scenario("without series nothing happens", {}, {hold_steps + 1: []})


def _uncovered() -> Iterator[Scenario]:
    alert = Alert("WatchUncovered")
    one, other = (f"watchslo_uncovered_seconds_total{{{target}, {STREAM}}}" for target in (TARGET, OTHER_REPLICA))
    yield alert.scenario(
        "above the share it fires, but not before its time",
        {one: total((3.06, 80))},
        {58: [], 61: alert.pending(), 67: alert.firing()},
    )
    yield alert.scenario("just below it nothing happens", {one: total((2.94, 80))}, {80: []})
    yield alert.scenario(
        "more than three minutes of an hour are too long, until they are over for an hour",
        {one: total((0, 62), (60, 4), (0, 70))},
        {64: [], 69: alert.pending(), 122: alert.firing(), 131: []},
    )
    yield alert.scenario("what one replica covered is covered", {one: total((30, 70)), other: total((0, 70))}, {70: []})
    yield alert.scenario(
        "a replica that died does not hide it",
        {one: total((0, 60), (15.6, 30)), other: [*total((0, 60)), "stale"]},
        {85: alert.firing()},
    )
    yield alert.scenario("without series nothing happens", {}, {70: []})


def _canaries() -> Iterator[Scenario]:
    key = "WatchCanariesLost"
    alert = Alert(key)

    def canaries(lost: Values, writes: Values, *, target: str = TARGET, stream: str = STREAM) -> dict[str, Values]:
        return {
            f"watchslo_canary_lost_total{{{target}, {stream}}}": lost,
            f"watchslo_canary_writes_total{{{target}, {stream}}}": writes,
        }

    sixty = total((60, 8))
    yield from _shares(key, canaries(total((0.62, 8)), sixty), canaries(total((0.58, 8)), sixty), 5)
    yield alert.scenario(
        "they are forgotten after an hour",
        canaries(total((0, 2), (60, 2), (0, 60)), total((60, 64))),
        {61: alert.firing(), 63: []},
    )
    yield alert.scenario(
        "replicas are summed before they are divided",
        canaries(total((0.62, 8)), sixty) | canaries(total((0, 8)), total((6, 8)), target=OTHER_REPLICA),
        {7: []},
    )
    three = [f'apiserver="10.0.0.{number}:6443", group="", resource="pods"' for number in (8, 9, 10)]
    for name, lost, expected in (
        ("of three apiservers one takes each write, and all bring it: half a percent is half a percent", 0.3, []),
        ("what one of three loses is a share of all writes", 0.62, alert.firing()),
    ):
        series = canaries(total((lost, 8)), total((20, 8)), stream=three[0])
        for stream in three[1:]:
            series |= canaries(total((0, 8)), total((20, 8)), stream=stream)
        yield alert.scenario(name, series, {7: expected})
    yield alert.scenario("a few canaries say nothing", canaries(total((1, 8)), total((6, 8))), {7: []})
    yield alert.scenario("without canaries nothing happens", canaries(total((0, 8)), total((0, 8))), {7: []})


def _evidence() -> Iterator[Scenario]:
    key = "WatchEvidenceContradictory"
    alert = Alert(key)
    of = {**OF_STREAM, "source": "managed_fields"}

    def evidence(contradictions: Values, said: Values, target: str = TARGET) -> dict[str, Values]:
        labels = f'{target}, {STREAM}, source="managed_fields"'
        others = f'{target}, {STREAM}, source="date"'
        return {
            f"watchslo_contradictions_total{{{labels}}}": contradictions,
            f"watchslo_evidence_total{{{labels}}}": said,
            f"watchslo_contradictions_total{{{others}}}": [0] * len(said),
            f"watchslo_evidence_total{{{others}}}": total((100_000, len(said) - 1)),
        }

    thousand = total((1000, 18))
    yield from _shares(key, evidence(total((10.2, 18)), thousand), evidence(total((9.8, 18)), thousand), 15, of)
    yield alert.scenario(
        "hardly any evidence says nothing, three hundred pieces do",
        evidence(total((0, 60), (30, 1), (0, 3)), total((4.95, 62), (60, 2))),
        {61: [], 63: alert.pending(of)},
    )
    yield alert.scenario(
        "it is forgotten after an hour",
        evidence(total((0, 2), (1000, 2), (0, 60)), total((1000, 64))),
        {61: alert.firing(of), 63: []},
    )
    yield alert.scenario(
        "replicas are summed before they are divided",
        evidence(total((10.2, 18)), thousand) | evidence(total((0, 18)), total((100, 18)), OTHER_REPLICA),
        {17: []},
    )
    yield alert.scenario(
        "contradictions without evidence are no share of anything", evidence(thousand, total((0, 18))), {17: []}
    )


def _clock() -> Iterator[Scenario]:
    alert = Alert("WatchClockContradictory")
    of = {**OF_TARGET, "apiserver": "10.0.0.8:6443"}
    one, other = (
        f'watchslo_date_evidence_enabled{{{target}, apiserver="10.0.0.8:6443"}}' for target in (TARGET, OTHER_REPLICA)
    )
    yield alert.scenario(
        "seven minutes of an hour fire, but not before their time",
        {one: gauge((1, 60), (0, 7), (1, 6)), other: gauge((1, 73))},
        {65: [], 66: alert.pending(of), 70: alert.pending(of), 71: alert.firing(of)},
    )
    yield alert.scenario("five minutes do not", {one: gauge((1, 60), (0, 5), (1, 5))}, {65: [], 69: []})
    yield alert.scenario(
        "it ends after an hour", {one: gauge((1, 60), (0, 7), (1, 60))}, {119: alert.firing(of), 121: []}
    )
    yield alert.scenario("a trusted clock is in order", {one: gauge((1, 9))}, {8: []})
    yield alert.scenario("without series nothing happens", {}, {8: []})


def _absent() -> Iterator[Scenario]:
    minutely = Alert("WatchsloAbsent")
    series = f'watchslo_build_info{{{TARGET}, version="0.1.0"}}'
    yield minutely.scenario(
        "one that never was there is missed, but not before its time",
        {},
        {0: minutely.pending({}), 9: minutely.pending({}), 10: minutely.firing({})},
    )
    yield minutely.scenario(
        "one that is gone is missed by its cluster and job, but not before its time",
        {series: gauge((1, 5), ("stale", 1))},
        {4: [], 5: minutely.pending(OF_TARGET), 14: minutely.pending(OF_TARGET), 15: minutely.firing(OF_TARGET)},
    )
    yield minutely.scenario("one that is there is in order", {series: gauge((1, 20))}, {19: []})
    yield minutely.scenario(
        "another pod with another version on another node is no loss",
        {
            series.replace("{", '{node="a", '): gauge((1, 5), ("stale", 1)),
            f'watchslo_build_info{{{OTHER_REPLICA}, version="0.2.0", node="b"}}': gauge(("_", 5), (1, 20)),
        },
        {6: [], 19: []},
    )
    yield minutely.scenario(
        "of two clusters the one that is gone is missed, for days",
        {
            series: gauge((1, 5), ("stale", 1)),
            series.replace('"east"', '"west"'): gauge((1, 3000)),
        },
        {19: minutely.firing(OF_TARGET), 24 * 60 + 20: minutely.firing(OF_TARGET), 2900: minutely.firing(OF_TARGET)},
    )
    yield minutely.scenario(
        "an only one is missed for days, as itself",
        {series: gauge((1, 2), ("stale", 1))},
        {24 * 60 + 2: minutely.firing(OF_TARGET), 2900: minutely.firing(OF_TARGET)},
    )


def _absent_shard() -> Iterator[Scenario]:
    alert = Alert("WatchsloShardAbsent")
    of_three, of_two = {**OF_TARGET, "shards": "3"}, {**OF_TARGET, "shards": "2"}

    def shards(*indexes: int, of: int, values: Values, target: str = "10.0.0") -> dict[str, Values]:
        """One exporter for each index; `values` are those of the last one, the others stay."""
        found: dict[str, Values] = {}
        for number, index in enumerate(indexes):
            labels = f'cluster="east", job="watchslo", instance="{target}.{number}:9985", pod="watchslo-{number}"'
            is_there = values if number == len(indexes) - 1 else gauge((1, len(values)))
            found[f"watchslo_shards{{{labels}}}"] = [one if one in {"_", "stale"} else of for one in is_there]
            found[f"watchslo_shard_index{{{labels}}}"] = [one if one in {"_", "stale"} else index for one in is_there]
        return found

    always, gone = gauge((1, 20)), gauge((1, 5), ("stale", 1), ("_", 14))
    yield alert.scenario(
        "one of three that is gone is missed, but not before its time",
        shards(0, 1, 2, of=3, values=gone),
        {4: [], 5: alert.pending(of_three), 14: alert.pending(of_three), 15: alert.firing(of_three)},
    )
    yield alert.scenario("three of three are in order", shards(0, 1, 2, of=3, values=always), {19: []})
    yield alert.scenario("two that are one are one", shards(0, 1, 1, of=3, values=always), {19: alert.firing(of_three)})
    yield alert.scenario("replicas that share nothing miss nobody", shards(0, 0, of=1, values=gone), {19: []})
    yield alert.scenario(
        "one that comes back elsewhere is there",
        shards(0, 1, of=2, values=gone)
        | {
            f"watchslo_{name}{{{OTHER_REPLICA}}}": gauge(("_", 7), (value, 13))
            for name, value in (("shards", 2), ("shard_index", 1))
        },
        {6: alert.pending(of_two), 8: [], 19: []},
    )


def _lagging() -> Iterator[Scenario]:
    key = "WatchsloLagging"
    alert = Alert(key)
    of = {**OF_TARGET, "instance": "10.0.0.1:9985"}

    def lag(in_time: Values, turns: Values) -> dict[str, Values]:
        return {
            f'watchslo_loop_lag_seconds_bucket{{{TARGET}, le="0.05"}}': [0] * len(turns),
            f'watchslo_loop_lag_seconds_bucket{{{TARGET}, le="0.1"}}': in_time,
            f'watchslo_loop_lag_seconds_bucket{{{TARGET}, le="0.25"}}': turns,
            f"watchslo_loop_lag_seconds_count{{{TARGET}}}": turns,
        }

    turns = total((6000, 18))
    yield from _shares(key, lag(total((5939, 18)), turns), lag(total((5941, 18)), turns), 15, of)
    yield alert.scenario(
        "it ends when the window is clean",
        lag(total((6000, 3), (0, 14), (6000, 15)), total((6000, 32))),
        {30: alert.firing(of), 31: []},
    )


def _memory() -> Iterator[Scenario]:
    alert = Alert("WatchsloMemory")
    of = {**OF_TARGET, "instance": "10.0.0.1:9985"}
    resident = f"process_resident_memory_bytes{{{TARGET}}}"
    ours = {f'watchslo_build_info{{{TARGET}, version="0.1.0"}}': gauge((1, 20))}
    mebibyte = 1024 * 1024
    yield alert.scenario(
        "above 400 MiB it fires, but not before its time",
        {resident: gauge((401 * mebibyte, 20)), **ours},
        {0: alert.pending(of), 14: alert.pending(of), 15: alert.firing(of)},
    )
    yield alert.scenario("just below nothing happens", {resident: gauge((399 * mebibyte, 20)), **ours}, {19: []})
    yield alert.scenario("other programs are nobody's business", {resident: gauge((401 * mebibyte, 20))}, {19: []})
    yield alert.scenario(
        "nor are they if they run beside it",
        {
            resident: gauge((401 * mebibyte, 20)),
            **{name.replace("10.0.0.1", "10.0.0.7"): up for name, up in ours.items()},
        },
        {19: []},
    )
    yield alert.scenario("without series nothing happens", {}, {19: []})


SCENARIOS: tuple[Scenario, ...] = (
    *(
        scenario
        for rates in BURNING
        for of_cluster in (False, True)
        for scenarios in (_burn, _burn_of_several)
        for scenario in scenarios(rates, of_cluster=of_cluster)
    ),
    *_objective(),
    *_apart(),
    *_unknown(),
    *_down(),
    *_cluster_down(),
    *(scenario for rates in BURNING for scenario in _coverage(rates)),
    *_left_out(),
    *_uncovered(),
    *_counts(
        "WatchStreamSilent", "watchslo_watch_ends_total", window_steps=60, hold_steps=5, fewest=3,
        counted='reason="silent"', not_counted='reason="timeout"',
    ),
    *_counts("WatchForcedCloses", "watchslo_forced_closes_total", window_steps=60, hold_steps=5, fewest=5),
    *_counts(
        "WatchRelistStorm", "watchslo_relists_total", window_steps=30, hold_steps=5, fewest=3,
        counted='reason="gone"', not_counted='reason="start"',
    ),
    *_errors("WatchStartErrors", "watchslo_init_events_errors_total", f"{STREAM}, ", OF_STREAM),
    *_errors("WatchDiscoveryErrors", "watchslo_discovery_errors_total", "", OF_TARGET),
    *_canaries(),
    *_evidence(),
    *_clock(),
    *_absent(),
    *_absent_shard(),
    *_lagging(),
    *_memory(),
)  # fmt: skip
