"""Writes docs/performance.md and ratios.json: the ratios with their targets first, then all figures."""

import json
import platform
import re
import string
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import NamedTuple

from tests.speed import delays
from tests.speed.consumers import INFORMER, has_go
from tests.speed.costs import OBJECTS, Cost, Scene
from tests.speed.delays import Delays, Observer
from tests.speed.footprint import Memory
from tests.speed.processes import MEBIBYTE
from tests.speed.recording import METADATA_JSON, METADATA_PROTOBUF, PODS_JSON, mean_size

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "performance.md"
RATIOS = Path(__file__).parent / "ratios.json"
PROSE = string.Template((Path(__file__).parent / "page.md").read_text(encoding="utf-8"))

LIBRARIES = ("aiohttp", "kubernetes_asyncio", "msgspec", "prometheus_client", "uvloop")
MORE_MEMORY_BYTES = 20 * MEBIBYTE


class Target(NamedTuple):
    """A target for the ratio of two consumers' CPU per event."""

    over: str
    under: str
    at_least: float | None = None
    at_most: float | None = None

    def is_met(self, ratio: float) -> bool:
        """Whether the ratio meets the target."""
        return (self.at_least is None or ratio >= self.at_least) and (self.at_most is None or ratio <= self.at_most)

    def __str__(self) -> str:
        return f"{self.over} / {self.under}"

    @property
    def aim(self) -> str:
        """The target as text."""
        return f">= {self.at_least:g}" if self.at_least is not None else f"<= {self.at_most:g}"


TARGETS = (
    Target("Watch, V1Pod", "watchslo", at_least=40),
    Target("Watch, plain objects", "watchslo", at_least=8),
    Target("watchslo", "metadata informer", at_most=1),
)


@dataclass
class Results:
    """All results for the page, with a list entry per round."""

    rounds: int
    costs: dict[tuple[Scene, str], list[Cost]] = field(default_factory=dict)
    delays: dict[Observer, list[Delays]] = field(default_factory=dict)
    memory: dict[str, Memory] = field(default_factory=dict)
    start_cpu_seconds: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def cpu(self, scene: Scene, consumer: str) -> float | None:
        """Microseconds per event, the median of the rounds; None if it was not measured."""
        costs = self.costs.get((scene, consumer))
        return median(cost.cpu_microseconds_per_event for cost in costs) if costs else None

    @property
    def scenes(self) -> list[Scene]:
        """The scenes, in the order of measurement."""
        return list(dict.fromkeys(scene for scene, _ in self.costs))

    def p99(self, observer: Observer) -> float:
        """Seconds from socket to stamp."""
        return median(one.p99_seconds for one in self.delays[observer])


class Ratio(NamedTuple):
    """One line of ratios.json."""

    name: str
    value: float
    aim: str
    is_met: bool


def cpu_ratios(results: Results, target: Target) -> dict[Scene, float]:
    """The ratio in each scene in which both were measured."""
    found = {}
    for scene in results.scenes:
        over, under = results.cpu(scene, target.over), results.cpu(scene, target.under)
        if over is not None and under is not None:
            found[scene] = over / under
    return found


def other_ratios(results: Results) -> list[Ratio]:
    """Delay, scraping, memory and start."""
    stamp = results.p99(delays.WATCHSLO)
    scraped, seen = _moved(results, delays.SCRAPED, delays.UNSCRAPED), _moved(results, delays.SEEN, delays.UNSEEN)
    found = [
        _at_most(f"P99 of stamp delay, watchslo / {observer.who}", stamp / results.p99(observer), 0.1)
        for observer in (delays.V1POD, delays.PLAIN_OBJECT)
    ]
    found.append(_at_most("how far a scrape a second moves that P99 / its spread over the rounds without", scraped, 1))
    found.append(_at_most("how far ten open pages move it at 2 000 events/s / its spread without", seen, 1))
    allowed = 2 * results.memory["empty aiohttp server"].peak_bytes + MORE_MEMORY_BYTES
    used = results.memory["watchslo"].peak_bytes
    found.append(_at_most("peak memory with 100 000 objects / (2 empty aiohttp servers + 20 MiB)", used / allowed, 1))
    found.append(_at_most("CPU seconds from start to first judged event", median(results.start_cpu_seconds), 0.3))
    return found


def _moved(results: Results, with_it: Observer, without: Observer) -> float:
    """How far the P99 of stamp delays is moved, as a multiple of its spread over the rounds without."""
    noise = [one.p99_seconds for one in results.delays[without]]
    moved = results.p99(with_it) - results.p99(without)
    return moved / (max(noise) - min(noise)) if len(noise) > 1 else float("nan")


def _at_most(name: str, value: float, most: float) -> Ratio:
    return Ratio(name, value, f"<= {most:g}", value <= most)


def all_ratios(results: Results) -> list[Ratio]:
    """The ratios for ratios.json."""
    found = [
        Ratio(f"CPU per event, {target}: {scene}", value, target.aim, target.is_met(value))
        for target in TARGETS
        for scene, value in cpu_ratios(results, target).items()
    ]
    return [*found, *other_ratios(results)]


def write(results: Results) -> None:
    """The page and ratios.json."""
    PAGE.write_text(page(results), encoding="utf-8")
    ratios = {
        ratio.name: {"value": round(ratio.value, 3), "aim": ratio.aim, "is_met": ratio.is_met}
        for ratio in all_ratios(results)
    }
    RATIOS.write_text(json.dumps(ratios, indent=1) + "\n", encoding="utf-8")


