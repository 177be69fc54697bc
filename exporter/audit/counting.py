"""Counts audit events for each user, user agent and resource, and never one of them twice."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from exporter.audit.bounded import Lately
from exporter.audit.requests import asked_of_list, asked_of_watch
from exporter.audit.sequences import Broken, Relisted, Sequence, Started
from exporter.audit.writers import Writer, Writers

if TYPE_CHECKING:
    from exporter.audit.events import AuditEvent
    from exporter.audit.requests import Asked
    from exporter.audit.sequences import Inferred

MOST_ROWS = 60_000
MOST_SEQUENCES = 100_000
MOST_OPEN_WATCHES = 200_000
MOST_EVENT_IDS = 200_000
MOST_PODS = 1_000
MOST_SHAPES = 20

LONGEST_REQUEST_SECONDS = 3600.0
"""An apiserver ends what is not meant to last after a minute, unless it is told otherwise (--request-timeout)."""

_LASTING = ("/exec", "/attach", "/portforward", "/log", "/proxy")

What: TypeAlias = Literal[
    "requests",  # by verb
    "seconds",  # by verb
    "codes",  # 409, 429 and whatever else is no success
    "lists",  # by kind
    "shapes",  # LISTs by kind and selected fields
    "watches",  # by kind
    "ends",  # of watches
    "lifetimes",  # seconds by end
    "relists",  # by reason
    "inferred",  # streams that broke, informers that began, watches without bookmarks
    "waits",  # seconds by annotation
]


class RowKey(NamedTuple):
    """What is counted apart."""

    user: str
    agent: str
    resource: str


OTHERS = RowKey("(others)", "", "")
"""Where the rows go that cost least, when there are too many."""


class CountedRow:
    """The counts of one user, user agent and resource."""

    __slots__ = ("counts", "pods")

    def __init__(self) -> None:
        self.counts: defaultdict[tuple[What, str], float] = defaultdict(float)
        self.pods: set[str] = set()

    @property
    def cost(self) -> tuple[float, float]:
        """Server seconds, then requests: what rows are ranked by."""
        return self.of("seconds"), self.of("requests")

    def of(self, what: What) -> float:
        """The sum of whatever kinds there are."""
        return sum(count for (of, _), count in self.counts.items() if of == what)

    def add(self, other: CountedRow) -> None:
        """Make its counts part of these."""
        for key, count in other.counts.items():
            self.counts[key] += count
        self.pods.update(sorted(other.pods)[: MOST_PODS - len(self.pods)])


class Audit:
    """Counts events in the order of their times; `report` makes sentences of what it knows."""

    def __init__(self, most_rows: int = MOST_ROWS) -> None:
        self.rows: dict[RowKey, CountedRow] = {}
        self.writers = Writers()
        self.sequences: Lately[int, tuple[RowKey, Sequence]] = Lately(MOST_SEQUENCES)
        self.events = self.repeated = self.contradictory = 0
        """`repeated` are events that were there before; the times of `contradictory` ones cannot be right."""
        self.untimed = 0
        """Requests of which the log does not say when they were received."""
        self.started_watches = 0
        self.times: tuple[float, float] | None = None
        """Of the first and of the last event."""
        self._most_rows = most_rows
        self._seen: Lately[int, bool] = Lately(MOST_EVENT_IDS)
        self._open_watches: Lately[int, float] = Lately(MOST_OPEN_WATCHES)

    def count(self, event: AuditEvent) -> None:
        """One event."""
        identity = identity_of(event)
        if self._seen.get(identity):
            self.repeated += 1
            return
        self._seen.put(identity, True)  # noqa: FBT003
        self.events += 1
        first, last = self.times or (event.staged, event.staged)
        self.times = min(first, event.staged), max(last, event.staged)
        key = RowKey(event.user, event.agent, event.resource)
        row = self.rows.get(key)
        if row is None:
            self._make_room()
            row = self.rows[key] = CountedRow()
        if event.pod and len(row.pods) < MOST_PODS:
            row.pods.add(event.pod)
        if event.verb == "watch":
            self._count_watch(event, key, row)
        elif event.stage == "complete":
            self._count_request(event, key, row)

    def _make_room(self) -> None:
        if len(self.rows) < self._most_rows:
            return
        ranked = sorted(self.rows, key=lambda key: (key != OTHERS, self.rows[key].cost, key))
        others = self.rows.setdefault(OTHERS, CountedRow())
        for key in ranked[: len(ranked) // 2]:
            if key != OTHERS:
                others.add(self.rows.pop(key))

    def _count_request(self, event: AuditEvent, key: RowKey, row: CountedRow) -> None:
        row.counts["requests", event.verb] += 1
        seconds = self._believed(event.staged, event.received)
        if seconds is not None and not lasts(event.resource):
            row.counts["seconds", event.verb] += seconds
        for wait, waited in event.waits:
            row.counts["waits", wait] += min(waited, LONGEST_REQUEST_SECONDS)
        if event.code >= 400:
            row.counts["codes", _code(event.code)] += 1
        elif event.verb == "list":
            self._count_list(event, key, row)
        elif event.verb in ("update", "patch") and event.name:
            what = (event.resource, event.namespace, event.name)
            self.writers.wrote(what, Writer(event.user, event.agent, event.pod), event.staged)

    def _believed(self, staged: float, received: float | None) -> float | None:
        """How long a request took; None if that is not known, or cannot be."""
        if received is None:
            self.untimed += 1
        elif 0 <= staged - received <= LONGEST_REQUEST_SECONDS:
            return staged - received
        else:
            self.contradictory += 1
        return None

    def _count_list(self, event: AuditEvent, key: RowKey, row: CountedRow) -> None:
        asked = asked_of_list(event.query)
        row.counts["lists", asked.kind] += 1
        self._count_shape(row, f"{asked.kind} by {asked.by}" if asked.by else asked.kind)
        if asked.kind != "unknown":
            self._infer(row, self._sequence(event, key, asked).listed(asked, event.staged))

    def _count_shape(self, row: CountedRow, shape: str) -> None:
        if ("shapes", shape) not in row.counts and sum(what == "shapes" for what, _ in row.counts) >= MOST_SHAPES:
            shape = "other"
        row.counts["shapes", shape] += 1

    def _count_watch(self, event: AuditEvent, key: RowKey, row: CountedRow) -> None:
        if event.code >= 400:
            if event.stage == "complete":
                row.counts["requests", "watch"] += 1
                row.counts["codes", _code(event.code)] += 1
            return
        asked = asked_of_watch(event.query)
        sequence = self._sequence(event, key, asked)
        identity = hash((event.audit_id, event.received))
        started = None
        if event.stage == "started":
            self.started_watches += 1
            self._open_watches.put(identity, event.staged)
        else:
            started = self._open_watches.pop(identity)
        if started is None:
            row.counts["requests", "watch"] += 1
            row.counts["watches", asked.kind] += 1
            row.counts["inferred", "without bookmarks"] += not asked.has_bookmarks and asked.kind == "resumed"
            if asked.kind != "unknown":
                self._infer(row, sequence.watch_started(asked))
        if event.stage == "complete" and event.received is not None and asked.kind != "unknown":
            seconds = max(event.staged - event.received, 0.0)
            end = sequence.watch_ended(asked, seconds, event.staged - (started or event.received))
            row.counts["ends", end] += 1
            row.counts["lifetimes", end] += seconds

    def _sequence(self, event: AuditEvent, key: RowKey, asked: Asked) -> Sequence:
        identity = hash((*key, event.instance, event.namespace, asked.selectors))
        return self.sequences.get_or(identity, lambda: (key, Sequence()))[1]

    def _infer(self, row: CountedRow, inferred: list[Inferred]) -> None:
        for fact in inferred:
            match fact:
                case Relisted(reason):
                    row.counts["relists", reason] += 1
                case Broken():
                    row.counts["inferred", "broken streams"] += 1
                case Started():
                    row.counts["inferred", "informers started"] += 1

    @property
    def forgotten(self) -> int:
        """Sequences and open watches that there was no room for."""
        return self.sequences.forgotten + self._open_watches.forgotten

    @property
    def open_watches(self) -> int:
        """Watches whose end was not seen."""
        return len(self._open_watches)


def identity_of(event: AuditEvent) -> int:
    """What tells that two events are one: not the id alone, because clients may choose that of their requests."""
    return hash((event.audit_id, event.stage, event.staged, event.received))


def lasts(resource: str) -> bool:
    """Whether requests for it are meant to last, so that their seconds say nothing."""
    return resource.endswith(_LASTING)


def _code(code: int) -> str:
    return str(code) if code < 600 else "other"
