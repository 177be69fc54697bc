"""The alerts. Only what users feel wakes somebody up; what makes the answer less certain becomes a ticket."""

import textwrap
from collections.abc import Callable, Iterable, Iterator

from deploy.generator.objective import BURN_RATES, EVALUATION, FEWEST_EVENTS, RATE_WINDOW, Burn, BurnRates, Settings
from deploy.generator.recordings import (
    BUDGET,
    CLUSTER,
    LAST_SEEN,
    RESOURCE,
    UNCOVERED,
    WATCH,
    distinct,
    distinct_rate,
    in_all,
    judged_rate,
    late_rate,
    late_ratio,
    uncovered_ratio,
)
from deploy.generator.rules import Alert, Group, in_words, seconds_of

OF_RESOURCE = "{{ $labels.resource }}"
APISERVER = "{{ $labels.apiserver }}"
STREAM = f"{OF_RESOURCE} on {APISERVER}"
REASON = "{{ $labels.reason }}"
SOURCE = "{{ $labels.source }}"
INSTANCE = "{{ $labels.instance }}"
PERCENT = "{{ $value | humanizePercentage }}"
COUNT = '{{ $value | printf "%.0f" }}'
DURATION = "{{ $value | humanizeDuration }}"

TIMES_BUDGET = f"on ({CLUSTER}) group_left ()"
"""Before a factor of the budget: every series of a cluster is compared with that cluster's."""


def alert_groups(settings: Settings) -> tuple[Group, ...]:
    """The alerts' groups."""
    return (
        Group(
            name="watchslo-latency-alerts",
            comment=f"""\
                Burn rates over two windows: the budget of 30 days was burned too fast in a long window, and still is in
                a short one. Both shares count certainly late events only: ambiguous ones never page. Fewer than
                {FEWEST_EVENTS} different events in the long window are too few to say anything. Pairs of one severity
                are one alert.""",
            rules=(
                *(_burn("group_resource", rates) for rates in BURN_RATES),
                *(_burn("cluster", rates) for rates in BURN_RATES),
                _objective(),
                _apart(),
                _unknown(),
            ),
        ),
        Group(
            name="watchslo-coverage-alerts",
            comment="Time in which nothing could be watched: no event is late then, and nobody hears of any.",
            rules=(_cluster_down(), *(_coverage(rates, settings) for rates in BURN_RATES)),
        ),
        Group(name="watchslo-stream-alerts", comment="How the watches fare.", rules=tuple(_streams())),
        Group(
            name="watchslo-evidence-alerts", comment="Whether the evidence can be trusted.", rules=tuple(_evidence())
        ),
        Group(name="watchslo-exporter-alerts", comment="The exporter itself.", rules=tuple(_exporter(settings))),
    )


def _either(rates: BurnRates, conditions: Callable[[Burn], Iterable[str]]) -> str:
    """All that has to be true of a pair of windows, and the pairs joined, so that one alert stands for both."""
    pairs = (textwrap.indent("\nand\n".join(conditions(burn)), "  ") for burn in rates.burns)
    return "\nor\n".join(f"(\n{pair}\n)" for pair in pairs)


def _factors(rates: BurnRates) -> str:
    fast, slow = rates.burns
    times = "as fast as" if slow.factor == "1" else f"{slow.factor} times as fast as"
    return f"""\
        over {fast.factor} times as fast as the objective allows in the last {in_words(fast.long)}, or over {times} it
        allows in the last {in_words(slow.long)}, and still so in the last {in_words(fast.short)} or
        {in_words(slow.short)}"""


def _burn(level: str, rates: BurnRates) -> Alert:
    of_cluster = level == "cluster"
    whose = "all resources" if of_cluster else OF_RESOURCE

    def conditions(burn: Burn) -> Iterator[str]:
        for window in (burn.long, burn.short):
            yield f"{late_ratio(level, window)} > {TIMES_BUDGET} {burn.factor} * {BUDGET}"
        yield f"{distinct(level, burn.long)} >= {FEWEST_EVENTS}"

    return Alert(
        alert="WatchLatencyClusterBudgetBurn" if of_cluster else "WatchLatencyBudgetBurn",
        expr=_either(rates, conditions),
        hold=rates.hold,
        severity=rates.severity,
        says_why=True,
        summary=f"Watch events of {whose} are late: the error budget of 30 days lasts {rates.lasts} or less.",
        description=f"""\
            {PERCENT} of the watch events of {whose} certainly arrived too late. The error budget burns
            {_factors(rates)}.""",
    )


