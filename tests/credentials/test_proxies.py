"""Proxies from the kubeconfig and from the environment."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from exporter.credentials import Credentials, CredentialsSource
from tests.real.cluster import Cluster
from tests.support.configuring import statuses, write_kubeconfig
from tests.support.waiting import wait_until


class ConnectProxy:
    """Answers CONNECT, and then passes bytes on; `targets` are what it was asked for."""

    def __init__(self) -> None:
        self.targets: list[str] = []
        self.open = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, target, _ = head.split(" ", 2)
        assert method == "CONNECT"
        assert "\nauthorization" not in head.lower(), "our token is for the server only"
        self.targets.append(target)
        host, port = target.split(":")
        server_reader, server_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        self.open += 1
        await asyncio.gather(_copy(reader, server_writer), _copy(server_reader, writer))
        self.open -= 1


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
    except OSError:
        pass
    finally:
        writer.close()


@pytest_asyncio.fixture
async def proxy(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ConnectProxy]:
    """A proxy, in an environment that names none."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    proxy = ConnectProxy()
    async with await asyncio.start_server(proxy.serve, "127.0.0.1", 0) as server:
        proxy.port = server.sockets[0].getsockname()[1]
        yield proxy
        await wait_until(lambda: not proxy.open, "all connections through the proxy are closed")


async def test_the_environments_proxy_is_used_unless_it_excepts_the_host(
    proxy: ConnectProxy, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = cluster.apiserver.url
    kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig")
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    assert await statuses(Credentials(CredentialsSource(kubeconfig)), url) == [200]
    assert proxy.targets == [url.removeprefix("https://")]
    for excepted in ("127.0.0.1", "*", "example.com,127.0.0.1", "127.0.0.0/8"):
        monkeypatch.setenv("NO_PROXY", excepted)
        assert await statuses(Credentials(CredentialsSource(kubeconfig)), url) == [200]
        assert len(proxy.targets) == 1, excepted
    monkeypatch.setenv("NO_PROXY", "example.com,10.0.0.0/8,nonsense/99")
    assert await statuses(Credentials(CredentialsSource(kubeconfig)), url) == [200]
    assert len(proxy.targets) == 2


async def test_the_kubeconfigs_proxy_comes_before_the_environments(
    proxy: ConnectProxy, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "*")
    kubeconfig = write_kubeconfig(
        tmp_path,
        cluster.apiserver.url,
        user={"token": cluster.token()},
        authority=cluster.authority.bundle,
        cluster={"proxy-url": f"http://127.0.0.1:{proxy.port}"},
    )
    assert await statuses(Credentials(CredentialsSource(kubeconfig)), cluster.apiserver.url) == [200]
    assert len(proxy.targets) == 1
