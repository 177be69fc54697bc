"""Asks a running exporter, for commands that have `--url`."""

from __future__ import annotations

from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from exporter.config import ConfigError
from exporter.config.http_config import HTTPConfig
from exporter.config.names import is_loopback
from exporter.wording.quoting import printable

if TYPE_CHECKING:
    import ssl

TIMEOUT_SECONDS = 10
MOST_BYTES = 64 * 2**20
HINTS = {
    401: "a password or token is needed: --http.config.file",
    403: "the user of --http.config.file may not read it",
}


class RunningExporter(msgspec.Struct, frozen=True):
    """A running exporter."""

    url: str
    http_config: HTTPConfig | None = None

    @property
    def _login(self) -> HTTPConfig:
        return self.http_config or HTTPConfig()

    def answer(self, path: str) -> bytes:
        """What it answers. Raises ConfigError if it does not answer, or with anything but 200."""
        connection, headers = self._connection()
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            body = answer.read(MOST_BYTES)
        except (OSError, HTTPException) as error:
            raise ConfigError(f"--url: {self.url} does not answer: {printable(str(error))}") from None
        finally:
            connection.close()
        if answer.status != 200:
            hint = f": {HINTS[answer.status]}" if answer.status in HINTS else ""
            raise ConfigError(f"--url: {self.url}{path} answers with status {answer.status}{hint}")
        return body

    def _connection(self) -> tuple[HTTPConnection, dict[str, str]]:
        parts = urlsplit(self.url)
        host, port = parts.hostname or "", parts.port
        try:
            headers = self._login.headers()
            if parts.scheme == "https":
                name = self._login.tls_config.server_name or host
                return _Connection(host, port, self._login.context(), name), headers
        except ValueError as error:
            raise ConfigError(f"--http.config.file: {error}") from None
        if self._login.has_secret and not is_loopback(host):
            raise ConfigError(
                f"--url: {self.url} would be told a password or token that others on the way can read: use https://, "
                "or kubectl port-forward and 127.0.0.1"
            )
        return HTTPConnection(host, port, timeout=TIMEOUT_SECONDS), headers


class _Connection(HTTPSConnection):
    """With a certificate that may be made out to another name."""

    def __init__(self, host: str, port: int | None, context: ssl.SSLContext, name: str) -> None:
        super().__init__(host, port, timeout=TIMEOUT_SECONDS, context=context)
        self._tls, self._name = context, name

    def connect(self) -> None:
        HTTPConnection.connect(self)
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._name)
