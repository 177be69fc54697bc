"""--web.auth-filter as people use it: the installed exporter, the real kube-apiserver, and a real Prometheus."""

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from exporter.service.serving import tokens_in_the_clear
from exporter.web.reload import WebFiles
from tests.dashboards.prometheus import Prometheus
from tests.real import service_accounts
from tests.real.certificates import CertificateAuthority
from tests.real.cluster import Cluster
from tests.real.tools import tool
from tests.support.kubeconfig import kubeconfig
from tests.support.observing import started
from tests.support.protected import Protected
from tests.support.waiting import wait_until
from tests.web.passwords import HASH

RIGHTS = (
    ("", "pods", ("list", "watch"), None),
    ("", "events", ("list",), "default"),
    ("authentication.k8s.io", "tokenreviews", ("create",), None),
    ("authorization.k8s.io", "subjectaccessreviews", ("create",), None),
)
USER = "watcher"


@pytest.mark.timeout(180)
async def test_prometheus_scrapes_with_a_token_whose_account_may_and_with_no_other(
    cluster: Cluster, installed_watchslo: Path, tmp_path: Path
) -> None:
    authority = CertificateAuthority(tmp_path)
    (tmp_path / "ca.crt").write_bytes(authority.bundle)
    authority.issue("server")
    web_config = tmp_path / "web-config.yml"
    web_config.write_text(json.dumps({"tls_server_config": {"cert_file": "server.crt", "key_file": "server.key"}}))
    async with cluster.client() as client:
        await service_accounts.create_role(client, "metrics-reader", ["/metrics"])
        for job in ("may", "may-not"):
            (tmp_path / f"{job}.token").write_text(await service_accounts.create(client, job))
        await service_accounts.bind(client, "may", "metrics-reader", "/metrics")
    async with contextlib.AsyncExitStack() as stack:
        for group, kind, verbs, namespace in RIGHTS:
            stack.push_async_callback(cluster.revoke, await cluster.grant(USER, verbs, group, [kind], namespace))
        of_user = str(cluster.kubeconfig(tmp_path / "kubeconfig", user=USER))
        flags = ("--kubeconfig", of_user, "--resource", "pods", "--web.auth-filter")
        exporter = Protected(installed_watchslo, tmp_path, flags, web_config)
        await exporter.create()
        stack.push_async_callback(exporter.kill)
        jobs = [
            {
                "job_name": job,
                "scheme": "https",
                "scrape_interval": "1s",
                "scrape_timeout": "1s",
                "tls_config": {"ca_file": str(tmp_path / "ca.crt")},
                **authorization,
                "static_configs": [{"targets": [f"{exporter.address}:{exporter.port}"]}],
            }
            for job, authorization in (
                ("may", {"authorization": {"credentials_file": str(tmp_path / "may.token")}}),
                ("may-not", {"authorization": {"credentials_file": str(tmp_path / "may-not.token")}}),
                ("without", {}),
            )
        ]
        prometheus = Prometheus(tool("prometheus"), tmp_path, {"scrape_configs": jobs})
        await prometheus.create()
        stack.push_async_callback(prometheus.kill)

        async def only_who_may() -> bool:
            up = {one["metric"]["job"]: one["values"][0][1] for one in await prometheus.at("up", time.time())}
            return up == {"may": "1", "may-not": "0", "without": "0"}

        await wait_until(only_who_may, "who may scrapes, and nobody else", timeout_seconds=40)
        watched = await prometheus.at("watchslo_stream_up == 1", time.time())
        assert [one["metric"]["job"] for one in watched] == ["may"]
        reviews = await prometheus.at('watchslo_apiserver_requests_total{purpose="access_review"}', time.time())
        assert 2 <= float(reviews[0]["values"][0][1]) <= 8, "two for each token, twice if a minute has gone by"
        assert exporter.healthcheck() == "ok\n", "which needs no token"
        assert "--web.auth-filter without TLS" not in exporter.log.read_text()


@pytest.mark.parametrize(
    ("scheme", "hosts", "is_said"),
    [
        ("http", ["192.0.2.1"], True),
        ("http", ["::"], True),
        ("http", ["127.0.0.1", "192.0.2.1"], True),
        ("http", ["127.0.0.1", "::1", "127.0.0.9"], False),
        ("https", ["192.0.2.1", "::"], False),
    ],
)
def test_tokens_that_others_can_read_on_their_way_are_a_warning(
    scheme: str, hosts: list[str], *, is_said: bool
) -> None:
    assert (tokens_in_the_clear(scheme, hosts) is not None) == is_said


async def test_passwords_and_tokens_together_are_refused(tmp_path: Path) -> None:
    users = {"basic_auth_users": {"prometheus": HASH}}
    web_config = tmp_path / "web-config.yml"
    web_config.write_text(json.dumps(users))
    flags = ("--kubeconfig", str(kubeconfig(tmp_path, "http://127.0.0.1:1")), "--web.config.file", str(web_config))
    words = (sys.executable, "-m", "exporter", "run", *flags, "--web.auth-filter")
    ended = await asyncio.to_thread(subprocess.run, words, check=False, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert ended.stderr == (
        f'watchslo: error: --web.config.file: "{web_config}" has basic_auth_users, which cannot be used '
        "together with --web.auth-filter\n"
    )
    # So is a file that comes to have users later, and then nobody's request changes.
    web_config.write_text("{}")
    files = WebFiles(web_config, without_users=True)
    web_config.write_text(json.dumps(users))
    await files.look()
    assert files.access.config.basic_auth_users == {}


async def test_the_demo_has_no_users_to_ask_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHSLO_WEB_AUTH_FILTER", "true")
    with started(command="demo") as demo:
        assert (await demo.scrape()).values("build_info") == [1]
