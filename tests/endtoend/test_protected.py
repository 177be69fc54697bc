"""Metrics behind TLS, certificates and passwords: the installed exporter, a real Prometheus, and the healthcheck."""

import contextlib
import json
import time
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from exporter.simulator import Simulator, Workload
from tests.dashboards.prometheus import Prometheus
from tests.real.certificates import CertificateAuthority
from tests.real.tools import tool
from tests.support.kubeconfig import kubeconfig
from tests.support.protected import VERIFIED, Protected
from tests.support.waiting import wait_until

OLD, NEW = "correct horse", "battery staple"


def write(file: Path, password: str) -> None:
    """Only this password is good from now on."""
    password_hash = bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds=10)).decode()
    content = {"tls_server_config": VERIFIED, "basic_auth_users": {"prometheus": password_hash}}
    written = file.with_suffix(".new")
    written.write_text(json.dumps(content))
    written.rename(file)


def scrape(name: str, exporter: Protected, folder: Path, password: str, *, certificate: bool = True) -> dict[str, Any]:
    """One job of a Prometheus, which scrapes every second."""
    tls = {"ca_file": str(folder / "ca.crt")}
    if certificate:
        tls |= {"cert_file": str(folder / "prometheus.crt"), "key_file": str(folder / "prometheus.key")}
    return {
        "job_name": name,
        "scheme": "https",
        "scrape_interval": "1s",
        "scrape_timeout": "1s",
        "tls_config": tls,
        "basic_auth": {"username": "prometheus", "password": password},
        "static_configs": [{"targets": [f"{exporter.address}:{exporter.port}"]}],
    }


@pytest.mark.timeout(180)
async def test_prometheus_scrapes_with_certificate_and_password_and_nobody_without(
    installed_watchslo: Path, tmp_path: Path
) -> None:
    authority = CertificateAuthority(tmp_path)
    (tmp_path / "ca.crt").write_bytes(authority.bundle)
    authority.issue("server")
    authority.issue("prometheus")
    web_config = tmp_path / "web-config.yml"
    write(web_config, OLD)
    async with contextlib.AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(Simulator())
        await stack.enter_async_context(Workload(simulator, rate_per_second=40))
        flags = ("--kubeconfig", str(kubeconfig(tmp_path, simulator.url)), "--resource", "pods")
        exporter = Protected(installed_watchslo, tmp_path, flags, web_config)
        await exporter.create()
        stack.push_async_callback(exporter.kill)
        jobs = [
            scrape("old", exporter, tmp_path, OLD),
            scrape("new", exporter, tmp_path, NEW),
            scrape("without", exporter, tmp_path, OLD, certificate=False),
        ]
        prometheus = Prometheus(tool("prometheus"), tmp_path, {"scrape_configs": jobs})
        await prometheus.create()
        stack.push_async_callback(prometheus.kill)

        async def up() -> dict[str, str]:
            return {one["metric"]["job"]: one["values"][0][1] for one in await prometheus.at("up", time.time())}

        async def only_the_old_one() -> bool:
            return await up() == {"old": "1", "new": "0", "without": "0"}

        async def only_the_new_one() -> bool:
            return await up() == {"old": "0", "new": "1", "without": "0"}

        await wait_until(only_the_old_one, "who has the old password scrapes", timeout_seconds=40)
        judged = await prometheus.at("sum by (job) (watchslo_events_judged_total)", time.time())
        assert [one["metric"]["job"] for one in judged] == ["old"]
        write(web_config, NEW)
        await wait_until(only_the_new_one, "who has the new password scrapes", timeout_seconds=40)
        assert exporter.healthcheck() == "ok\n"
    assert exporter.healthcheck().endswith("/livez does not answer: Connection refused\n")
