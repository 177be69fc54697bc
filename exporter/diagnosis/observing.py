"""States in, every few seconds, and the facts of the last 15 to 20 seconds out.

Of each stream and apiserver few states are kept; what came and went, or began to count anew, has no past. Whatever is
usual is learned slowly, and only while nothing is wrong.
"""

from __future__ import annotations

from collections import defaultdict, deque
from itertools import pairwise
from math import inf
from operator import lt
from typing import TYPE_CHECKING, Generic, Literal, NamedTuple, TypeAlias, TypeVar

import msgspec
from msgspec.structs import replace

from exporter.diagnosis.facts import (
    SLOW_POLL_RATIO,
    ApiserverFacts,
    Facts,
    Missing,
    PollFacts,
    ProcessFacts,
    SocketFacts,
    StreamFacts,
)
from exporter.diagnosis.seen import ComparedRequests
from exporter.measure.apiserver_state import PollCounts
from exporter.measure.times import Interval
from exporter.vocabulary import CLOCK_READS

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence

    from exporter.audit.events import Verb
    from exporter.audit.live_counts import AuditSpell
    from exporter.diagnosis.facts import FlowFacts
    from exporter.diagnosis.seen import LoggedShare
    from exporter.diagnosis.server_facts import Kind, ServerFacts
    from exporter.measure.apiserver_state import ApiserverState, PolledClock
    from exporter.measure.histogram import Histogram
    from exporter.measure.process_state import ProcessState
    from exporter.measure.stream_state import CacheAnswer, SocketState, StreamCounts, StreamState
    from exporter.measure.times import Instant, WallTime
    from exporter.vocabulary import ClockName, ClockReads, Stage

WINDOW_SECONDS = 15.0
SPACING_SECONDS = 5.0
"""Facts are of the time since the newest kept state that is older than the window: of up to 20 s."""

POLLS_WINDOW_SECONDS, POLLS_SPACING_SECONDS = 4.0, 2.0
"""Of polls the last 4 to 6 s: a clock that polls more often than another one must not become slow later than that."""

CALM_SECONDS = 60.0
"""Nothing counts as usual before nothing was wrong for so long."""
LEARNING_SECONDS = 300.0
"""What is usual follows what is so with this time constant."""

FORGETTING_SECONDS = 60.0
"""What went, and is back within this time, is what it was."""

STEADY_INTERVALS = 4
STEADY_RATIO = 0.8
STEADY_BYTES_PER_SECOND = 50_000.0
"""A link that is full gives about the same in each part of the time; nothing is full at less than this on average."""

MOST_UNDELIVERED = 32
"""Of one stream; the oldest are kept, which say for how long."""

_Value = TypeVar("_Value")
_Key = TypeVar("_Key")
_Polls: TypeAlias = "dict[ClockReads | Literal['cache'], PollCounts]"


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is known at one moment."""

    now: Instant
    wall: WallTime
    streams: list[StreamState]
    apiservers: Sequence[ApiserverState]
    process: ProcessState
    servers: Mapping[str, ServerFacts] = msgspec.field(default_factory=dict)
    """What apiservers say of themselves, by address."""
    members: Mapping[str, tuple[ServerFacts, ...]] = msgspec.field(default_factory=dict)
    """The same of all that answer at an address that may be a balancer's."""
    flows: Mapping[str, tuple[FlowFacts, ...]] = msgspec.field(default_factory=dict)
    """Whose requests apiservers execute, by address."""
    askers: tuple[AuditSpell, ...] = ()
    """Who stands out in the audit log."""
    logged: Mapping[Verb, int] | None = None
    """How many requests were in the audit log so far; None where none is read."""
    converting: Mapping[Kind, bool] = msgspec.field(default_factory=dict)
    """Of custom resources as far as that is known: whether their definition names a conversion webhook."""

    def has_metrics(self, apiserver: str) -> bool:
        """Whether apiservers at this address say something of themselves."""
        return apiserver in self.servers or bool(self.members.get(apiserver))


class LateRule(NamedTuple):
    """What makes a stream late."""

    threshold_seconds: float
    ratio: float
    """Of events that must be within the threshold."""


