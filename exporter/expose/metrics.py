"""Everything that is counted, by whom it speaks of: a resource on an apiserver, a clock, an apiserver, the exporter.

The daemon takes children from here and moves them; a scrape asks for the families with their children.
This room must not know where a number comes from, nor read a clock.
"""

from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from itertools import product
from typing import Any, Protocol, TypeVar

from exporter.expose.children import Counter, Gauge, Histogram, label_pairs
from exporter.expose.families import CLOCKS, FAMILIES, LATENCY_BOUNDS, Family
from exporter.limits import refused_texts

_FAMILY = {family.name: family for family in FAMILIES}


class Child(Protocol):
    """What a family consists of."""

    def text(self) -> str:
        """The child's lines of exposition text, all of one moment; empty while it is absent."""


_Child = TypeVar("_Child", bound=Child)
_Key = tuple[str, ...]
_ChildrenByFamily = dict[str, dict[_Key, list[Child]]]


class _Scoped:
    """Makes the children of one apiserver, resource or clock, and enters them where the scrape finds them."""

    def __init__(self, children: _ChildrenByFamily, key: _Key, threshold_seconds: float) -> None:
        self._children = children
        self._key = key
        self._threshold_seconds = threshold_seconds

    def counter(self, name: str) -> Counter:
        return self._only(name, Counter)

    def counters(self, name: str) -> dict[str, Counter]:
        return self._by_label(name, Counter)

    def counter_pairs(self, name: str) -> dict[tuple[str, str], Counter]:
        return {(first, second): child for (first, second), child in self._all(name, Counter).items()}

    def gauge(self, name: str, value: float | None = None) -> Gauge:
        gauge = self._only(name, Gauge)
        gauge.set(value)
        return gauge

    def gauges(self, name: str) -> dict[str, Gauge]:
        return self._by_label(name, Gauge)

    def histogram(self, name: str) -> Histogram:
        return self._only(name, self._histogram_of(name))

    def histograms(self, name: str) -> dict[str, Histogram]:
        return self._by_label(name, self._histogram_of(name))

    def labelled_one(self, name: str, labels: dict[str, str]) -> None:
        """A series that says 1 for good; what it tells stands in its labels."""
        one = Gauge(name, label_pairs(labels))
        one.set(1)
        self._children[name][self._key] = [one]

    def _histogram_of(self, name: str) -> Callable[[str, str], Histogram]:
        bounds = set(_FAMILY[name].bounds)
        if bounds == set(LATENCY_BOUNDS):
            bounds.add(float(self._threshold_seconds))
        return lambda name, pairs: Histogram(name, pairs, bounds)

    def _only(self, name: str, make: Callable[[str, str], _Child]) -> _Child:
        (child,) = self._all(name, make).values()
        return child

    def _by_label(self, name: str, make: Callable[[str, str], _Child]) -> dict[str, _Child]:
        return {value: child for (value,), child in self._all(name, make).items()}

    def _all(self, name: str, make: Callable[[str, str], _Child]) -> dict[_Key, _Child]:
        """One child for every combination of the values that seed the family's labels."""
        family = _FAMILY[name]
        made = {
            values: make(name, label_pairs(dict(zip(family.labels, (*self._key, *values), strict=True))))
            for values in product(*family.seeds.values())
        }
        self._children[name][self._key] = list(made.values())
        return made


class State:
    """A state set: exactly one of the gauges is 1."""

    __slots__ = ("_gauges",)

    def __init__(self, gauges: dict[str, Gauge], state: str) -> None:
        self._gauges = gauges
        self.set_state(state)

    def set_state(self, state: str) -> None:
        """Raise KeyError for a state that the family does not have."""
        held = self._gauges[state]
        for gauge in self._gauges.values():
            gauge.set(0)
        held.set(1)