def _objective() -> Alert:
    window = RATE_WINDOW
    return Alert(
        alert="WatchLatencyObjectiveMissed",
        expr=f"""\
            {late_ratio("group_resource")} > {TIMES_BUDGET} {BUDGET}
            and
            {distinct_rate("group_resource")} * {seconds_of(window)} >= {FEWEST_EVENTS}""",
        hold="15m",
        severity="warning",
        says_why=True,
        summary=f"Latency objective of {OF_RESOURCE} missed for 15 minutes.",
        description=f"""\
            {PERCENT} of the watch events of {OF_RESOURCE} in the last {in_words(window)} certainly arrived too late,
            more than the objective allows.""",
        comment="The objective over the five minutes of Kubernetes' own watch latency SLI.",
    )


def _apart() -> Alert:
    window = "30m"
    late, judged = (
        [f"sum_over_time({rate(level)}[{window}])" for level in ("group_resource", "apiserver_group_resource")]
        for rate in (late_rate, judged_rate)
    )
    allowed = f"{TIMES_BUDGET} 6 * {BUDGET}"
    others = f"- on ({RESOURCE}) group_right ()"
    return Alert(
        alert="WatchLatencyApiserverApart",
        expr=f"""\
            {late[1]} / {judged[1]} > {allowed}
            and
            {late_ratio("apiserver_group_resource")} > {allowed}
            and on ({RESOURCE})
            {in_all(distinct_rate("group_resource"), window)} >= {FEWEST_EVENTS}
            and
            (
              {late[0]}
              {others}
              {late[1]}
            )
            /
            (
              {judged[0]}
              {others}
              {judged[1]}
              >= {FEWEST_EVENTS} / {seconds_of(EVALUATION)}
            )
            <= {TIMES_BUDGET} {BUDGET}""",
        hold="15m",
        severity="warning",
        says_why=True,
        summary=f"{APISERVER} delivers {OF_RESOURCE} late, the other apiservers do not.",
        description=f"""\
            {PERCENT} of the watch events of {OF_RESOURCE} from {APISERVER} in the last {in_words(window)} certainly
            arrived too late, and more than 6 times what the objective allows also in the last {in_words(RATE_WINDOW)}.
            The other apiservers together keep it: the cause is this one, or the way to it.""",
        comment="The others' events are all events less this one's. The short window ends it soon after the trouble.",
    )


def _unknown() -> Alert:
    return Alert(
        alert="WatchLatencyUnknown",
        expr=f'avg_over_time((min by ({WATCH}) (watchslo_slo_state{{state="unknown"}}))[30m:1m]) > 0.5',
        hold="30m",
        severity="warning",
        says_why=True,
        summary=f"Compliance of {STREAM} cannot be determined.",
        description=f"""\
            The state was unknown for {PERCENT} of the last 30 minutes: too many events are neither certainly late nor
            certainly on time, or events may be missing.""",
        comment="quiet is a state of its own: a resource with few events is in order. What one replica knows is known.",
    )


def _cluster_down() -> Alert:
    return Alert(
        alert="WatchClusterDown",
        expr=f"max by ({CLUSTER}) (watchslo_stream_up) == 0",
        hold="5m",
        severity="critical",
        says_why=True,
        summary="No watch is open, of any resource on any apiserver, for 5 minutes.",
        description="""\
            watchslo_stream_up is {{ $value }} for every watch. Either no apiserver can be watched, and controllers,
            schedulers and kubelets act on old state, or watchslo itself cannot reach them.""",
    )


def _coverage(rates: BurnRates, settings: Settings) -> Alert:
    def conditions(burn: Burn) -> Iterator[str]:
        for window in (burn.long, burn.short):
            yield f"{uncovered_ratio(window)} > {burn.factor} * (1 - {settings.coverage:g})"

    return Alert(
        alert="WatchCoverageBudgetBurn",
        expr=_either(rates, conditions),
        hold=rates.hold,
        severity=rates.severity,
        says_why=True,
        summary=f"Resources cannot be watched: the coverage budget of 30 days lasts {rates.lasts} or less.",
        description=f"""\
            {PERCENT} of the resources' time passed without an open watch on any apiserver. The budget burns
            {_factors(rates)}.""",
        comment="An objective of its own: a resource is watched on at least one apiserver in this share of time."
        if rates is BURN_RATES[0]
        else "",
    )


