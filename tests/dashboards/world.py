"""What the dashboards are looked at with: a cluster under load, the exporter, Prometheus, and troubles in between."""

import asyncio
import contextlib
import functools
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from exporter.vocabulary import HistogramFormat
from tests.dashboards.prometheus import Prometheus
from tests.real.cluster import Cluster
from tests.real.kubelet import Kubelet
from tests.real.proxy import Proxy
from tests.real.workload import Writer
from tests.support.observing import Process, started, until

SCRAPE_SECONDS = 1
RESOURCES = ("--resource", "pods", "--resource", "nodes", "--resource", "widgets.example.com")
STARTED_PODS = 5
CANARY = "canary"
CANARIES = ("--canary.interval", "1", "--canary.node", CANARY)


class World:
    """Two apiservers of one store: the first is watched through a proxy, the second directly."""

    def __init__(self, cluster: Cluster, proxy: Proxy, exporter: Process, prometheus: Prometheus) -> None:
        self.cluster = cluster
        self.proxy = proxy
        self.exporter = exporter
        self.prometheus = prometheus

    async def late_answers(self, delay_seconds: float, seconds: float) -> None:
        """For some time all that the first apiserver says is late."""
        self.proxy.delay_to_client_seconds = delay_seconds
        await asyncio.sleep(seconds)
        self.proxy.delay_to_client_seconds = 0.0

    async def cut(self) -> None:
        """The first apiserver's connections are reset, and its watches go on from their last revision."""
        self.proxy.cut_all()
        await self.exporter.wait_for(lambda scrape: scrape.sum("rewatch_seconds_count") > 0)

    async def restart(self) -> None:
        """The second apiserver goes away and comes back with a new watch cache, so its watches begin anew."""
        second = self.cluster.apiservers[1]
        await second.kill()
        await self.exporter.wait_for(lambda scrape: scrape.sum("init_events_errors_total", reason="connect") > 0)
        await second.start()
        await self.exporter.wait_for(lambda scrape: scrape.sum("relists_total", reason="gone") > 0, seconds=60)


@contextlib.asynccontextmanager
async def observed_world(
    cluster: Cluster, prometheus_binary: Path, folder: Path, rules: Path, histograms: HistogramFormat = "classic"
) -> AsyncIterator[World]:
    """Start it all with a cluster of two apiservers, and some pods.

    Pods, nodes and a custom resource are written to until the end.
    """
    await cluster.create_resource()
    async with contextlib.AsyncExitStack() as stack:
        proxy = stack.enter_context(Proxy(cluster.apiserver.url))
        client = await stack.enter_async_context(cluster.client(timeout_seconds=5))
        await client.post("/api/v1/nodes", {"metadata": {"name": CANARY}})
        first, second = proxy.url, cluster.apiservers[1].url
        await cluster.list_apiservers(first, second)
        kubeconfig = cluster.kubeconfig(folder / "kubeconfig")
        apiservers = ("--apiserver", first, "--apiserver", second)
        flags = (*apiservers, *RESOURCES, *CANARIES, "--pod-startup", "--metrics.histograms", histograms)
        exporter = stack.enter_context(started("--kubeconfig", kubeconfig, *flags))
        await until(exporter.ready)
        prometheus = Prometheus(
            prometheus_binary,
            folder,
            _configuration(exporter, cluster, rules),
            () if histograms == "classic" else ("native-histograms",),
        )
        await prometheus.create()
        stack.push_async_callback(prometheus.kill)
        await stack.enter_async_context(Writer(client, rate_per_second=30))
        await until(functools.partial(_is_scraped, prometheus))
        kubelet = Kubelet(client)
        starts = (kubelet.start(f"started-{n}", spec={}, init={}, pulled_seconds=0.2) for n in range(STARTED_PODS))
        await asyncio.gather(*starts)
        yield World(cluster, proxy, exporter, prometheus)


async def _is_scraped(prometheus: Prometheus) -> bool:
    """Prometheus begins with its targets some seconds after its start."""
    return len(await prometheus.at("up == 1", time.time())) == 2


def _configuration(exporter: Process, cluster: Cluster, rules: Path) -> dict[str, Any]:
    apiserver = {
        "job_name": "apiserver",
        "scheme": "https",
        "authorization": {"credentials": cluster.token()},
        "tls_config": {"insecure_skip_verify": True},
        "static_configs": [{"targets": [cluster.apiserver.url.removeprefix("https://")]}],
    }
    watchslo = {"job_name": "watchslo", "static_configs": [{"targets": [exporter.url.removeprefix("http://")]}]}
    every = f"{SCRAPE_SECONDS}s"
    return {
        "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
        "rule_files": [str(rules)],
        "scrape_configs": [watchslo, apiserver],
    }
