import asyncio
import zlib
from collections.abc import Iterator
from itertools import count

from msgspec.structs import replace
from prometheus_client import generate_latest

from exporter.measure.window import EMPTY
from exporter.metrics import scrape
from exporter.metrics.registry import Metrics
from exporter.turns import HOLD_SECONDS, write_in_turns
from tests.metrics.reading import families_in, refresh, samples_in, series, text_of
from tests.speed.work import Work
from tests.support.stock import stock_registry


def busy_metrics(resources: int) -> Metrics:
    metrics = Metrics(threshold_seconds=1.0, objective_ratio=0.99, window_seconds=60.0)
    for index in range(resources):
        widgets = metrics.resource("10.0.0.1:6443", "example.com", f"widgets{index}")
        widgets.counts.time_span.observe(index / 7)
        refresh(widgets)
    return metrics


async def most_lines_in_one_turn(made: Iterator[bytes]) -> int:
    """Lines of Python that are executed between two turns of the loop, if every block takes as long as a turn may."""
    longest = turned = 0
    work, looks = Work(), count()

    async def write(_: bytes) -> None:
        pass

    async def take_turns() -> None:
        nonlocal longest, turned
        while True:
            longest, turned = max(longest, work.lines - turned), work.lines
            await asyncio.sleep(0)

    neighbour = asyncio.create_task(take_turns())
    with work.counting():
        await write_in_turns(made, write, clock=lambda: next(looks) * HOLD_SECONDS)
    neighbour.cancel()
    return max(longest, work.lines - turned)


async def test_a_large_scrape_holds_the_loop_far_shorter_than_the_stock_writer() -> None:
    metrics = busy_metrics(15)
    lines = text_of(metrics).count("\n")
    assert lines > 5_000
    stock, theirs = stock_registry(lines), Work()
    with theirs.counting():
        generate_latest(stock)
    ours = await most_lines_in_one_turn(scrape.gzipped(scrape.blocks(metrics, scrape.runtime_registries())))
    assert 0 < ours < theirs.lines / 5


def test_blocks_hold_whole_children_and_bounded_text() -> None:
    blocks = list(scrape.blocks(busy_metrics(15), ()))
    assert len(blocks) > 20
    largest_child = 4_096
    for block in blocks[:-1]:
        assert block.endswith(b"\n")
        assert scrape.BLOCK_CHARACTERS <= len(block) < scrape.BLOCK_CHARACTERS + largest_child


def test_an_event_observed_between_blocks_leaves_every_histogram_consistent() -> None:
    metrics = busy_metrics(15)
    clocks = [metrics.clock("10.0.0.1:6443", "example.com", f"widgets{index}", "cache") for index in range(15)]
    text = b""
    for block in scrape.blocks(metrics, ()):
        text += block
        metrics.loop_lag.observe(0.2)
        for clock in clocks:
            clock.counts.seconds.observe(0.2)
    written = samples_in(text.decode())
    counts = {key: value for key, value in written.items() if key[0].endswith("_count")}
    assert len(set(counts.values())) >= 5, "the observations fell into the scrape"
    for (name, labels), value in counts.items():
        bucket = series(f"{name.removesuffix('_count')}_bucket", {**dict(labels), "le": "+Inf"})
        assert written[bucket] == value


def test_a_resource_may_come_and_go_during_a_scrape() -> None:
    metrics = busy_metrics(15)
    text = b""
    for index, block in enumerate(scrape.blocks(metrics, ())):
        text += block
        metrics.resource("10.0.0.2:6443", "", f"new{index}")
        metrics.remove_resource("10.0.0.1:6443", "example.com", f"widgets{index}")
    assert samples_in(text.decode())


def test_hooks_refresh_gauges_before_each_scrape() -> None:
    metrics = Metrics(threshold_seconds=1.0, objective_ratio=0.99, window_seconds=60.0)
    pods, scrapes = metrics.resource("a:1", "", "pods"), count(41)

    def refresh_all() -> Iterator[None]:
        refresh(pods, window=replace(EMPTY, events=next(scrapes)))
        yield

    metrics.before_render.append(refresh_all)
    labels = {"apiserver": "a:1", "group": "", "resource": "pods"}
    assert samples_in(text_of(metrics))[series("watchslo_window_events", labels)] == 41
    assert samples_in(text_of(metrics))[series("watchslo_window_events", labels)] == 42


def test_each_step_of_a_hook_is_a_pause_before_the_first_number() -> None:
    metrics = busy_metrics(1)
    metrics.before_render += [lambda: iter([None] * 3), lambda: iter([None] * 2)]
    blocks = list(scrape.blocks(metrics, ()))
    assert blocks[:5] == [b""] * 5
    assert all(blocks[5:])


def test_families_keep_the_order_of_the_table_and_are_announced_once() -> None:
    metrics = busy_metrics(3)
    announced = [line.split()[2] for line in text_of(metrics).splitlines() if line.startswith("# HELP ")]
    assert announced == [family.name for family, _ in metrics.families()]
    assert len(set(announced)) == len(announced)


def test_gzip_gives_the_same_text_in_far_fewer_bytes() -> None:
    metrics = busy_metrics(15)
    compressed = b"".join(scrape.gzipped(scrape.blocks(metrics, ())))
    text = text_of(metrics)
    assert zlib.decompress(compressed, wbits=31).decode() == text
    assert len(compressed) < len(text) / 10


def test_the_runtime_families_follow_without_creation_times() -> None:
    metrics = Metrics(threshold_seconds=1.0, objective_ratio=0.99, window_seconds=60.0)
    text = b"".join(scrape.blocks(metrics, scrape.runtime_registries())).decode()
    assert {"process_cpu_seconds", "process_resident_memory_bytes", "process_open_fds", "python_info"} <= set(
        families_in(text)
    )
    assert "_created" not in text
