"""What a version of a pod shows of its start, and what a kubelet's message says of a pull."""

from typing import Any, Literal

import msgspec
import pytest

from exporter.measure.events import EventDecoder
from exporter.measure.pods import MIRROR, PodShown, Pull, pull_seconds
from exporter.measure.times import Interval

Json = dict[str, Any]
RUNNING: Json = {"state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}


def shown(*, metadata: Json | None = None, spec: Json | None = None, status: Json | None = None) -> PodShown:
    pod = {
        "metadata": {"uid": "u", "resourceVersion": "7", **(metadata or {})},
        "spec": {"containers": [{"name": "c"}], **(spec or {})},
        "status": status or {},
    }
    decoded: Any = EventDecoder().decode_pod(msgspec.json.encode({"type": "MODIFIED", "object": pod}))
    assert decoded.revision == 7
    content: PodShown = decoded.content
    return content


def condition(kind: str, status: str = "True", reason: str | None = None) -> Json:
    return {"type": kind, "status": status, "reason": reason}


def test_a_new_pod_shows_nothing() -> None:
    assert shown() == PodShown(containers=1)


def test_stages_are_the_binding_conditions_and_states_of_containers() -> None:
    conditions = [condition("PodReadyToStartContainers"), condition("Initialized"), condition("Ready", "False")]
    status = {"phase": "Running", "conditions": conditions, "containerStatuses": [RUNNING]}
    assert shown(spec={"nodeName": "n"}, status=status).stages == ("scheduled", "sandbox", "initialized", "started")
    assert shown(status={"conditions": [condition("PodScheduled")]}).stages == ()


@pytest.mark.parametrize(
    ("state", "has_started"),
    [
        (RUNNING, True),
        ({"state": {"waiting": {"reason": "ContainerCreating"}}}, False),
        ({"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "restartCount": 1}, True),
        ({"state": {"terminated": {"startedAt": "2026-01-01T00:00:00Z"}}}, True),
        ({"state": {"terminated": {"startedAt": None}}}, False),
        ({}, False),
    ],
)
def test_a_container_has_started_if_it_ever_ran(state: Json, has_started: Literal[True, False]) -> None:
    assert ("started" in shown(status={"containerStatuses": [state]}).stages) is has_started
    two = shown(spec={"containers": [{}, {}]}, status={"containerStatuses": [state]})
    assert "started" not in two.stages, "of the second one nothing is said"


def test_a_ready_or_succeeded_pod_has_started_whatever_its_statuses_say() -> None:
    assert "started" in shown(status={"conditions": [condition("Ready")]}).stages
    assert "started" in shown(status={"phase": "Succeeded"}).stages
    assert shown(status={"phase": "Succeeded"}).end == "succeeded"
    assert shown(status={"phase": "Failed", "reason": "Evicted"}).end == "failed"


def test_what_the_sli_leaves_out_is_in_the_object() -> None:
    volumes: list[Json] = [
        {"name": name, name: {}} for name in ("configMap", "secret", "emptyDir", "projected", "downwardAPI")
    ]
    assert not shown(spec={"volumes": volumes}).is_stateful
    assert shown(spec={"volumes": [*volumes, {"name": "x", "persistentVolumeClaim": {}}]}).is_stateful
    assert shown(metadata={"annotations": {MIRROR: "x"}}).is_static
    assert shown(metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}).is_deleting
    assert shown(status={"conditions": [condition("PodScheduled", "False", "Unschedulable")]}).waits_for_room
    assert shown(status={"conditions": [condition("PodScheduled", "False", "SchedulingGated")]}).waits_for_room
    assert shown(status={"nominatedNodeName": "n"}).waits_for_room
    assert shown(spec={"initContainers": [{}, {}]}).containers == 3


def test_init_containers_ran_for_whole_seconds_more_or_less() -> None:
    ended = {"state": {"terminated": {"startedAt": "2026-01-01T00:00:01Z", "finishedAt": "2026-01-01T00:00:05Z"}}}
    assert shown(status={"initContainerStatuses": [ended]}).init_seconds == Interval(3, 5)
    assert shown(status={"initContainerStatuses": [ended, ended]}).init_seconds == Interval(6, 10)
    assert shown(status={"initContainerStatuses": [RUNNING]}).init_seconds == Interval(0, 0), "a sidecar runs on"
    again = shown(status={"initContainerStatuses": [{**ended, "restartCount": 1}]}).init_seconds
    assert again == Interval(3, float("inf"))
    sidecar = {"name": "mesh", "restartPolicy": "Always"}
    statuses = [{**ended, "name": "mesh", "restartCount": 1}, {**ended, "name": "init"}]
    beside = shown(spec={"initContainers": [sidecar, {"name": "init"}]}, status={"initContainerStatuses": statuses})
    assert beside.init_seconds == Interval(3, 5), "a sidecar that has crashed ran beside the others"


@pytest.mark.parametrize("annotation", [None, "example.com/written-at", MIRROR])
def test_a_pod_shows_the_same_whatever_else_is_read_of_it(annotation: str | None) -> None:
    annotations = {MIRROR: "x", "example.com/written-at": "y"}
    metadata = {"name": "p", "namespace": "n", "uid": "u" * 65, "resourceVersion": "7", "annotations": annotations}
    status = {"conditions": [condition("Ready")]}
    line = msgspec.json.encode({"type": "ADDED", "object": {"metadata": metadata, "status": status}})
    decoder = EventDecoder(annotation)
    decoder.reads_names = True
    decoded: Any = decoder.decode_pod(line)
    assert decoded.content == PodShown(stages=("ready", "started"), is_static=True)
    assert (decoded.name, decoded.uid) == ("n/p", "")
    assert decoder.refused == {"uid": 1}, "once"
    assert decoded.annotation == ("y" if annotation == "example.com/written-at" else None)


def test_a_bookmark_shows_no_pod() -> None:
    line = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}, "spec": {"containers": None}}}
    decoded: Any = EventDecoder().decode_pod(msgspec.json.encode(line))
    assert (decoded.event_type, decoded.content) == ("bookmark", None)


