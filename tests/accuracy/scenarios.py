"""The one table of everything that the measurement is put to the test with."""

from dataclasses import dataclass, replace
from typing import Literal

from tests.accuracy.troubles import (
    LATE_CACHE_SECONDS,
    Trouble,
    Way,
    apiserver_clock_steps,
    away,
    delayed,
    exporter_clock_steps,
    forbidden,
    frozen_store,
    late_caches,
    late_caches_by_turns,
    patience,
    paused_exporter,
    short_of_cpu,
    starved_exporter,
    suspended_machine,
)
from tests.real.workload import Resource

WorldName = Literal["real", "simulator"]

WORLDS: tuple[WorldName, ...] = ("real", "simulator")
DELAYS_SECONDS = (0.2, 0.8, 1.0, 1.2, 1.5, 2.5, 4.0)
CLOCK_OFFSET_SECONDS = 30.0
CLOCK_STEP_SECONDS = 5.0
SLOW_SECONDS = 2.5
WAY_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class Table:
    """Scenarios that are shown side by side."""

    name: str
    title: str
    about: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A world, what goes wrong in it after a healthy start, and for how much longer than usual it is looked at."""

    name: str
    table: Table
    world: WorldName
    troubles: tuple[Trouble, ...] = ()
    delay_seconds: float = 0.0
    resources: tuple[Resource, ...] = ("pods", "nodes")
    only_removals: bool = False
    exporter_clock_seconds: float | None = None
    """How far the exporter's wall clock is ahead from the start; None leaves libfaketime out of it."""
    apiserver_clock_seconds: float = 0.0
    """How far the apiserver's wall clock is ahead from the start."""
    events_apart: bool = False
    """Whether events are kept in an etcd of their own."""
    apiservers: int = 1
    """How many stand behind the one address that the exporter is told."""
    leaves_gap: bool = False
    """Whether the trouble begins with a gap in what was watched: while that is in the window, nothing is met."""
    is_promised: bool = True
    """Whether the exporter claims to be right in this."""

    @property
    def id(self) -> str:
        """`world/name`: what `--only` matches."""
        return f"{self.world}/{self.name}"


HEALTHY = Table("healthy", "Healthy", "Nothing is wrong.")
DELAYS: dict[Way, Table] = {
    "answers": Table(
        "answers",
        "Answers delayed",
        "Everything that the apiserver sends is delayed: the events of the watches and the answers to polls alike.",
    ),
    "requests": Table(
        "requests",
        "Requests delayed",
        "Everything that the exporter sends is delayed. Events are not: none is late, whatever the polls suffer.",
    ),
    "watch": Table(
        "watch",
        "Watches delayed",
        "What comes over the connections of watches is delayed; polls are not.",
    ),
}
TROUBLES = Table(
    "troubles",
    "Other troubles",
    """\
*etcd-freeze*: etcd is stopped for 4 s (SIGSTOP; the simulator's store hangs). *apiserver-cpu*: the apiserver runs for
10 ms of every 100 ms (SIGSTOP, SIGCONT), as under a CPU quota of a tenth, and needs all of it. *exporter-starved*: the
exporter runs for 5 to 60 ms and then not for 1.5 s, again and again. *removals*: every write removes an annotation.
*three-resources*: pods, nodes and a custom resource, whose watches are delayed by 1.5 s. *split-events*: events are in
an etcd of their own, and watches are delayed by 1.5 s (real), or the watch caches are behind by 2 s (simulator).
*virtual-address*: two apiservers stand behind the one address that the exporter is told as one apiserver's; the watch
caches of each are behind by 1.5 s by turns. *forbidden*: for 6 s we have no permission. *away*: for 5 s the apiserver
is gone and comes back without history. *paused*: the exporter stands still for 0.9 s of every 2.9 s. *suspended*: its
machine sleeps for 5 s, and its monotonic clock with it.""",
)
CLOCKS = Table(
    "clocks",
    "Clocks",
    """\
With the real apiserver it is the exporter's wall clock that is wrong (libfaketime; its monotonic clock is not faked),
in the simulator the apiserver's. *ahead*, *behind*: by 30 s from the start. *step*: by 5 s in mid-run. In those called
*slow* all answers are delayed by 2.5 s from that moment on, so that lateness can be proven by the apiserver's Date
only, which a step of that clock makes worthless for a while.""",
)
LIMITS = Table(
    "limits",
    "Beyond what is promised",
    """\
Dates and stamps are certain only while no clock slews faster than `--clock.drift-ppm` ([measuring](measuring.md)). A
step of the apiserver's clock that is no longer than a poll just then takes cannot be noticed, and misleads by up to as
much. Here the clock steps back by 3 s while every request is 4 s on its way, or ahead by 4 s while every answer is.
These rows do not count in the first table, and nothing fails for them.""",
)
TABLES = (HEALTHY, *DELAYS.values(), TROUBLES, CLOCKS, LIMITS)