class ResourceMetrics:
    """One resource as watched on one apiserver; every counter stands at 0 from the start."""

    def __init__(self, new: _Scoped) -> None:
        self.time_span = new.histogram("watchslo_apiserver_time_span_seconds")
        self.time_span_lower = new.histogram("watchslo_apiserver_time_span_lower_seconds")
        self.time_span_upper = new.histogram("watchslo_apiserver_time_span_upper_seconds")
        self.judged = new.counters("watchslo_events_judged_total")  # by verdict
        self.p99 = new.gauge("watchslo_p99_seconds")
        self.p99_lower = new.gauge("watchslo_p99_lower_seconds")
        self.p99_upper = new.gauge("watchslo_p99_upper_seconds")
        self.window_events = new.gauge("watchslo_window_events", 0)
        self.slo_state = State(new.gauges("watchslo_slo_state"), "quiet")
        self.revision_clock = State(new.gauges("watchslo_revision_clock"), "nothing")
        self.stage_lower = new.histograms("watchslo_stage_lower_seconds")  # by stage
        self.stage_upper = new.histograms("watchslo_stage_upper_seconds")
        self.events = new.counter_pairs("watchslo_events_total")  # by (event_type, phase)
        self.evidence = new.counters("watchslo_evidence_total")  # by source
        self.unmeasured = new.counters("watchslo_events_unmeasured_total")  # by reason
        self.contradictions = new.counters("watchslo_contradictions_total")  # by source
        self.interval_width = new.histogram("watchslo_interval_width_seconds")
        self.stream_up = new.gauge("watchslo_stream_up", 0)
        self.watch_ends = new.counters("watchslo_watch_ends_total")  # by reason
        self.forced_closes = new.counter("watchslo_forced_closes_total")
        self.relists = new.counters("watchslo_relists_total")  # by reason
        self.relist_seconds = new.histogram("watchslo_relist_seconds")
        self.rewatch_seconds = new.histogram("watchslo_rewatch_seconds")
        self.init_events_errors = new.counters("watchslo_init_events_errors_total")  # by reason
        self.uncovered_seconds = new.counter("watchslo_uncovered_seconds_total")
        self.watch_lifetime = new.histogram("watchslo_watch_lifetime_seconds")
        self.last_activity = new.gauge("watchslo_last_activity_timestamp_seconds")
        self.received_bytes = new.counter("watchslo_received_bytes_total")
        self.canary_writes = new.counter("watchslo_canary_writes_total")
        self.canary_write_failures = new.counter("watchslo_canary_write_failures_total")
        self.canary_lost = new.counter("watchslo_canary_lost_total")
        self.canary_delivery = new.histogram("watchslo_canary_delivery_seconds")
        self.canary_write = new.histogram("watchslo_canary_write_seconds")
        self.decode_errors = new.counter("watchslo_decode_errors_total")


class ClockMetrics:
    """One clock: polls of one kind at one apiserver."""

    def __init__(self, new: _Scoped) -> None:
        self.polls = new.counters("watchslo_clock_polls_total")  # by result
        self.poll_seconds = new.histogram("watchslo_clock_poll_seconds")


class ApiserverMetrics:
    """What is known of one apiserver, its wall clock and its store."""

    def __init__(self, new: _Scoped) -> None:
        self.clock_offset_lower = new.gauge("watchslo_clock_offset_lower_seconds")
        self.clock_offset_upper = new.gauge("watchslo_clock_offset_upper_seconds")
        self.date_evidence_enabled = new.gauge("watchslo_date_evidence_enabled", 1)
        self.stale_reads = new.counter("watchslo_stale_reads_total")
        self.balancers_noticed = new.counters("watchslo_balancers_noticed_total")  # by sign


class LoadMetrics:
    """What our requests cost one apiserver, or the address that is only asked what there is."""

    def __init__(self, new: _Scoped) -> None:
        self.requests = new.counters("watchslo_apiserver_requests_total")  # by purpose
        self.request_seconds = new.counters("watchslo_apiserver_request_seconds_total")
        self.response_bytes = new.counters("watchslo_apiserver_response_bytes_total")