def test_a_pod_of_another_shape_is_still_an_event() -> None:
    parts: list[Json] = [{"spec": 5}, {"status": {"conditions": "none"}}, {"spec": {"volumes": [[]]}}]
    for part in parts:
        line = {"type": "ADDED", "object": {"metadata": {"uid": "u", "resourceVersion": "9"}, **part}}
        decoded: Any = EventDecoder().decode_pod(msgspec.json.encode(line))
        assert (decoded.event_type, decoded.revision, decoded.content) == ("added", 9, None)


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ('Successfully pulled image "a/b:1" in 1.234s (1.9s including waiting). Image size: 299513 bytes.', 1.9),
        ('Successfully pulled image "a in 9s/b" in 812ms (812ms including waiting)', 0.812),
        ('Successfully pulled image "x" in 1m2.5s', 62.5),
        ('Container image "x" already present on machine', 0.0),
        ('Container image "x" already present on machine and can be accessed by the pod', 0.0),
        ('Successfully pulled image "x"', None),
        ('Successfully pulled image "x" in 1.2.3s', None),
        ('Pulling image "x" in 3s', None),
        ("", None),
    ],
)
def test_a_kubelets_message_says_how_long_a_pull_took(message: str, seconds: float | None) -> None:
    assert pull_seconds(message) == (seconds if seconds is None else pytest.approx(seconds))
    about = {"involvedObject": {"uid": "u", "fieldPath": "spec.containers{c}"}, "message": message}
    pull = None if seconds is None else Pull("u", pull_seconds(message) or 0, "spec.containers{c}")
    assert pulled({**about, "reason": "Pulled"}) == pull
    assert pulled({**about, "reason": "Pulled"}, "MODIFIED") == pull
    assert pulled({**about, "reason": "Failed"}) is None


@pytest.mark.parametrize(
    ("involved", "kind"),
    [({"uid": "u"}, "DELETED"), ({"uid": "u" * 65}, "ADDED"), ({"uid": "u", "fieldPath": "p" * 254}, "ADDED")],
)
def test_an_event_that_has_expired_or_has_long_names_reports_no_pull(involved: Json, kind: str) -> None:
    about = {"involvedObject": involved, "message": 'Successfully pulled image "x" in 2s', "reason": "Pulled"}
    assert pulled({**about, "involvedObject": {"uid": "u"}}) == Pull("u", 2.0)
    assert pulled(about, kind) is None


def pulled(about: Json, kind: str = "ADDED") -> object:
    line = {"type": kind, "object": {"metadata": {"uid": "e", "resourceVersion": "5"}, **about}}
    decoded: Any = EventDecoder().decode_pull(msgspec.json.encode(line))
    return decoded.content