def _delays() -> list[Scenario]:
    return [
        Scenario(
            name=f"{way}-{seconds:g}s",
            table=table,
            world=world,
            troubles=(delayed(way, seconds),),
            delay_seconds=seconds,
        )
        for way, table in DELAYS.items()
        for world in WORLDS
        for seconds in DELAYS_SECONDS
    ]


def _troubles(world: WorldName) -> list[Scenario]:
    return [
        Scenario(name="etcd-freeze", table=TROUBLES, world=world, troubles=(frozen_store,)),
        Scenario(name="exporter-starved", table=TROUBLES, world=world, troubles=(starved_exporter,)),
        Scenario(name="removals", table=TROUBLES, world=world, only_removals=True),
        Scenario(
            name="three-resources",
            table=TROUBLES,
            world=world,
            troubles=(delayed("watch", 1.5),),
            delay_seconds=1.5,
            resources=("pods", "nodes", "widgets"),
        ),
    ]


def _clocks() -> list[Scenario]:
    slow = delayed("answers", SLOW_SECONDS)
    scenarios = []
    for name, seconds in {"ahead": CLOCK_OFFSET_SECONDS, "behind": -CLOCK_OFFSET_SECONDS}.items():
        one = Scenario(name=f"{name}-slow", table=CLOCKS, world="real", troubles=(slow,), delay_seconds=SLOW_SECONDS)
        scenarios += [
            replace(one, exporter_clock_seconds=seconds),
            replace(one, world="simulator", apiserver_clock_seconds=seconds),
        ]
    for name, seconds in {"step-ahead": CLOCK_STEP_SECONDS, "step-back": -CLOCK_STEP_SECONDS}.items():
        at_exporter, at_apiserver = exporter_clock_steps(seconds), apiserver_clock_steps(seconds)
        one = Scenario(name=name, table=CLOCKS, world="real")
        other = replace(one, name=f"{name}-slow", delay_seconds=SLOW_SECONDS)
        scenarios += [
            replace(one, troubles=(at_exporter,), exporter_clock_seconds=0.0),
            replace(one, world="simulator", troubles=(at_apiserver,)),
            replace(other, troubles=(at_exporter, slow), exporter_clock_seconds=0.0),
            replace(other, world="simulator", troubles=(at_apiserver, slow)),
        ]
    return scenarios


def _limits() -> list[Scenario]:
    beyond: tuple[tuple[str, Way, float], ...] = (
        ("step-back-slow-requests", "requests", -3.0),
        ("step-ahead-slow-answers", "answers", 4.0),
    )
    return [
        Scenario(
            name=name,
            table=LIMITS,
            world="simulator",
            # In the middle, once the polls that were sent before are answered.
            troubles=(delayed(way, WAY_SECONDS), patience(WAY_SECONDS + 1), apiserver_clock_steps(step_seconds)),
            delay_seconds=WAY_SECONDS,
            is_promised=False,
        )
        for name, way, step_seconds in beyond
    ]


def _elsewhere() -> list[Scenario]:
    apart = Scenario(name="split-events", table=TROUBLES, world="real", events_apart=True, delay_seconds=1.5)
    simulated = Scenario(name="virtual-address", table=TROUBLES, world="simulator")
    return [
        replace(apart, troubles=(delayed("watch", 1.5),)),
        replace(apart, world="simulator", troubles=(late_caches,), delay_seconds=LATE_CACHE_SECONDS),
        replace(simulated, apiservers=2, troubles=(late_caches_by_turns,)),
        replace(simulated, name="forbidden", troubles=(forbidden,), leaves_gap=True),
        replace(simulated, name="away", troubles=(away,), leaves_gap=True),
        *[replace(simulated, name="paused", world=world, troubles=(paused_exporter,)) for world in WORLDS],
        *[
            replace(simulated, name="suspended", world=world, troubles=(suspended_machine,), leaves_gap=True)
            for world in WORLDS
        ],
    ]


SCENARIOS = (
    *(Scenario(name="healthy", table=HEALTHY, world=world) for world in WORLDS),
    *_delays(),
    *_troubles("real"),
    Scenario(name="apiserver-cpu", table=TROUBLES, world="real", troubles=(short_of_cpu,)),
    *_troubles("simulator"),
    *_elsewhere(),
    *_clocks(),
    *_limits(),
)
