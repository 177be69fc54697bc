"""The same facts from a Prometheus that scrapes the apiserver, which itself is not asked."""

import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from exporter.kubernetes.errors import StartError
from exporter.server_metrics.between import between
from exporter.server_metrics.reader import Periods
from exporter.server_metrics.sources import ask_prometheus
from exporter.service import server_readers as service
from exporter.service.daemon import Exporter, load_credentials
from tests.dashboards.prometheus import Prometheus
from tests.real.cluster import Cluster
from tests.real.tools import tool
from tests.server_metrics.serving import MetricsServer
from tests.support.observing import config
from tests.support.waiting import wait_until

SCRAPE_SECONDS = 1


def job(name: str, cluster: Cluster) -> dict[str, Any]:
    return {
        "job_name": name,
        "scheme": "https",
        "authorization": {"credentials": cluster.token()},
        "tls_config": {"insecure_skip_verify": True},
        "static_configs": [{"targets": [cluster.apiserver.url.removeprefix("https://")]}],
    }


@contextlib.asynccontextmanager
async def scraping(folder: Path, *jobs: dict[str, Any]) -> AsyncIterator[Prometheus]:
    every = f"{SCRAPE_SECONDS}s"
    configuration = {"global": {"scrape_interval": every, "scrape_timeout": every}, "scrape_configs": list(jobs)}
    prometheus = Prometheus(tool("prometheus"), folder, configuration)
    await prometheus.create()
    try:

        async def all_are_up() -> bool:
            return len(await prometheus.at("up == 1", time.time())) == len(jobs)

        await wait_until(all_are_up, "it scrapes", timeout_seconds=40)
        yield prometheus
    finally:
        await prometheus.kill()


@pytest.mark.timeout(180)
async def test_facts_come_from_a_prometheus_and_the_apiserver_is_not_asked(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "OF_PROMETHEUS", Periods(quiet=1, trouble=1))
    instance = cluster.apiserver.url.removeprefix("https://")
    async with scraping(tmp_path, job("apiserver", cluster)) as prometheus, cluster.client() as client:
        first = await ask_prometheus(prometheus.url, instance)
        for _ in range(20):
            await client.get("/api/v1/pods")

        async def are_seen() -> bool:
            later = await ask_prometheus(prometheus.url, instance)
            if later.at == first.at:
                return False
            facts = between(first, later)
            lists = facts.requests.get(("LIST", ("", "pods")))
            return lists is not None and lists.per_second * facts.seconds > 19.9

        await wait_until(are_seen, "the LISTs are scraped")
        facts = between(first, await ask_prometheus(prometheus.url, instance))
        assert facts.seconds >= SCRAPE_SECONDS / 2
        assert facts.started_at is not None
        assert facts.cpu_cores is not None
        assert facts.store_requests
        assert facts.open_watches
        assert facts.cache_revisions["", "pods"] > 1

        kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig")
        flags = ("--kubeconfig", kubeconfig, "--apiserver", cluster.apiserver.url, "--prometheus.url", prometheus.url)
        settled = config(*flags)
        exporter = Exporter(settled, await load_credentials(settled))
        async with exporter.running():
            await wait_until(lambda: bool(exporter.apiservers), "it watches")
            [watched] = exporter.apiservers
            await wait_until(lambda: watched.server_readers.facts is not None, "facts", timeout_seconds=40)
            cost = exporter.metrics.cost(watched.server.name)
        assert cost.requests["server_metrics"].value == 0


@pytest.mark.timeout(180)
async def test_what_cannot_be_told_apart_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    instance = cluster.apiserver.url.removeprefix("https://")
    async with scraping(tmp_path, job("apiserver", cluster), job("again", cluster)) as prometheus:
        with pytest.raises(StartError, match=f'Prometheus has instance="{instance}" of several jobs'):
            await ask_prometheus(prometheus.url, instance)
        with pytest.raises(StartError, match=r'no metrics of an apiserver with instance="127\.0\.0\.1:1"'):
            await ask_prometheus(prometheus.url, "127.0.0.1:1")


async def test_a_password_is_sent_but_never_said() -> None:
    async with MetricsServer(401, 503) as server:
        url = server.url.replace("http://", "http://user:hidden@") + "/prometheus"
        for reason in ("unauthorized", "server_error"):
            with pytest.raises(StartError, match="Prometheus answers with HTTP") as raised:
                await ask_prometheus(url, "127.0.0.1:6443")
            assert raised.value.reason == reason
            assert "hidden" not in str(raised.value)
    [first, _] = server.asked
    assert first.path == "/prometheus/federate"
    assert first.headers["Authorization"] == "Basic dXNlcjpoaWRkZW4="


async def test_a_prometheus_that_is_not_there_is_one_sentence() -> None:
    with pytest.raises(StartError, match=r"^no connection: Connection refused$") as raised:
        await ask_prometheus("http://user:hidden@127.0.0.1:1", "127.0.0.1:6443")
    assert raised.value.reason == "connect"
