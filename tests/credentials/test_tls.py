"""Whom we trust, and what we show: authorities, names to verify, client certificates and their successors."""

import asyncio
import ssl
import tempfile
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from exporter.credentials import Credentials, CredentialsSource
from exporter.credentials.kubeconfig import loader
from exporter.kubernetes.session import STREAM, ApiSession, Request, Server
from exporter.simulator import Simulator
from tests.conftest import FreshCluster
from tests.credentials.certificates import ClientAuthority
from tests.real.certificates import CertificateAuthority
from tests.real.cluster import Cluster
from tests.support.configuring import NAMESPACES, VERSION, inline, status, statuses, write_kubeconfig
from tests.watch.scripted import ScriptedApiserver


async def test_a_client_certificate_and_its_successor(fresh_cluster: FreshCluster, tmp_path: Path) -> None:
    trusted, unknown = ClientAuthority(tmp_path / "trusted.crt"), ClientAuthority(tmp_path / "unknown.crt")
    cluster = await fresh_cluster(flags=[f"--client-ca-file={trusted.file}"])
    files = (tmp_path / "user.crt", tmp_path / "user.key")
    user = {"client-certificate": "user.crt", "client-key": "user.key"}
    unknown.issue(*files, user="jane", group="system:masters")
    kubeconfig = write_kubeconfig(tmp_path, cluster.apiserver.url, user=user, authority=cluster.authority.bundle)
    credentials = Credentials(CredentialsSource(kubeconfig), renewal_pause_seconds=0)
    await credentials.load()
    session = ApiSession(Server(cluster.apiserver.url, is_one_apiserver=True), credentials)
    assert await status(session) == 401
    assert await status(session) == 401
    assert credentials.generation == 1, "nothing is new: connections are kept"
    trusted.issue(*files, user="jane", group="system:masters")
    assert await status(session) == 200
    assert credentials.generation == 2
    await session.close()


