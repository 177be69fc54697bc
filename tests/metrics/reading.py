"""An independent reader of scrapes: prometheus_client's parser, which shares no code with the writer under test."""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from exporter.metrics import scrape
from exporter.metrics.registry import Metrics, StreamMetrics

Series = tuple[str, frozenset[tuple[str, str]]]


def refresh(stream: StreamMetrics, **holds: Any) -> None:
    """Its state is as of now, with these fields."""
    stream.state = replace(stream.state, counts=stream.counts.copy(), **holds)


def text_of(metrics: Metrics) -> str:
    """One scrape without the families of the Python runtime."""
    return b"".join(scrape.blocks(metrics, ())).decode()


def families_in(text: str) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def samples_in(text: str) -> dict[Series, float]:
    """All samples; fails on a series that is written twice."""
    samples: dict[Series, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            series = (sample.name, frozenset(sample.labels.items()))
            assert series not in samples, f"{sample.name} {sample.labels} is written twice"
            samples[series] = sample.value
    return samples


def series(name: str, labels: Mapping[str, str]) -> Series:
    return (name, frozenset(labels.items()))