class Recent(Generic[_Value]):
    """Few values of the last seconds, oldest first."""

    __slots__ = ("_kept", "_spacing_seconds", "_window_seconds")

    def __init__(self, window_seconds: float = WINDOW_SECONDS, spacing_seconds: float = SPACING_SECONDS) -> None:
        self._window_seconds = window_seconds
        self._spacing_seconds = spacing_seconds
        self._kept: deque[tuple[Instant, _Value]] = deque()

    def earlier(self, at: Instant, value: _Value) -> tuple[float, _Value]:
        """Take in a value. How many seconds ago there was which other: none at first."""
        kept = self._kept
        if not kept or at - kept[-1][0] >= self._spacing_seconds:
            kept.append((at, value))
        while len(kept) > 1 and kept[1][0] <= at - self._window_seconds:
            kept.popleft()
        then, earlier = kept[0]
        return max(0.0, at - then), earlier


class Usual:
    """A number as it is while nothing is wrong."""

    __slots__ = ("_calm_since", "_learned_seconds", "_mean", "_seen")

    def __init__(self) -> None:
        self._calm_since: Instant | None = None
        self._seen: Instant = -inf
        self._learned_seconds = 0.0
        self._mean = 0.0

    @property
    def value(self) -> float | None:
        """None before nothing was wrong for a minute."""
        return self._mean if self._learned_seconds >= CALM_SECONDS else None

    def see(self, now: Instant, number: float | None, *, is_calm: bool) -> None:
        """It is so now; None where there is no such number now."""
        if not is_calm:
            self._calm_since = None
            if self.value is None:
                self._learned_seconds = self._mean = 0.0
            return
        if self._calm_since is None:
            self._calm_since = self._seen = now
        seconds, self._seen = now - self._seen, now
        is_calm_for_long = now - self._calm_since >= CALM_SECONDS
        if number is not None and seconds > 0 and (self.value is None or is_calm_for_long):
            self._learned_seconds += seconds
            self._mean += (number - self._mean) * seconds / max(seconds, min(self._learned_seconds, LEARNING_SECONDS))


class Undelivered:
    """Revisions that a stream should deliver, and since when that is known."""

    __slots__ = ("_delivered", "_since")

    def __init__(self) -> None:
        self._since: dict[int, Instant] = {}
        self._delivered = 0

    def update(self, state: StreamState, others: Iterable[StreamState], now: Instant) -> Missing | None:
        """What is missing for the longest time; None if nothing is known to be missing."""
        delivered = state.delivered.up_to
        if delivered < self._delivered or not delivered:
            self._since.clear()  # the store was restored: its revisions mean something else now
        self._delivered = delivered
        for revision in [revision for revision in self._since if revision <= delivered]:
            del self._since[revision]
        if delivered:
            if state.owed_canary is not None:
                self._add(state.owed_canary.revision, min(now, state.owed_canary.answered))
            for other in others:
                self._add(other.delivered.newest_event, now)
        return Missing(*min(self._since.items(), key=lambda one: one[1])) if self._since else None

    def _add(self, revision: int, since: Instant) -> None:
        if revision > self._delivered and len(self._since) < MOST_UNDELIVERED:
            self._since.setdefault(revision, since)