def _streams() -> Iterator[Alert]:
    yield Alert(
        alert="WatchStreamDown",
        expr=f"max by ({WATCH}) (watchslo_stream_up) == 0",
        hold="10m",
        severity="warning",
        summary=f"No watch of {STREAM} for 10 minutes.",
        description="""\
            watchslo_stream_up has been {{ $value }} for 10 minutes. Nothing is measured, and perhaps nobody on this
            path can watch.""",
    )
    yield Alert(
        alert="WatchStreamSilent",
        expr=f'max by ({WATCH}) (increase(watchslo_watch_ends_total{{reason="silent"}}[1h])) >= 3',
        hold="5m",
        severity="warning",
        summary=f"Watches of {STREAM} go silent.",
        description=f"""\
            {COUNT} watches in the last hour brought not even a bookmark for about 90 seconds and were given up. A
            client that does not look for that hangs on them.""",
    )
    yield Alert(
        alert="WatchUncovered",
        expr=f"{in_all(UNCOVERED, '1h')} > 180",
        hold="5m",
        severity="warning",
        summary=f"{STREAM} was not watched for minutes.",
        description=f"For {DURATION} of the last hour no watch was open. What was late then is in no other number.",
    )
    yield Alert(
        alert="WatchForcedCloses",
        expr=f"max by ({WATCH}) (increase(watchslo_forced_closes_total[1h])) >= 5",
        hold="5m",
        severity="warning",
        summary=f"Watches of {STREAM} are closed early.",
        description=f"""\
            {COUNT} watches in the last hour were ended by the other side before the time that was asked for. Informers
            on this path reconnect as often.""",
    )
    yield Alert(
        alert="WatchRelistStorm",
        expr=f"""\
            max by ({WATCH}) (
              sum without (reason) (increase(watchslo_relists_total{{reason!="start"}}[30m]))
            ) >= 3""",
        hold="5m",
        severity="warning",
        summary=f"Watches of {STREAM} cannot be resumed, again and again.",
        description=f"""\
            {COUNT} times in the last 30 minutes the last revision was gone, or the store's revision went back. Each
            time every informer on this path lists everything anew.""",
    )
    yield Alert(
        alert="WatchStartErrors",
        expr=f"max by ({WATCH}, reason) (increase(watchslo_init_events_errors_total[15m])) >= 5",
        hold="10m",
        severity="warning",
        summary=f"Watches of {STREAM} fail to start: {REASON}.",
        description=f"{COUNT} starts (LIST or WATCH) in the last 15 minutes failed before any other event: {REASON}.",
    )
    yield Alert(
        alert="WatchDiscoveryErrors",
        expr=f"max by ({CLUSTER}, reason) (increase(watchslo_discovery_errors_total[15m])) >= 5",
        hold="10m",
        severity="warning",
        summary=f"Discovery of apiservers or custom resources fails: {REASON}.",
        description=f"""\
            {COUNT} times in the last 15 minutes the apiservers or the custom resources could not be listed: {REASON}.
            What is not found is not watched.""",
    )
    yield Alert(
        alert="WatchCustomResourcesLeftOut",
        expr=f"max by ({CLUSTER}) (watchslo_custom_resources_left_out) > 0",
        hold="10m",
        severity="warning",
        summary=f"{COUNT} custom resources are not watched: --custom-resources.max is reached.",
        description=f"""\
            {COUNT} custom resources match --custom-resources and are beyond its maximum. Nothing is measured of
            them.""",
    )
    yield Alert(
        alert="WatchCanariesLost",
        expr=f"""\
            sum by ({WATCH}) (rate(watchslo_canary_lost_total[1h]))
            / on ({RESOURCE}) group_left ()
            (sum by ({RESOURCE}) (increase(watchslo_canary_writes_total[1h])) >= {FEWEST_EVENTS}) * 3600
            > 0.01""",
        hold="5m",
        severity="warning",
        summary=f"Canary writes not seen on the watch of {STREAM}.",
        description=f"{PERCENT} of the canaries of the last hour were accepted and not seen on the watch in time.",
        comment="A write counts where it is taken, and is awaited on every apiserver.",
    )