async def test_a_renewed_token_leaves_open_connections_alone(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(cluster.token("admin"))
    user = {"tokenFile": "token"}
    kubeconfig = write_kubeconfig(tmp_path, cluster.apiserver.url, user=user, authority=cluster.authority.bundle)
    credentials = Credentials(CredentialsSource(kubeconfig), renewal_pause_seconds=0)
    await credentials.load()
    session = ApiSession(Server(cluster.apiserver.url, is_one_apiserver=True), credentials)
    watch = await session.send(Request(NAMESPACES, {"watch": "true", "timeoutSeconds": "30"}))
    assert watch.connection is not None
    transport = watch.connection.transport
    assert transport is not None
    credentials.refused()
    (tmp_path / "token").write_text("not-a-token")
    assert await status(session) == 401
    await asyncio.sleep(0.05)
    assert not transport.is_closing()
    transport.abort()  # a polite end of TLS would outlive the test
    await asyncio.sleep(0.05)
    watch.close()
    await session.close()


async def test_a_watch_outlives_however_many_certificates(tmp_path: Path) -> None:
    async with Simulator() as simulator:
        credentials = Credentials(CredentialsSource(write_kubeconfig(tmp_path, simulator.url, user={})))
        await credentials.load()
        session = ApiSession(Server(simulator.url, is_one_apiserver=True), credentials)
        watch = await session.send(Request("/api/v1/pods", {"watch": "true"}, time_limit=STREAM))
        assert watch.connection is not None
        transport = watch.connection.transport
        assert transport is not None
        for _ in range(5):
            credentials.generation += 1  # what new certificates do
            assert await status(session, VERSION) == 200
            assert len(session._retired) <= 2, "those over which nothing comes any more are closed"
            assert not transport.is_closing()
        watch.close()
        for _ in range(2):
            credentials.generation += 1
            assert await status(session, VERSION) == 200
        assert transport.is_closing()
        assert len(session._retired) == 1
        await session.close()


async def test_an_authority_that_is_replaced_is_read_again(cluster: Cluster, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    kubeconfig = write_kubeconfig(
        tmp_path,
        cluster.apiserver.url,
        user={"token": cluster.token()},
        authority=CertificateAuthority(other).bundle,
    )
    credentials = Credentials(CredentialsSource(kubeconfig), renewal_pause_seconds=0)
    await credentials.load()
    session = ApiSession(Server(cluster.apiserver.url, is_one_apiserver=True), credentials)
    for _ in range(2):
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await status(session)
    (tmp_path / "ca.crt").write_bytes(cluster.authority.bundle)
    assert await status(session) == 200
    await session.close()


@pytest.mark.parametrize("given_by", ["flag", "kubeconfig"])
async def test_the_name_to_verify_may_differ_from_the_address(given_by: str, cluster: Cluster, tmp_path: Path) -> None:
    def credentials(name: str) -> Credentials:
        in_file = name if given_by == "kubeconfig" else None
        kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig", tls_server_name=in_file)
        return Credentials(CredentialsSource(kubeconfig), name if given_by == "flag" else None)

    assert await statuses(credentials("kubernetes"), cluster.apiserver.url) == [200]
    with pytest.raises(aiohttp.ClientConnectorCertificateError, match=r"not valid for 'example\.com'"):
        await statuses(credentials("example.com"), cluster.apiserver.url)


async def test_no_verification_only_if_the_kubeconfig_says_so(cluster: Cluster, tmp_path: Path) -> None:
    user, url = {"token": cluster.token()}, cluster.apiserver.url
    careless = write_kubeconfig(tmp_path, url, user=user, cluster={"insecure-skip-tls-verify": True})
    assert await statuses(Credentials(CredentialsSource(careless)), url) == [200]
    careful = write_kubeconfig(tmp_path, url, user=user)
    with pytest.raises(aiohttp.ClientConnectorCertificateError):
        await statuses(Credentials(CredentialsSource(careful)), url)


def test_the_label_of_an_address() -> None:
    names = {
        "https://127.0.0.1:6443": "127.0.0.1:6443",
        "https://example.com": "example.com:443",
        "http://example.com/path": "example.com:80",
        "https://[fd00::1]:6443": "[fd00::1]:6443",
        "https://[fd00::1]": "[fd00::1]:443",
    }
    assert {url: Server(url, is_one_apiserver=True).name for url in names} == names


def open_files() -> list[str]:
    """What this process has open, by the names that the system gives to it."""
    names = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the listing itself
            names.append(str(descriptor.readlink()))
    return names


@pytest.fixture
def no_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose file system is read-only; this process may be root, so the folder is none at all."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))


@pytest.mark.usefixtures("no_temporary_folder")
async def test_what_stands_in_the_kubeconfig_itself_needs_no_file(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path)
    server, client = authority.issue("server"), authority.issue("client")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=authority.bundle.decode())
    context.load_cert_chain(server.certificate_file, server.key_file)
    context.verify_mode = ssl.CERT_REQUIRED
    async with ScriptedApiserver(ssl=context) as apiserver:
        kubeconfig = write_kubeconfig(
            tmp_path,
            apiserver.url,
            user={
                "client-certificate-data": inline(client.certificate_file.read_bytes()),
                "client-key-data": inline(client.key_file.read_bytes()),
            },
            cluster={"certificate-authority-data": inline(authority.bundle)},
        )
        credentials = Credentials(CredentialsSource(kubeconfig), renewal_pause_seconds=0)
        assert await statuses(credentials, apiserver.url) == [200]
        generation = credentials.generation
        credentials.refused()
        await credentials.headers()
        assert credentials.generation == generation, "nothing is new"
    assert not [name for name in open_files() if "memfd:kubeconfig" in name], "what was read is kept open no more"


def test_only_what_we_load_is_kept_in_memory(tmp_path: Path) -> None:
    file = loader().config.kube_config.FileOrData({"a-data": inline(b"x")}, "a", temp_file_path=str(tmp_path))
    assert Path(file.as_file()).parent == tmp_path
