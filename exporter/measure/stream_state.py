"""The state of one stream as one value: page, status, metrics and `watchslo measure` all read it.

A stream is one resource on one apiserver. Its counters continue for as long as its series exist; a state is a frozen
copy of them, together with the current status.
"""

from __future__ import annotations

from itertools import product
from math import inf
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

import msgspec
from msgspec.structs import replace

from exporter.measure.histogram import Histogram
from exporter.measure.window import EMPTY
from exporter.vocabulary import (
    END_REASONS,
    EVENT_TYPES,
    FINE_BOUNDS,
    LATENCY_BOUNDS,
    LIFETIME_BOUNDS,
    PHASES,
    RECONNECT_BOUNDS,
    RELIST_REASONS,
    SOURCES,
    STAGES,
    START_REASONS,
    UNMEASURED_REASONS,
    VERDICTS,
    WELL,
)
from exporter.wording.kinds import kind_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.measure.canaries import Canary
    from exporter.measure.late_objects import LateObject
    from exporter.measure.startup_counts import StartupState
    from exporter.measure.times import Instant, WallTime
    from exporter.measure.window import WindowReport
    from exporter.vocabulary import (
        ClockReads,
        Condition,
        DoubtReason,
        EndReason,
        EventType,
        Phase,
        RelistReason,
        ShownCondition,
        Source,
        Stage,
        StartReason,
        UnknownReason,
        UnmeasuredReason,
        Verdict,
    )

_Key = TypeVar("_Key")


class StreamCounts(msgspec.Struct, kw_only=True):
    """All counters of a stream, from 0 on. Times are in seconds."""

    events: dict[tuple[EventType, Phase], int]
    judged: dict[Verdict, int]
    evidence: dict[Source, int]
    contradictions: dict[Source, int]
    unmeasured: dict[UnmeasuredReason, int]
    undecodable: int = 0
    time_span: Histogram
    time_span_lower: Histogram
    time_span_upper: Histogram
    interval_width: Histogram
    stage_lower: dict[Stage, Histogram]
    stage_upper: dict[Stage, Histogram]
    ends: dict[EndReason, int]
    forced_closes: int = 0
    relists: dict[RelistReason, int]
    start_errors: dict[StartReason, int]
    relist: Histogram
    rewatch: Histogram
    lifetime: Histogram
    uncovered_seconds: float = 0.0
    received_bytes: int = 0
    canary_writes: int = 0
    canary_write_failures: int = 0
    canaries_lost: int = 0
    canary_delivery: Histogram
    canary_write: Histogram

    @classmethod
    def none(cls, threshold_seconds: float, histogram: type[Histogram] = Histogram) -> StreamCounts:
        """Nothing has happened; latencies are counted up to the threshold besides all other bounds."""
        spans = {*LATENCY_BOUNDS, float(threshold_seconds)}
        return cls(
            events=_zeros(product(EVENT_TYPES, PHASES)),
            judged=_zeros(VERDICTS),
            evidence=_zeros(SOURCES),
            contradictions=_zeros(SOURCES),
            unmeasured=_zeros(UNMEASURED_REASONS),
            time_span=histogram(spans),
            time_span_lower=histogram(spans),
            time_span_upper=histogram(spans),
            interval_width=histogram(FINE_BOUNDS),
            stage_lower={stage: histogram(spans) for stage in STAGES},
            stage_upper={stage: histogram(spans) for stage in STAGES},
            ends=_zeros(END_REASONS),
            relists=_zeros(RELIST_REASONS),
            start_errors=_zeros(START_REASONS),
            relist=histogram(RECONNECT_BOUNDS),
            rewatch=histogram(RECONNECT_BOUNDS),
            lifetime=histogram(LIFETIME_BOUNDS),
            canary_delivery=histogram(spans),
            canary_write=histogram(spans),
        )

    @property
    def losses(self) -> int:
        """The number of relists at which events may be missing; a start loses nothing."""
        return sum(self.relists.values()) - self.relists["start"]

    def copy(self) -> StreamCounts:
        """The counts as they are now."""
        return replace(self, **{name: _copied(value) for name, value in self._values()})

    def since(self, earlier: StreamCounts) -> StreamCounts:
        """What was counted since `earlier`, a copy of these."""
        return replace(self, **{name: _growth(value, getattr(earlier, name)) for name, value in self._values()})

    def _values(self) -> list[tuple[str, Any]]:
        return [(name, getattr(self, name)) for name in self.__struct_fields__]


class Trouble(NamedTuple):
    """Why no watch is open, if that is known."""

    reason: StartReason | Literal["not started yet"]
    error: str = ""
    """The error message of the apiserver or the connection."""

    def __str__(self) -> str:
        return f"{self.reason}: {self.error}" if self.error else self.reason


NOT_STARTED = Trouble("not started yet")


class RevisionClockState(NamedTuple):
    """What dates the events of a stream."""

    kind: str | None = None
    """The polled kind, as flags have it; None while nothing dates the events."""
    reads: ClockReads = "nothing"
    reads_stale: bool = False
    """Whether the store has returned a lower revision than it had committed."""
    same_store: tuple[str, ...] = ()
    """Addresses of other apiservers that are proven to read the same store."""


NOTHING_DATES = RevisionClockState()


class Delivered(NamedTuple):
    """How far a stream has come in the history of its store; 0 while nothing is known of that."""

    up_to: int = 0
    """Everything up to this revision has arrived, or is older than the watch."""
    newest_event: int = 0
    """The newest revision that an event had; a bookmark's may be of any resource."""


