"""Follows pods from their creation until they are ready: each stage is the interval between two commits.

An event that is the first to show a stage is the write that reached it, because a watch delivers every version of an
object, in order. After a relist versions may be missing, and the interval begins at the version before it.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from exporter.measure.pods import PodShown
from exporter.measure.startup_counts import StartupCounts, StartupState, StartupWindow
from exporter.measure.times import ANY_TIME, Interval, latency_between
from exporter.vocabulary import REPORTED_STAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from exporter.measure.arrivals import Arrivals
    from exporter.measure.events import Event
    from exporter.measure.judge import DatedBatch
    from exporter.measure.judging import Opening
    from exporter.measure.pods import Pull
    from exporter.measure.times import Instant
    from exporter.vocabulary import ReportedStage, StartupResult, StartupStage

MOST_PODS = 20_000
"""Maximum of pods that are followed at once; about a kilobyte is kept of each."""

MOST_CONTAINERS = 64
"""Of a pod with more the pulls are never all known: anybody may write Events about any container."""

UNHEARD_SECONDS = 600.0
"""A pod that may have been deleted while nothing was watched is followed for so long after its newest event."""

NO_TIME = Interval(0.0, 0.0)

PULLS_AWAITED_SECONDS = 10.0
"""A kubelet's Events about pulls come within this time after the start, if at all."""


class _Write(NamedTuple):
    """One version of a pod: its number among those that were seen, and its commit."""

    number: int
    commit: Interval


class _Pulls(msgspec.Struct):
    """The pulls for one pod's containers."""

    containers: set[str] = msgspec.field(default_factory=set)
    """Those whose image is there."""
    longest_seconds: float = 0.0
    all_seconds: float = 0.0


class _Pod(msgspec.Struct, kw_only=True):
    """A pod that has not become ready."""

    created: Interval | None
    """None if the creation was not seen."""
    newest: _Write
    first_showing: dict[ReportedStage, _Write] = msgspec.field(default_factory=dict)
    opening: Opening
    """What the newest version came after."""
    is_stateful: bool = False
    has_waited_for_room: bool = False
    init_seconds: Interval = NO_TIME
    containers: int = 0
    watches: Interval = NO_TIME
    """How long the events were on their way to us that its creation and its binding made."""
    started_at: Instant | None = None
    """When we knew that it had started."""
    is_counted: bool = False
    is_over: bool = False
    """Whether nothing but Events about its pulls is awaited."""

    def reached(self) -> Iterator[tuple[ReportedStage, _Write]]:
        """The stages in their order, each with the write by which it and all before it were reached."""
        latest: _Write | None = None
        for stage in REPORTED_STAGES:
            shown = self.first_showing.get(stage)
            if shown is not None:
                latest = shown if latest is None or shown.number > latest.number else latest
                yield stage, latest


