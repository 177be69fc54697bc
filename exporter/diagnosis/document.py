"""Findings as JSON has them, described in docs/diagnosis.md."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from exporter.diagnosis.sentences import AS_IT_BEGAN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.diagnosis.findings import Finding

VERSION = 1
"""Of the document: fields may be added to it, and none is changed or removed."""

NOTHING = "No fault is found."
SIGNS = "Signs of it"
"""What a finding's since is of: that of a watch is of its state."""


def document(findings: Sequence[Finding]) -> dict[str, Any]:
    """The whole document: the sentence to read first, and every finding, the most certain and most exact first."""
    return {
        "version": VERSION,
        "sentence": summary(findings),
        "findings": [as_json(finding) for finding in findings],
    }


def as_json(finding: Finding) -> dict[str, Any]:
    """One finding."""
    until = finding.seen_until
    times = {"since": at(finding.since), "seen_until": at(until) if until is not None else None}
    return {**msgspec.to_builtins(finding), **times}


def summary(findings: Sequence[Finding]) -> str:
    """The first finding in words, and how many more there are."""
    if not findings:
        return NOTHING
    more = f" {len(findings) - 1} more found." if len(findings) > 1 else ""
    return f"{headline(findings[0])}{more}"


def headline(finding: Finding) -> str:
    """One finding in one sentence."""
    until = at(finding.seen_until) if finding.seen_until is not None else None
    return f"{finding.claim} {since(at(finding.since), until, is_since_start=finding.is_since_start)}"


def since(moment: str, until: str | None = None, *, is_since_start: bool) -> str:
    """Since when a fault is seen, as a sentence: watches may be late for longer, or not as long."""
    began = f"at least since {moment}, {AS_IT_BEGAN}" if is_since_start else f"since {moment}"
    return f"{SIGNS} {began}{f', until {until}' if until is not None else ''}."


def at(unix_seconds: float) -> str:
    """A moment, to the second, in UTC."""
    return datetime.fromtimestamp(unix_seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
