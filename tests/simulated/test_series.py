"""How many series a scrape has, as docs/cost.md says: a new family, or one more value of a label, is a decision."""

import re
from collections import Counter
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from exporter.simulator import Simulator, Workload
from tests.metrics.decoding import samples_of
from tests.support.kubeconfig import kubeconfig
from tests.support.observing import Scrape, observed

COST = Path(__file__).parents[2] / "docs" / "cost.md"
SCOPES = ("clock", "resource", "apiserver")
"""Labels: the first that a series has says whom it speaks of."""

ROW = re.compile(r"^\| of (?:each|the) (clock|resource|apiserver|exporter)\b[^|]*\| (\d+) \|$", re.MULTILINE)
DROPPED = re.compile(r"^ +regex: (watchslo_.+)$", re.MULTILINE)
KEPT = re.compile(r"without the panels that\s+plot them, (\d+) remain of")
NATIVE = re.compile(r"with native histograms (\d+) and (\d+), together\s+(\d+)")
ASKS_FOR_PROTOBUF = {
    "Accept": "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
}
MOST_NATIVE = 120
CLOCKS = 2
"""One of the store and one of the watch cache of pods."""


def everything_is_known(scrape: Scrape) -> bool:
    """Whether the gauges that are absent at first are there, and both clocks have polled."""
    known = ("p99_seconds", "last_activity_timestamp_seconds", "clock_offset_lower_seconds")
    return all(map(scrape.values, known)) and len(scrape.values("clock_polls_total", result="ok")) == CLOCKS


def scope_of(sample: Sample) -> str:
    """Whom it speaks of."""
    return next((scope for scope in SCOPES if scope in sample.labels), "exporter")


async def text_of(url: str) -> str:
    """A scrape as Prometheus gets it."""
    async with aiohttp.ClientSession() as http, http.get(f"{url}/metrics") as response:
        return await response.text()


async def protobuf_of(url: str) -> bytes:
    """A scrape as Prometheus gets it that takes native histograms."""
    async with aiohttp.ClientSession() as http, http.get(f"{url}/metrics", headers=ASKS_FOR_PROTOBUF) as response:
        return await response.read()


async def test_a_scrape_has_as_many_series_as_the_documentation_says(tmp_path: Path) -> None:
    async with Simulator() as simulator, Workload(simulator, rate_per_second=40):
        flags = ("--kubeconfig", kubeconfig(tmp_path, simulator.url), "--apiserver", simulator.url)
        async with observed(*flags, "--resource", "pods") as exporter:
            await exporter.wait_for(everything_is_known)
            text = await text_of(exporter.url)
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    ours = [sample for sample in samples if sample.name.startswith("watchslo_")]
    found = Counter(scope_of(sample) for sample in ours)
    documentation = COST.read_text(encoding="utf-8")
    promised = {scope: int(count) for scope, count in ROW.findall(documentation)}
    assert found == {**promised, "clock": CLOCKS * promised["clock"]}

    [dropped] = DROPPED.findall(documentation)  # Prometheus anchors it at both ends
    kept = Counter(scope_of(sample) for sample in ours if not re.fullmatch(dropped, sample.name))
    [promised_kept] = KEPT.findall(documentation)
    assert kept["resource"] + kept["clock"] // CLOCKS == int(promised_kept)


async def test_with_native_histograms_it_has_as_few_as_the_documentation_says(tmp_path: Path) -> None:
    async with Simulator() as simulator, Workload(simulator, rate_per_second=40):
        flags = ("--kubeconfig", kubeconfig(tmp_path, simulator.url), "--apiserver", simulator.url)
        async with observed(*flags, "--resource", "pods", "--metrics.histograms", "native") as exporter:
            await exporter.wait_for(everything_is_known)
            series = samples_of(await protobuf_of(exporter.url))
    labels = [dict(pairs) for name, pairs in series if name.startswith("watchslo_")]
    found = Counter(next((scope for scope in SCOPES if scope in one), "exporter") for one in labels)
    [promised] = NATIVE.findall(COST.read_text(encoding="utf-8"))
    of_resource, of_clock = found["resource"], found["clock"] // CLOCKS
    assert [of_resource, of_clock, of_resource + of_clock] == [int(count) for count in promised]
    assert of_resource + of_clock < MOST_NATIVE