class ObservedStream:
    """What is remembered of one stream."""

    __slots__ = ("_bytes", "_last", "_late_since", "_recent", "_socket", "_undelivered", "_usual", "seen")

    def __init__(self) -> None:
        self.seen: Instant = -inf
        self._recent: Recent[StreamCounts] = Recent()
        self._last: tuple[float, ...] = ()
        self._bytes: deque[tuple[Instant, int]] = deque()
        self._undelivered = Undelivered()
        self._usual = Usual()
        self._late_since: WallTime | None = None
        self._socket: SocketState | None = None

    def facts(
        self, state: StreamState, others: Iterable[StreamState], moment: Snapshot, objective: LateRule
    ) -> StreamFacts:
        """Take in its state of this moment; `others` are the streams of its kind that are in the same store."""
        self.seen = moment.now
        only_growing = _only_growing(state.counts)
        if any(map(lt, only_growing, self._last)):  # other series, which began at 0: those before were dropped
            self._recent = Recent()
            self._bytes.clear()
        self._last = only_growing
        seconds, earlier = self._recent.earlier(state.at, state.counts)
        counted = _counted(state, earlier, seconds, objective, has_metrics=moment.has_metrics(state.apiserver))
        self._note_trouble(counted, moment.wall, objective)
        missing, cache = self._undelivered.update(state, others, moment.now), state.cache_answer
        undelivered_seconds = moment.now - missing.since if missing is not None else 0.0
        is_calm = self._late_since is None and state.is_up and undelivered_seconds <= objective.threshold_seconds
        self._usual.see(state.at, counted.events_per_second if seconds else None, is_calm=is_calm)
        return replace(
            counted,
            late_since=self._late_since,
            usual_events_per_second=self._usual.value,
            is_rate_steady=self._is_rate_steady(state.at, state.counts.received_bytes),
            undelivered=missing,
            undelivered_seconds=undelivered_seconds,
            is_undelivered_cached=_is_cached(cache, *missing) if cache is not None and missing is not None else None,
            cache_still_seconds=max(0.0, cache.asked - cache.since) if cache is not None else None,
            socket=self._socket_facts(state.socket),
            converts_by_webhook=moment.converting.get((state.group, state.resource)),
        )

    def _note_trouble(self, counted: StreamFacts, wall: WallTime, objective: LateRule) -> None:
        """Facts are of so many seconds that a break which is not longer is none."""
        is_uncovered = counted.uncovered_seconds > objective.threshold_seconds
        if not counted.is_late and not is_uncovered:
            self._late_since = None
        elif self._late_since is None:
            self._late_since = wall - counted.uncovered_seconds if is_uncovered else wall

    def _is_rate_steady(self, at: Instant, received_bytes: int) -> bool:
        points = self._bytes
        if not points or at > points[-1][0]:
            points.append((at, received_bytes))
        while points[0][0] < at - WINDOW_SECONDS - SPACING_SECONDS:
            points.popleft()
        (began, bytes_before), (ended, bytes_after) = points[0], points[-1]
        if bytes_after - bytes_before <= STEADY_BYTES_PER_SECOND * (ended - began):
            return False
        rates = [(after[1] - before[1]) / (after[0] - before[0]) for before, after in pairwise(points)]
        return len(rates) >= STEADY_INTERVALS and min(rates) >= STEADY_RATIO * max(rates)

    def _socket_facts(self, now: SocketState | None) -> SocketFacts | None:
        before, self._socket = self._socket, now
        if now is None:
            return None
        counted_before = before.out_of_order_packets if before is not None and before.opened == now.opened else 0
        return SocketFacts(
            round_trip_seconds=now.round_trip_seconds,
            silent_seconds=now.silent_seconds,
            unread_bytes=now.unread_bytes,
            out_of_order_packets=max(0, now.out_of_order_packets - counted_before),
            receive_round_trip_seconds=now.receive_round_trip_seconds,
        )


class ObservedApiserver:
    """What is remembered of one apiserver address."""

    __slots__ = ("_recent", "_usual", "seen")

    def __init__(self) -> None:
        self.seen: Instant = -inf
        self._recent: Recent[ApiserverState] = Recent(POLLS_WINDOW_SECONDS, POLLS_SPACING_SECONDS)
        self._usual: dict[ClockName, Usual] = {"revision": Usual(), "cache": Usual()}

    def facts(self, state: ApiserverState, streams: Sequence[StreamFacts], moment: Snapshot) -> ApiserverFacts:
        """Take in its state of this moment; `streams` are those on it."""
        self.seen = moment.now
        _, earlier = self._recent.earlier(state.at, state)
        polls = _polls_since(state.polls, earlier.polls)
        reads: ClockReads = next((one for one in CLOCK_READS if one in polls and polls[one].asked), "nothing")
        is_calm = not any(one.late_since for one in streams)
        store = self._poll_facts("revision", polls.get(reads), state.at, is_calm=is_calm)
        store = replace(store, waiting_seconds=_waiting(state, "revision", reads))
        cache = self._poll_facts("cache", polls.get("cache"), state.at, is_calm=is_calm)
        cache = replace(cache, waiting_seconds=_waiting(state, "cache", "own_cache"))
        throttled = sum(one.failed.get("throttled", 0) for one in (store, cache))
        throttled += sum(one.start_errors.get("throttled", 0) + one.ends.get("throttled", 0) for one in streams)
        recent = [way.seconds for way in state.ways_back if way.arrived >= state.at - WINDOW_SECONDS]
        return ApiserverFacts(
            apiserver=state.apiserver,
            is_one_apiserver=state.is_one_apiserver,
            store_polls=store,
            store_polls_read=reads,
            cache_polls=cache,
            way_back=Interval(*map(max, zip(*recent, strict=True))) if recent else None,
            throttled=throttled,
            server=moment.servers.get(state.apiserver),
            members=moment.members.get(state.apiserver, ()),
            flows=moment.flows.get(state.apiserver, ()),
        )

    def _poll_facts(self, clock: ClockName, polls: PollCounts | None, at: Instant, *, is_calm: bool) -> PollFacts:
        usual = self._usual[clock]
        if polls is None:
            usual.see(at, None, is_calm=is_calm)
            return PollFacts(usual_seconds=usual.value)
        seconds = polls.seconds.quantile(0.9)
        if seconds is not None:
            is_slow = usual.value is not None and seconds.earliest > SLOW_POLL_RATIO * usual.value
            is_calm &= seconds.latest < inf and not is_slow and not polls.failures
        usual.see(at, seconds.latest if seconds is not None else None, is_calm=is_calm)
        return PollFacts(
            answered=polls.answered,
            failed={reason: times for reason, times in polls.failed.items() if times},
            seconds=seconds,
            usual_seconds=usual.value,
        )


