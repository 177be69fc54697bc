"""--web.auth-filter with the tokens, the reviews and the roles of a real kube-apiserver."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from exporter.config import ListenAddress
from exporter.credentials import Credentials, CredentialsSource
from exporter.kubernetes.reviews import Reviews
from exporter.kubernetes.session import ApiSession, Server
from exporter.metrics.registry import Metrics
from exporter.web import http
from exporter.web.auth_filter import AuthFilter
from tests.commands.check.command import check, rules_in
from tests.real import service_accounts
from tests.real.cluster import Cluster
from tests.real.permissions import Grant
from tests.real.proxy import Proxy
from tests.support.states import page
from tests.support.waiting import wait_until

PATHS = ("/metrics", "/", "/api/v1/status", "/api/v1/nothing")
"""Every user of the cluster may get the apiserver's own /api/*."""

NEEDED = {"authentication.k8s.io": "tokenreviews", "authorization.k8s.io": "subjectaccessreviews"}


@pytest_asyncio.fixture
async def granted(cluster: Cluster) -> AsyncIterator[list[Grant]]:
    """The user `limited` may review, and nothing else."""
    grants = [await cluster.grant("limited", ["create"], group, [kind]) for group, kind in NEEDED.items()]
    yield grants
    for grant in grants:
        await cluster.revoke(grant)


@asynccontextmanager
async def served(
    cluster: Cluster, folder: Path, *remembered_seconds: float, server: str | None = None, time_limit_seconds: float = 5
) -> AsyncIterator[Sequence[str]]:
    """The metrics' address behind a filter for each of these times, all with one session to the apiserver."""
    credentials = Credentials(
        CredentialsSource(cluster.kubeconfig(folder / "kubeconfig", user="limited", server=server))
    )
    await credentials.load()
    session = ApiSession(Server(credentials.server_url, is_one_apiserver=True), credentials)
    reviews = Reviews(session, time_limit_seconds)
    runners = []
    try:
        for seconds in remembered_seconds:
            door = AuthFilter(reviews.status, seconds)
            app = http.application(Metrics(1.0, 0.99, 60.0), list, dict, None, door, page())
            runners.append(await http.serve(app, [ListenAddress("127.0.0.1", 0)]))
        yield [f"http://127.0.0.1:{runner.addresses[0][1]}" for runner in runners]
    finally:
        for runner in runners:
            await runner.cleanup()
        await session.close()


async def status(url: str, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers) as client, client.get(url) as response:
        await response.read()
        return response.status


async def scraper(cluster: Cluster, name: str) -> str:
    """The token of a new ServiceAccount that may get /metrics."""
    async with cluster.client() as client:
        token = await service_accounts.create(client, name)
        await service_accounts.create_role(client, name, ["/metrics"])
        await service_accounts.bind(client, name, name, "/metrics")
    return token


@pytest.mark.usefixtures("granted")
async def test_a_service_account_gets_what_its_role_names(cluster: Cluster, tmp_path: Path) -> None:
    bound = await scraper(cluster, "filter-bound")
    async with cluster.client() as client:
        unbound = await service_accounts.create(client, "filter-unbound")
    async with served(cluster, tmp_path, 60) as [url]:
        assert [await status(url + path, bound) for path in PATHS] == [200, 403, 403, 403]
        async with cluster.client() as client:
            await service_accounts.create_role(client, "filter-page", ["/"])
            await service_accounts.bind(client, "filter-unbound", "filter-page", "/")
        assert [await status(url + path, unbound) for path in PATHS] == [403, 200, 200, 404]
        assert await status(f"{url}/metrics", cluster.token("admin")) == 200
        for forged in ("guessed", f"{bound[:-8]}AAAAAAAA", bound.rpartition(".")[0] + "."):
            assert await status(f"{url}/metrics", forged) == 401
        assert await status(f"{url}/livez", "guessed") == 200


@pytest.mark.usefixtures("granted")
async def test_who_is_revoked_is_out_when_the_time_is_over(cluster: Cluster, tmp_path: Path) -> None:
    token = await scraper(cluster, "filter-revoked")
    async with served(cluster, tmp_path, 3600, 0.5) as [for_long, shortly]:
        assert [await status(f"{url}/metrics", token) for url in (for_long, shortly)] == [200, 200]
        async with cluster.client() as client:
            await client.delete(f"{service_accounts.ACCOUNTS}/filter-revoked")

        async def is_out() -> bool:
            return await status(f"{shortly}/metrics", token) == 401

        # kube-apiserver itself remembers a token for ten seconds.
        await wait_until(is_out, "the token is good for nothing", timeout_seconds=60)
        assert await status(f"{for_long}/metrics", token) == 200, "it is not asked about again"


@pytest.mark.usefixtures("granted")
@pytest.mark.parametrize("is_silent", [True, False], ids=["silent", "gone"])
async def test_without_the_apiserver_only_who_was_let_in_gets_in_until_the_time_is_over(
    cluster: Cluster, tmp_path: Path, *, is_silent: bool
) -> None:
    name = f"filter-dead-{is_silent}".lower()
    token, other = await scraper(cluster, name), await scraper(cluster, f"{name}-other")
    with Proxy(cluster.apiserver.url) as proxy:
        here = served(cluster, tmp_path, 3600, 0.5, server=proxy.url, time_limit_seconds=1)
        async with here as [for_long, shortly]:
            assert [await status(f"{url}/metrics", token) for url in (for_long, shortly)] == [200, 200]
            proxy.black_hole = is_silent
            if not is_silent:
                proxy.upstreams = ("127.0.0.1:1",)
                proxy.cut_all()

            async def is_out() -> bool:
                return await status(f"{shortly}/metrics", token) == 503

            await wait_until(is_out, "the time is over")
            assert [await status(f"{for_long}/metrics", one) for one in (token, other)] == [200, 503]
            assert await status(f"{for_long}/livez", "") == 200
            proxy.black_hole, proxy.upstreams = False, (cluster.apiserver.url,)
            proxy.cut_all()

            async def is_back() -> bool:
                return [await status(f"{url}/metrics", other) for url in (for_long, shortly)] == [200, 200]

            await wait_until(is_back, "all is as before")


async def test_without_the_right_to_review_nobody_gets_in_and_the_log_says_why(
    cluster: Cluster, tmp_path: Path, granted: list[Grant], caplog: pytest.LogCaptureFixture
) -> None:
    async with served(cluster, tmp_path, 0) as [url]:
        assert await status(f"{url}/metrics", cluster.token("admin")) == 200
        await cluster.revoke(granted.pop())
        assert [await status(f"{url}/metrics", cluster.token("admin")) for _ in range(3)] == [503] * 3
    [warning] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert warning.getMessage() == "token or access review failed"
    assert "cannot create resource" in warning.fields["error"]  # type: ignore[attr-defined]


async def test_check_names_both_rights(cluster: Cluster, tmp_path: Path) -> None:
    kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig", user="limited")
    ended = await check("--kubeconfig", kubeconfig, "--web.auth-filter")
    assert ended.exit_code == 2
    printed = {(rule.group, rule.resource, rule.verbs, rule.namespace) for rule in rules_in(ended.table)}
    assert {(group, kind, ("create",), None) for group, kind in NEEDED.items()} <= printed
    assert (
        "no client can be authenticated without the permission to create tokenreviews.authentication.k8s.io"
        in ended.last_line
    )
    without = await check("--kubeconfig", kubeconfig)
    assert "tokenreviews" not in without.out
