"""Two readings of one apiserver in, what they say of the time between out. Pure.

A counter that went back says nothing, and none does that another process had begun.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

from exporter.diagnosis.server_facts import ServerFacts, Timed
from exporter.server_metrics.families import BEFORE_1_37, FAMILIES, IN_WATCH_CACHE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from exporter.diagnosis.server_facts import Kind
    from exporter.measure.times import Instant
    from exporter.server_metrics.families import SeriesKey, ServerFamily
    from exporter.server_metrics.text import Numbers

SAME_START_SECONDS = 2.0
SAME_TICK_SECONDS = 0.005
"""Half a tick of the kernel's clock, in which starts of processes are told."""

SLOWEST = 0.01
KEYS_IN_A_STEP = 100


class ServerReading(NamedTuple):
    """The numbers, and when they were so, on any clock that both readings have in common."""

    at: float
    numbers: Numbers
    asked: Instant | None = None
    """Before that moment; None where that was not we."""

    @property
    def started_at(self) -> float | None:
        """Unix time."""
        return next(iter(self.numbers.values.get("started_at", {}).values()), None)


def is_same_start(one: float, other: float) -> bool:
    """Whether both are the start of the same process, as a rule.

    The seconds may differ: the time of the boot, from which ticks count, is told in whole seconds, and changes with
    the kernel's clock.
    """
    apart_seconds = one - other
    is_same_tick = abs(apart_seconds - round(apart_seconds)) < SAME_TICK_SECONDS
    return is_same_tick and abs(apart_seconds) < SAME_START_SECONDS


def between(earlier: ServerReading, later: ServerReading) -> ServerFacts:
    """What happened, and how it stands at the later one, which must not be of the same moment."""
    *_, facts = in_steps(earlier, later)
    assert facts is not None
    return facts


def in_steps(earlier: ServerReading, later: ServerReading) -> Iterator[ServerFacts | None]:
    """The same: None after each step short of the last, so that thousands of series hold nobody up."""
    change = CountersChange(earlier, later)
    for family in FAMILIES:
        yield from change.compare(family)
    yield ServerFacts(
        seconds=change.seconds,
        asked=later.asked,
        started_at=later.started_at,
        **_process(change),
        **_requests(change),
        **_watches(change),
        **_cache(change),
    )


class CountersChange:
    """How far counters went: of the families that were compared."""

    def __init__(self, earlier: ServerReading, later: ServerReading) -> None:
        self.earlier = earlier.numbers
        self.later = later.numbers
        self.seconds = later.at - earlier.at
        self._increases: dict[str, dict[SeriesKey, float]] = {}
        self._timed: dict[str, dict[SeriesKey, Timed]] = {}
        before, after = earlier.started_at, later.started_at
        self.is_one_process = before is None or after is None or is_same_start(before, after)

    def compare(self, family: ServerFamily) -> Iterator[None]:
        """In steps."""
        fact = family.fact
        if not self.is_one_process:
            return
        if not family.is_histogram:
            self._increases[fact] = self._compare_values(fact)
            yield
            return
        found = self._timed[fact] = {}
        bounds = self.later.bounds.get(fact, {})
        if self.earlier.bounds.get(fact, bounds) != bounds:
            return
        places = sorted((float(bound), place) for bound, place in bounds.items())
        for number, (key, after) in enumerate(self.later.histograms.get(fact, {}).items(), start=1):
            timed = self._compare_histograms(self._before(fact, key, len(after)), after, places)
            if timed is not None:
                found[key] = timed
            if number % KEYS_IN_A_STEP == 0:
                yield

    def now(self, fact: str) -> Mapping[SeriesKey, float]:
        """What gauges say."""
        return self.later.values.get(fact, {})

    def increases(self, fact: str) -> Mapping[SeriesKey, float]:
        """Of what is new, from 0 on."""
        return self._increases.get(fact, {})

    def rates(self, fact: str) -> dict[SeriesKey, float]:
        """Of the same, in a second."""
        return {key: increase / self.seconds for key, increase in self.increases(fact).items()}

    def rate(self, fact: str) -> float | None:
        """Of what has no labels."""
        return self.rates(fact).get(())

    def timed(self, fact: str) -> dict[SeriesKey, Timed]:
        """Only of what happened at all."""
        return self._timed.get(fact, {})

    def _compare_values(self, fact: str) -> dict[SeriesKey, float]:
        before = self.earlier.values.get(fact, {})
        is_whole = self.earlier.is_whole
        found = {
            key: value - before.get(key, 0.0) for key, value in self.now(fact).items() if is_whole or key in before
        }
        return {key: increase for key, increase in found.items() if increase >= 0}

    def _before(self, fact: str, key: SeriesKey, length: int) -> Sequence[float]:
        """What had been observed; nothing where that is not known."""
        before = self.earlier.histograms.get(fact, {}).get(key)
        return before if before is not None else [0.0] * length if self.earlier.is_whole else ()

    def _compare_histograms(
        self, before: Sequence[float], after: Sequence[float], places: Sequence[tuple[float, int]]
    ) -> Timed | None:
        is_whole = len(before) == len(after) == len(places) + 1
        if not is_whole or not places or places[-1][0] != inf:
            return None
        total, seconds = after[places[-1][1]] - before[places[-1][1]], after[0] - before[0]
        if total <= 0 or seconds < 0:
            return None
        most = next(bound for bound, place in places if after[place] - before[place] >= (1 - SLOWEST) * total)
        return Timed(total / self.seconds, seconds / total, most)


