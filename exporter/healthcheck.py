"""`watchslo healthcheck`: the configuration of a running watchslo in, whether it is alive out.

It asks on the same machine and for no secret, so it verifies no certificate.
"""
# ruff: noqa: T201 - it prints the answer

from __future__ import annotations

import ssl
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import TYPE_CHECKING

from exporter.config import ConfigError, ListenAddress
from exporter.config.web_config import TLSServerConfig, read_web_config
from exporter.config.wording import printable

if TYPE_CHECKING:
    from exporter.config import Config

TIMEOUT_SECONDS = 3
PATH = "/livez"

_LOOPBACKS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - to connect to, not to listen on


def run(config: Config) -> int:
    """0 if it is alive, 1 if not, with one line that says so. Raises ConfigError if there is no port to ask."""
    address = config.listen_addresses[0]
    if address.port == 0:
        raise ConfigError("healthcheck needs the port to ask, and port 0 is any free one")
    tls = read_web_config(config.web_config_file).tls_server_config if config.web_config_file else TLSServerConfig()
    reachable = ListenAddress(_LOOPBACKS.get(address.host, address.host), address.port)
    url = f"{'https' if tls.is_enabled else 'http'}://{reachable}{PATH}"
    try:
        status = _status(reachable, tls)
    except OSError as error:
        print(f"{url} does not answer: {error.strerror or error}")
        return 1
    except HTTPException as error:
        print(f"{url} does not speak HTTP: {printable(str(error).strip())}")
        return 1
    print("ok" if status == 200 else f"{url} answers with status {status}")
    return 0 if status == 200 else 1


def _status(address: ListenAddress, tls: TLSServerConfig) -> int:
    connection = _connection(address, tls)
    try:
        connection.connect()
        connection.request("GET", PATH)
        return connection.getresponse().status
    except (ssl.SSLError, ConnectionResetError):
        # Whoever sends us away because we have no certificate is alive.
        if tls.client_auth_type == "RequireAndVerifyClientCert":
            return 200
        raise
    finally:
        connection.close()


def _connection(address: ListenAddress, tls: TLSServerConfig) -> HTTPConnection:
    if not tls.is_enabled:
        return HTTPConnection(address.host, address.port, timeout=TIMEOUT_SECONDS)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return HTTPSConnection(address.host, address.port, timeout=TIMEOUT_SECONDS, context=context)
