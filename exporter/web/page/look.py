"""What the page and its API show of one moment: frozen states, and the history that they belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from exporter.history.recording import History

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.diagnosis.findings import Finding
    from exporter.measure.stream_state import StreamState
    from exporter.measure.times import WallTime


class Objective(msgspec.Struct, frozen=True, kw_only=True):
    """The SLO as it is configured."""

    ratio: float
    threshold_seconds: float
    window_seconds: float


class Scenarios(msgspec.Struct, frozen=True):
    """What a demo can play, by name with its description, and what it plays now."""

    descriptions: dict[str, str]
    current: str
    condition: str
    """What is the matter at the moment, in words."""


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is shown."""

    now: WallTime
    version: str
    objective: Objective
    states: Sequence[StreamState] = ()
    findings: Sequence[Finding] = ()
    past_findings: Sequence[Finding] = ()
    """What was found lately, and is not any more: it may explain what only the window still has."""
    history: History = msgspec.field(default_factory=History)
    shard: tuple[int, int] = (0, 1)
    """Which part of all streams this exporter watches: number and count."""
    peers: tuple[str, ...] = ()
    """URLs of the pages of other replicas or shards."""
    has_names: bool = True
    """Whether the names of late objects are read."""
    has_errors: bool = False
    """Whether whoever asks may read what apiservers say of errors: only where clients have to authenticate."""
    scenarios: Scenarios | None = None
    """Of the demo only."""
