"""From a slow watch to the page and back: the installed exporter, a real cluster, a real Prometheus, the shipped rules.

The rules run as they are shipped, except that every duration in them is divided by SCALE: minutes become seconds. The
names, labels, factors and thresholds stay.
"""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.generator import files
from tests.endtoend.servers import Exporter, Prometheus
from tests.real.cluster import Cluster
from tests.real.process import Server
from tests.real.proxy import Proxy
from tests.real.tools import tool
from tests.real.workload import Writer
from tests.support.waiting import wait_until

SCALE = 60
HEALTHY_SECONDS = 30
DELAY_SECONDS = 2.5
PATIENCE_SECONDS = 120.0

OF_TARGET = {"cluster": "under-test", "job": "watchslo"}
PAGE = {"severity": "critical", **OF_TARGET}
PODS = {"alertname": "WatchLatencyBudgetBurn", "resource": "pods", **PAGE}
NODES = {"alertname": "WatchLatencyBudgetBurn", "resource": "nodes", **PAGE}
CLUSTER = {"alertname": "WatchLatencyClusterBudgetBurn", **PAGE}


@contextlib.asynccontextmanager
async def running(server: Server) -> AsyncIterator[None]:
    """Started on entry, gone on exit."""
    await server.create()
    try:
        yield
    finally:
        await server.kill()


@pytest.mark.timeout(600)
async def test_a_slow_watch_pages_and_its_recovery_ends_the_page(
    cluster: Cluster, installed_watchslo: Path, tmp_path: Path
) -> None:
    with Proxy(cluster.apiserver.url) as proxy:
        kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig", server=proxy.url)
        flags = ("--kubeconfig", kubeconfig, "--resource", "pods", "--resource", "nodes")
        exporter = Exporter(installed_watchslo, tmp_path, flags)
        ours, sloth = (files(scale=SCALE)[f"rules/{name}.rules.yaml"] for name in ("watchslo", "watchslo-sloth"))
        rules = ours + sloth.partition("groups:\n")[2]
        prometheus = Prometheus(tool("prometheus"), tmp_path, exporter, rules)
        async with (
            running(exporter),
            running(prometheus),
            cluster.client() as client,
            Writer(client, rate_per_second=30, resources=("pods", "nodes")),
        ):
            await _is_healthy_for(prometheus, HEALTHY_SECONDS)

            proxy.delay_to_client_seconds = DELAY_SECONDS
            for alert in (PODS, NODES, CLUSTER):
                await _becomes(prometheus, alert, "firing")
                assert await _was(prometheus, alert, "pending"), "no alert fires at once"
            await _tells_what_to_do(prometheus)
            [burned] = await prometheus.query('slo:current_burn_rate:ratio{sloth_id="watchslo-watch-latency-pods"}')
            assert burned.value > 14.4

            proxy.delay_to_client_seconds = 0.0
            await wait_until(
                lambda: _nobody_is_paged(prometheus), "the page is resolved", timeout_seconds=PATIENCE_SECONDS
            )
            assert await prometheus.query('up{job="watchslo"} == 1'), "it was not the exporter that went away"


async def _is_healthy_for(prometheus: Prometheus, seconds: int) -> None:
    """Wait until events were judged, many of them and hardly one late, and nobody was paged, for so long."""
    judged, late = (f'watchslo_events_judged_total{{resource="pods"{verdict}}}' for verdict in ("", ', verdict="late"'))
    healthy = f"""
        sum(rate({judged}[{seconds}s])) > 10
        and sum(increase({late}[{seconds}s])) < 5
        and count_over_time(sum({judged})[{seconds}s:1s]) >= {seconds}
        unless sum(count_over_time(ALERTS{{severity="critical"}}[{seconds}s]))"""

    async def is_so() -> bool:
        return bool(await prometheus.query(healthy))

    await wait_until(is_so, f"healthy for {seconds} s", timeout_seconds=PATIENCE_SECONDS)


async def _becomes(prometheus: Prometheus, labels: dict[str, str], state: str) -> None:
    """Wait until there is an alert in `state` with exactly these labels."""
    wanted = {"__name__": "ALERTS", "alertstate": state, **labels}

    async def is_so() -> bool:
        series = await prometheus.query(f'ALERTS{{alertname="{labels["alertname"]}"}}')
        return wanted in [each.labels for each in series]

    await wait_until(is_so, f"{labels} is {state}", timeout_seconds=PATIENCE_SECONDS)


async def _was(prometheus: Prometheus, labels: dict[str, str], state: str) -> bool:
    """Whether there has been such an alert."""
    series = await prometheus.query(f'last_over_time(ALERTS{{alertstate="{state}"}}[10m])')
    return {"__name__": "ALERTS", "alertstate": state, **labels} in [each.labels for each in series]


async def _tells_what_to_do(prometheus: Prometheus) -> None:
    """The page says how much is late, in words, and where its runbook is."""
    [page] = [alert for alert in await prometheus.alerts() if alert["labels"].items() >= PODS.items()]
    annotations = page["annotations"]
    assert "of the watch events of pods certainly arrived too late" in annotations["description"]
    assert float(annotations["description"].split("%")[0]) > 6
    assert annotations["runbook_url"].endswith("/docs/runbooks/WatchLatencyBudgetBurn.md")


async def _nobody_is_paged(prometheus: Prometheus) -> bool:
    return not await prometheus.query('ALERTS{severity="critical"}')
