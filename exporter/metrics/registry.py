"""All counters, gauges and histograms, by scope: a resource on an apiserver, a clock, an apiserver, the exporter.

The daemon takes children from here and changes them; a scrape asks for the families with their children.
This room does not know where a number comes from, and reads no clock.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from importlib.metadata import version
from itertools import product
from typing import Any, Protocol, TypeVar

from exporter.limits import refused_texts
from exporter.measure.apiserver_state import PollCounts
from exporter.measure.histogram import Histogram, NativeHistogram
from exporter.measure.startup_counts import StageQuantiles, StartupCounts, StartupState
from exporter.measure.stream_state import StreamCounts, StreamState
from exporter.metrics.families import AUDIT_LABELS, FAMILIES, Family
from exporter.metrics.labels import LabelSet
from exporter.metrics.series import Counter, Exemplar, Gauge, HistogramReading, Reading, Readings, Sample
from exporter.vocabulary import (
    CERTAINTIES,
    CLOCK_READS,
    CLOCKS,
    SLO_STATES,
    Certainty,
    ClockName,
    HistogramFormat,
    StartupStage,
)

_FAMILY = {family.name: family for family in FAMILIES}


class Child(Protocol):
    """What a family consists of."""

    def text(self) -> str:
        """The child's lines of exposition text, all of one moment; empty while it is absent."""

    def samples(self) -> Iterable[Sample]:
        """The same as values, for other formats."""


_Child = TypeVar("_Child", bound=Child)
_Key = tuple[str, ...]
_ChildrenByFamily = dict[str, dict[_Key, list[Child]]]


class _Scoped:
    """Makes the children of one apiserver, resource or clock, and enters them where the scrape finds them."""

    def __init__(self, children: _ChildrenByFamily, key: _Key) -> None:
        self._children = children
        self._key = key

    def counter(self, name: str) -> Counter:
        (counter,) = self._add(name, Counter).values()
        return counter

    def counters(self, name: str) -> dict[str, Counter]:
        return {value: counter for (value,), counter in self._add(name, Counter).items()}

    def gauge(self, name: str, value: float | None = None) -> Gauge:
        (gauge,) = self._add(name, Gauge).values()
        gauge.set(value)
        return gauge

    def histogram(self, name: str) -> Histogram:
        histogram = Histogram(_FAMILY[name].bounds)
        self._add(name, lambda name, labels: HistogramReading(name, labels, lambda: histogram))
        return histogram

    def read(self, name: str, read: Callable[[], Any], exemplar: Callable[[], Exemplar | None] = lambda: None) -> None:
        """Say for each scrape what `read` returns; by the values that seed the family's labels, where there are any.

        `exemplar` is of a histogram without such labels.
        """
        family = _FAMILY[name]
        labels = {key[0] if len(key) == 1 else key: one for key, one in self._label_sets(family)}
        made: list[Child]
        if family.type == "histogram":
            made = [HistogramReading(name, one, partial(_of_key, read, key), exemplar) for key, one in labels.items()]
        elif family.seeds:
            made = [Readings(name, labels, read)]
        else:
            made = [Reading(name, one, read) for one in labels.values()]
        self._children[name][self._key] = made

    def read_each(self, name: str, read: Callable[[], Mapping[Any, float]]) -> None:
        """Say for each scrape what `read` returns by the values of the family's one label, without those it lacks."""
        self._children[name][self._key] = [
            Reading(name, one, partial(_if_there, read, value)) for (value,), one in self._label_sets(_FAMILY[name])
        ]

    def labelled_one(self, name: str, labels: dict[str, str]) -> None:
        """A series that says 1 for good; what it tells stands in its labels."""
        one = Gauge(name, LabelSet(labels))
        one.set(1)
        self._children[name][self._key] = [one]

    def _add(self, name: str, make: Callable[[str, LabelSet], _Child]) -> dict[_Key, _Child]:
        """One child for every combination of the values that seed the family's labels, in their order."""
        made = {values: make(name, labels) for values, labels in self._label_sets(_FAMILY[name])}
        self._children[name][self._key] = list(made.values())
        return made

    def _label_sets(self, family: Family) -> Iterator[tuple[_Key, LabelSet]]:
        for values in product(*family.seeds.values()):
            yield values, LabelSet(dict(zip(family.labels, (*self._key, *values), strict=True)))


