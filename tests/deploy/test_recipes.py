"""Recipes for what scrapes beside Prometheus, as the OpenTelemetry collector and Datadog's check read them."""

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.deploy.rendering import ROOT, Object, first_pod, helm, rendered
from tests.real.tools import tool
from tests.support.observing import Process, started, until

COLLECTOR = ROOT / "deploy" / "opentelemetry" / "collector.yaml"
DATADOG = ROOT / "deploy" / "datadog" / "values.yaml"

pytestmark = pytest.mark.timeout(300)


def validated(folder: Path, config: Object) -> "subprocess.CompletedProcess[str]":
    """What the collector says of a configuration."""
    path = folder / "collector.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return subprocess.run(
        [tool("otelcol"), "validate", "--config", path], check=False, capture_output=True, text=True
    )  # fmt: skip


def recipe() -> Object:
    read: Object = yaml.safe_load(COLLECTOR.read_text(encoding="utf-8"))
    return read


def scrape_of(config: Object) -> Object:
    [job] = config["receivers"]["prometheus/watchslo"]["config"]["scrape_configs"]
    return dict(job)


async def families(exporter: Process) -> dict[str, Metric]:
    """What is scraped, by the names that the exporter gives; also what has no samples yet."""
    read = text_string_to_metric_families(await exporter.exposition())
    return {f"{one.name}_total" if one.type == "counter" else one.name: one for one in read}


def test_the_collector_takes_the_recipe_and_no_other(tmp_path: Path) -> None:
    config = recipe()
    taken = validated(tmp_path, config)
    assert taken.returncode == 0, taken.stderr
    scrape_of(config)["relabel_configs"][0]["source_label"] = ["a"]
    refused = validated(tmp_path, config)
    assert refused.returncode != 0
    assert "source_label" in refused.stderr


def test_the_collector_looks_for_the_pod_of_the_chart() -> None:
    job = scrape_of(recipe())
    pod = first_pod(rendered())
    [found] = job["kubernetes_sd_configs"]
    [selector] = found["selectors"]
    label, _, value = selector["label"].partition("=")
    assert pod["metadata"]["labels"][label] == value
    assert found["namespaces"]["names"] == [pod["metadata"]["namespace"]]
    [port] = pod["spec"]["containers"][0]["ports"]
    assert job["relabel_configs"][0]["regex"] == port["name"]


async def test_the_collector_understands_all_that_is_exported(tmp_path: Path) -> None:
    """The recipe with the demo's address, and an exporter that prints what it gets."""
    with started(command="demo") as demo:
        await demo.wait_for(lambda scrape: bool(scrape.values("events_judged_total")))
        config = recipe()
        job = scrape_of(config)
        del job["kubernetes_sd_configs"]
        target = demo.url.removeprefix("http://")
        job |= {"scrape_interval": "1s", "static_configs": [{"targets": [target]}]}
        job["relabel_configs"] = [one for one in job["relabel_configs"] if "replacement" in one]
        config["receivers"]["prometheus/watchslo"]["config"]["scrape_configs"] = [job]
        config["exporters"] = {"debug": {"verbosity": "detailed"}}
        config["service"]["pipelines"]["metrics/watchslo"]["exporters"] = ["debug"]
        config["service"]["telemetry"] = {"metrics": {"level": "none"}}
        path, log = tmp_path / "collector.yaml", tmp_path / "collector.log"
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        with (
            log.open("wb") as printed,
            subprocess.Popen([tool("otelcol"), "--config", path], stderr=printed) as running,  # noqa: ASYNC220 it starts at once
        ):
            try:
                exported = {name: one for name, one in (await families(demo)).items() if one.samples}

                async def came() -> bool:
                    assert running.poll() is None, log.read_text()
                    return exported.keys() <= received(log.read_text()).keys()

                await until(came, seconds=60)
            finally:
                running.terminate()
        got = received(log.read_text())
    kinds = {"counter": "Sum", "gauge": "Gauge", "histogram": "Histogram"}
    assert {name: got[name] for name in exported} == {name: kinds[one.type] for name, one in exported.items()}
    assert "-> cluster: Str(my-cluster)" in log.read_text()


def received(printed: str) -> dict[str, str]:
    """The names and types that the debug exporter has printed."""
    return dict(re.findall(r"-> Name: (\w+)\n(?: +-> (?!DataType).*\n)* +-> DataType: (\w+)\n", printed))


def instance() -> dict[str, Any]:
    """What the agent reads from the Pod's annotation."""
    annotations = first_pod(rendered("--values", DATADOG))["metadata"]["annotations"]
    [found] = json.loads(annotations["ad.datadoghq.com/watchslo.checks"])["openmetrics"]["instances"]
    return dict(found)


def test_the_agent_finds_the_container_and_its_port() -> None:
    assert helm("lint", "--strict", ROOT / "deploy" / "helm" / "watchslo", "--values", DATADOG).returncode == 0
    [container] = first_pod(rendered("--values", DATADOG))["spec"]["containers"]
    assert container["name"] == "watchslo", "as the annotation says"
    assert instance()["openmetrics_endpoint"] == f"http://%%host%%:{container['ports'][0]['containerPort']}/metrics"


@pytest.fixture(scope="module")
def datadog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with nothing but Datadog's check in it."""
    folder = tmp_path_factory.mktemp("datadog")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    locked = ROOT / "requirements" / "datadog.txt"
    pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--require-hashes", "--requirement", str(locked)]
    subprocess.run(pip, check=True)
    return folder / "bin" / "python"


async def test_datadogs_check_sends_all_that_is_exported(datadog: Path) -> None:
    with started(command="demo") as demo:
        await demo.wait_for(lambda scrape: bool(scrape.values("events_judged_total")))
        exported = await families(demo)
        given = json.dumps({**instance(), "openmetrics_endpoint": f"{demo.url}/metrics"})
        script = Path(__file__).with_name("datadog_check.py")
        words = [str(datadog), str(script), given]
        ended = await asyncio.to_thread(subprocess.run, words, check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    sent = json.loads(ended.stdout)
    endings = {"counter": [".count"], "gauge": [""], "histogram": [".count", ".sum"]}
    names = {
        name: {
            f"watchslo.{name.removeprefix('watchslo_').removesuffix('_total')}{ending}" for ending in endings[one.type]
        }
        for name, one in exported.items()
    }
    assert sent.keys() <= set().union(*names.values())
    assert not [name for name, one in exported.items() if one.samples and not names[name] <= sent.keys()]
    assert any("resource:pods" in tags for _, tags in sent["watchslo.stream_up"])
    assert {value for value, _ in sent["watchslo.threshold_seconds"]} == {1}
