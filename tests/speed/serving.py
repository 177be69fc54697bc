"""Runs the replay in a process, with a kubeconfig for it; sends it orders and reads their results."""

import base64
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tests.real.certificates import CertificateAuthority
from tests.speed.replay import Order, Sent
from tests.speed.served import ADDRESS, resources

ROOT = Path(__file__).parents[2]


class Server:
    """A running replay."""

    def __init__(self, process: "subprocess.Popen[bytes]", scheme: str, kubeconfig: Path, count: int) -> None:
        self._process = process
        ports = msgspec.json.decode(self._line(), type=list[int])
        self.urls = [f"{scheme}://{ADDRESS}:{port}" for port in ports]
        self.resources = resources(count)
        self.kubeconfig = kubeconfig

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def send(self, events: int, *, per_second: float = 0.0, burst: int = 1) -> Sent:
        """Send events, and wait until all are written. Without `per_second` as fast as they are read."""
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(Order(events, per_second, burst)) + b"\n")
        self._process.stdin.flush()
        return msgspec.json.decode(self._line(), type=Sent)

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the replay has ended"
        return line


@contextlib.contextmanager
def replaying(
    folder: Path,
    *,
    resources: int = 1,
    objects: int = 1000,
    apiservers: int = 1,
    tls: bool = False,
    only: str | None = None,
) -> Iterator[Server]:
    """Run a replay; its kubeconfig and certificates are written to `folder`."""
    words = [sys.executable, "-m", "tests.speed.replay", f"--resources={resources}", f"--objects={objects}"]
    words += [f"--apiservers={apiservers}", *([f"--only={only}"] if only else [])]
    cluster: dict[str, str] = {}
    if tls:
        authority = CertificateAuthority(folder)
        certificate = authority.issue("replay")
        words += ["--certificate", str(certificate.certificate_file), "--key", str(certificate.key_file)]
        cluster["certificate-authority-data"] = base64.b64encode(authority.bundle).decode()
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as process:
        try:
            server = Server(process, "https" if tls else "http", folder / "kubeconfig", resources)
            _write_kubeconfig(server.kubeconfig, {**cluster, "server": server.urls[0]})
            yield server
        finally:
            process.kill()


def _write_kubeconfig(file: Path, cluster: dict[str, str]) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "replay", "cluster": cluster}],
        "users": [{"name": "speed", "user": {"token": "of-speed"}}],
        "contexts": [{"name": "replay", "context": {"cluster": "replay", "user": "speed"}}],
        "current-context": "replay",
    }
    file.write_bytes(msgspec.json.encode(config))
