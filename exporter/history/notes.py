"""The log of note: what changed between two states of a stream that somebody who looks back wants to know of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from exporter.diagnosis.words import CERTAINTY_WORDS, RELIST_WORDS, START_WORDS, with_value
from exporter.measure.stream_state import NOT_STARTED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from exporter.diagnosis.findings import Finding
    from exporter.measure.stream_state import StreamState, Trouble
    from exporter.measure.times import WallTime
    from exporter.vocabulary import EndReason

NoteKind: TypeAlias = Literal[
    "stream_up", "stream_down", "forced_close", "relist", "contradiction", "canary_lost", "canary_failed", "condition",
    "fault_found", "fault_changed", "fault_withdrawn",
]  # fmt: skip

TOGETHER_SECONDS = 60.0
"""The same again within this time is no news: it is counted on."""

IN_WORDS = {
    "met": "the objective is met again",
    "violated": "certainly late: the objective is violated",
    "unknown": "it is not certain whether the objective is met",
    "quiet": "too few events to judge",
}
TROUBLED = frozenset({"violated", "unknown"})


class Note(NamedTuple):
    """One thing that happened, or the same thing several times in a minute."""

    at: WallTime
    """When it was noticed for the first time."""
    kind: NoteKind
    text: str
    apiserver: str = ""
    group: str = ""
    resource: str = ""
    times: int = 1

    def continues(self, other: Note) -> bool:
        """Whether it is the same again."""
        return self[1:6] == other[1:6] and self.at - other.at <= TOGETHER_SECONDS


def changes(now: WallTime, before: StreamState, state: StreamState) -> Iterator[Note]:
    """What is to be noted of a stream."""
    of = (state.apiserver, state.group, state.resource)
    was, counts = before.counts, state.counts
    for reason, times in counts.relists.items():
        if reason != "start" and times > was.relists[reason]:
            text = f"relist, as {with_value(RELIST_WORDS[reason], reason)}: events may be missing"
            yield Note(now, "relist", text, *of, times - was.relists[reason])
    if counts.forced_closes > was.forced_closes:
        text = "the watch was closed by force"
        yield Note(now, "forced_close", text, *of, counts.forced_closes - was.forced_closes)
    contradictions = sum(counts.contradictions.values()) - sum(was.contradictions.values())
    if contradictions > 0:
        yield Note(now, "contradiction", "evidence contradicted itself and was left out", *of, contradictions)
    if counts.canaries_lost > was.canaries_lost:
        yield Note(now, "canary_lost", "a canary was lost", *of, counts.canaries_lost - was.canaries_lost)
    if counts.canary_write_failures > was.canary_write_failures:
        failed = counts.canary_write_failures - was.canary_write_failures
        yield Note(now, "canary_failed", "a canary could not be written", *of, failed)
    yield from _turns(now, before, state, of)


def _turns(now: WallTime, before: StreamState, state: StreamState, of: tuple[str, str, str]) -> Iterator[Note]:
    if before.is_up and not state.is_up:
        yield Note(now, "stream_down", f"no watch is open{_why(state.trouble)}", *of)
    if state.is_up and not before.is_up and before.trouble != NOT_STARTED:
        yield Note(now, "stream_up", "a watch is open again", *of)
    if state.condition != before.condition and state.is_up and {state.condition, before.condition} & TROUBLED:
        yield Note(now, "condition", IN_WORDS[state.condition], *of)


def _why(trouble: Trouble | None) -> str:
    if trouble is None or trouble.reason == "not started yet":
        return ""
    return f": {with_value(START_WORDS[trouble.reason], trouble.reason)}"


def last_end(before: StreamState, state: StreamState) -> EndReason | None:
    """The reason for which a watch ended between the two; None if none did."""
    was = before.counts.ends
    return next((reason for reason, times in state.counts.ends.items() if times > was[reason]), None)


def of_findings(
    now: WallTime, before: Mapping[tuple[str, ...], Finding], found: Mapping[tuple[str, ...], Finding]
) -> Iterator[Note]:
    """What changed in what the rules find."""
    for key, finding in found.items():
        of = (finding.apiserver, finding.group, finding.resource)
        is_named = finding.fault != "unknown_cause"
        words = f"{CERTAINTY_WORDS[finding.certainty]}: {finding.sentence}" if is_named else finding.sentence
        earlier = before.get(key)
        if earlier is None:
            yield Note(now, "fault_found", words, *of)
        elif earlier.certainty != finding.certainty:
            yield Note(now, "fault_changed", words, *of)
    for key, finding in before.items():
        if key not in found:
            where = (finding.apiserver, finding.group, finding.resource)
            yield Note(now, "fault_withdrawn", f"no longer found: {finding.sentence}", *where)
