"""CPU per event. Consumers run in turns with the same events, in rounds, so that other load affects all of them."""

import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from tests.speed import processes
from tests.speed.consumers import (
    FOLLOWING_PODS,
    INFORMER_JSON,
    INFORMER_PROTOBUF,
    INFORMER_TWO_THREADS,
    PLAIN_OBJECT,
    V1POD,
    WATCHSLO,
    Consumer,
    Watchslo,
    has_go,
)
from tests.speed.serving import replaying

OBJECTS = 10_000
IDLE_SECONDS = 3.0


class Scene(NamedTuple):
    """The transport and the rate of the events; `per_second` 0 means as fast as they are read."""

    streams: int = 1
    tls: bool = False
    per_second: float = 0.0

    def __str__(self) -> str:
        streams = f"{self.streams} stream{'s' if self.streams > 1 else ''}"
        pace = f"{self.per_second:.0f} events/s" if self.per_second else "full speed"
        return f"{streams}, {'TLS' if self.tls else 'plain'}, {pace}"


class Case(NamedTuple):
    """One consumer in one scene, with enough events for a measurable CPU time."""

    scene: Scene
    consumer: Consumer
    events: int


FULL_SPEED_EVENTS = {WATCHSLO: 120_000, INFORMER_PROTOBUF: 120_000, PLAIN_OBJECT: 7_500, V1POD: 1_000}
PACED_EVENTS = {WATCHSLO: 6_000, INFORMER_PROTOBUF: 6_000, PLAIN_OBJECT: 4_000}
EXTRA_EVENTS = {FOLLOWING_PODS: 40_000, INFORMER_TWO_THREADS: 100_000, INFORMER_JSON: 15_000}
FULL_SPEED = (Scene(1), Scene(1, tls=True), Scene(12), Scene(12, tls=True))
PACED = (Scene(1, per_second=1000.0), Scene(12, tls=True, per_second=1000.0))
NEED_GO = {INFORMER_PROTOBUF, INFORMER_TWO_THREADS, INFORMER_JSON}


def cases() -> list[Case]:
    """All cases; without Go those of the informer are left out."""
    found = [Case(scene, consumer, events) for scene in FULL_SPEED for consumer, events in FULL_SPEED_EVENTS.items()]
    found += [Case(scene, consumer, events) for scene in PACED for consumer, events in PACED_EVENTS.items()]
    found += [Case(Scene(1), consumer, events) for consumer, events in EXTRA_EVENTS.items()]
    return [case for case in found if is_possible(case)]


def is_possible(case: Case) -> bool:
    """V1Pod watches only pods."""
    return (case.consumer is not V1POD or case.scene.streams == 1) and (case.consumer not in NEED_GO or has_go())


@dataclass(frozen=True)
class Cost:
    """The cost of the events for one consumer."""

    cpu_microseconds_per_event: float
    events_per_second: float
    peak_bytes: int
    server_microseconds_per_event: float
    """CPU of the replay."""
    idle_share: float = 0.0
    """CPU seconds per second without events; of the exporter only."""
    verdicts: dict[str, int] = field(default_factory=dict)


def measured(case: Case) -> Cost:
    """Start the consumer, warm it up, and send it the events."""
    scene = case.scene
    with (
        tempfile.TemporaryDirectory() as folder,
        replaying(Path(folder), resources=scene.streams, objects=OBJECTS, tls=scene.tls) as server,
        case.consumer.start(server) as running,
    ):
        running.warm(server)
        idle_share = idle(running.pid) if isinstance(running, Watchslo) else 0.0
        before, began, ours, servers = running.handled(), time.monotonic(), Used(running.pid), Used(server.pid)
        server.send(case.events, per_second=scene.per_second)
        running.wait_until_handled(before + case.events)
        lasted = time.monotonic() - began
        cost = Cost(
            cpu_microseconds_per_event=ours.microseconds() / case.events,
            events_per_second=case.events / lasted,
            peak_bytes=processes.peak_bytes(running.pid),
            server_microseconds_per_event=servers.microseconds() / case.events,
            idle_share=idle_share,
        )
        if isinstance(running, Watchslo):
            running.verify(case.events)
            cost = replace(cost, verdicts=running.verdicts())
        return cost


class Used:
    """CPU time of a process since this was made."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._seconds = processes.cpu_seconds(pid)

    def microseconds(self) -> float:
        return (processes.cpu_seconds(self._pid) - self._seconds) * 1e6


def idle(pid: int) -> float:
    """CPU seconds per second while nothing is sent."""
    used = processes.cpu_seconds(pid)
    time.sleep(IDLE_SECONDS)
    return (processes.cpu_seconds(pid) - used) / IDLE_SECONDS
