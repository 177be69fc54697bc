"""One kube-apiserver: an etcd and files in, an HTTPS URL out."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tests.real.certificates import Certificate
from tests.real.process import PROBE_TIMEOUT, Server, free_port


@dataclass(frozen=True, slots=True)
class ApiserverFiles:
    """What all apiservers of one cluster share. `token_file` is in the form of --token-auth-file."""

    certificate: Certificate
    service_account_key_file: Path
    token_file: Path


class Apiserver(Server):
    """A server with token authentication and RBAC, whose admission asks no controller-manager for anything."""

    def __init__(
        self,
        name: str,
        folder: Path,
        address: str,
        *,
        binaries: Path,
        etcd_url: str,
        files: ApiserverFiles,
        context: ssl.SSLContext,
        flags: Sequence[str],
        cores: int | None = None,
    ) -> None:
        super().__init__(name, folder, address)
        self._binary = binaries / "kube-apiserver"
        self._certificates = folder / f"{name}-certificates"
        self._etcd_url = etcd_url
        self._files = files
        self._context = context
        self.flags = list(flags)
        self._cores = cores
        self.port = 0

    @property
    def url(self) -> str:
        """https://ADDRESS:PORT."""
        return f"https://{self.address}:{self.port}"

    def choose_ports(self) -> None:
        self.port = free_port(self.address)

    def command(self) -> list[str]:
        cores = [] if self._cores is None else ["env", f"GOMAXPROCS={self._cores}"]
        return [
            *cores,
            str(self._binary),
            f"--etcd-servers={self._etcd_url}",
            f"--bind-address={self.address}",
            f"--secure-port={self.port}",
            f"--cert-dir={self._certificates}",
            f"--tls-cert-file={self._files.certificate.certificate_file}",
            f"--tls-private-key-file={self._files.certificate.key_file}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self._files.service_account_key_file}",
            f"--service-account-signing-key-file={self._files.service_account_key_file}",
            f"--token-auth-file={self._files.token_file}",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.0.0.0/24",
            # Pods would wait for a ServiceAccount that only the controller-manager makes.
            "--disable-admission-plugins=ServiceAccount",
            # Loopback addresses are refused as endpoints: tests write those of default/kubernetes themselves.
            "--endpoint-reconciler-type=none",
            # Only tests compact the store.
            "--etcd-compaction-interval=0",
            *self.flags,
        ]

    async def is_ready(self) -> bool:
        connector = aiohttp.TCPConnector(ssl=self._context)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=PROBE_TIMEOUT) as session,
                session.get(f"{self.url}/readyz") as response,
            ):
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False
