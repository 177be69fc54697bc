"""Tokens from everywhere, and their successors once the apiserver has refused them."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from kubernetes_asyncio.config import incluster_config

from exporter.credentials import Credentials, CredentialsError, CredentialsSource
from exporter.kubernetes.session import ApiSession, Server
from tests.real.cluster import Cluster
from tests.support.configuring import exec_user, status, statuses, write_kubeconfig
from tests.support.waiting import wait_until

PLUGIN = """
import json
from pathlib import Path
token = (Path(__file__).parent / "token").read_text().strip()
version = "client.authentication.k8s.io/v1"
print(json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": {"token": token}}))
"""


@pytest_asyncio.fixture
async def refused_first(cluster: Cluster, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[ApiSession]:
    """A session whose user reads a token from tmp_path / "token", which the apiserver does not know yet."""
    (tmp_path / "token").write_text("not-a-token\n")
    user = {"tokenFile": "token"} if request.param == "tokenFile" else exec_user(tmp_path, PLUGIN)
    kubeconfig = write_kubeconfig(tmp_path, cluster.apiserver.url, user=user, authority=cluster.authority.bundle)
    credentials = Credentials(CredentialsSource(kubeconfig), renewal_pause_seconds=0.3)
    await credentials.load()
    session = ApiSession(Server(cluster.apiserver.url, is_one_apiserver=True), credentials)
    yield session
    await session.close()


async def test_the_token_of_a_kubeconfig(cluster: Cluster, tmp_path: Path) -> None:
    credentials = Credentials(CredentialsSource(cluster.kubeconfig(tmp_path / "kubeconfig")))
    assert await statuses(credentials, cluster.apiserver.url) == [200]
    assert credentials.server_url == cluster.apiserver.url


@pytest.mark.parametrize("refused_first", ["tokenFile", "exec"], indirect=True)
async def test_a_refused_token_is_read_again(refused_first: ApiSession, cluster: Cluster, tmp_path: Path) -> None:
    assert await status(refused_first) == 401
    (tmp_path / "token").write_text(cluster.token("admin") + "\n")
    assert await status(refused_first) == 401, "not for every request: an exec plugin costs something"

    async def is_accepted() -> bool:
        return await status(refused_first) == 200

    await wait_until(is_accepted, "the new token is used")
    # Certificates have not changed: open watches keep their connections.
    assert refused_first.credentials.generation == 1


@pytest.mark.parametrize("refused_first", ["exec"], indirect=True)
async def test_a_plugin_that_fails_later_is_one_sentence_and_runs_again(
    refused_first: ApiSession, cluster: Cluster, tmp_path: Path
) -> None:
    plugin = tmp_path / "plugin.py"
    assert await status(refused_first) == 401
    plugin.write_text("import sys; sys.exit('log in\\nfirst')")
    await asyncio.sleep(0.35)
    with pytest.raises(CredentialsError, match=r"^kubeconfig \S+: exec: the plugin \S+ ended with exit status 1: "):
        await status(refused_first)
    plugin.write_text(PLUGIN)
    (tmp_path / "token").write_text(cluster.token("admin"))
    await asyncio.sleep(0.35)
    assert await status(refused_first) == 200


async def test_a_plugin_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    user = exec_user(tmp_path, "")
    user["exec"]["command"] = "no-such-plugin"
    kubeconfig = write_kubeconfig(tmp_path, "https://127.0.0.1:1", user=user)
    with pytest.raises(CredentialsError, match=r": no-such-plugin: No such file or directory$"):
        await Credentials(CredentialsSource(kubeconfig)).load()


@pytest.fixture
def service_account(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as it is mounted into Pods, and the environment that goes with it."""
    (tmp_path / "ca.crt").write_bytes(cluster.authority.bundle)
    (tmp_path / "token").write_text(cluster.token("admin"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", cluster.apiserver.address)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(cluster.apiserver.port))
    return tmp_path


async def test_a_pods_service_account(service_account: Path, cluster: Cluster) -> None:
    credentials = Credentials(CredentialsSource(service_account=service_account))
    assert await statuses(credentials, cluster.apiserver.url) == [200]
    assert credentials.server_url == cluster.apiserver.url


async def test_a_pods_token_that_is_refused_is_read_again(service_account: Path, cluster: Cluster) -> None:
    (service_account / "token").write_text("expired")
    credentials = Credentials(CredentialsSource(service_account=service_account), renewal_pause_seconds=0)
    await credentials.load()
    session = ApiSession(Server(cluster.apiserver.url, is_one_apiserver=True), credentials)
    assert await status(session) == 401
    (service_account / "token").write_text(cluster.token("admin"))
    assert await status(session) == 200
    await session.close()


async def test_a_pods_token_is_read_again_before_it_expires(
    service_account: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kubelet replaces it; the library reads it anew once a minute, which is shortened here."""
    monkeypatch.setattr(incluster_config, "TOKEN_REFRESH_PERIOD", dt.timedelta(0))
    credentials = Credentials(CredentialsSource(service_account=service_account))
    await credentials.load()
    (service_account / "token").write_text("second\n")
    assert await credentials.headers() == {"Authorization": "Bearer second"}
    for content, message in (("", "Token file exists but empty."), ("two\nlines", "the token is more than one line")):
        (service_account / "token").write_text(content)
        with pytest.raises(CredentialsError, match=f"^in-cluster credentials: {message}$"):
            await credentials.headers()
    (service_account / "token").unlink()
    with pytest.raises(CredentialsError):
        await credentials.headers()


async def test_a_pod_without_an_authority_is_one_sentence(service_account: Path) -> None:
    (service_account / "ca.crt").unlink()
    credentials = Credentials(CredentialsSource(service_account=service_account))
    with pytest.raises(
        CredentialsError, match=r"^in-cluster credentials: Service certification file does not exists\.$"
    ):
        await credentials.load()
