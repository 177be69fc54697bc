"""What one version of a pod shows of its start, and what a kubelet says of a pull: of whole objects, the fields needed.

The stages are conditions of the pod and states of its containers (k8s.io/api/core/v1). What the pod start-up SLI leaves
out is in the object too (kubernetes/community, sig-scalability/slos/pod_startup_latency.md).
"""

from __future__ import annotations

import re
from math import inf
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

import msgspec

from exporter.measure.times import Interval
from exporter.measure.write_times import parse_rfc3339
from exporter.wording.durations import go_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.vocabulary import ReportedStage

MIRROR = "kubernetes.io/config.mirror"
"""The annotation of a static pod's object, which the kubelet creates after it has started the pod."""

STATELESS_VOLUMES = frozenset({"configMap", "downwardAPI", "emptyDir", "projected", "secret"})
"""A pod with any other volume is none that the SLI speaks of (projected volumes: as ClusterLoader2 has it)."""

NOT_AT_ONCE = frozenset({"SchedulingGated", "Unschedulable"})
"""Reasons of PodScheduled=False: the scheduler had to wait for somebody, which the SLI leaves out."""

_STAGES_BY_CONDITION: dict[str, ReportedStage] = {
    "PodReadyToStartContainers": "sandbox",
    "Initialized": "initialized",
    "Ready": "ready",
}

PodEnd: TypeAlias = Literal["succeeded", "failed"]
_ENDS: dict[str, PodEnd] = {"Succeeded": "succeeded", "Failed": "failed"}


class PodShown(msgspec.Struct, frozen=True, gc=False):
    """What one version of a pod shows."""

    stages: tuple[ReportedStage, ...] = ()
    """Those that it has reached."""
    containers: int = 0
    """With the init containers: an image is pulled for each, or is there."""
    is_stateful: bool = False
    waits_for_room: bool = False
    """It could not be scheduled at once: no node fits, a gate holds it, or others are preempted for it."""
    init_seconds: Interval = Interval(0.0, 0.0)
    """How long its init containers have run so far, by their kubelet's clock; without those that run on as sidecars."""
    is_static: bool = False
    is_deleting: bool = False
    end: PodEnd | None = None


class Pull(msgspec.Struct, frozen=True, gc=False):
    """A kubelet has the image of one container of this pod, after so many seconds with the waiting."""

    pod_uid: str
    seconds: float
    container: str = ""
    """As a path in the pod, such as `spec.containers{name}`: an image is looked for again at each restart."""


class _Present(msgspec.Struct, gc=False):
    """Something is there; what it is does not matter."""


class _Terminated(msgspec.Struct, gc=False):
    startedAt: str | None = None  # noqa: N815 Kubernetes' own name
    finishedAt: str | None = None  # noqa: N815

    @property
    def ran_seconds(self) -> Interval:
        """Both times are cut to whole seconds, of one clock."""
        started, finished = parse_rfc3339(self.startedAt or ""), parse_rfc3339(self.finishedAt or "")
        if started is None or finished is None:
            return Interval(0.0, inf)
        seconds = finished - started
        return Interval(max(0.0, seconds - 1), max(0.0, seconds + 1))


class _ContainerState(msgspec.Struct, gc=False):
    running: _Present | None = None
    terminated: _Terminated | None = None


class _InitContainer(msgspec.Struct, gc=False):
    name: str = ""
    restartPolicy: str | None = None  # noqa: N815

    @property
    def is_sidecar(self) -> bool:
        """It runs on beside the others."""
        return self.restartPolicy == "Always"


class _ContainerStatus(msgspec.Struct, gc=False):
    name: str = ""
    state: _ContainerState | None = None
    restartCount: int = 0  # noqa: N815

    @property
    def has_started(self) -> bool:
        """Also if it has ended since, or waits to be started again."""
        state = self.state
        if self.restartCount or state is None:
            return self.restartCount > 0
        return state.running is not None or (state.terminated is not None and bool(state.terminated.startedAt))

    @property
    def ran_seconds(self) -> Interval:
        """How long it has run, if it has ended; of a restarted one, nothing says how long it ran before."""
        ended = self.state.terminated if self.state is not None else None
        if ended is None:
            return Interval(0.0, inf if self.restartCount else 0.0)
        ran = ended.ran_seconds
        return Interval(ran.earliest, inf) if self.restartCount else ran


class _Condition(msgspec.Struct, gc=False):
    type: str = ""
    status: str = ""
    reason: str | None = None


