"""What rules may look at: each stream, apiserver and the exporter itself, over the last 15 to 20 s. Frozen values.

Times are in seconds. An Interval says what is certain: at least `earliest`, at most `latest`; None means that nothing
is known, or that nothing happened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from exporter.wording.kinds import kind_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.audit.events import Verb
    from exporter.audit.live_counts import AuditSpell
    from exporter.diagnosis.seen import LoggedShare
    from exporter.diagnosis.server_facts import ServerFacts
    from exporter.measure.times import Instant, Interval
    from exporter.vocabulary import ClockReads, EndReason, StartReason, Verdict


class SocketFacts(NamedTuple):
    """What our kernel says of the connection that carries a watch (tcp(7), linux/tcp.h)."""

    round_trip_seconds: float
    """Smoothed, of what we send: as far as whoever ends the connection, which may be a balancer."""
    silent_seconds: float
    """Since the last byte came."""
    unread_bytes: int
    """Arrived, but not read by us."""
    out_of_order_packets: int
    """Since the facts before: packets were lost on the way to us."""
    receive_round_trip_seconds: float = 0.0
    """The same of what comes, as the kernel estimates it; 0 while it has no estimate."""


class Missing(NamedTuple):
    """A revision that a stream should deliver."""

    revision: int
    since: Instant
    """When that was known."""


class StreamFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One resource on one apiserver."""

    apiserver: str
    group: str
    resource: str
    is_up: bool = True
    trouble: StartReason | None = None
    """Why no watch is open."""
    is_late: bool = False
    """Whether more events than the objective allows are certainly late."""
    late_since: float | None = None
    """Unix time since when it is late, or uncovered for longer than the threshold, without a break of 20 s."""
    judged: Mapping[Verdict, int] = msgspec.field(default_factory=dict)
    time_span: Interval | None = None
    """Bounds of the P99; None unless it is late or the apiserver's own metrics are read, for then nobody asks."""
    storage_to_cache: Interval | None = None
    """Bounds of the P99, as for the other stages; None unless it is late, for then nobody asks."""
    cache_to_client: Interval | None = None
    window_p99_seconds: float | None = None
    """The lower bound of the P99 of the rolling window, while that violates the objective: what all others say too."""
    write: Interval | None = None
    canary_write: Interval | None = None
    """From sending our own write to its answer: the bucket of the P50; or that of one that is still unanswered after
    longer than the threshold."""
    canaries_lost: int = 0
    events_per_second: float = 0.0
    usual_events_per_second: float | None = None
    """While nothing was wrong; None before that was so for a minute."""
    bytes_per_second: float = 0.0
    is_rate_steady: bool = False
    """Whether as many bytes came in each part of the time, as where a link is full."""
    uncovered_seconds: float = 0.0
    ends: Mapping[EndReason, int] = msgspec.field(default_factory=dict)
    start_errors: Mapping[StartReason, int] = msgspec.field(default_factory=dict)
    relists: int = 0
    """That lost events."""
    clock_reads: ClockReads = "nothing"
    undelivered: Missing | None = None
    """Of that the one which is known to be missing for the longest time."""
    undelivered_seconds: float = 0.0
    """For how long, at least, a revision of this resource has been delivered by another apiserver of the same store, or
    written by us, but not arrived here."""
    is_undelivered_cached: bool | None = None
    """Whether the watch cache of this apiserver has that revision; None if that is not known."""
    cache_still_seconds: float | None = None
    """For how long, at least, the watch cache has answered with the same revision; None where nobody asks it."""
    socket: SocketFacts | None = None
    converts_by_webhook: bool | None = None
    """Whether its definition names a conversion webhook; None if that is not known, or it is built in."""

    @property
    def name(self) -> str:
        """The resource as flags have it."""
        return kind_name(self.group, self.resource)

    @property
    def is_on_time(self) -> bool:
        """Whether events came, and none of the last ones is late."""
        return self.judged.get("on_time", 0) > 0 and not self.judged.get("late", 0) and self.is_up


SLOW_POLL_RATIO = 4.0
"""A poll that takes so many times as long as usual is slow, unless it is prompt all the same; it teaches nothing of
what is usual.
"""


class PollFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Polls of one clock at one apiserver."""

    answered: int = 0
    failed: Mapping[StartReason, int] = msgspec.field(default_factory=dict)
    seconds: Interval | None = None
    """The bucket of the P90."""
    waiting_seconds: float = 0.0
    """So long ago the oldest poll was sent that is not answered yet."""
    usual_seconds: float | None = None
    """The P90 while nothing was wrong, at most; None before that was so for a minute."""


class FlowFacts(NamedTuple):
    """Requests of one user, as a rule, that an apiserver executed or queued in the last half minute."""

    flow_schema: str
    """By which API Priority and Fairness has sorted them."""
    name: str | None
    """The user's, or where the flow schema says so the namespace's; "" if it may not be said, None if there is none."""
    requests: int
    """In all samples together."""
    seats_share: float
    """Of the seats that were in use."""
    waiting_share: float
    """Of the requests that waited for one."""


class ApiserverFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One apiserver address."""

    apiserver: str
    is_one_apiserver: bool = True
    """False for an address that may be a balancer's."""
    store_polls: PollFacts = PollFacts()
    """Of a kind that the apiserver reads from the store."""
    store_polls_read: ClockReads = "nothing"
    cache_polls: PollFacts = PollFacts()
    """Of watched resources with resourceVersion=0: answered from memory."""
    way_back: Interval | None = None
    """How long answers were on their way to us, by their Date: the longest of the last ones."""
    throttled: int = 0
    """Polls, lists and watches that were answered with 429."""
    server: ServerFacts | None = None
    """Its own metrics; None where they are not read."""
    members: tuple[ServerFacts, ...] = ()
    """Behind a balancer: the same of each apiserver that has answered there lately."""
    flows: tuple[FlowFacts, ...] = ()
    """Whose requests it executes: only where that is asked for and permitted, whoever holds most seats first."""


class ProcessFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The exporter itself."""

    loop_lag: Interval | None = None
    """Bounds of the P99."""
    stalled_share: float = 0.0
    """Of the time that nothing of ours ran."""
    throttled_share: float | None = None
    """Of the time that the kernel kept us from running because of a CPU limit (cgroup cpu.stat)."""
    suspended_seconds: float = 0.0


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is known of one moment."""

    now: float
    """Unix time."""
    threshold_seconds: float
    streams: tuple[StreamFacts, ...] = ()
    apiservers: tuple[ApiserverFacts, ...] = ()
    process: ProcessFacts = ProcessFacts()
    askers: tuple[AuditSpell, ...] = ()
    """Who stands out in the audit log, if one is read: whoever costs most first."""
    seen: Mapping[Verb, LoggedShare] | None = None
    """What the audit log has of the apiservers' requests, as far as that is known; None where no log is read."""

    @property
    def troubled_since(self) -> dict[tuple[str, str, str], float]:
        """Since when each stream is late or uncovered, and each apiserver one of its streams. Unix times."""
        since: dict[tuple[str, str, str], float] = {}
        for one in self.streams:
            if one.late_since is not None:
                for place in ((one.apiserver, one.group, one.resource), (one.apiserver, "", "")):
                    since[place] = min(one.late_since, since.get(place, one.late_since))
        return since
