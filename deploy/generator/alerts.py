"""The alerts. Only what users feel wakes somebody up; what makes the answer less certain becomes a ticket."""

from collections.abc import Iterator

from deploy.generator.objective import BUDGET, BURN_RATES, FEWEST_EVENTS, OBJECTIVE_WINDOWS, BurnRate
from deploy.generator.recordings import judged_rate, late_rate, late_ratio
from deploy.generator.rules import Alert, Group, in_words, seconds_of

RESOURCE = "{{ $labels.resource }}"
APISERVER = "{{ $labels.apiserver }}"
STREAM = f"{RESOURCE} on {APISERVER}"
REASON = "{{ $labels.reason }}"
SOURCE = "{{ $labels.source }}"
INSTANCE = "{{ $labels.instance }}"
PERCENT = "{{ $value | humanizePercentage }}"
COUNT = '{{ $value | printf "%.0f" }}'


def alert_groups() -> tuple[Group, ...]:
    """The alerts' groups."""
    return (
        Group(
            name="watchslo-latency-alerts",
            comment=f"""\
                Burn rates over two windows: the budget of 1 % for 30 days was burned too fast in a long window, and
                still is in a short one. Both shares count certainly late events only: ambiguous ones never page. Fewer
                than {FEWEST_EVENTS} events in the long window are too few to say anything.""",
            rules=(
                *(_burn("group_resource", rate) for rate in BURN_RATES),
                *(_burn("cluster", rate) for rate in BURN_RATES),
                *(_objective(window) for window in OBJECTIVE_WINDOWS),
                _apart(),
                _unknown(),
            ),
        ),
        Group(name="watchslo-stream-alerts", comment="How the watches fare.", rules=tuple(_streams())),
        Group(
            name="watchslo-evidence-alerts", comment="Whether the evidence can be trusted.", rules=tuple(_evidence())
        ),
        Group(name="watchslo-exporter-alerts", comment="The exporter itself.", rules=tuple(_exporter())),
    )


def _burn(level: str, rate: BurnRate) -> Alert:
    of_cluster = level == "cluster"
    whose = "the cluster" if of_cluster else RESOURCE
    return Alert(
        alert="WatchLatencyClusterBudgetBurn" if of_cluster else "WatchLatencyBudgetBurn",
        expr=f"""\
            {late_ratio(level, rate.long)} > {rate.factor} * {BUDGET}
            and
            {late_ratio(level, rate.short)} > {rate.factor} * {BUDGET}
            and
            {judged_rate(level, rate.long)} >= {FEWEST_EVENTS} / {seconds_of(rate.long)}""",
        hold=rate.hold,
        severity=rate.severity,
        labels={"long": rate.long, "short": rate.short},
        summary=f"Watch events of {whose} are late: at this rate the error budget of 30 days lasts {rate.lasts}.",
        description=f"""\
            {PERCENT} of the watch events of {whose} in the last {in_words(rate.long)} certainly arrived too late, and
            more than {rate.factor} % also in the last {in_words(rate.short)}. The objective allows 1 %.""",
    )


def _objective(window: str) -> Alert:
    return Alert(
        alert="WatchLatencyObjectiveMissed",
        expr=f"""\
            {late_ratio("group_resource", window)} > {BUDGET}
            and
            {judged_rate("group_resource", window)} >= {FEWEST_EVENTS} / {seconds_of(window)}""",
        hold="15m",
        severity="warning",
        labels={"window": window},
        summary=f"The P99 of {RESOURCE} over the last {in_words(window)} is above the threshold, for 15 minutes now.",
        description=f"""\
            {PERCENT} of the watch events of {RESOURCE} in the last {in_words(window)} certainly arrived too late.
            The objective allows 1 %.""",
        comment="The objective in its own words: the P99 over a rolling minute."
        if window == "1m"
        else "The same over the five minutes of Kubernetes' own watch latency SLI.",
    )