class Metrics:
    """All children, made on demand, once each.

    `before_render` holds what refreshes gauges just before a scrape, in steps between which the event loop may run.
    """

    def __init__(self, threshold_seconds: float, objective_ratio: float, window_seconds: float) -> None:
        self.window_seconds = window_seconds
        self.version = version("watchslo")
        self.before_render: list[Callable[[], Iterable[None]]] = []
        self._threshold_seconds = threshold_seconds
        self._children: _ChildrenByFamily = {name: {} for name in _FAMILY}
        self._resources: dict[_Key, ResourceMetrics] = {}
        self._clocks: dict[_Key, ClockMetrics] = {}
        self._apiservers: dict[_Key, ApiserverMetrics] = {}
        self._loads: dict[_Key, LoadMetrics] = {}
        new = self._scoped()
        self.threshold_seconds = new.gauge("watchslo_threshold_seconds", threshold_seconds)
        self.objective_ratio = new.gauge("watchslo_objective_ratio", objective_ratio)
        self.shards = new.gauge("watchslo_shards", 1)
        self.shard_index = new.gauge("watchslo_shard_index", 0)
        self.discovery_errors = new.counters("watchslo_discovery_errors_total")  # by reason
        self.apiservers_left_out = new.gauge("watchslo_apiservers_left_out", 0)
        self.custom_resources_left_out = new.gauge("watchslo_custom_resources_left_out", 0)
        self.loop_lag = new.histogram("watchslo_loop_lag_seconds")
        self._refused_text = new.counters("watchslo_refused_text_total")  # by what
        self.web_refused = new.counters("watchslo_web_refused_total")  # by reason
        self.before_render.append(self._refresh_refused_text)
        new.labelled_one("watchslo_build_info", {"version": self.version})

    def resource(self, apiserver: str, group: str, resource: str) -> ResourceMetrics:
        """The children of a watched resource; `apiserver` is host:port, `group` is "" for core."""
        key = (apiserver, group, resource)
        if key not in self._resources:
            self._resources[key] = ResourceMetrics(self._scoped(*key))
        return self._resources[key]

    def clock(self, apiserver: str, group: str, resource: str, clock: str) -> ClockMetrics:
        """The children of a clock; group and resource are the polled kind's, `clock` is revision or cache."""
        assert clock in CLOCKS, clock
        key = (apiserver, group, resource, clock)
        if key not in self._clocks:
            self._clocks[key] = ClockMetrics(self._scoped(*key))
        return self._clocks[key]

    def apiserver(self, apiserver: str) -> ApiserverMetrics:
        """The children of an apiserver, host:port."""
        key = (apiserver,)
        if key not in self._apiservers:
            self._apiservers[key] = ApiserverMetrics(self._scoped(*key))
        return self._apiservers[key]

    def load(self, apiserver: str) -> LoadMetrics:
        """The children of all that we send to an address, host:port."""
        key = (apiserver,)
        if key not in self._loads:
            self._loads[key] = LoadMetrics(self._scoped(*key))
        return self._loads[key]

    def remove_resource(self, apiserver: str, group: str, resource: str) -> None:
        """Drop every series with these labels, those of clocks that poll this resource included."""
        self._remove(apiserver, group, resource)

    def remove_apiserver(self, apiserver: str) -> None:
        """Drop every series with this label."""
        self._remove(apiserver)

    def families(self) -> Iterator[tuple[Family, list[Child]]]:
        """Every family in the contract's order with its children, as they are when its turn comes."""
        for family in FAMILIES:
            yield family, [child for scoped in self._children[family.name].values() for child in scoped]

    def _refresh_refused_text(self) -> Iterable[None]:
        for what, times in refused_texts.times.items():
            self._refused_text[what].value = times
        return ()

    def _scoped(self, *key: str) -> _Scoped:
        return _Scoped(self._children, key, self._threshold_seconds)

    def _remove(self, *labels: str) -> None:
        made: list[dict[_Key, Any]] = [self._resources, self._clocks, self._apiservers, self._loads]
        for held in (*self._children.values(), *made):
            for key in [key for key in held if key[: len(labels)] == labels]:
                del held[key]
