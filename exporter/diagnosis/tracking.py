"""What is found at one moment becomes a finding that lasts: since when, and when it is withdrawn.

A cause is named once it was seen twice in a row, or for some seconds if it is only suspected, and withdrawn once it has
not been seen for some seconds: what comes and goes with single events is one finding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import msgspec
from msgspec.structs import replace

from exporter.diagnosis.findings import Finding
from exporter.diagnosis.remedies import steps
from exporter.diagnosis.rules import EXCLUSIVE, RULE_OF
from exporter.diagnosis.words import DOCS
from exporter.wording.kinds import kind_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from exporter.diagnosis.diagnose import Cause
    from exporter.vocabulary import Certainty, Fault

WITHDRAWN_AFTER_SECONDS = 20.0
OVER_AFTER_SECONDS = 3.0
"""What has not been seen for so long is said to be over: one look may miss it."""

PAST_SECONDS = 900.0
"""For so long it is kept what was found: the window may still have what it caused."""

AFTERMATH_SECONDS = 30.0
"""For so long after a finding was withdrawn nothing unexplained is named: facts are of the last 20 s."""

SHOWN_FOR_SECONDS = 45.0
"""What confirmed a finding stays good for so long: metrics are read every 10 s, and are means of that time."""

START_SECONDS = 20.0
"""What began so soon after the first look was there before: facts are of so many seconds."""

SUSPECTED_AFTER_SECONDS = 6.0
PATIENCE_SECONDS: Mapping[Fault, float] = {"unknown_cause": 10.0, "requests_queued": 16.0}
"""So long nothing better may be found before something is suspected: some signs need time to show. That watches are on
time while polls are slow is known once what was judged before has been forgotten.
"""

RUNBOOK = f"{DOCS}faults.md#"

_Key: TypeAlias = "tuple[Fault, str, str, str]"


class Change(NamedTuple):
    """A finding that begins, ends, or whose certainty changes."""

    what: Literal["found", "changed", "withdrawn"]
    finding: Finding


class _Since(NamedTuple):
    at: float
    is_start: bool


class _Withdrawn(NamedTuple):
    at: float
    certainty: Certainty


class _Held(msgspec.Struct, frozen=True):
    finding: Finding
    first_at: float
    seen_at: float
    shown_at: float | None
    confirmed: tuple[str, ...]
    """The facts that have confirmed it, as they were then."""
    is_named: bool = False


class Tracker:
    """What is found, as it lasts. Times are Unix times."""

    def __init__(self) -> None:
        self._held: dict[_Key, _Held] = {}
        self._began: float | None = None
        self._withdrawn: dict[_Key, _Withdrawn] = {}
        """What ended, for as long as that matters."""
        self._past: dict[_Key, Finding] = {}

    @property
    def named(self) -> list[Finding]:
        """Everything that is found now: shown before suspected, the more exact cause first."""
        order = {fault: number for number, fault in enumerate(RULE_OF)}
        found = [held.finding for held in self._held.values() if held.is_named]
        return sorted(
            found, key=lambda one: (one.certainty != "shown", order.get(one.fault, len(order)), one.since, one.key)
        )

    @property
    def past(self) -> list[Finding]:
        """What was found lately, and has ended by itself: nothing better explained it."""
        return list(self._past.values())

    def update(self, now: float, causes: Iterable[Cause], since: Mapping[tuple[str, str, str], float]) -> list[Change]:
        """Take in what is seen now; `since` says from when on each place suffers, where that is known."""
        first = self._began = now if self._began is None else self._began
        self._withdrawn = {key: one for key, one in self._withdrawn.items() if now - one.at < AFTERMATH_SECONDS}
        self._past = {key: one for key, one in self._past.items() if _is_recent(one, now)}
        seen = {(cause.fault, *cause.place): cause for cause in causes if not self._is_aftermath(cause)}
        changes = []
        for key, cause in seen.items():
            before = self._held.get(key)
            began = before.finding.since if before else min(now, since.get(cause.place, now))
            since_when = _Since(began, is_start=began - first <= START_SECONDS)
            held = self._held[key] = _held(cause, before, now, since_when)
            if held.is_named and not (before and before.is_named):
                changes.append(Change("found", held.finding))
                self._past.pop(key, None)
            elif before and before.is_named and before.finding.certainty != held.finding.certainty:
                changes.append(Change("changed", held.finding))
        for key in [key for key, held in self._held.items() if self._is_over(key, held, now, seen)]:
            gone = self._held.pop(key)
            if gone.is_named:
                self._withdrawn[key] = _Withdrawn(now, gone.finding.certainty)
                ended = replace(gone.finding, seen_until=gone.seen_at)
                changes.append(Change("withdrawn", ended))
                if now - gone.seen_at >= WITHDRAWN_AFTER_SECONDS and gone.finding.fault != "unknown_cause":
                    self._past[key] = ended
        for key, held in self._held.items():
            if now - held.seen_at >= OVER_AFTER_SECONDS:
                self._held[key] = replace(held, finding=replace(held.finding, seen_until=held.seen_at))
        return changes

    def _is_aftermath(self, cause: Cause) -> bool:
        """Whether it is only what a fault has left whose other signs are gone: what was late counts for 20 s, polls for
        5 s. What is only suspected leaves nothing that is shown, but for refusals: an apiserver that starts does not
        know yet who may what.
        """
        named = {key: held.finding.certainty for key, held in self._held.items() if held.is_named}
        named |= {key: one.certainty for key, one in self._withdrawn.items() if key not in named}
        places = {cause.place, (cause.apiserver, "", "")}
        return any(
            tuple(place) in places and cause.fault in _explained_by(fault)
            for (fault, *place), certainty in named.items()
            if certainty == "shown" or cause.certainty != "shown" or cause.fault == "exporter_refused"
        )

    def _is_over(self, key: _Key, held: _Held, now: float, seen: Mapping[_Key, Cause]) -> bool:
        if key in seen:
            return False
        if not held.is_named or now - held.seen_at >= WITHDRAWN_AFTER_SECONDS:
            return True
        # What is seen now is better than what was: the same place has a more exact cause, or another one.
        return any(_replaces(cause, key) for cause in seen.values())


def _is_recent(past: Finding, now: float) -> bool:
    return past.seen_until is not None and now - past.seen_until < PAST_SECONDS


def _explained_by(fault: Fault) -> tuple[Fault, ...]:
    return (*RULE_OF[fault].explains, "unknown_cause") if fault in RULE_OF else ()


def _replaces(cause: Cause, key: _Key) -> bool:
    fault, *place = key
    is_here = cause.apiserver == place[0] and (list(cause.place) == place or not cause.resource)
    if not is_here or cause.fault == fault:
        return False
    return frozenset((cause.fault, fault)) in EXCLUSIVE or fault in _explained_by(cause.fault)


def _held(cause: Cause, before: _Held | None, now: float, since: _Since) -> _Held:
    shown_at = now if cause.certainty == "shown" else before.shown_at if before else None
    is_still_shown = shown_at is not None and now - shown_at < SHOWN_FOR_SECONDS
    if before is not None and is_still_shown and cause.certainty != "shown":
        # What confirmed it is told as it was then, all else as it is now.
        finding = replace(
            before.finding,
            seen_until=None,
            evidence=tuple(dict.fromkeys([*cause.evidence, *before.confirmed])),
            excluded=cause.excluded,
        )
        return replace(before, finding=finding, seen_at=now, is_named=True)
    first_at = before.first_at if before else now
    is_named = before is not None and (before.is_named or now - first_at >= _patience_seconds(cause))
    return _Held(_finding(cause, since), first_at, now, shown_at, cause.confirmed, is_named=is_named)


def _patience_seconds(cause: Cause) -> float:
    if cause.certainty == "shown":
        return 0.0
    return PATIENCE_SECONDS.get(cause.fault, SUSPECTED_AFTER_SECONDS)


def _finding(cause: Cause, since: _Since) -> Finding:
    remedy = steps(cause.fault, resource=kind_name(cause.group, cause.resource), apiserver=cause.apiserver)
    return Finding(
        fault=cause.fault,
        certainty=cause.certainty,
        apiserver=cause.apiserver,
        group=cause.group,
        resource=cause.resource,
        since=since.at,
        is_since_start=since.is_start,
        sentence=f"{cause.says[0].upper()}{cause.says[1:]}.",
        evidence=cause.evidence,
        excluded=cause.excluded,
        remedy=" ".join(remedy),
        steps=remedy,
        runbook=RUNBOOK + cause.fault,
    )
