"""A workload of known truth: a client and a rate in, writes with the interval of their commit out.

Writes as kubelets, schedulers, controllers and people do. A write that fails is recorded, never raised.
"""

import asyncio
import itertools
import random
import time
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Literal, Self

import aiohttp

from tests.real.api import PATCH_TYPES, ApiClient, ApiError, Json, PatchKind

Resource = Literal["pods", "nodes", "widgets"]
Operation = Literal["create", "annotate", "status", "unannotate", "delete", "bind", "scale"]

ANNOTATION = "tests.example.com/note"
# How often each comes among those that an object's state permits.
WEIGHTS: dict[Operation, int] = {"annotate": 4, "status": 6, "unannotate": 3, "delete": 2, "bind": 6, "scale": 3}
CREATE_PROBABILITY = 0.15
FINISH_SECONDS = 20.0

_writers = itertools.count()


@dataclass(frozen=True, slots=True)
class Write:
    """One write that was accepted: its commit lies in [sent_seconds, answered_seconds] of `time.monotonic()`.

    `resource_version` is the answer's, or 0 where Kubernetes answers with none (`bind`, and `delete` of all but pods).
    Deleting a pod that has a node commits twice; the answer has the second revision.
    """

    resource: Resource
    name: str
    operation: Operation
    resource_version: int
    sent_seconds: float
    answered_seconds: float


@dataclass(frozen=True, slots=True)
class FailedWrite:
    """One write that was refused or not answered: whether it was committed is not known."""

    resource: Resource
    name: str
    operation: Operation
    reason: str
    sent_seconds: float
    failed_seconds: float


@dataclass(frozen=True, slots=True)
class Target:
    """An object of the writer's and as much of its state as decides what can be written next."""

    resource: Resource
    name: str
    annotated: bool = False
    bound: bool = True

    def operations(self) -> list[Operation]:
        """What can be done with it now, so that each write changes something."""
        possible: list[Operation] = ["annotate", "status", "delete"]
        if self.annotated:
            possible.append("unannotate")
        if not self.bound:
            possible.append("bind")
        if self.resource == "widgets":
            possible.append("scale")
        return possible

    def after(self, operation: Operation) -> "Target | None":
        """The object once `operation` is done; None if it is gone."""
        if operation == "delete":
            return None
        annotated = (self.annotated or operation == "annotate") and operation != "unannotate"
        return replace(self, annotated=annotated, bound=self.bound or operation == "bind")


