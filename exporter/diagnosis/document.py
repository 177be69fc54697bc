"""Findings as JSON has them, described in docs/diagnosis.md."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.diagnosis.findings import Finding

VERSION = 1
"""Of the document: fields may be added to it, and none is changed or removed."""

NOTHING = "No fault is found."


def document(findings: Sequence[Finding]) -> dict[str, Any]:
    """The whole document: the sentence to read first, and every finding, the most certain and most exact first."""
    return {
        "version": VERSION,
        "sentence": summary(findings),
        "findings": [as_json(finding) for finding in findings],
    }


def as_json(finding: Finding) -> dict[str, Any]:
    """One finding."""
    return {**msgspec.to_builtins(finding), "since": at(finding.since)}


def summary(findings: Sequence[Finding]) -> str:
    """The first finding in words, and how many more there are."""
    if not findings:
        return NOTHING
    more = f" {len(findings) - 1} more found." if len(findings) > 1 else ""
    return f"{headline(findings[0])}{more}"


def headline(finding: Finding) -> str:
    """One finding in one sentence."""
    return f"{finding.claim} Since {at(finding.since)}."


def at(unix_seconds: float) -> str:
    """A moment, to the second, in UTC."""
    return datetime.fromtimestamp(unix_seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