class PodStatus(msgspec.Struct, gc=False):
    """The part of PodStatus that is read."""

    phase: str = ""
    nominatedNodeName: str = ""  # noqa: N815
    conditions: list[_Condition] | None = None
    containerStatuses: list[_ContainerStatus] | None = None  # noqa: N815
    initContainerStatuses: list[_ContainerStatus] | None = None  # noqa: N815


class PodSpec(msgspec.Struct, gc=False):
    """The part of PodSpec that is read."""

    nodeName: str = ""  # noqa: N815
    containers: list[_Present] | None = None
    initContainers: list[_InitContainer] | None = None  # noqa: N815
    volumes: list[dict[str, msgspec.Raw]] | None = None


class PodAnnotations(msgspec.Struct, gc=False, rename={"mirror": MIRROR}):
    """The annotation that is read."""

    mirror: str | None = None


class _PodMetadata(Protocol):
    @property
    def annotations(self) -> PodAnnotations | None: ...
    @property
    def deletionTimestamp(self) -> str | None: ...  # noqa: N802 Kubernetes' own name


class PodParts(msgspec.Struct, gc=False, kw_only=True):
    """A pod without its metadata, less everything that says nothing of its start."""

    spec: PodSpec = msgspec.field(default_factory=PodSpec)
    status: PodStatus = msgspec.field(default_factory=PodStatus)

    def shown(self, metadata: _PodMetadata) -> PodShown:
        """What this version shows."""
        spec, status = self.spec, self.status
        conditions = status.conditions or ()
        is_waiting = any(one.type == "PodScheduled" and one.reason in NOT_AT_ONCE for one in conditions)
        sidecars = {one.name for one in spec.initContainers or () if one.is_sidecar}
        ran = [one.ran_seconds for one in status.initContainerStatuses or () if one.name not in sidecars]
        return PodShown(
            stages=tuple(self._stages()),
            containers=len(spec.containers or ()) + len(spec.initContainers or ()),
            is_stateful=any(not STATELESS_VOLUMES.issuperset(one.keys() - {"name"}) for one in spec.volumes or ()),
            waits_for_room=is_waiting or bool(status.nominatedNodeName),
            init_seconds=Interval(sum(one.earliest for one in ran), sum(one.latest for one in ran)),
            is_static=metadata.annotations is not None and metadata.annotations.mirror is not None,
            is_deleting=metadata.deletionTimestamp is not None,
            end=_ENDS.get(status.phase),
        )

    def _stages(self) -> Iterator[ReportedStage]:
        # The binding sets it; the condition of the same name comes with the same write.
        if self.spec.nodeName:
            yield "scheduled"
        is_ready = False
        for condition in self.status.conditions or ():
            stage = _STAGES_BY_CONDITION.get(condition.type)
            if stage is not None and condition.status == "True":
                yield stage
                is_ready |= stage == "ready"
        containers, statuses = self.spec.containers or (), self.status.containerStatuses or ()
        are_running = containers and len(statuses) >= len(containers) and all(one.has_started for one in statuses)
        if are_running or is_ready or self.status.phase == "Succeeded":
            yield "started"


class _InvolvedObject(msgspec.Struct, gc=False):
    uid: str = ""
    fieldPath: str = ""  # noqa: N815


class PulledEvent(msgspec.Struct, gc=False):
    """The part of a kubelet's Event about a pull that is read."""

    involvedObject: _InvolvedObject  # noqa: N815
    reason: str = ""
    message: str = ""

    def pull(self) -> Pull | None:
        """None if it reports no finished pull."""
        seconds = pull_seconds(self.message) if self.reason == "Pulled" else None
        about = self.involvedObject
        return Pull(about.uid, seconds, about.fieldPath) if seconds is not None else None


_PULLED = re.compile(r" in (?P<alone>[0-9a-zµ.]+?)(?: \((?P<waiting>[0-9a-zµ.]+) including waiting\))?(?:\. |\.?$)")


def pull_seconds(message: str) -> float | None:
    """The seconds of a pull, with the time that it waited for others, by a kubelet's message; None if it has none.

    kubernetes/pkg/kubelet/images/image_manager.go: an image that is there already took no time.
    """
    if "already present on machine" in message:
        return 0.0
    if not message.startswith("Successfully pulled image"):
        return None
    found = _PULLED.search(message)
    return go_seconds(found["waiting"] or found["alone"]) if found else None
