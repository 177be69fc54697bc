"""`python -m tests.speed.growth`: how the exporter's cost grows, where its limit is, and what it reports beyond it.

Writes docs/growth.md and its picture. Exit code 1 if an event is judged late, because none is late.
"""
# ruff: noqa: T201 it reports its progress

import string
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from exporter.service import loop
from tests.live.cost import total
from tests.speed import holds, processes, wide
from tests.speed.consumers import Watchslo, wait_until, watchslo
from tests.speed.costs import OBJECTS, Used, idle
from tests.speed.delays import SETTLING_SECONDS, count_series, is_ready
from tests.speed.processes import MEBIBYTE
from tests.speed.report import machine, mebibytes, table_row, table_rule
from tests.speed.serving import ROOT, Server, replaying

PAGE = ROOT / "docs" / "growth.md"
PICTURE = ROOT / "docs" / "growth" / "growth.svg"
PROSE = string.Template((Path(__file__).parent / "growth.page.md").read_text(encoding="utf-8"))

RATES = (100, 300, 1_000, 3_000, 10_000)
OBJECT_COUNTS = (1_000, 10_000, 50_000, 100_000, 200_000)
STREAMS = (1, 3, 10, 30)
APISERVERS = (1, 2, 3, 5)
SHARDS, SHARDED_STREAMS = (1, 2), 12
USUAL_RATE = 1_000
FULL_SPEED_EVENTS = 150_000
SECONDS = 8
HIGH_RATE = 10_000
FEWEST_EVENTS = 40_000
TIMER_SECONDS = 0.002
"""Events within this time are written together, because a timer is not finer."""

OVERLOAD = 2.0
"""Rate as a multiple of the limit."""

OVERLOAD_SECONDS = 6


class Point(NamedTuple):
    """One measurement: the load, and its cost. Events are counted once per arrival."""

    given: int
    events_per_second: float
    cpu_share: float
    idle_share: float
    peak_bytes: int
    series: int
    verdicts: Mapping[str, int]

    @property
    def cpu_microseconds_per_event(self) -> float:
        """CPU per event, including idle work."""
        return self.cpu_share / self.events_per_second * 1e6


@contextmanager
def watched(
    *, resources: int = 1, objects: int = OBJECTS, apiservers: int = 1, only: str | None = None
) -> Iterator[tuple[Server, Watchslo]]:
    """A replay and an exporter after its warm-up."""
    with (
        tempfile.TemporaryDirectory() as folder,
        replaying(Path(folder), resources=resources, objects=objects, apiservers=apiservers, only=only) as server,
        watchslo(server) as exporter,
    ):
        exporter.warm(server)
        yield server, exporter


def point(given: int, server: Server, exporter: Watchslo, events: int, per_second: float) -> Point:
    """Send so many events, wait until all are judged, and measure the cost."""
    idle_share = idle(exporter.pid)
    arrivals = events * len(server.urls)
    handled, began, used = exporter.handled(), time.monotonic(), Used(exporter.pid)
    server.send(events, per_second=per_second, burst=max(1, round(per_second * TIMER_SECONDS)))
    exporter.wait_until_handled(handled + arrivals)
    cpu_seconds, lasted = used.microseconds() / 1e6, time.monotonic() - began
    found = Point(
        given,
        arrivals / lasted,
        cpu_seconds / lasted,
        idle_share,
        processes.peak_bytes(exporter.pid),
        count_series(exporter.metrics()),
        exporter.verdicts(),
    )
    print(f"{found}, {found.cpu_microseconds_per_event:.0f} µs per event", flush=True)
    return found


def by_rate() -> Iterator[Point]:
    """One resource with increasing rates; the last is full speed."""
    for rate in RATES:
        with watched() as (server, exporter):
            yield point(rate, server, exporter, rate * SECONDS, rate)
    with watched() as (server, exporter):
        found = point(0, server, exporter, FULL_SPEED_EVENTS, 0)
        yield found._replace(given=round(found.events_per_second))


def by_objects() -> Iterator[Point]:
    """One resource with increasing numbers of objects, each of which is created."""
    for objects in OBJECT_COUNTS:
        with watched(objects=objects, only="ADDED") as (server, exporter):
            yield point(objects, server, exporter, max(objects, FEWEST_EVENTS), HIGH_RATE)


