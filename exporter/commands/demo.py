"""`watchslo demo`: simulated apiserver, workload and exporter in one process; shows truth beside measurement.

Its page lets people switch the scenario.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import tempfile
from contextlib import asynccontextmanager
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from exporter import descriptors
from exporter.commands.running import completed
from exporter.commands.text_table import aligned, folded, width_of
from exporter.config import ConfigError, ResourceName
from exporter.config.shard import Shard
from exporter.service import logs
from exporter.service.daemon import Exporter, load_credentials
from exporter.simulator import NODES, SCENARIOS, WIDGETS, Simulator, Workload
from exporter.simulator.scenarios import PHASE_SECONDS
from exporter.web.page.look import Scenarios

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from exporter.config import Config
    from exporter.measure.stream_state import StreamState
    from exporter.measure.window import WindowReport

WRITES_PER_SECOND = 60.0
FIRST_SECONDS = 3.0
"""Who chooses a scenario wants to see what it does."""

TERMINAL_PERIOD_SECONDS = 1.0
PLAIN_PERIOD_SECONDS = 5.0
RESOURCES = tuple(ResourceName.parse(name) for name in ("pods", "nodes", WIDGETS.name))
CANARY = "canary"
CLEAR_TO_END = "\x1b[J"

COLUMNS = (
    "resource", "state", "events/min", "true P99", "measured P99", "on time", "late", "ambiguous", "forced closes",
    "relists",
)  # fmt: skip
SINCE_START_FROM = "on time"
"""The first column with counts since the start; those before it are of the last minute."""


def run(config: Config, scenario: str | None) -> int:
    """Run until SIGINT or SIGTERM. Raises ConfigError, also if the exporter cannot listen on its address."""
    scenario = scenario or "healthy"
    if scenario not in SCENARIOS:
        raise ConfigError(f'--scenario: "{scenario}" is not a scenario: choose one of {", ".join(SCENARIOS)}')
    logs.set_up(replace(config, log_level="error") if sys.stdout.isatty() else config)
    descriptors.raise_limit()
    completed(_run(config, scenario))
    return 0


async def _run(config: Config, scenario: str) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    with tempfile.TemporaryDirectory(prefix="watchslo-demo-") as folder:
        async with Simulator() as simulator:
            pointed_at_it = _pointed_at(config, Path(folder), simulator.url)
            await simulator.apiserver.registry.create(NODES, {"metadata": {"name": CANARY}}, manager="demo")
            player = Player(simulator)
            exporter = Exporter(pointed_at_it, await load_credentials(pointed_at_it), demo=player)
            async with Workload(simulator, rate_per_second=WRITES_PER_SECOND), exporter.running(), player.playing():
                player.play(scenario, first_seconds=PHASE_SECONDS)
                _introduce(exporter, scenario)
                await _show_until(stopping, simulator, exporter)


class Player:
    """Plays one scenario after the other, whichever is chosen on the page."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._chosen = "healthy"
        self._first_seconds = FIRST_SECONDS
        self._is_chosen = asyncio.Event()

    def scenarios(self) -> Scenarios:
        """What it can play, and plays."""
        descriptions = {name: scenario.description for name, scenario in SCENARIOS.items()}
        return Scenarios(descriptions, self._chosen, self._simulator.condition)

    def play(self, name: str, *, first_seconds: float = FIRST_SECONDS) -> None:
        """Play another one from now on, after so many seconds of health. Raises KeyError."""
        self._chosen, self._first_seconds = SCENARIOS[name].name, first_seconds
        self._is_chosen.set()

    @asynccontextmanager
    async def playing(self) -> AsyncIterator[None]:
        """Play beside the block, until its end."""
        playing = asyncio.create_task(self._play())
        try:
            yield
        finally:
            await _ended(playing)

    async def _play(self) -> None:
        while True:
            await self._is_chosen.wait()
            self._is_chosen.clear()
            scenario = SCENARIOS[self._chosen]
            script = asyncio.create_task(scenario.run(self._simulator, PHASE_SECONDS, self._first_seconds))
            try:
                await self._is_chosen.wait()
            finally:
                await _ended(script)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})