def _apart() -> Alert:
    window, short = "30m", "5m"
    one, all_together = "apiserver_group_resource", "group_resource"
    return Alert(
        alert="WatchLatencyApiserverApart",
        expr=f"""\
            {late_ratio(one, window)} > 6 * {BUDGET}
            and
            {late_ratio(one, short)} > 6 * {BUDGET}
            and
            (
              {late_rate(all_together, window)}
              - ignoring (apiserver) group_right
              {late_rate(one, window)}
            )
            /
            (
              {judged_rate(all_together, window)}
              - ignoring (apiserver) group_right
              {judged_rate(one, window)}
              >= {FEWEST_EVENTS} / {seconds_of(window)}
            )
            <= {BUDGET}""",
        hold="15m",
        severity="warning",
        summary=f"{APISERVER} delivers {RESOURCE} late, the other apiservers do not.",
        description=f"""\
            {PERCENT} of the watch events of {RESOURCE} from {APISERVER} in the last {in_words(window)} certainly
            arrived too late, and more than 6 % also in the last {in_words(short)}. The other apiservers together keep
            the objective of 1 %: the cause is this one, or the way to it.""",
        comment="The others' events are all events less this one's. The short window ends it soon after the trouble.",
    )


def _unknown() -> Alert:
    return Alert(
        alert="WatchLatencyUnknown",
        expr='min without (instance, pod) (avg_over_time(watchslo_slo_state{state="unknown"}[30m])) > 0.5',
        hold="30m",
        severity="warning",
        summary=f"It is unknown whether {STREAM} meets the objective.",
        description=f"""\
            The state was unknown for {PERCENT} of the last 30 minutes: too many events are neither certainly late nor
            certainly on time.""",
        comment="A state of its own is quiet: a resource with few events is in order.",
    )