def _process(change: CountersChange) -> dict[str, Any]:
    busy, idle, collecting = (
        change.increases(fact).get(()) for fact in ("go_cpu_seconds", "go_idle_seconds", "go_collecting_seconds")
    )
    share = None
    if busy is not None and idle is not None and collecting is not None:
        # None of the three moves while nothing is collected.
        share = collecting / (busy - idle) if busy > idle else 0.0
    return {
        "cpu_cores_used": change.rate("cpu_seconds"),
        "cpu_cores": change.later.value("cpu_cores"),
        "open_connections": change.later.value("open_descriptors"),
        "scheduling": change.timed("scheduling").get(()),
        "garbage_collection_share": share,
    }


def _requests(change: CountersChange) -> dict[str, Any]:
    answers = change.rates("answers")
    conversions = change.timed("conversion") | change.timed("conversion_of")
    # What has never happened has no series, but whatever was let through has waited, if for no time.
    never = 0.0 if "queue_wait" in change.later.histograms else None
    return {
        "store_requests": _by_name(change.timed("store")),
        "admission_webhooks": _by_name(change.timed("admission")),
        "conversion_webhooks": _by_name(conversions),
        "requests": {(verb, tuple(kind)): timed for (verb, *kind), timed in change.timed("requests").items()},
        "conflicts_per_second": {key[1:]: rate for key, rate in answers.items() if key[0] == "409"},
        "too_many_per_second": sum(rate for key, rate in answers.items() if key[0] == "429") if answers else None,
        "listed_objects_per_second": _listed(change.rates("listed")),
        "queued_requests": change.now("queued").get((), never),
        "queue_wait": change.timed("queue_wait").get(()),
        "rejected_per_second": change.rate("rejected") if change.now("rejected") else never,
    }


def _watches(change: CountersChange) -> dict[str, Any]:
    sent = change.rates("sent_events")
    sizes = _mean_sizes(change)
    parts = [rate * sizes[key] for key, rate in sent.items() if key in sizes]
    answered = change.rate("answered_bytes")
    parts += [answered] if answered is not None else []
    before = change.earlier.values.get("open_watches")
    return {
        "open_watches": change.now("open_watches"),
        "open_watches_before": sum(before.values()) if before is not None else None,
        "terminated_watchers": change.increases("terminated"),
        "initial_events_per_second": change.rates("initial_events"),
        "sent_events_per_second": sent,
        "sent_bytes_per_second": sum(parts) if parts else None,
        "object_bytes": _object_bytes(change, sizes),
    }


def _cache(change: CountersChange) -> dict[str, Any]:
    dispatch: dict[Kind, dict[str, Timed]] = {}
    for (group, resource, stage), timed in change.timed("dispatch").items():
        dispatch.setdefault((group, resource), {})[stage] = timed
    return {
        "received_events_per_second": change.rates("received_events"),
        "dispatch": dispatch,
        "cache_revisions": {kind: int(revision) for kind, revision in change.now("cache_revisions").items()},
        "cache_read_wait": change.timed("cache_read_wait"),
        "cache_fallbacks": change.increases("cache_fallbacks"),
        "cache_initializations": change.increases("cache_initializations"),
        "cache_inconsistencies": change.now("cache_inconsistencies"),
    }


def _by_name(found: Mapping[SeriesKey, Timed]) -> dict[str, Timed]:
    return {name: timed for (name,), timed in found.items()}


def _listed(rates: Mapping[SeriesKey, float]) -> dict[SeriesKey, float]:
    """By kind, of all places."""
    listed: dict[SeriesKey, float] = {}
    for (_, *kind), rate in counted_once(rates).items():
        listed[tuple(kind)] = listed.get(tuple(kind), 0.0) + rate
    return listed


def counted_once(by_storage: Mapping[SeriesKey, float]) -> Mapping[SeriesKey, float]:
    """Without the family that 1.37 replaced, which may still be served with the same numbers."""
    is_twice = any(storage == IN_WATCH_CACHE for storage, *_ in by_storage)
    return {key: number for key, number in by_storage.items() if not (is_twice and key[0] == BEFORE_1_37)}


def _mean_sizes(change: CountersChange) -> dict[SeriesKey, float]:
    """Of the events between the readings, or of those since the start where there was none between."""
    sums, counts = change.increases("sizes_sum"), change.increases("sizes_count")
    totals, numbers = change.now("sizes_sum"), change.now("sizes_count")
    between_them = {kind: sums[kind] / count for kind, count in counts.items() if count and kind in sums}
    return {kind: totals[kind] / count for kind, count in numbers.items() if count and kind in totals} | between_them


def _object_bytes(change: CountersChange, sent: Mapping[SeriesKey, float]) -> dict[SeriesKey, float]:
    """The larger of what is stored and what is sent: watches may be of metadata alone, or of the largest objects."""
    sizes, objects = change.now("stored_bytes"), change.now("stored_objects")
    stored = {kind: sizes[kind] / number for kind, number in objects.items() if number > 0 and kind in sizes}
    return {kind: max(stored.get(kind, 0.0), sent.get(kind, 0.0)) for kind in stored.keys() | sent.keys()}