def _evidence() -> Iterator[Alert]:
    yield Alert(
        alert="WatchEvidenceContradictory",
        expr=f"""\
            sum by ({WATCH}, source) (increase(watchslo_contradictions_total[1h]))
            /
            (sum by ({WATCH}, source) (increase(watchslo_evidence_total[1h])) >= 300)
            > 0.01""",
        hold="15m",
        severity="warning",
        summary=f"Evidence of {SOURCE} about {STREAM} contradicts itself.",
        description=f"""\
            {PERCENT} of what {SOURCE} said in the last hour contradicts the other evidence and was left out. Now and
            then a stamp is forged or a clock is off; this is more.""",
        comment="A share, not a count: one forged stamp contradicts at each event of its object, for good.",
    )
    yield Alert(
        alert="WatchClockContradictory",
        expr=f"max by ({CLUSTER}, apiserver) (1 - avg_over_time(watchslo_date_evidence_enabled[1h])) > 0.1",
        hold="5m",
        severity="warning",
        summary=f"The clock of {APISERVER} contradicts itself.",
        description=f"""\
            For {PERCENT} of the last hour its Date headers were no evidence: the clock steps, or several servers answer
            at this address.""",
    )


def _exporter(settings: Settings) -> Iterator[Alert]:
    yield Alert(
        alert="WatchsloAbsent",
        expr=f"""\
            time() - ({LAST_SEEN} unless group by ({CLUSTER}) (watchslo_build_info))
            or
            absent({LAST_SEEN})""",
        hold="10m",
        severity="warning",
        summary="No watchslo target scraped for 10 minutes.",
        description="""\
            {{ if $labels.job }}The job {{ $labels.job }} was last scraped {{ $value | humanizeDuration }} ago.{{ else
            }}No job has ever been scraped ({{ $value }}).{{ end }} Nobody knows how late watches are.""",
        comment="Each cluster and job that was there is missed, for 30 days; or there was none at all.",
    )
    yield Alert(
        alert="WatchsloShardAbsent",
        expr=f"""\
            (
              max by ({CLUSTER}) (watchslo_shards)
              -
              count by ({CLUSTER}) (count_values by ({CLUSTER}) ("shard", watchslo_shard_index))
              > 0
            )
            * on ({CLUSTER}) group_right ()
            count_values by ({CLUSTER}) ("shards", max by ({CLUSTER}) (watchslo_shards))""",
        hold="10m",
        severity="warning",
        summary=f"{COUNT} of {{{{ $labels.shards }}}} watchslo shards are missing.",
        description=f"""\
            {COUNT} of the {{{{ $labels.shards }}}} exporters that share the watches (--shard) are not scraped. What
            falls to them is not watched, and shows in no other number.""",
    )
    turns = f"sum by ({CLUSTER}, instance) (rate(watchslo_loop_lag_seconds_"
    yield Alert(
        alert="WatchsloLagging",
        expr=f"""\
            1
            -
            {turns}bucket{{le="0.1"}}[15m]))
            /
            {turns}count[15m]))
            > 0.01""",
        hold="15m",
        severity="warning",
        summary=f"Event-loop iterations delayed over 0.1 s: watchslo at {INSTANCE} is short of CPU.",
        description=f"""\
            {PERCENT} of the iterations in the last 15 minutes were delayed over 0.1 s. That makes events ambiguous,
            never late.""",
    )
    yield Alert(
        alert="WatchsloMemory",
        expr=f"""\
            max by ({CLUSTER}, instance) (process_resident_memory_bytes) > {settings.memory_mebibytes} * 1024 * 1024
            and
            group by ({CLUSTER}, instance) (watchslo_build_info)""",
        hold="15m",
        severity="warning",
        summary=f"watchslo at {INSTANCE} uses much memory.",
        description="""\
            It holds {{ $value | humanize1024 }}B. Its memory is bounded whatever the rate of events, so this is a
            fault, or very many resources.""",
    )