def _of_key(read: Callable[[], Any], key: object) -> Any:
    """What stands under the key, or as it is where the labels have no seeds."""
    return read()[key] if key != () else read()


def _if_there(read: Callable[[], Mapping[Any, float]], key: object) -> float | None:
    return read().get(key)


STREAM_READINGS: Mapping[str, Callable[[StreamState], Any]] = {
    "watchslo_apiserver_time_span_seconds": lambda state: state.counts.time_span,
    "watchslo_apiserver_time_span_lower_seconds": lambda state: state.counts.time_span_lower,
    "watchslo_apiserver_time_span_upper_seconds": lambda state: state.counts.time_span_upper,
    "watchslo_events_judged_total": lambda state: state.counts.judged,
    "watchslo_p99_seconds": lambda state: state.window.p99_seconds,
    "watchslo_p99_lower_seconds": lambda state: state.window.p99_lower_seconds,
    "watchslo_p99_upper_seconds": lambda state: state.window.p99_upper_seconds,
    "watchslo_window_events": lambda state: state.window.events,
    "watchslo_slo_state": lambda state: {one: int(one == state.window.state) for one in SLO_STATES},
    "watchslo_revision_clock": lambda state: {one: int(one == state.revision_clock.reads) for one in CLOCK_READS},
    "watchslo_stage_lower_seconds": lambda state: state.counts.stage_lower,
    "watchslo_stage_upper_seconds": lambda state: state.counts.stage_upper,
    "watchslo_events_total": lambda state: state.counts.events,
    "watchslo_evidence_total": lambda state: state.counts.evidence,
    "watchslo_events_unmeasured_total": lambda state: state.counts.unmeasured,
    "watchslo_contradictions_total": lambda state: state.counts.contradictions,
    "watchslo_interval_width_seconds": lambda state: state.counts.interval_width,
    "watchslo_stream_up": lambda state: int(state.is_up),
    "watchslo_watch_ends_total": lambda state: state.counts.ends,
    "watchslo_forced_closes_total": lambda state: state.counts.forced_closes,
    "watchslo_relists_total": lambda state: state.counts.relists,
    "watchslo_relist_seconds": lambda state: state.counts.relist,
    "watchslo_rewatch_seconds": lambda state: state.counts.rewatch,
    "watchslo_init_events_errors_total": lambda state: state.counts.start_errors,
    "watchslo_uncovered_seconds_total": lambda state: state.counts.uncovered_seconds,
    "watchslo_watch_lifetime_seconds": lambda state: state.counts.lifetime,
    "watchslo_last_activity_timestamp_seconds": lambda state: state.last_activity,
    "watchslo_received_bytes_total": lambda state: state.counts.received_bytes,
    "watchslo_canary_writes_total": lambda state: state.counts.canary_writes,
    "watchslo_canary_write_failures_total": lambda state: state.counts.canary_write_failures,
    "watchslo_canary_lost_total": lambda state: state.counts.canaries_lost,
    "watchslo_canary_delivery_seconds": lambda state: state.counts.canary_delivery,
    "watchslo_canary_write_seconds": lambda state: state.counts.canary_write,
    "watchslo_decode_errors_total": lambda state: state.counts.undecodable,
}
"""Where each family that speaks of a resource stands in the state of its stream."""


def _no_exemplar(_: StreamState) -> None:
    return None


def _latest_late_event(state: StreamState) -> Exemplar | None:
    """By its revision, which finds it in an audit log or in etcd, and tells a reader of metrics no name."""
    for late in reversed(state.late_objects):
        if late.revision is not None:
            return Exemplar(LabelSet({"revision": str(late.revision)}), late.latency.earliest, late.at)
    return None


