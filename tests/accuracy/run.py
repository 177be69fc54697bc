"""One scenario in, its events with their truth out: a healthy start, the trouble, and some patience at the end."""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from exporter.measure.times import Instant, Interval
from tests.accuracy.exporter_process import ExporterProcess, exporting
from tests.accuracy.figures import Event, Figures, Truth, contains, figures, watchslo
from tests.accuracy.removals import Remover
from tests.accuracy.scenarios import Scenario
from tests.accuracy.troubles import Stage, set_exporter_clock
from tests.accuracy.witness import Witness
from tests.accuracy.worlds import SimulatedWorld, World
from tests.real.api import ApiClient
from tests.real.proxy import Proxy
from tests.real.workload import Writer
from tests.support.waiting import wait_until

WRITES_PER_SECOND = 60.0
LEARNING_SECONDS = 8.0
TROUBLE_SECONDS = 8.0
SETTLING_SECONDS = 1.0
PATIENCE_SECONDS = 15.0
NOTICED_SECONDS = 2.0
"""A gap is one once it is longer than the threshold; the window is looked at once a second."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a run learns in health, and how long the trouble lasts (and the delay that it makes, on top)."""

    learning_seconds: float = LEARNING_SECONDS
    trouble_seconds: float = TROUBLE_SECONDS


@dataclass(slots=True)
class Run:
    """What happened. What was committed from `began` to `ended` is judged."""

    scenario: Scenario
    began: Instant = 0.0
    ended: Instant = 0.0
    events: list[Event] = field(default_factory=list)
    unjudged: int = 0
    """Events of known truth of which the exporter has said nothing."""

    def is_judged(self, event: Event) -> bool:
        """Whether it was committed while the trouble lasted."""
        commit = event.truth.commit
        return self.began <= commit.earliest and commit.latest <= self.ended

    def figures(self, methods: Sequence[str]) -> list[Figures]:
        """Those of each method."""
        return [
            figures(self.scenario.id, method, self.events, began=self.began, is_judged=self.is_judged)
            for method in methods
        ]

    @property
    def met_over_a_gap(self) -> int:
        """How often the exporter said that the objective is met although it was not watching; never."""
        if not self.scenario.leaves_gap:
            return 0
        since = self.began + NOTICED_SECONDS
        return sum(event.observation.judged_at > since and event.observation.state == "met" for event in self.events)

    def refuted(self) -> list[Event]:
        """Events of which the exporter says what is not true; there are none."""
        return [event for event in self.events if not contains(watchslo(event), event.truth)]


async def run(scenario: Scenario, world: World, pace: Pace, faketime: Path | None) -> Run:
    """Run it. `faketime` is libfaketime's library, which a scenario that sets the exporter's clock needs."""
    witness, run = Witness(), Run(scenario)
    async with staged(scenario, world, witness, faketime) as (stage, exporter), world.client() as client:
        await asyncio.sleep(SETTLING_SECONDS)  # the first poll after the start tells history from news
        async with workload(scenario, client) as writer:
            await asyncio.sleep(pace.learning_seconds)
            run.began = time.monotonic()
            async with contextlib.AsyncExitStack() as troubles:
                for trouble in scenario.troubles:
                    await troubles.enter_async_context(trouble(stage))
                await asyncio.sleep(pace.trouble_seconds + scenario.delay_seconds)
                run.ended = time.monotonic()
        arrivals = await settled(exporter, witness, {write.resource_version for write in writer.writes})
    commits = world.commits(arrivals, writer.writes)
    truths = {revision: truth_of(commit, arrivals[revision]) for revision, commit in sorted(commits.items())}
    said = {observation.revision: observation for observation in exporter.observations}
    run.events = [Event(known, said[revision]) for revision, known in truths.items() if revision in said]
    run.unjudged = len(truths) - len(run.events)
    return run


def truth_of(commit: Interval, arrival: Interval) -> Truth:
    """etcd tells its watchers of a write a little before its readers see it: what has arrived is committed."""
    return Truth(Interval(min(commit.earliest, arrival.earliest), commit.latest), arrival)


@contextlib.asynccontextmanager
async def staged(
    scenario: Scenario, world: World, witness: Witness, faketime: Path | None
) -> AsyncIterator[tuple[Stage, ExporterProcess]]:
    """The exporter, running and ready, and everything between it and the world."""
    if isinstance(world, SimulatedWorld):
        world.simulator.apiserver.clock.offset_seconds = scenario.apiserver_clock_seconds
    with (
        tempfile.TemporaryDirectory() as name,
        Proxy(world.url, tls=world.tls, handed_over=witness.handed_over) as proxy,
    ):
        folder = Path(name)
        clock, environ = folder / "exporter-clock", {}
        if scenario.exporter_clock_seconds is not None:
            assert faketime is not None
            set_exporter_clock(clock, scenario.exporter_clock_seconds)
            environ = faked(faketime, clock)
        flags = flags_for(scenario, proxy, world.kubeconfig(folder / "kubeconfig", proxy.url))
        async with world.witnessed(), exporting(*flags, environ=environ) as exporter:
            yield Stage(world, proxy, exporter, clock), exporter


def flags_for(scenario: Scenario, proxy: Proxy, kubeconfig: Path) -> list[str | Path]:
    """As a user would start it who knows the apiserver's own address."""
    names = [f"{name}.example.com" if name == "widgets" else name for name in scenario.resources]
    resources = [word for name in names for word in ("--resource", name)]
    return ["--kubeconfig", kubeconfig, "--apiserver", proxy.url, "--log.level", "error", *resources]


def faked(library: Path, clock: Path) -> dict[str, str]:
    """The environment in which the wall clock, and nothing else, is as `clock` says."""
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def workload(scenario: Scenario, client: ApiClient) -> Writer | Remover:
    """Who writes."""
    if scenario.only_removals:
        return Remover(client, rate_per_second=WRITES_PER_SECOND, name=f"removals-{time.monotonic_ns()}")
    return Writer(client, rate_per_second=WRITES_PER_SECOND, resources=scenario.resources)


async def settled(exporter: ExporterProcess, witness: Witness, written: set[int]) -> dict[int, Interval]:
    """The arrivals, once all that was written has arrived and all that arrived is judged, or that takes too long."""
    arrivals: dict[int, Interval] = {}

    def is_settled() -> bool:
        nonlocal arrivals
        arrivals = dict(witness.arrivals)
        return written <= arrivals.keys() <= {said.revision for said in exporter.observations}

    with contextlib.suppress(TimeoutError):
        await wait_until(is_settled, "every event is judged", timeout_seconds=PATIENCE_SECONDS)
    return arrivals
