"""What `watchslo top` reads: the documents of /api/v1/status and /api/v1/history, of this version or a later one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from exporter.vocabulary import WELL
from exporter.wording.kinds import kind_name

if TYPE_CHECKING:
    from exporter.history.recording import StreamKey

STEPS = 10
STATUS_PATH = "/api/v1/status"
HISTORY_PATH = f"/api/v1/history?last={STEPS}"


class Slo(msgspec.Struct):
    """The objective."""

    threshold_seconds: float
    objective_ratio: float
    window_seconds: float | None


class StartupQuantiles(msgspec.Struct):
    """Bounds of one stage's quantiles."""

    p95_lower_seconds: float
    p95_upper_seconds: float | None
    p99_lower_seconds: float
    p99_upper_seconds: float | None


class PodStartup(msgspec.Struct):
    """The starts of pods, as one apiserver tells of them."""

    starting: int
    pods: dict[str, int]
    unknown_share: float | None
    watches_share_lower: float | None
    watches_share_upper: float | None
    stages: dict[str, StartupQuantiles]


class Interrupted(msgspec.Struct):
    """Forced closes and relists that follow each other closely."""

    forced_closes: int
    relists: int
    since: float | None
    is_repeated: bool


class FadingStatus(msgspec.Struct):
    """What only the window still knows of."""

    began: float | None
    ended: float
    leaves: float


class StreamStatus(msgspec.Struct):
    """One stream, as it is now."""

    apiserver: str
    group: str
    resource: str
    stream: str
    state: str
    since: float | None
    window_events: int
    p99_lower_seconds: float | None
    p99_upper_seconds: float | None
    on_time: int
    late: int
    ambiguous: int
    relists: int
    forced_closes: int
    revision_clock_reads: str
    trouble: str | None
    pod_startup: PodStartup | None
    is_since_start: bool = False
    unknown_reason: str | None = None
    doubt: str | None = None
    advice: str | None = None
    canary_writes: int = 0
    canary_write_failures: int = 0
    canaries_arrived: int | None = None
    canaries_lost: int = 0
    fading: FadingStatus | None = None
    interruptions: Interrupted | None = None

    @property
    def name(self) -> str:
        """The resource as flags have it."""
        return kind_name(self.group, self.resource)

    @property
    def condition(self) -> str:
        """The state of the window, or that no watch is open, or not for long, again and again."""
        if self.stream != "up":
            return "down"
        is_interrupted = self.interruptions is not None and self.interruptions.is_repeated
        return "interrupted" if is_interrupted and self.state in WELL else self.state


class StatusDocument(msgspec.Struct):
    """The status document."""

    version: str
    sentence: str
    slo: Slo
    streams: list[StreamStatus]


class Bounds(msgspec.Struct):
    """Of a stage, in each step."""

    lower_seconds: list[float | None]
    upper_seconds: list[float | None]


class StepColumns(msgspec.Struct):
    """The last steps of one resolution, the oldest first."""

    condition: list[str]
    p99_lower_seconds: list[float | None]
    p99_upper_seconds: list[float | None]
    events_per_second: list[float | None]
    interval_width_seconds: list[float | None]
    stages: dict[str, Bounds]


class LastEnd(msgspec.Struct):
    """How the last watch ended."""

    at: float
    reason: str


class Late(msgspec.Struct):
    """An event that was certainly late."""

    at: float
    event: str
    name: str | None
    revision: int | None
    lower_seconds: float
    upper_seconds: float | None
    slowest_stage: str | None


class StreamPast(msgspec.Struct):
    """What is known of one stream from before."""

    apiserver: str
    group: str
    resource: str
    fine: StepColumns
    coarse: StepColumns
    last_end: LastEnd | None
    late_objects: list[Late]


class Noted(msgspec.Struct):
    """One line of the log of note."""

    at: float
    text: str
    apiserver: str
    group: str
    resource: str
    times: int


class Past(msgspec.Struct):
    """The history document."""

    at: float
    notes: list[Noted]
    streams: list[StreamPast]


class TopRow(msgspec.Struct):
    """One stream, now and before."""

    now: StreamStatus
    past: StreamPast | None

    @property
    def key(self) -> StreamKey:
        """What makes it the same row, wherever it is sorted to."""
        return self.now.apiserver, self.now.group, self.now.resource


class Seen(msgspec.Struct):
    """Everything that is shown."""

    status: StatusDocument
    past: Past

    @property
    def rows(self) -> list[TopRow]:
        """A row for each stream."""
        pasts = {(one.apiserver, one.group, one.resource): one for one in self.past.streams}
        return [TopRow(one, pasts.get((one.apiserver, one.group, one.resource))) for one in self.status.streams]


def seen(status: bytes, past: bytes) -> Seen:
    """Both documents. Raises ValueError if they are none of watchslo's."""
    return Seen(msgspec.json.decode(status, type=StatusDocument), msgspec.json.decode(past, type=Past))