EXEMPLARS: Mapping[str, Callable[[StreamState], Exemplar | None]] = {
    "watchslo_apiserver_time_span_lower_seconds": _latest_late_event,
}
"""What an observation of a family was of, where the format can say it."""


class StreamMetrics:
    """One resource as watched on one apiserver: a scrape says what its state was when that was last brought up to date.

    The counts go on where the stream of these labels before stopped, for as long as its series are there.
    """

    def __init__(self, new: _Scoped, state: StreamState) -> None:
        self.counts = state.counts.copy()
        self.state = state
        for name, read in STREAM_READINGS.items():
            exemplar = EXEMPLARS.get(name, _no_exemplar)
            new.read(name, partial(self._read, read), partial(self._read, exemplar))

    def _read(self, read: Callable[[StreamState], Any]) -> Any:
        return read(self.state)


STARTUP_READINGS: Mapping[str, Callable[[StartupState], Any]] = {
    "watchslo_pod_startup_lower_seconds": lambda state: state.counts.lower,
    "watchslo_pod_startup_upper_seconds": lambda state: state.counts.upper,
    "watchslo_pod_startups_total": lambda state: state.counts.results,
    "watchslo_pods_starting": lambda state: state.starting,
}
"""Where each family that speaks of pods' starts stands in their state."""

STARTUP_QUANTILES: Mapping[str, Callable[[StageQuantiles], float]] = {
    "watchslo_pod_startup_p95_lower_seconds": lambda stage: stage.p95.earliest,
    "watchslo_pod_startup_p95_upper_seconds": lambda stage: stage.p95.latest,
    "watchslo_pod_startup_p99_lower_seconds": lambda stage: stage.p99.earliest,
    "watchslo_pod_startup_p99_upper_seconds": lambda stage: stage.p99.latest,
}


class StartupMetrics:
    """The starts of pods as watched on one apiserver; the counts go on where the stream before stopped."""

    def __init__(self, new: _Scoped, pods: StreamMetrics, counts: StartupCounts) -> None:
        self.counts = counts
        self.pull_watch_errors = new.counters("watchslo_pod_startup_pull_watch_errors_total")  # by reason
        self._pods = pods
        for name, read in STARTUP_READINGS.items():
            new.read(name, partial(self._read, read))
        for name, quantile in STARTUP_QUANTILES.items():
            new.read_each(name, partial(self._quantiles, quantile))

    def _read(self, read: Callable[[StartupState], Any]) -> Any:
        return read(self._pods.state.pod_startup or StartupState(self.counts))

    def _quantiles(self, read: Callable[[StageQuantiles], float]) -> Mapping[StartupStage, float]:
        state = self._pods.state.pod_startup
        return {stage: read(quantiles) for stage, quantiles in state.quantiles.items()} if state is not None else {}


class AuditTotal(Protocol):
    """What is counted of the requests of one user, verb and resource."""

    seconds: float
    requests: int


AUDIT_READINGS: Mapping[str, Callable[[AuditTotal], float]] = {
    "watchslo_audit_request_seconds_total": lambda total: total.seconds,
    "watchslo_audit_requests_total": lambda total: total.requests,
}
"""Where each family that speaks of an audit log stands in a total."""


class ClockMetrics:
    """One clock: polls of one kind at one apiserver."""

    def __init__(self, new: _Scoped, histogram: type[Histogram]) -> None:
        self.counts = counts = PollCounts.none(histogram)
        new.read("watchslo_clock_polls_total", lambda: {"ok": counts.answered, "error": counts.failures})
        new.read("watchslo_clock_poll_seconds", lambda: counts.seconds)


class ApiserverMetrics:
    """What is known of one apiserver, its wall clock and its store."""

    def __init__(self, new: _Scoped) -> None:
        self.clock_offset_lower = new.gauge("watchslo_clock_offset_lower_seconds")
        self.clock_offset_upper = new.gauge("watchslo_clock_offset_upper_seconds")
        self.date_evidence_enabled = new.gauge("watchslo_date_evidence_enabled", 1)
        self.stale_reads = new.counter("watchslo_stale_reads_total")
        self.server_metrics_reads = new.counters("watchslo_server_metrics_reads_total")  # by result
        self.balancers_noticed = new.counters("watchslo_balancers_noticed_total")  # by sign