class Observations:
    """What is remembered of all streams and apiservers."""

    def __init__(self, objective: LateRule) -> None:
        self._objective = objective
        self._streams: defaultdict[tuple[str, str, str], ObservedStream] = defaultdict(ObservedStream)
        self._apiservers: defaultdict[str, ObservedApiserver] = defaultdict(ObservedApiserver)
        self._process: Recent[ProcessState] = Recent()
        self._requests = ComparedRequests()

    def take(self, moment: Snapshot) -> Generator[None, None, Facts]:
        """The facts of this moment, in steps: many streams at once would hold the event loop."""
        kinds: dict[Kind, dict[str, StreamState]] = {}
        for state in moment.streams:
            kinds.setdefault((state.group, state.resource), {})[state.apiserver] = state
        streams: dict[str, list[StreamFacts]] = {}
        for state in moment.streams:
            of_kind = kinds[state.group, state.resource]
            others = [of_kind[one] for one in state.revision_clock.same_store if one in of_kind]
            observed = self._streams[state.apiserver, state.group, state.resource]
            streams.setdefault(state.apiserver, []).append(observed.facts(state, others, moment, self._objective))
            yield
        apiservers: list[ApiserverFacts] = []
        for one in moment.apiservers:
            known = self._apiservers[one.apiserver]
            apiservers.append(known.facts(one, streams.get(one.apiserver, ()), moment))
            yield
        self._forget(moment.now)
        return Facts(
            now=moment.wall,
            threshold_seconds=self._objective.threshold_seconds,
            streams=tuple(facts for of_one in streams.values() for facts in of_one),
            apiservers=tuple(apiservers),
            askers=moment.askers,
            seen=self._seen(moment),
            process=_process_facts(moment.process, *self._process.earlier(moment.process.at, moment.process)),
        )

    def _seen(self, moment: Snapshot) -> Mapping[Verb, LoggedShare] | None:
        if moment.logged is None:
            return None
        names = [one.apiserver for one in moment.apiservers]
        return self._requests.compare(moment.now, moment.logged, names, moment.servers)

    def _forget(self, now: Instant) -> None:
        since = now - FORGETTING_SECONDS
        for place in [place for place, one in self._streams.items() if one.seen < since]:
            del self._streams[place]
        for name in [name for name, one in self._apiservers.items() if one.seen < since]:
            del self._apiservers[name]


def _counted(
    state: StreamState, earlier: StreamCounts, seconds: float, objective: LateRule, *, has_metrics: bool
) -> StreamFacts:
    """Whatever is the difference of two counts."""
    counts, trouble = state.counts, state.trouble
    judged = {verdict: events - earlier.judged[verdict] for verdict, events in counts.judged.items()}
    canaries_lost = counts.canaries_lost - earlier.canaries_lost
    is_late = canaries_lost > 0 or judged["late"] > (1 - objective.ratio) * sum(judged.values()) + 1e-9
    span = (counts.time_span_lower, counts.time_span_upper, earlier.time_span_lower, earlier.time_span_upper)
    return StreamFacts(
        apiserver=state.apiserver,
        group=state.group,
        resource=state.resource,
        is_up=state.is_up,
        trouble=trouble.reason if trouble is not None and trouble.reason != "not started yet" else None,
        is_late=is_late,
        judged=judged,
        time_span=_p99(*span) if is_late or has_metrics else None,
        window_p99_seconds=state.window.p99_lower_seconds if state.window.state == "violated" else None,
        storage_to_cache=_stage("storage_to_cache", counts, earlier) if is_late else None,
        cache_to_client=_stage("cache_to_client", counts, earlier) if is_late else None,
        write=_stage("write", counts, earlier),
        canary_write=_canary_write(state, earlier, objective),
        canaries_lost=canaries_lost,
        events_per_second=(_events(counts) - _events(earlier)) / seconds if seconds else 0.0,
        bytes_per_second=(counts.received_bytes - earlier.received_bytes) / seconds if seconds else 0.0,
        uncovered_seconds=counts.uncovered_seconds - earlier.uncovered_seconds,
        ends=_grown(counts.ends, earlier.ends),
        start_errors=_grown(counts.start_errors, earlier.start_errors),
        relists=counts.losses - earlier.losses,
        clock_reads=state.revision_clock.reads,
    )