class PodStarts:
    """The pods of one stream. Events, history too, are entered in the order in which they came.

    `observed`, if given, is called for each stage of each pod, by its uid.
    """

    def __init__(
        self,
        counts: StartupCounts,
        arrivals: Arrivals,
        observed: Callable[[str, StartupStage, Interval], None] | None = None,
        *,
        most_pods: int = MOST_PODS,
    ) -> None:
        self._counts = counts
        self._arrivals = arrivals
        self._observed = observed
        self._most_pods = most_pods
        self._pods: OrderedDict[str, _Pod] = OrderedDict()
        self._pulls: OrderedDict[str, _Pulls] = OrderedDict()
        self._await_pulls: dict[str, None] = {}
        self._window = StartupWindow()
        self._opening: Opening | None = None
        self._may_have_vanished = False
        """Whether some have had no event since the newest relist."""
        self.sees_pulls = False
        """Whether Events about pulls are watched now."""

    def enter(self, batch: DatedBatch) -> None:
        """These versions of pods have come."""
        if batch.opening is not self._opening:
            self._opening, self._may_have_vanished = batch.opening, bool(self._pods)
        for event in batch.events:
            if event.uid and isinstance(event.content, PodShown):
                self._enter(event, event.content, batch)

    def pulled(self, pull: Pull) -> None:
        """A kubelet has pulled an image, or had it."""
        pulls = self._pulls.setdefault(pull.pod_uid, _Pulls())
        if len(pulls.containers) < MOST_CONTAINERS:
            pulls.containers.add(pull.container)
        pulls.longest_seconds = max(pulls.longest_seconds, pull.seconds)
        pulls.all_seconds += pull.seconds
        while len(self._pulls) > self._most_pods:
            self._pulls.popitem(last=False)

    def state(self, now: Instant) -> StartupState:
        """Everything that is known now."""
        for uid in list(self._await_pulls):
            self._count_if_settled(uid, self._pods[uid], now)
        if self._may_have_vanished:
            self._forget_unheard(now)
        starting = sum(pod.started_at is None for pod in self._pods.values())
        return StartupState(self._counts.copy(), self._window.quantiles(now), starting)

    @property
    def awaits_pulls(self) -> bool:
        """Whether a pod has started, and is not counted because Events about its pulls may still come."""
        return bool(self._await_pulls)

    def _forget_unheard(self, now: Instant) -> None:
        """A relist is no list of what there is: a pod that was deleted before it is never heard of again."""
        unheard = [(uid, pod) for uid, pod in self._pods.items() if pod.opening is not self._opening]
        for uid, pod in unheard:
            if pod.newest.commit.latest < now - UNHEARD_SECONDS:
                self._forget(uid)
        self._may_have_vanished = bool(unheard)

    def _enter(self, event: Event, shown: PodShown, batch: DatedBatch) -> None:
        at, latency = batch.arrived, batch.latency
        pod = self._pods.get(event.uid) or self._new(event, shown, batch)
        if pod is None or pod.is_over:
            return
        if event.event_type == "deleted":
            self._leave(event.uid, pod, "deleted")
            return
        self._learn(pod, shown, batch)
        scheduled = pod.first_showing.get("scheduled")
        if event.event_type == "added" or (scheduled is not None and scheduled.number == pod.newest.number):
            pod.watches = Interval(pod.watches.earliest + latency.earliest, pod.watches.latest + latency.latest)
        if pod.started_at is None and "started" in pod.first_showing:
            self._started(event.uid, pod, at)
        if "ready" in pod.first_showing and pod.started_at is not None:
            self._ready(event.uid, pod, at)
        elif shown.end is not None:
            self._leave(event.uid, pod, "failed")
        elif shown.is_deleting:
            self._leave(event.uid, pod, "deleted")

    def _new(self, event: Event, shown: PodShown, batch: DatedBatch) -> _Pod | None:
        """None for a pod whose start is over, or was none that the apiserver took part in."""
        is_created = event.event_type == "added"
        has_passed = "started" in shown.stages or shown.is_deleting or shown.end is not None
        if event.event_type == "deleted" or (has_passed and not is_created):
            return None
        if shown.is_static:
            if is_created:
                self._counts.results["static"] += 1
            return None
        if not is_created and len(self._pods) >= self._most_pods:
            return None  # perhaps it was pushed out before: it would push out the next one, and count again
        created = batch.commit if is_created else None
        pod = _Pod(created=created, newest=_Write(-1, ANY_TIME), opening=batch.opening)
        self._pods[event.uid] = pod
        if len(self._pods) > self._most_pods:
            uid, oldest = next(iter(self._pods.items()))
            if not oldest.is_counted:
                self._end(oldest, "overflow")
            self._forget(uid)
        return pod

    def _learn(self, pod: _Pod, shown: PodShown, batch: DatedBatch) -> None:
        """Versions of one object are committed one after the other."""
        before, commit = pod.newest.commit, batch.commit
        is_next = batch.opening is pod.opening
        earliest = max(before.earliest, commit.earliest) if is_next else before.earliest
        first_shown = _Write(pod.newest.number + 1, Interval(earliest, commit.latest))
        has_started = pod.started_at is not None
        for stage in shown.stages:
            if stage == "ready" or not has_started:
                pod.first_showing.setdefault(stage, first_shown)
        pod.newest = first_shown._replace(commit=Interval(max(before.earliest, commit.earliest), commit.latest))
        pod.opening = batch.opening
        pod.is_stateful |= shown.is_stateful
        pod.has_waited_for_room |= shown.waits_for_room
        if not has_started:
            pod.init_seconds = shown.init_seconds  # later ones are of a sandbox that was made anew
        pod.containers = max(pod.containers, shown.containers)

    def _started(self, uid: str, pod: _Pod, at: Instant) -> None:
        pod.started_at = at
        if pod.created is None:
            self._end(pod, "created_unseen")
            return
        before = _Write(0, pod.created)
        for stage, reached in pod.reached():
            if stage == "ready":
                break
            self._observe(uid, stage, self._between(before, reached), at)
            before = reached
        self._observe(uid, "total", self._between(_Write(0, pod.created), before), at)
        self._observe(uid, "watches", pod.watches, at)
        if pod.is_stateful or pod.has_waited_for_room:
            self._end(pod, "stateful" if pod.is_stateful else "unschedulable")
            return
        self._await_pulls[uid] = None
        self._count_if_settled(uid, pod, at)

    def _ready(self, uid: str, pod: _Pod, at: Instant) -> None:
        reached = dict(pod.reached())
        if pod.created is not None:
            self._observe(uid, "ready", self._between(reached["started"], reached["ready"]), at)
        self._leave(uid, pod, "deleted")

    def _leave(self, uid: str, pod: _Pod, result: StartupResult) -> None:
        """Nothing more is wanted of it, unless Events about its pulls are still to come. If it has not been counted, it
        counts as `result`.
        """
        pod.is_over = True
        if uid in self._await_pulls:
            return
        if not pod.is_counted:
            self._end(pod, result)
        self._forget(uid)

    def _end(self, pod: _Pod, result: StartupResult) -> None:
        self._counts.results[result] += 1
        pod.is_counted = True

    def _forget(self, uid: str) -> None:
        del self._pods[uid]
        self._pulls.pop(uid, None)
        self._await_pulls.pop(uid, None)

    def _count_if_settled(self, uid: str, pod: _Pod, now: Instant) -> None:
        """Count what the SLI makes of it, as soon as all pulls are known, or will never be."""
        assert pod.started_at is not None
        pulls = self._pulls.get(uid)
        is_known = pulls is not None and len(pulls.containers) >= pod.containers
        if not is_known and self.sees_pulls and now - pod.started_at < PULLS_AWAITED_SECONDS:
            return
        del self._await_pulls[uid]
        self._observe(uid, "sli", self._sli(pod, pulls if is_known else None), now)
        self._end(pod, "sli" if is_known else "sli_pull_unknown")
        if pod.is_over:
            self._forget(uid)

    def _observe(self, uid: str, stage: StartupStage, seconds: Interval, at: Instant) -> None:
        self._counts.lower[stage].observe(seconds.earliest)
        self._counts.upper[stage].observe(seconds.latest)
        self._window.add(stage, seconds, at)
        if self._observed is not None:
            self._observed(uid, stage, seconds)

    def _between(self, before: _Write, after: _Write) -> Interval:
        """The seconds from one write of a pod to a later one; none if both are the same."""
        if before.number == after.number:
            return NO_TIME
        at_least, at_most = latency_between(before.commit, after.commit)
        # What our clock may have missed.
        return Interval(at_least, at_most + self._arrivals.slept_between(before.commit.earliest, after.commit.latest))

    def _sli(self, pod: _Pod, pulls: _Pulls | None) -> Interval:
        """From the creation to the start, less what the SLI leaves out: init containers, and the pulls for the others.

        Where the pulls are not known, they took the whole time since the pod had a node at most. Pulls for several
        containers may be one after the other or at once.
        """
        assert pod.created is not None
        reached = dict(pod.reached())
        created, started = _Write(0, pod.created), reached["started"]
        total = self._between(created, started)
        # A kubelet knows of the pod once it has a node. It reports what it has done some time later.
        most_seconds = self._between(reached.get("scheduled", created), started).latest
        pulling = Interval(0.0, most_seconds)
        if pulls is not None:
            pulling = Interval(pulls.longest_seconds, pulls.all_seconds)
        at_least_left_out = pod.init_seconds.earliest + pulling.earliest
        at_most_left_out = min(pod.init_seconds.latest + pulling.latest, most_seconds)
        return Interval(
            max(0.0, total.earliest - at_most_left_out), max(0.0, total.latest - min(at_least_left_out, most_seconds))
        )