def _streams() -> Iterator[Alert]:
    yield Alert(
        alert="WatchStreamDown",
        expr="max without (instance, pod) (watchslo_stream_up) == 0",
        hold="10m",
        severity="warning",
        summary=f"There is no watch of {STREAM}.",
        description="""\
            watchslo_stream_up has been {{ $value }} for 10 minutes. Nothing is measured, and perhaps nobody on this
            path can watch.""",
    )
    yield Alert(
        alert="WatchStreamSilent",
        expr='max without (instance, pod) (increase(watchslo_watch_ends_total{reason="silent"}[1h])) >= 3',
        hold="5m",
        severity="warning",
        summary=f"Watches of {STREAM} go silent.",
        description=f"""\
            {COUNT} watches in the last hour brought not even a bookmark for about 90 seconds and were given up. A
            client that does not look for that hangs on them.""",
    )
    yield Alert(
        alert="WatchUncovered",
        expr="min without (instance, pod) (rate(watchslo_uncovered_seconds_total[1h])) > 0.05",
        hold="5m",
        severity="warning",
        summary=f"{STREAM} was not watched for minutes.",
        description=f"For {PERCENT} of the last hour no watch was open. What was late then is in no other number.",
    )
    yield Alert(
        alert="WatchForcedCloses",
        expr="max without (instance, pod) (increase(watchslo_forced_closes_total[1h])) >= 5",
        hold="5m",
        severity="warning",
        summary=f"Watches of {STREAM} are closed before their time.",
        description=f"""\
            {COUNT} watches in the last hour were ended by the other side before the time that was asked for. Informers
            on this path reconnect as often.""",
    )
    yield Alert(
        alert="WatchRelistStorm",
        expr="""\
            max without (instance, pod) (
              sum without (reason) (increase(watchslo_relists_total{reason!="start"}[30m]))
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
        expr="max without (instance, pod) (increase(watchslo_init_events_errors_total[15m])) >= 5",
        hold="10m",
        severity="warning",
        summary=f"Watches of {STREAM} fail to start: {REASON}.",
        description=f"{COUNT} starts (LIST or WATCH) in the last 15 minutes failed before any other event: {REASON}.",
    )
    yield Alert(
        alert="WatchDiscoveryErrors",
        expr="max without (instance, pod) (increase(watchslo_discovery_errors_total[15m])) >= 5",
        hold="10m",
        severity="warning",
        summary=f"watchslo cannot find out what there is to watch: {REASON}.",
        description=f"""\
            {COUNT} times in the last 15 minutes the apiservers or the custom resources could not be listed: {REASON}.
            What is not found is not watched.""",
    )
    yield Alert(
        alert="WatchCanariesLost",
        expr="""\
            sum without (instance, pod) (rate(watchslo_canary_lost_total[1h]))
            /
            sum without (instance, pod) (rate(watchslo_canary_writes_total[1h]))
            > 0.01""",
        hold="5m",
        severity="warning",
        summary=f"Canaries of {STREAM} do not arrive.",
        description=f"{PERCENT} of the canaries of the last hour were accepted and not seen on the watch in time.",
    )


def _evidence() -> Iterator[Alert]:
    yield Alert(
        alert="WatchEvidenceContradictory",
        expr="""\
            sum without (instance, pod) (increase(watchslo_contradictions_total[1h]))
            /
            (sum without (instance, pod) (increase(watchslo_evidence_total[1h])) >= 300)
            > 0.01""",
        hold="15m",
        severity="warning",
        summary=f"What {SOURCE} says about {STREAM} cannot be true.",
        description=f"""\
            {PERCENT} of what {SOURCE} said in the last hour contradicts the other evidence and was left out. Now and
            then a stamp is forged or a clock is off; this is more.""",
        comment="A share, not a count: one forged stamp contradicts at each event of its object, for good.",
    )
    yield Alert(
        alert="WatchClockContradictory",
        expr="max without (instance, pod) (1 - avg_over_time(watchslo_date_evidence_enabled[1h])) > 0.1",
        hold="5m",
        severity="warning",
        summary=f"The clock of {APISERVER} contradicts itself.",
        description=f"""\
            For {PERCENT} of the last hour its Date headers were no evidence: the clock steps, or several servers answer
            at this address.""",
    )


def _exporter() -> Iterator[Alert]:
    yield Alert(
        alert="WatchsloAbsent",
        expr="""\
            (
              group without (instance, pod, version) (present_over_time(watchslo_build_info[1d]))
              unless
              group without (instance, pod, version) (watchslo_build_info)
            )
            or
            absent(present_over_time(watchslo_build_info[1d]))""",
        hold="10m",
        severity="warning",
        summary="No watchslo is scraped: nobody knows how late watches are.",
        description="""\
            The expression has been {{ $value }} for 10 minutes: no exporter{{ with $labels.job }} of the job
            {{ . }}{{ end }} answers its scrapes.""",
        comment="It was here within a day and is gone, or it has not been here for a day.",
    )
    yield Alert(
        alert="WatchsloShardAbsent",
        expr="""\
            max without (instance, pod) (watchslo_shards)
            -
            count without (shard) (count_values without (instance, pod) ("shard", watchslo_shard_index))
            > 0""",
        hold="10m",
        severity="warning",
        summary="A part of the watches is nobody's.",
        description="""\
            Missing of the exporters that share the watches (--shard): {{ $value }}. What falls to them is not watched,
            and shows in no other number.""",
    )
    yield Alert(
        alert="WatchsloLagging",
        expr="""\
            1
            -
            rate(watchslo_loop_lag_seconds_bucket{le="0.1"}[15m])
            / ignoring (le)
            rate(watchslo_loop_lag_seconds_count[15m])
            > 0.01""",
        hold="15m",
        severity="warning",
        summary=f"watchslo at {INSTANCE} is short of CPU.",
        description=f"{PERCENT} of its turns came more than 0.1 s late. That makes events ambiguous, never late.",
    )
    yield Alert(
        alert="WatchsloMemory",
        expr="""\
            process_resident_memory_bytes > 400 * 1024 * 1024
            and on (cluster, job, instance)
            watchslo_build_info""",
        hold="15m",
        severity="warning",
        summary=f"watchslo at {INSTANCE} uses much memory.",
        description="""\
            It holds {{ $value | humanize1024 }}B. Its memory is bounded whatever the rate of events, so this is a
            fault, or very many resources.""",
    )
