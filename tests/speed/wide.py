"""`python -m tests.speed.wide`: what stays certain where many resources share a limit of polls.

The polls of one apiserver are limited (--clock.max-requests, 50 a second unless set), so the more resources there are,
the seldomer each watch cache is asked. Revision clocks of the store come first.
"""
# ruff: noqa: T201 it prints its result

import itertools
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from math import inf
from pathlib import Path
from typing import NamedTuple

from tests.live.cost import total
from tests.speed import processes
from tests.speed.consumers import Watchslo, fetched, wait_until, watchslo
from tests.speed.costs import Used, idle
from tests.speed.processes import MEBIBYTE
from tests.speed.report import table_row, table_rule
from tests.speed.serving import Server, replaying

CASES = ((12, 1), (100, 1), (500, 1), (100, 5))
"""Resources on each apiserver, and apiservers."""

EVENTS_PER_SECOND = 200
"""Sent by each apiserver, all its resources together."""

SECONDS = 30
LOOK_SECONDS, PATIENCE_SECONDS = 5.0, 600.0
VERDICTS = ("on_time", "late", "ambiguous")


class Wide(NamedTuple):
    """One exporter for so many streams."""

    resources: int
    apiservers: int
    events: int
    verdicts: dict[str, int]
    widths: dict[float, int]
    """Of the intervals, by the buckets that hold them."""
    dated_by_cache: int
    """Events of which stages are known: the cache was asked around them."""
    cpu_share: float
    idle_share: float
    peak_bytes: int
    settled_seconds: float
    """From its being ready until an event of each stream was judged for certain: each has to be proven to be of the
    store that is polled."""

    @property
    def certain_share(self) -> float:
        """Of the events: on time or late for certain."""
        return (self.verdicts["on_time"] + self.verdicts["late"]) / self.events

    def width(self, ratio: float) -> float:
        """No wider than this are so many of the intervals."""
        rank = ratio * sum(self.widths.values())
        reached = itertools.accumulate(self.widths.values())
        return next((bound for bound, count in zip(self.widths, reached, strict=True) if count >= rank), inf)


def measured(resources: int, apiservers: int) -> Wide:
    """Watch so many, and send events to each apiserver."""
    with (
        tempfile.TemporaryDirectory() as folder,
        replaying(Path(folder), resources=resources, apiservers=apiservers) as server,
        watchslo(server) as exporter,
    ):
        settled_seconds = settled(server, exporter)
        idle_share = idle(exporter.pid)
        before, text_before = verdicts(exporter), exporter.metrics()
        sent = EVENTS_PER_SECOND * SECONDS
        used, began = Used(exporter.pid), time.monotonic()
        server.send(sent, per_second=EVENTS_PER_SECOND)
        cpu_share = used.microseconds() / 1e6 / (time.monotonic() - began)
        after = judged(exporter, before, sent * apiservers)
        text = exporter.metrics()
        stages = "watchslo_stage_lower_seconds_count"
        cached = total(text, stages, stage="storage_to_cache") - total(text_before, stages, stage="storage_to_cache")
        widths = Counter(buckets(text))
        widths.subtract(buckets(text_before))
        return Wide(
            resources,
            apiservers,
            sent * apiservers,
            {verdict: after[verdict] - before[verdict] for verdict in VERDICTS},
            dict(sorted(widths.items())),
            int(cached),
            cpu_share,
            idle_share,
            processes.peak_bytes(exporter.pid),
            settled_seconds,
        )


def settled(server: Server, exporter: Watchslo) -> float:
    """Wait until what is sent to every stream is judged for certain; the seconds that this took."""
    began = time.monotonic()
    while True:
        time.sleep(LOOK_SECONDS)
        before = verdicts(exporter)
        server.send(len(server.resources), per_second=EVENTS_PER_SECOND)
        found = judged(exporter, before, len(server.resources) * len(server.urls)) - before
        if not found["ambiguous"]:
            return time.monotonic() - began
        assert time.monotonic() < began + PATIENCE_SECONDS, f"{found} still"


def judged(exporter: Watchslo, before: Counter[str], events: int) -> Counter[str]:
    """Wait until so many more are."""
    wait_until(
        lambda: verdicts(exporter).total() >= before.total() + events,
        lambda: f"{verdicts(exporter)} after {before} and {events} events",
        patience_seconds=PATIENCE_SECONDS,
        look_seconds=1.0,
    )
    return verdicts(exporter)


def verdicts(exporter: Watchslo) -> Counter[str]:
    """All so far. The status document is far smaller than a scrape of thousands of streams."""
    streams = json.loads(fetched(f"{exporter.url}/api/v1/status"))["streams"]
    return Counter({verdict: sum(one[verdict] for one in streams) for verdict in VERDICTS})


def buckets(text: str) -> dict[float, int]:
    """Of all intervals' widths together, each with what is in it alone."""
    cumulative: Counter[float] = Counter()
    for line in text.splitlines():
        if line.startswith("watchslo_interval_width_seconds_bucket"):
            bound = line[line.index('le="') + 4 :].partition('"')[0]
            cumulative[float(bound)] += int(float(line.rpartition(" ")[2]))
    ordered = sorted(cumulative.items())
    below = [0, *[count for _, count in ordered]]
    return {bound: count - before for (bound, count), before in zip(ordered, below, strict=False)}


def rows() -> Iterator[Wide]:
    """All of them, one after the other."""
    for resources, apiservers in CASES:
        found = measured(resources, apiservers)
        print(found, flush=True)
        yield found


def table(found: Sequence[Wide]) -> str:
    """In Markdown."""
    columns = (
        "resources",
        "apiservers",
        "streams",
        "all certain after",
        "certain",
        "intervals: P50 within",
        "P99 within",
        "stages known",
        "late",
        "CPU, of one core",
        "idle",
        "peak memory",
    )
    lines = [table_row(*columns), table_rule(len(columns))]
    lines += [
        table_row(
            one.resources,
            one.apiservers,
            one.resources * one.apiservers,
            f"{one.settled_seconds:.0f} s",
            f"{one.certain_share:.1%}",
            f"{one.width(0.5):g} s",
            f"{one.width(0.99):g} s",
            f"{one.dated_by_cache / one.events:.0%}",
            one.verdicts["late"],
            f"{one.cpu_share:.0%}",
            f"{one.idle_share:.0%}",
            f"{one.peak_bytes / MEBIBYTE:.0f} MiB",
        )
        for one in found
    ]
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    print(table(list(rows())))


if __name__ == "__main__":
    main()
