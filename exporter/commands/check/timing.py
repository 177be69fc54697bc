"""Rows about the round trip to the apiserver and about its clock, from some polls."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from exporter.commands.check.table import Row
from exporter.measure.serverclock import SAMPLES_TO_EARN, WIDTH_TO_EARN_SECONDS

if TYPE_CHECKING:
    from exporter.commands.check.findings import Findings, Polls

FAR_SECONDS = 1.0


def round_trip_row(findings: Findings) -> Row:
    """The round trip of polls, and how many failed."""
    polls = findings.polls
    if polls is None:
        return Row("round trip", "not checked")
    asked = len(polls.round_trips_seconds) + len(polls.failed)
    failed = f"{len(polls.failed)} of {asked} polls of {polls.kind} failed: {polls.failed[-1]}" if polls.failed else ""
    if not polls.round_trips_seconds:
        return Row(
            "round trip", "failed", failed, loss="polls get no response, and without polls no event can be dated"
        )
    least, middle = min(polls.round_trips_seconds) * 1000, median(polls.round_trips_seconds) * 1000
    took = f"{least:.1f} ms at least, {middle:.1f} ms median of {len(polls.round_trips_seconds)} polls of {polls.kind}"
    return Row("round trip", "note" if failed else "ok", f"{took}; {failed}" if failed else took)


def clock_rows(findings: Findings) -> list[Row]:
    """The offset of the apiserver's wall clock to ours, by the Dates of the polls."""
    polls = findings.polls
    if polls is None:
        return [Row("offset", "not checked")]
    if not polls.round_trips_seconds:
        return [Row("offset", "not checked", "no poll got a response")]
    return [_offset_row(polls)]


def _offset_row(polls: Polls) -> Row:
    if polls.offset_seconds is not None:
        return _known_offset_row(*polls.offset_seconds)
    if polls.dated < len(polls.round_trips_seconds):
        why = "responses have no Date header written by the apiserver itself (no Audit-Id, or a Via of a proxy)"
    elif polls.contradictions:
        why = "the Date headers on one connection contradict each other: several servers answer, or a clock was set"
    elif polls.dated < SAMPLES_TO_EARN:
        why = f"only {polls.dated} polls got a response, but {SAMPLES_TO_EARN} must agree"
    else:
        least = min(polls.round_trips_seconds)
        why = f"round trips of {least:.3f} s or more leave an uncertainty of more than {WIDTH_TO_EARN_SECONDS:g} s"
    lost = "without it Date headers are no evidence, and events that are late together with the polls are ambiguous"
    return Row("offset", "note", f"not learned: {why}; {lost}")


def _known_offset_row(lower: float, upper: float) -> Row:
    bounds = f"apiserver minus this host: between {lower:+.3f} s and {upper:+.3f} s"
    if lower > FAR_SECONDS or upper < -FAR_SECONDS:
        where = "ahead of" if lower > 0 else "behind"
        return Row(
            "offset",
            "note",
            f"{bounds}; it is {where} this host's clock: the measurement is not affected, but one clock is wrong",
        )
    return Row("offset", "ok", bounds)
