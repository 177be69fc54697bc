"""An installed exporter behind TLS and passwords."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.real.process import Server, free_port

VERIFIED = {
    "cert_file": "server.crt",
    "key_file": "server.key",
    "client_ca_file": "ca.crt",
    "client_auth_type": "RequireAndVerifyClientCert",
}


class Protected(Server):
    """`watchslo run` with --web.config.file; it is ready when its own healthcheck says so."""

    def __init__(self, watchslo: Path, folder: Path, flags: Sequence[str], web_config: Path) -> None:
        super().__init__("watchslo", folder, "127.0.0.1")
        self._watchslo = str(watchslo)
        self._flags = flags
        self._web_config = str(web_config)
        self.port = 0

    def choose_ports(self) -> None:
        self.port = free_port(self.address)

    def command(self) -> list[str]:
        return [self._watchslo, "run", *self._flags, *self._web()]

    async def is_ready(self) -> bool:
        return self.healthcheck() == "ok\n"

    def healthcheck(self) -> str:
        """What it prints."""
        words = [self._watchslo, "healthcheck", *self._web()]
        return subprocess.run(words, check=False, capture_output=True, text=True).stdout

    def _web(self) -> list[str]:
        return ["--web.config.file", self._web_config, "--web.listen-address", f"{self.address}:{self.port}"]