def page(results: Results) -> str:
    """docs/performance.md."""
    has_informer = any(consumer == "metadata informer" for _, consumer in results.costs)
    return PROSE.substitute(
        minutes=f"{results.seconds / 60:.0f}",
        machine=machine(),
        cpu_ratios="\n".join(cpu_ratio_table(results)),
        other_ratios="\n".join(other_ratio_table(results)),
        objects=f"{OBJECTS:,}".replace(",", " "),
        sizes=sizes(),
        server_cost=server_cost(results),
        rounds=results.rounds,
        no_go="" if has_informer else " **Left out here: there is no Go to build it with.**",
        costs="\n".join(cost_table(results)),
        watchslo="\n".join(watchslo_table(results)),
        bursts_per_second=f"{delays.BURSTS_PER_SECOND:g}",
        bursts_of_v1pods=f"{delays.BURSTS_PER_SECOND_OF_V1PODS:g}",
        delays="\n".join(delay_table(results)),
        memory="\n".join(memory_table(results)),
        start=f"{median(results.start_cpu_seconds):.2f} s",
        versions=versions(),
    )


def cpu_ratio_table(results: Results) -> Iterable[str]:
    """One row for each target, one column for each scene."""
    yield table_row("CPU per event", "aim", *results.scenes, "met")
    yield table_rule(3 + len(results.scenes))
    for target in TARGETS:
        ratios = cpu_ratios(results, target)
        cells = [f"{ratios[scene]:.2g}" if scene in ratios else "" for scene in results.scenes]
        met = [target.is_met(value) for value in ratios.values()]
        yield table_row(target, target.aim, *cells, f"in {sum(met)} of {len(met)}" if met else "not measured")


def other_ratio_table(results: Results) -> Iterable[str]:
    """One row for each."""
    yield table_row("ratio", "aim", "measured", "met")
    yield table_rule(4)
    for ratio in other_ratios(results):
        yield table_row(ratio.name, ratio.aim, f"{ratio.value:.2g}", "yes" if ratio.is_met else "no")


def cost_table(results: Results) -> Iterable[str]:
    """One row for each consumer in each scene."""
    yield table_row("", "consumer", "CPU per event", "events per CPU second", "events/s", "peak memory")
    yield table_rule(6)
    in_order = sorted(results.costs.items(), key=lambda item: results.scenes.index(item[0][0]))
    for (scene, consumer), costs in in_order:
        spent = [cost.cpu_microseconds_per_event for cost in costs]
        yield table_row(
            scene,
            consumer,
            f"{median(spent):.0f} µs ({min(spent):.0f} to {max(spent):.0f})",
            f"{1e6 / median(spent):.0f}",
            f"{median(cost.events_per_second for cost in costs):.0f}",
            mebibytes(median(cost.peak_bytes for cost in costs)),
        )


def watchslo_table(results: Results) -> Iterable[str]:
    """Figures of the exporter alone."""
    yield table_row("", "idle", "on time", "late", "ambiguous")
    yield table_rule(5)
    for (scene, consumer), costs in results.costs.items():
        if consumer == "watchslo":
            verdicts = [cost.verdicts for cost in costs]
            sums = {verdict: sum(one[verdict] for one in verdicts) for verdict in ("on_time", "late", "ambiguous")}
            yield table_row(scene, f"{median(cost.idle_share for cost in costs):.1%}", *sums.values())


def delay_table(results: Results) -> Iterable[str]:
    """P50 and P99."""
    yield table_row("", "P50", "P99", "series exposed", "scrapes")
    yield table_rule(5)
    for observer, rounds in results.delays.items():
        spread = [one.p99_seconds for one in rounds]
        yield table_row(
            observer,
            milliseconds(median(one.p50_seconds for one in rounds)),
            f"{milliseconds(median(spread))} ({milliseconds(min(spread))} to {milliseconds(max(spread))})",
            max(one.series for one in rounds) or "",
            median(one.scrapes for one in rounds) or "",
        )


def memory_table(results: Results) -> Iterable[str]:
    """Peak and share."""
    yield table_row("process", "peak resident", "proportional share at the end")
    yield table_rule(3)
    for name, memory in results.memory.items():
        yield table_row(name, mebibytes(memory.peak_bytes), mebibytes(memory.proportional_bytes))


def table_row(*cells: object) -> str:
    """One line of markdown."""
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def table_rule(columns: int) -> str:
    """The line below the head of a table."""
    return "|" + "---|" * columns


def mebibytes(size_bytes: float) -> str:
    """Rounded."""
    return f"{size_bytes / MEBIBYTE:.0f} MiB"


def milliseconds(seconds: float) -> str:
    """To a tenth."""
    return f"{seconds * 1000:.1f} ms"


def sizes() -> str:
    """How large an event is in each format."""
    names = {METADATA_JSON: "metadata in JSON", PODS_JSON: "a pod in JSON", METADATA_PROTOBUF: "metadata in protobuf"}
    return ", ".join(f"{mean_size(form):.0f} bytes as {name}" for form, name in names.items())


def server_cost(results: Results) -> str:
    """CPU of the replay for each event."""
    spent = [cost.server_microseconds_per_event for cost in results.costs[Scene(), "watchslo"]]
    return f"{median(spent):.0f} µs"


def machine() -> str:
    """The processor and what runs on it."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{len(models)} cores of {models[0]}, Linux {platform.release().split('-')[0]}, shared with other work"


def versions() -> str:
    """Of everything that is measured."""
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    go = "no Go"
    if has_go():
        go = subprocess.run(["go", "version"], check=True, capture_output=True, text=True).stdout.split()[2]
    [client_go] = re.findall(r"k8s.io/client-go (v\S+)", (INFORMER / "go.mod").read_text(encoding="utf-8"))
    return f"Python {platform.python_version()}, {libraries}; {go}, client-go {client_go}."