def _only_growing(counts: StreamCounts) -> tuple[float, ...]:
    """What only grows while the series are there."""
    alone = (counts.received_bytes, counts.uncovered_seconds, counts.canaries_lost, counts.losses)
    events, judged = counts.events.values(), counts.judged.values()
    ended = (*counts.ends.values(), *counts.start_errors.values())
    return *alone, *counts.time_span_upper.counts, *events, *judged, *ended


def _grown(counts: Mapping[_Key, int], earlier: Mapping[_Key, int]) -> dict[_Key, int]:
    """By how much each has grown that has."""
    if counts == earlier:
        return {}
    return {key: count - earlier[key] for key, count in counts.items() if count != earlier[key]}


def _events(counts: StreamCounts) -> int:
    """All that came, but for bookmarks."""
    bookmarks = counts.events["bookmark", "live"] + counts.events["bookmark", "replayed"]
    return sum(counts.events.values()) - bookmarks


def _p99(lower: Histogram, upper: Histogram, earlier_lower: Histogram, earlier_upper: Histogram) -> Interval | None:
    """Bounds of the P99 of what was observed since: as certain as the buckets that hold it are narrow."""
    least, most = lower.quantile(0.99, earlier_lower), upper.quantile(0.99, earlier_upper)
    return Interval(least.earliest, most.latest) if least is not None and most is not None else None


def _stage(stage: Stage, counts: StreamCounts, earlier: StreamCounts) -> Interval | None:
    return _p99(
        counts.stage_lower[stage], counts.stage_upper[stage], earlier.stage_lower[stage], earlier.stage_upper[stage]
    )


def _canary_write(state: StreamState, earlier: StreamCounts, objective: LateRule) -> Interval | None:
    """A write that waits for its answer is told before it has one: a webhook may take half a minute."""
    since = state.canary_unanswered_since
    waited_seconds = state.at - since if since is not None else 0.0
    if waited_seconds > objective.threshold_seconds:
        return Interval(waited_seconds, inf)
    return state.counts.canary_write.quantile(0.5, earlier.canary_write)


def _is_cached(cache: CacheAnswer, revision: int, since: Instant) -> bool | None:
    """Whether the cache has the revision; None if it was not asked since that is known."""
    if cache.revision >= revision:
        return True
    return False if cache.asked > since else None


def _polls_since(polls: Mapping[PolledClock, PollCounts], earlier: Mapping[PolledClock, PollCounts]) -> _Polls:
    """What was counted since, by what is read; all of it where a clock is new, or began anew."""
    clocks: defaultdict[ClockReads | Literal["cache"], list[PolledClock]] = defaultdict(list)
    for clock in polls:
        if clock.clock == "revision":
            clocks[clock.reads].append(clock)
        elif clock.reads == "own_cache":
            clocks["cache"].append(clock)
    since: _Polls = {}
    for reads, those in clocks.items():
        total = PollCounts.total([polls[one] for one in those])
        before = [earlier[one] for one in those if one in earlier and not polls[one].began_anew(earlier[one])]
        since[reads] = total.since(PollCounts.total(before)) if before else total
    return since


def _waiting(state: ApiserverState, clock: ClockName, reads: ClockReads) -> float:
    """For how long the oldest unanswered poll of such a clock waits."""
    since = [sent for polled, sent in state.waiting_since.items() if (polled.clock, polled.reads) == (clock, reads)]
    return max(0.0, state.at - min(since)) if since else 0.0


def _process_facts(now: ProcessState, seconds: float, earlier: ProcessState) -> ProcessFacts:
    if not seconds:
        return ProcessFacts()
    throttled = None
    if now.throttled_seconds is not None and earlier.throttled_seconds is not None:
        # The kernel adds up all CPUs; this process runs on one.
        throttled = min(1.0, max(0.0, now.throttled_seconds - earlier.throttled_seconds) / seconds)
    return ProcessFacts(
        loop_lag=now.loop_lag.quantile(0.99, earlier.loop_lag),
        stalled_share=min(1.0, (now.stalled_seconds - earlier.stalled_seconds) / seconds),
        throttled_share=throttled,
        suspended_seconds=now.suspended_seconds - earlier.suspended_seconds,
    )