def by_resources() -> Iterator[Point]:
    """The same total rate on increasing numbers of watches."""
    for streams in STREAMS:
        with watched(resources=streams) as (server, exporter):
            yield point(streams, server, exporter, USUAL_RATE * SECONDS, USUAL_RATE)


def by_apiservers() -> Iterator[Point]:
    """One resource on increasing numbers of apiservers, each of which sends every event."""
    for apiservers in APISERVERS:
        with watched(apiservers=apiservers) as (server, exporter):
            yield point(apiservers, server, exporter, USUAL_RATE * SECONDS, USUAL_RATE)


class Sharded(NamedTuple):
    """Full speed, by so many processes together."""

    shards: int
    events_per_second: float
    cpu_cores: float
    peak_bytes: int
    """Of all of them."""


def by_shards() -> Iterator[Sharded]:
    """The same streams in one process, then in as many as there are cores here."""
    for shards in SHARDS:
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            server = stack.enter_context(replaying(Path(folder), resources=SHARDED_STREAMS))
            flags = [("--shard", f"{number}/{shards}") if shards > 1 else () for number in range(shards)]
            exporters = [stack.enter_context(watchslo(server, *one)) for one in flags]
            wait_until(lambda: all(is_ready(one.url) for one in exporters), lambda: "they are not ready")  # noqa: B023
            time.sleep(SETTLING_SECONDS)
            server.send(FEWEST_EVENTS)
            until_handled(exporters, FEWEST_EVENTS)
            used, began = [Used(one.pid) for one in exporters], time.monotonic()
            server.send(FULL_SPEED_EVENTS)
            until_handled(exporters, FEWEST_EVENTS + FULL_SPEED_EVENTS)
            lasted = time.monotonic() - began
            found = Sharded(
                shards,
                FULL_SPEED_EVENTS / lasted,
                sum(one.microseconds() for one in used) / 1e6 / lasted,
                sum(processes.peak_bytes(one.pid) for one in exporters),
            )
        print(found, flush=True)
        yield found


def until_handled(exporters: Sequence[Watchslo], events: int) -> None:
    """Return once all of them together have judged so many."""
    wait_until(
        lambda: sum(one.handled() for one in exporters) >= events,
        lambda: f"{[one.handled() for one in exporters]} of {events}",
    )


class Overload(NamedTuple):
    """A rate above the limit, and what the exporter reports then."""

    per_second: float
    behind_seconds: float
    """How long after the last event was sent the last one was judged."""
    verdicts: Mapping[str, int]
    unmeasured: Mapping[str, int]
    contradictions: int


def overload(limit_per_second: float) -> Overload:
    """Send faster than the exporter can read: it delays events itself, so it must not judge them late."""
    rate = round(limit_per_second * OVERLOAD, -3)
    events = int(rate * OVERLOAD_SECONDS)
    with watched() as (server, exporter):
        handled = exporter.handled()
        server.send(events, per_second=rate, burst=round(rate * TIMER_SECONDS))
        sent = time.monotonic()
        exporter.wait_until_handled(handled + events)
        behind_seconds = time.monotonic() - sent
        text = exporter.metrics()
        unmeasured = {
            reason: int(total(text, "watchslo_events_unmeasured_total", reason=reason))
            for reason in ("no_evidence", "overflow", "bad_revision")
        }
        contradictions = int(total(text, "watchslo_contradictions_total"))
        found = Overload(rate, behind_seconds, exporter.verdicts(), unmeasured, contradictions)
    print(found, flush=True)
    return found


def table(head: str, points: Iterable[Point]) -> str:
    """One row for each point."""
    columns = (head, "events/s judged", "CPU, of one core", "idle", "CPU per event", "peak memory", "series", "on time")
    lines = [table_row(*columns, "late", "ambiguous"), table_rule(len(columns) + 2)]
    lines += [
        table_row(
            one.given,
            f"{one.events_per_second:.0f}",
            f"{one.cpu_share:.1%}",
            f"{one.idle_share:.1%}",
            f"{one.cpu_microseconds_per_event:.0f} µs",
            mebibytes(one.peak_bytes),
            one.series,
            *one.verdicts.values(),
        )
        for one in points
    ]
    return "\n".join(lines)