def _pointed_at(config: Config, folder: Path, url: str) -> Config:
    """Whatever environment and file say of a cluster: this is another one."""
    return replace(
        config,
        kubeconfig=_kubeconfig(folder, url),
        context=None,
        apiservers=(url,),
        discover_apiservers=False,
        tls_server_name=None,
        apiserver_metrics="off",
        prometheus_url=None,
        resources=RESOURCES,
        custom_resources=(),
        namespace=None,
        shard=Shard(0, 1),
        annotation=None,
        canary_interval_seconds=1.0,
        canary_pod=None,
        canary_node=CANARY,
        canary_custom_resource=None,
        auth_filter=False,
    )


def _kubeconfig(folder: Path, url: str) -> Path:
    """A kubeconfig with the simulator and no credentials."""
    path = folder / "kubeconfig"
    context = {"cluster": "simulator", "user": "nobody"}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "simulator", "cluster": {"server": url}}],
        "users": [{"name": "nobody", "user": {}}],
        "contexts": [{"name": "demo", "context": context}],
        "current-context": "demo",
    }
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def _introduce(exporter: Exporter, scenario: str) -> None:
    host, port = exporter.listens_on[0]
    named = "localhost" if host in {"0.0.0.0", "::"} else host  # noqa: S104 compared, not listened on
    _say(f"watchslo demo: {exporter.scheme}://{f'[{named}]' if ':' in named else named}:{port}/  open it in a browser")
    _say(f"scenario {scenario}: {SCENARIOS[scenario].description}")
    _say(f"the apiserver is simulated and gets {WRITES_PER_SECOND:.0f} writes/s; stop with Ctrl-C")
    _say("")


async def _show_until(stopping: asyncio.Event, simulator: Simulator, exporter: Exporter) -> None:
    terminal = sys.stdout.isatty()
    drawn_lines = 0
    while not stopping.is_set():
        try:
            async with asyncio.timeout(TERMINAL_PERIOD_SECONDS if terminal else PLAIN_PERIOD_SECONDS):
                await stopping.wait()
        except TimeoutError:
            lines = list(_table(simulator, exporter))
            if terminal and drawn_lines:
                _say(f"\x1b[{drawn_lines}A{CLEAR_TO_END}", end="")
            _say("\n".join(lines))
            drawn_lines = len(lines)


def _table(simulator: Simulator, exporter: Exporter) -> Iterable[str]:
    """The table's lines; the true P99 is the simulator's, of what it handed to the socket in the last minute."""
    rows = [[str(cell) for cell in _row(simulator, state)] for state in exporter.states()]
    width = width_of(sys.stdout)
    heading, *lines = aligned([COLUMNS, *rows], width)
    yield from folded(f"now: {simulator.condition}", width)
    # Where the terminal is too narrow for columns, each figure stands beside its name.
    since_start_at = heading.find(SINCE_START_FROM)
    if since_start_at > 0:
        yield f"{'of the last window':<{since_start_at}}since the start"
    else:
        yield from folded(f"of the last window; from {SINCE_START_FROM} on, since the start", width)
    yield heading
    yield from lines
    yield ""


def _row(simulator: Simulator, state: StreamState) -> Iterable[object]:
    yield state.resource
    yield state.window.state if state.is_up else "no watch"
    yield state.window.events
    yield _seconds(simulator.truth.p99_seconds(state.name))
    yield measured_p99(state.window)
    yield state.counts.judged["on_time"]
    yield state.counts.judged["late"]
    yield state.counts.judged["ambiguous"]
    yield state.counts.forced_closes
    yield state.counts.losses


def measured_p99(window: WindowReport) -> str:
    """The bounds of the P99 in the window; in the first seconds there are few events, or none, to bound it."""
    if window.p99_upper_seconds in {None, inf} and window.state == "quiet":
        return "measuring"
    return f"{_seconds(window.p99_lower_seconds)} to {_seconds(window.p99_upper_seconds)}"


def _seconds(value: float | None) -> str:
    if value is None:
        return "-"
    return "no limit" if value == inf else f"{value:.3f} s"


def _say(text: str, end: str = "\n") -> None:
    print(text, end=end, flush=True)  # noqa: T201 the demo talks to a person
