"""Makes one scrape as blocks of exposition text or protobuf, between which the event loop can run.

Events are stamped on the same loop, so a scrape that blocked it for long would itself look like watch latency.
This module does not know the client, nor what the numbers mean.
"""

import zlib
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest

from exporter.metrics.protobuf import Encoder, of_runtime
from exporter.metrics.registry import Metrics

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

BLOCK_CHARACTERS = 16_384
"""About as much is made between two looks at the clock."""

_GZIP_FRAMING = 16 + zlib.MAX_WBITS


def runtime_registries() -> list[CollectorRegistry]:
    """The usual process_* and python_* families, apart from prometheus_client's global registry.

    A registry for each collector, so that each is a block of its own: to count a thousand open files takes 1.5 ms.
    """
    registries = []
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        registries.append(registry := CollectorRegistry())
        collector(registry=registry)
    return registries


def blocks(metrics: Metrics, runtime: Iterable[CollectorRegistry]) -> Iterator[bytes]:
    """The scrape in blocks of whole children, some of them empty: those only offer a pause."""
    yield from _refreshed(metrics)
    pending: list[str] = []
    characters = 0
    for piece in _pieces(metrics):
        pending.append(piece)
        characters += len(piece)
        if characters >= BLOCK_CHARACTERS:
            yield "".join(pending).encode()
            pending.clear()
            characters = 0
    yield "".join(pending).encode()
    yield from map(generate_latest, runtime)


def protobuf_blocks(metrics: Metrics, runtime: Iterable[CollectorRegistry]) -> Iterator[bytes]:
    """The same in protobuf."""
    yield from _refreshed(metrics)
    encoder = Encoder(has_classic_buckets=metrics.histograms == "both")
    for family, children in metrics.families():
        yield from encoder.family(family.name, family.type, family.help, (child.samples() for child in children))
    for registry in runtime:
        yield b"".join(of_runtime(registry.collect()))


def _refreshed(metrics: Metrics) -> Iterator[bytes]:
    for refresh in tuple(metrics.before_render):
        for _ in refresh():
            yield b""


def _pieces(metrics: Metrics) -> Iterator[str]:
    for family, children in metrics.families():
        yield f"# HELP {family.name} {family.help}\n# TYPE {family.name} {family.type}\n"
        for child in children:
            yield child.text()


def gzipped(plain: Iterator[bytes]) -> Iterator[bytes]:
    """The same blocks compressed, level 1: a scrape's text is so repetitive that more effort buys little."""
    gzip = zlib.compressobj(level=1, wbits=_GZIP_FRAMING)
    for block in plain:
        yield gzip.compress(block)
    yield gzip.flush()