class CostMetrics:
    """What our requests cost one apiserver, or the address that is only asked what there is."""

    def __init__(self, new: _Scoped) -> None:
        self.requests = new.counters("watchslo_apiserver_requests_total")  # by purpose
        self.request_seconds = new.counters("watchslo_apiserver_request_seconds_total")
        self.response_bytes = new.counters("watchslo_apiserver_response_bytes_total")


class Metrics:
    """All children, made on demand, once each.

    `before_render` holds what refreshes gauges just before a scrape, in steps between which the event loop may run.
    """

    def __init__(
        self,
        threshold_seconds: float,
        objective_ratio: float,
        window_seconds: float,
        histograms: HistogramFormat = "classic",
    ) -> None:
        # More than twelve: most are the children of one family each.
        self.window_seconds = window_seconds
        self.histograms = histograms
        self._histogram = Histogram if histograms == "classic" else NativeHistogram
        self.version = version("watchslo")
        self.before_render: list[Callable[[], Iterable[None]]] = [self._refresh_refused_text]
        self._threshold_seconds = threshold_seconds
        self._children: _ChildrenByFamily = {name: {} for name in _FAMILY}
        self._resources: dict[_Key, StreamMetrics] = {}
        self._clocks: dict[_Key, ClockMetrics] = {}
        self._apiservers: dict[_Key, ApiserverMetrics] = {}
        self._costs: dict[_Key, CostMetrics] = {}
        self._startups: dict[_Key, StartupMetrics] = {}
        self._faults: dict[_Key, dict[Certainty, Gauge]] = {}
        new = self._scoped()
        self.threshold_seconds = new.gauge("watchslo_threshold_seconds", threshold_seconds)
        self.objective_ratio = new.gauge("watchslo_objective_ratio", objective_ratio)
        self.shards = new.gauge("watchslo_shards", 1)
        self.shard_index = new.gauge("watchslo_shard_index", 0)
        self.discovery_errors = new.counters("watchslo_discovery_errors_total")  # by reason
        self.apiservers_left_out = new.gauge("watchslo_apiservers_left_out", 0)
        self.custom_resources_left_out = new.gauge("watchslo_custom_resources_left_out", 0)
        self.loop_lag = new.histogram("watchslo_loop_lag_seconds")
        self.tasks = new.gauge("watchslo_tasks", 0)
        self._refused_text = new.counters("watchslo_refused_text_total")  # by what
        self.web_refused = new.counters("watchslo_web_refused_total")  # by reason
        self.fault_changes = new.counters("watchslo_fault_changes_total")  # by fault
        new.labelled_one("watchslo_build_info", {"version": self.version})

    def resource(self, apiserver: str, group: str, resource: str) -> StreamMetrics:
        """The children of a watched resource; `apiserver` is host:port, `group` is "" for core."""
        key = (apiserver, group, resource)
        if key not in self._resources:
            counts = StreamCounts.none(self._threshold_seconds, self._histogram)
            state = StreamState(apiserver=apiserver, group=group, resource=resource, counts=counts)
            self._resources[key] = StreamMetrics(self._scoped(*key), state)
        return self._resources[key]

    def startup(self, apiserver: str) -> StartupMetrics:
        """The children of the starts of pods, as watched on an apiserver, host:port."""
        key = (apiserver,)
        if key not in self._startups:
            counts = StartupCounts.none(self._histogram)
            self._startups[key] = StartupMetrics(self._scoped(*key), self.resource(apiserver, "", "pods"), counts)
        return self._startups[key]

    def clock(self, apiserver: str, group: str, resource: str, clock: str) -> ClockMetrics:
        """The children of a clock; group and resource are the polled kind's, `clock` is revision or cache."""
        assert clock in CLOCKS, clock
        key = (apiserver, group, resource, clock)
        if key not in self._clocks:
            self._clocks[key] = ClockMetrics(self._scoped(*key), self._histogram)
        return self._clocks[key]

    def apiserver(self, apiserver: str) -> ApiserverMetrics:
        """The children of an apiserver, host:port."""
        key = (apiserver,)
        if key not in self._apiservers:
            self._apiservers[key] = ApiserverMetrics(self._scoped(*key))
        return self._apiservers[key]

    def cost(self, apiserver: str) -> CostMetrics:
        """The children of all that we send to an address, host:port."""
        key = (apiserver,)
        if key not in self._costs:
            self._costs[key] = CostMetrics(self._scoped(*key))
        return self._costs[key]

    def fault(self, fault: str, apiserver: str, group: str, resource: str) -> dict[Certainty, Gauge]:
        """The series of a fault at one place, by certainty; they stay once it was found."""
        key = (apiserver, group, resource, fault)
        if key not in self._faults:
            pairs = {"apiserver": apiserver, "group": group, "resource": resource, "fault": fault}
            made = {one: Gauge("watchslo_fault", LabelSet({**pairs, "certainty": one})) for one in CERTAINTIES}
            self._faults[key] = made
            self._children["watchslo_fault"][key] = list(made.values())
        return self._faults[key]

    def has_fault(self, fault: str, apiserver: str, group: str, resource: str) -> bool:
        """Whether there are such series: they go with their apiserver or resource."""
        return (apiserver, group, resource, fault) in self._faults

    def stream_counts(self) -> Iterator[tuple[_Key, StreamCounts]]:
        """The counts of each stream that there are series of, by apiserver, group and resource; they go on counting."""
        for key, stream in self._resources.items():
            yield key, stream.counts

    def startup_counts(self) -> Iterator[tuple[str, StartupCounts]]:
        """The counts of pods' starts, by apiserver; they go on counting."""
        for (apiserver,), startup in self._startups.items():
            yield apiserver, startup.counts

    def poll_counts(self, apiserver: str, clock: ClockName) -> Iterator[tuple[_Key, PollCounts]]:
        """The counts of such clocks of this apiserver, host:port, by group and resource; they go on counting."""
        for (address, *polled, name), of_clock in self._clocks.items():
            if (address, name) == (apiserver, clock):
                yield tuple(polled), of_clock.counts

    def remove_resource(self, apiserver: str, group: str, resource: str) -> None:
        """Drop every series with these labels, those of clocks that poll this resource included."""
        self._remove(apiserver, group, resource)

    def remove_apiserver(self, apiserver: str) -> None:
        """Drop every series with this label."""
        self._remove(apiserver)

    def read_audit(self, totals: Mapping[Any, AuditTotal]) -> None:
        """Say for each scrape what these totals are, by user, verb and resource; they may come and go."""
        self.before_render.append(partial(self._refresh_audit, totals))

    def families(self) -> Iterator[tuple[Family, list[Child]]]:
        """Every family in the contract's order with its children, as they are when its turn comes."""
        for family in FAMILIES:
            yield family, [child for scoped in self._children[family.name].values() for child in scoped]

    def _refresh_refused_text(self) -> Iterable[None]:
        for what, times in refused_texts.times.items():
            self._refused_text[what].value = times
        return ()

    def _refresh_audit(self, totals: Mapping[Any, AuditTotal]) -> Iterable[None]:
        for name, read in AUDIT_READINGS.items():
            children = self._children[name]
            for gone in children.keys() - totals.keys():
                del children[gone]
            for number, (key, total) in enumerate(list(totals.items())):
                labels = LabelSet(dict(zip(AUDIT_LABELS, key, strict=True)))
                children[key] = [Reading(name, labels, partial(read, total))]
                if number % 100 == 0:
                    yield

    def _scoped(self, *key: str) -> _Scoped:
        return _Scoped(self._children, key)

    def _remove(self, *labels: str) -> None:
        made: list[dict[_Key, Any]] = [
            self._resources,
            self._clocks,
            self._apiservers,
            self._costs,
            self._startups,
            self._faults,
        ]
        for held in (*self._children.values(), *made):
            for key in [key for key in held if key[: len(labels)] == labels]:
                del held[key]