NOTHING_DELIVERED = Delivered()


class Interruptions(NamedTuple):
    """Forced closes and relists of the last time, as long as there is something to say of them."""

    forced_closes: int = 0
    relists: int = 0
    """At which events may be missing."""
    since: WallTime | None = None
    """When the first one of them was."""
    is_repeated: bool = False
    """Whether it happens again and again."""
    shortest_seconds: float | None = None
    longest_seconds: float | None = None
    """How long the watches lasted that were opened after the first of them and closed by force."""


NOT_INTERRUPTED = Interruptions()


class Fading(NamedTuple):
    """What only the window still knows of: a state that is no longer news. Unix times."""

    began: WallTime | None
    """Of the time in which events may be missing; None for events that were late, or may have been."""
    ended: WallTime
    """From then on a watch is open, or all events are certainly on time."""
    leaves: WallTime
    """When the window has forgotten it, unless it happens again."""


class CacheAnswer(NamedTuple):
    """What the watch cache has answered last."""

    revision: int
    since: Instant
    """The first answer with this revision was here."""
    asked: Instant
    """When the poll went out that was answered last with it."""


class CanaryTrouble(NamedTuple):
    """What went wrong with a canary the last time."""

    what: Literal["lost", "failed"]
    """Its event did not come in time, or it could not be written."""
    at: WallTime


class SocketState(NamedTuple):
    """What the kernel says of the connection that carries a watch (tcp(7), linux/tcp.h)."""

    opened: Instant
    """A later one is another connection, which counts from 0 again."""
    round_trip_seconds: float
    receive_round_trip_seconds: float
    """As the kernel estimates it of what comes; 0 while it has no estimate."""
    silent_seconds: float
    """Since the last byte came."""
    unread_bytes: int
    out_of_order_packets: int
    received_bytes: int


class StreamState(msgspec.Struct, frozen=True, kw_only=True):
    """One stream at one moment."""

    apiserver: str
    """Its address, host:port."""
    at: Instant = 0.0
    group: str
    """"" for core."""
    resource: str
    is_up: bool = False
    """Whether a watch is open."""
    trouble: Trouble | None = NOT_STARTED
    """Why it is not, if that is known."""
    window: WindowReport = EMPTY
    revision_clock: RevisionClockState = NOTHING_DATES
    since: WallTime | None = None
    """When the condition became what it is; None if that is not known."""
    is_since_start: bool = False
    """Whether it was so when we began to watch: then it may be so for longer."""
    fading: Fading | None = None
    """Set if what made the window late or unknown is certainly over."""
    last_activity: WallTime | None = None
    """Of the last byte or bookmark; None before the first one."""
    delivered: Delivered = NOTHING_DELIVERED
    cache_answer: CacheAnswer | None = None
    """None while nothing polls the watch cache."""
    owed_canary: Canary | None = None
    """The oldest write of ours that was answered with success, and whose event has not arrived."""
    canary_trouble: CanaryTrouble | None = None
    """The last one; None if there was none."""
    canary_unanswered_since: Instant | None = None
    """When the write of ours was sent that this apiserver has not answered."""
    socket: SocketState | None = None
    """None while no watch is open, and where the kernel does not tell."""
    interruptions: Interruptions = NOT_INTERRUPTED
    late_objects: tuple[LateObject, ...] = ()
    """The newest events that were certainly late, the newest last."""
    pod_startup: StartupState | None = None
    """None unless pods are followed here."""
    counts: StreamCounts

    @property
    def condition(self) -> Condition:
        """The state of the window, or that no watch is open: then the window only speaks of what had arrived before."""
        return self.window.state if self.is_up else "down"

    @property
    def is_interrupted(self) -> bool:
        """Whether a watch is open, and was not for long, again and again."""
        return self.is_up and self.interruptions.is_repeated

    @property
    def shown_condition(self) -> ShownCondition:
        """The condition as people see it: what is interrupted again and again is not well, however prompt it is."""
        condition = self.condition
        return "interrupted" if self.is_interrupted and condition in WELL else condition

    @property
    def unknown_reason(self) -> UnknownReason | None:
        """Why the condition is unknown; None if it is not."""
        if self.condition != "unknown":
            return None
        if not self.window.is_covered:
            return "uncovered"
        is_dated = self.revision_clock.reads != "nothing" and self.window.p99_upper_seconds != inf
        return "wide" if is_dated else "undated"

    @property
    def doubt(self) -> DoubtReason | None:
        """The same, told apart as people have to know it."""
        reason = self.unknown_reason
        if reason == "uncovered":
            return self.window.uncovered_reason
        return "nothing_dates" if reason == "undated" and self.revision_clock.reads == "nothing" else reason

    @property
    def name(self) -> str:
        """The resource as flags have it."""
        return kind_name(self.group, self.resource)


def _zeros(keys: Iterable[_Key]) -> dict[_Key, int]:
    return dict.fromkeys(keys, 0)


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        has_histograms = isinstance(next(iter(value.values()), None), Histogram)
        return {key: of_key.copy() for key, of_key in value.items()} if has_histograms else value.copy()
    return value.copy() if isinstance(value, Histogram) else value


def _growth(value: Any, earlier: Any) -> Any:
    if isinstance(value, dict):
        return {key: _growth(of_key, earlier[key]) for key, of_key in value.items()}
    return value.since(earlier) if isinstance(value, Histogram) else value - earlier
