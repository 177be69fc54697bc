"""The history as JSON has it, described in docs/page.md: the columns of each stream's steps, and what is of note."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from exporter.vocabulary import STAGES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from exporter.history.notes import Note
    from exporter.history.recording import StreamHistory
    from exporter.history.steps import HistorySteps
    from exporter.measure.late_objects import LateObject
    from exporter.measure.stream_state import StreamState

DIGITS = 6
"""Microseconds: the columns have 24 bits."""


def stream(state: StreamState, history: StreamHistory, last: int) -> Iterator[dict[str, Any]]:
    """One stream, in pieces that are made one after the other and are one mapping together.

    `last` is how many steps of each resolution it has at most.
    """
    yield {"apiserver": state.apiserver, "group": state.group, "resource": state.resource}
    yield {"fine": steps(history.fine, last)}
    yield {"coarse": steps(history.coarse, last)}
    end = history.last_end
    yield {
        "last_end": {"at": end.at, "reason": end.reason} if end is not None else None,
        "late_objects": [late_object(one) for one in state.late_objects],
    }


def steps(recorded: HistorySteps, last: int) -> dict[str, Any]:
    """The last steps of one resolution, as columns of the same length."""
    rows = list(recorded.last(min(last, len(recorded))))
    return {
        "step_seconds": recorded.seconds,
        "at": [row.at for row in rows],
        "condition": [row.condition for row in rows],
        "p99_lower_seconds": _rounded(row.p99.earliest if row.p99 else None for row in rows),
        "p99_upper_seconds": _rounded(row.p99.latest if row.p99 else None for row in rows),
        "events_per_second": _rounded(row.events_per_second for row in rows),
        "late": [row.late for row in rows],
        "interval_width_seconds": _rounded(row.width_seconds for row in rows),
        "stages": {
            stage: {
                "lower_seconds": _rounded(row.stages[stage].earliest if stage in row.stages else None for row in rows),
                "upper_seconds": _rounded(row.stages[stage].latest if stage in row.stages else None for row in rows),
            }
            for stage in STAGES
        },
    }


def note(one: Note) -> dict[str, Any]:
    """One line of the log."""
    return one._asdict()


def late_object(one: LateObject) -> dict[str, Any]:
    """One event that was certainly late; its name is null where names are not read."""
    return {
        "at": one.at,
        "event": one.event_type,
        "name": one.name or None,
        "revision": one.revision,
        "lower_seconds": one.latency.earliest,
        "upper_seconds": one.latency.latest,
        "slowest_stage": one.slowest,
    }


def _rounded(column: Iterable[float | None]) -> list[float | None]:
    return [None if value is None else round(value, DIGITS) for value in column]
