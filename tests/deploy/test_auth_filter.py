"""The chart with web.authFilter on a real kube-apiserver: its token may review, and its role opens the metrics."""

from pathlib import Path

import aiohttp
import pytest

from tests.commands.check.command import check
from tests.deploy.rendering import CHART, rendered
from tests.deploy.site import first_pod_of, prepared
from tests.real import service_accounts
from tests.support.observing import started
from tests.support.waiting import wait_until


@pytest.mark.timeout(180)
async def test_who_is_bound_to_the_charts_role_reads_the_metrics_and_nobody_else(
    server_binaries: Path, tmp_path: Path
) -> None:
    async with prepared(server_binaries, tmp_path) as site:
        await site.create_namespace("watchslo")
        objects = rendered("--values", CHART / "ci" / "auth-filter-values.yaml")
        await site.kubectl.apply_objects(*objects)
        installed = await first_pod_of(objects, site, tmp_path)
        ended = await check(*installed.flags, environ=installed.environment)
        assert (ended.exit_code, ended.last_line) == (0, "all good"), ended.out
        assert {"create tokenreviews.authentication.k8s.io", "create subjectaccessreviews.authorization.k8s.io"} <= {
            line.partition(" ok ")[2].strip() for line in ended.out.splitlines() if line.startswith("  auth filter ")
        }
        async with site.cluster.client() as client:
            bound, unbound = [await service_accounts.create(client, name) for name in ("bound", "unbound")]
            await service_accounts.bind(client, "bound", "watchslo-metrics-reader", "/metrics")
        with started(*installed.flags, environ=installed.environment) as exporter:
            expected = {None: 401, "guessed": 401, unbound: 403, bound: 200}

            async def is_so() -> bool:
                async with aiohttp.ClientSession() as http:
                    statuses = {}
                    for token in expected:
                        headers = {"Authorization": f"Bearer {token}"} if token else {}
                        async with http.get(f"{exporter.url}/metrics", headers=headers) as response:
                            statuses[token] = response.status
                    return statuses == expected

            await wait_until(is_so, "who is bound reads, and nobody else")
            assert exporter.stop() == 0