class Writer:
    """Writes `rate_per_second` times a second between entering and leaving, however slow the answers are.

    Open loop: a write is sent when its time comes. With `max_in_flight` unanswered it is left out and counted in
    `skipped`. Its objects are its own (no other writer has their names), about `population` of each resource, and
    stay behind. `widgets` must be served when they are among `resources`.
    """

    def __init__(
        self,
        client: ApiClient,
        *,
        rate_per_second: float = 60.0,
        resources: tuple[Resource, ...] = ("pods", "nodes", "widgets"),
        namespace: str = "default",
        population: int = 20,
        max_in_flight: int = 100,
        seed: int = 0,
    ) -> None:
        self.writes: list[Write] = []
        self.unversioned: list[Write] = []
        self.failures: list[FailedWrite] = []
        self.skipped = 0
        self._client = client
        self._rate_per_second = rate_per_second
        self._resources = resources
        self._namespace = namespace
        self._population = population
        self._max_in_flight = max_in_flight
        self._random = random.Random(seed)
        self._idle: dict[Resource, list[Target]] = {resource: [] for resource in resources}
        self._in_flight: set[asyncio.Task[None]] = set()
        self._names = (f"writer-{number}-{count}" for number in [next(_writers)] for count in itertools.count())
        self._values = itertools.count(1)

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._running.cancel()
        await asyncio.wait([self._running, *self._in_flight], timeout=FINISH_SECONDS)
        for task in self._in_flight:
            task.cancel()
        await asyncio.gather(self._running, *self._in_flight, return_exceptions=True)

    async def _run(self) -> None:
        begin = time.monotonic()
        for tick in itertools.count():
            await asyncio.sleep(begin + tick / self._rate_per_second - time.monotonic())
            if len(self._in_flight) >= self._max_in_flight:
                self.skipped += 1
                continue
            target, operation = self._choose()
            task = asyncio.create_task(self._write(target, operation))
            self._in_flight.add(task)
            task.add_done_callback(self._in_flight.discard)

    def _choose(self) -> tuple[Target, Operation]:
        """An object that no write is under way for, and what to do with it. It comes back when that is done."""
        resource = self._random.choice(self._resources)
        idle = self._idle[resource]
        wanted = len(idle) < self._population and self._random.random() < CREATE_PROBABILITY
        if wanted or not idle:
            bound = resource != "pods" or self._random.random() < 0.5
            return Target(resource, next(self._names), bound=bound), "create"
        target = idle.pop(self._random.randrange(len(idle)))
        possible = target.operations()
        [operation] = self._random.choices(possible, [WEIGHTS[each] for each in possible])
        return target, operation

    async def _write(self, target: Target, operation: Operation) -> None:
        method, path, body, content_type = self._request(target, operation)
        sent_seconds = time.monotonic()
        what = (target.resource, target.name, operation)
        try:
            answer = await self._client.request(method, path, body=body, content_type=content_type)
        except (ApiError, aiohttp.ClientError, TimeoutError) as error:
            self.failures.append(FailedWrite(*what, repr(error), sent_seconds, time.monotonic()))
            return
        resource_version = int(answer.get("metadata", {}).get("resourceVersion") or 0)
        write = Write(*what, resource_version, sent_seconds, time.monotonic())
        (self.writes if resource_version else self.unversioned).append(write)
        remaining = target.after(operation)
        if remaining is not None:
            self._idle[target.resource].append(remaining)

    def _request(self, target: Target, operation: Operation) -> tuple[str, str, Json, str]:
        """Method, path, body and content type of one write."""
        collection = self._collection(target.resource)
        path = f"{collection}/{target.name}"
        value = str(next(self._values))
        json_type, merge_type = "application/json", PATCH_TYPES["merge"]
        match operation:
            case "create":
                return "POST", collection, _new_object(target), json_type
            case "annotate" | "unannotate":
                annotations = {ANNOTATION: value if operation == "annotate" else None}
                return "PATCH", path, {"metadata": {"annotations": annotations}}, merge_type
            case "status":
                kind: PatchKind = "merge" if target.resource == "widgets" else "strategic-merge"
                return "PATCH", f"{path}/status", {"status": _status(target, value)}, PATCH_TYPES[kind]
            case "delete":
                return "DELETE", path, {"gracePeriodSeconds": 0}, json_type
            case "bind":
                node = {"apiVersion": "v1", "kind": "Node", "name": "node-1"}
                binding: Json = {"metadata": {"name": target.name}, "target": node}
                return "POST", f"{path}/binding", binding, json_type
            case "scale":
                return "PATCH", f"{path}/scale", {"spec": {"replicas": int(value)}}, merge_type

    def _collection(self, resource: Resource) -> str:
        match resource:
            case "nodes":
                return "/api/v1/nodes"
            case "pods":
                return f"/api/v1/namespaces/{self._namespace}/pods"
            case "widgets":
                return f"/apis/example.com/v1/namespaces/{self._namespace}/widgets"


def _new_object(target: Target) -> Json:
    metadata: Json = {"metadata": {"name": target.name}}
    match target.resource:
        case "nodes":
            return metadata
        case "pods":
            node = {"nodeName": "node-1"} if target.bound else {}
            return metadata | {"spec": {"containers": [{"name": "main", "image": "none"}], **node}}
        case "widgets":
            return metadata | {"apiVersion": "example.com/v1", "kind": "Widget", "spec": {"replicas": 0}}


def _status(target: Target, value: str) -> Json:
    """As a kubelet or a controller would report it, with something new in it each time."""
    condition = {"type": "Ready", "status": "True", "reason": "Tests", "message": value}
    match target.resource:
        case "nodes":
            return {"conditions": [condition]}
        case "pods":
            return {"phase": "Running", "conditions": [condition]}
        case "widgets":
            return {"observedGeneration": int(value)}
