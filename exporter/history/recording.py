"""All streams over the last six hours. Whoever has a clock records each stream once a second, and reads whenever asked.

Thirty minutes are kept in steps of ten seconds, six hours in steps of a minute.
"""

from __future__ import annotations

from collections import defaultdict, deque
from math import inf
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from exporter.history.notes import changes, last_end, of_findings
from exporter.history.steps import HistorySteps
from exporter.history.totals import Totals
from exporter.measure.stream_state import NOT_STARTED

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    from exporter.diagnosis.findings import Finding
    from exporter.history.notes import Note
    from exporter.measure.stream_state import StreamState
    from exporter.measure.times import WallTime
    from exporter.vocabulary import EndReason

StreamKey: TypeAlias = tuple[str, str, str]

FINE_SECONDS, FINE_STEPS = 10, 180
COARSE_SECONDS, COARSE_STEPS = 60, 360
RECORDED_EVERY_SECONDS = 5.0
"""Notes are taken every time, steps are brought up to date so often, and when the condition changes."""

NOTES_OF_A_STREAM = 30
NOTES_OF_ALL = 200


def key_of(state: StreamState) -> StreamKey:
    """What makes it the same stream at another moment."""
    return state.apiserver, state.group, state.resource


class Ended(NamedTuple):
    """How the last watch of a stream ended."""

    at: WallTime
    reason: EndReason


class StreamHistory:
    """One stream."""

    def __init__(self) -> None:
        self.fine = HistorySteps(FINE_SECONDS, FINE_STEPS)
        self.coarse = HistorySteps(COARSE_SECONDS, COARSE_STEPS)
        self.notes: deque[Note] = deque(maxlen=NOTES_OF_A_STREAM)
        """The newest last."""
        self.last_end: Ended | None = None
        self._before: StreamState | None = None
        self.recorded_at: WallTime = -inf
        """When the steps were brought up to date."""

    def record(self, now: WallTime, state: StreamState) -> list[Note]:
        """The stream as it is now; returns what is to be noted."""
        before, self._before = self._before or state, state
        if state.condition != before.condition or abs(now - self.recorded_at) >= RECORDED_EVERY_SECONDS:
            self.recorded_at = now
            totals = Totals.of(state.counts)
            self.fine.record(now, state, totals)
            self.coarse.record(now, state, totals)
        ended = last_end(before, state)
        if ended is not None:
            self.last_end = Ended(now, ended)
        noted = list(changes(now, before, state))
        for note in noted:
            _add(self.notes, note)
        return noted


class History:
    """All streams that are watched, and what the rules found."""

    def __init__(self) -> None:
        self._streams: defaultdict[StreamKey, StreamHistory] = defaultdict(StreamHistory)
        self._notes: deque[Note] = deque(maxlen=NOTES_OF_ALL)
        self._found: dict[tuple[str, ...], Finding] = {}
        self.began: WallTime | None = None
        """When the first stream was recorded."""

    def record(self, now: WallTime, states: Sequence[StreamState]) -> Generator[None, None, None]:
        """All streams as they are now, in steps: those that are watched no more are forgotten."""
        keys = {key_of(state) for state in states}
        for gone in self._streams.keys() - keys:
            del self._streams[gone]
        for state in states:
            if state.trouble == NOT_STARTED:
                continue
            self.began = now if self.began is None else min(now, self.began)
            for note in self._streams[key_of(state)].record(now, state):
                _add(self._notes, note)
            yield

    def record_findings(self, now: WallTime, findings: Iterable[Finding]) -> None:
        """What the rules find now."""
        found: dict[tuple[str, ...], Finding] = {finding.key: finding for finding in findings}
        for note in of_findings(now, self._found, found):
            _add(self._notes, note)
        self._found = found

    def stream(self, state: StreamState) -> StreamHistory:
        """That of one stream; empty if it was never recorded."""
        return self._streams.get(key_of(state)) or StreamHistory()

    @property
    def notes(self) -> list[Note]:
        """Those of all streams, and of what the rules found; the newest last."""
        return list(self._notes)


def _add(notes: deque[Note], note: Note) -> None:
    """Take it in; the same again counts the last one up."""
    if notes and note.continues(notes[-1]):
        notes[-1] = notes[-1]._replace(times=notes[-1].times + note.times)
    else:
        notes.append(note)