def shard_table(found: Iterable[Sharded]) -> str:
    """One row for each number of processes."""
    columns = ("processes", "events/s judged", "CPU, of one core", "peak memory of all")
    lines = [table_row(*columns), table_rule(len(columns))]
    lines += [
        table_row(one.shards, f"{one.events_per_second:.0f}", f"{one.cpu_cores:.0%}", mebibytes(one.peak_bytes))
        for one in found
    ]
    return "\n".join(lines)


def draw(rates: Sequence[Point], objects: Sequence[Point], streams: Sequence[Point], servers: Sequence[Point]) -> None:
    """One panel for each."""
    with mpl.rc_context({"svg.hashsalt": "growth", "svg.fonttype": "none"}):
        figure = Figure(figsize=(9, 6), layout="constrained")
        (one, two), (three, four) = figure.subplots(2, 2)
        draw_cpu(one, rates, "events per second, 1 resource")
        one.set_xscale("log")
        two.plot([one.given / 1000 for one in objects], [one.peak_bytes / MEBIBYTE for one in objects], "o-")
        two.set_xlabel("thousands of objects, 1 resource")
        two.set_ylabel("peak memory, MiB")
        two.set_ylim(bottom=0)
        three.set_xticks(STREAMS)
        draw_cpu(three, streams, f"resources, {USUAL_RATE} events/s in all")
        four.set_xticks(APISERVERS)
        draw_cpu(four, servers, f"apiservers, {USUAL_RATE} events/s on each")
        PICTURE.parent.mkdir(exist_ok=True)
        figure.savefig(PICTURE, metadata={"Date": None, "Creator": None})


def draw_cpu(axes: Axes, points: Sequence[Point], label: str) -> None:
    """CPU with events, and without."""
    given = [point.given for point in points]
    axes.plot(given, [100 * point.cpu_share for point in points], "o-", label="with events")
    axes.plot(given, [100 * point.idle_share for point in points], "o--", color="tab:gray", label="idle")
    axes.set_xlabel(label)
    axes.set_ylabel("CPU, % of one core")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)


def main() -> int:
    """0 unless an event was judged late, because none is late."""
    rates, objects, streams, servers = map(list, (by_rate(), by_objects(), by_resources(), by_apiservers()))
    shards, many = list(by_shards()), list(wide.rows())
    series = [loop.run(holds.measured(1)), loop.run(holds.measured(19, *holds.SLOW_CLOCKS))]
    limit = rates[-1].events_per_second
    beyond = overload(limit)
    draw(rates, objects, streams, servers)
    PAGE.write_text(
        PROSE.substitute(
            machine=machine(),
            date=date.today().isoformat(),  # noqa: DTZ011 the day as people here call it
            rates=table("events/s sent", rates),
            objects=table("objects", objects),
            resources=table("resources", streams),
            apiservers=table("apiservers", servers),
            shards=shard_table(shards),
            sharded_streams=SHARDED_STREAMS,
            wide=wide.table(many),
            wide_rate=wide.EVENTS_PER_SECOND,
            series="\n\n".join(f"**{one.series} series**\n\n{holds.table(one)}" for one in series),
            answers=holds.ANSWERS,
            seconds=holds.WINDOW_SECONDS,
            slow_clocks=" ".join(holds.SLOW_CLOCKS),
            usual_rate=USUAL_RATE,
            high_rate=HIGH_RATE,
            limit=f"{round(limit, -2):.0f}",
            overload_rate=f"{beyond.per_second:.0f}",
            overload_seconds=OVERLOAD_SECONDS,
            behind=f"{beyond.behind_seconds:.1f}",
            **beyond.verdicts,
            unmeasured=", ".join(f"{reason} {count}" for reason, count in beyond.unmeasured.items()),
            contradictions=beyond.contradictions,
        ),
        encoding="utf-8",
    )
    verdicts = [beyond.verdicts, *[one.verdicts for one in (*rates, *objects, *streams, *servers)]]
    late = sum(one["late"] for one in (*verdicts, *[one.verdicts for one in many]))
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
