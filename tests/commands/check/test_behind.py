"""An address that stands before several apiservers is told by `check`, although it is named as one."""

import asyncio
import contextlib
import datetime as dt
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

from exporter.commands.check.behind import certificates
from exporter.credentials import Credentials, CredentialsSource
from exporter.kubernetes.session import Server
from tests.commands.check.command import check
from tests.real.certificates import CertificateAuthority
from tests.real.cluster import Cluster
from tests.real.proxy import Proxy
from tests.support.configuring import write_kubeconfig


@contextlib.asynccontextmanager
async def listening(authority: CertificateAuthority, name: str) -> AsyncIterator[str]:
    """A TLS server with a certificate of its own; its address."""
    issued = authority.issue(name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate_file, issued.key_file)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_different_certificates_are_seen(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path)
    async with listening(authority, "one") as one, listening(authority, "other") as other:
        with Proxy(one, other) as balancer, Proxy(one) as proxy:
            kubeconfig = write_kubeconfig(tmp_path, balancer.url, user={}, authority=authority.bundle)
            credentials = Credentials(CredentialsSource(kubeconfig))
            await credentials.load()
            assert await certificates(Server(balancer.url, is_one_apiserver=True), credentials) == 2
            assert await certificates(Server(proxy.url, is_one_apiserver=True), credentials) == 1


async def test_apiservers_that_keep_leases_are_more_than_the_addresses(cluster: Cluster, tmp_path: Path) -> None:
    """The Lease of one that is not there is made by hand: two on one machine would share theirs."""
    kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig")
    renewed = f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    labels = {"apiserver.kubernetes.io/identity": "kube-apiserver"}
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "apiserver-of-a-second-one", "namespace": "kube-system", "labels": labels},
        "spec": {"holderIdentity": "a-second-one", "leaseDurationSeconds": 3600, "renewTime": renewed},
    }
    await cluster.list_apiservers(cluster.apiserver.url)
    words = ("--kubeconfig", kubeconfig, "--apiserver", cluster.apiserver.url, "--resource", "pods")
    before = (await check(*words)).table["server"]["apiservers"]
    async with cluster.client() as client:
        path = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
        await client.post(path, lease)
        try:
            after = (await check(*words)).table["server"]["apiservers"]
        finally:
            await client.delete(f"{path}/apiserver-of-a-second-one")
            await cluster.list_apiservers()
    assert before == ("ok", "1, whose clock's offset is learned: timestamps in objects narrow intervals")
    assert after[0] == "note"
    assert after[1].startswith(
        "2 apiservers renew an identity Lease, but the cluster lists 1 address: one is a load balancer"
    )
