"""`watchslo healthcheck`: the configuration of a running watchslo in, whether it is alive out.

It asks on the same machine and for no secret, so it verifies no certificate.
"""
# ruff: noqa: T201 - it prints the answer

from __future__ import annotations

import ssl
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import TYPE_CHECKING

from exporter.config import ConfigError, ListenAddress
from exporter.config.wording import printable

if TYPE_CHECKING:
    from exporter.config import Config

TIMEOUT_SECONDS = 3
PATH = "/livez"
NO_TLS = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"}
"""What OpenSSL calls an answer that is no TLS."""


_LOOPBACKS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - to connect to, not to listen on


def run(config: Config) -> int:
    """0 if it is alive, 1 if not, with one line that says so. Raises ConfigError if there is no port to ask."""
    address = config.listen_addresses[0]
    if address.port == 0:
        raise ConfigError("healthcheck needs the port to ask, and port 0 is any free one")
    reachable = ListenAddress(_LOOPBACKS.get(address.host, address.host), address.port)
    # Whether there is TLS stands in a file that may be being written at this moment: the server knows better.
    if config.web_config_file is not None and (speaks_tls := _speaks_tls(reachable)) is not None:
        return speaks_tls
    connection = HTTPConnection(reachable.host, reachable.port, timeout=TIMEOUT_SECONDS)
    return _ask(connection, f"http://{reachable}{PATH}")


def _speaks_tls(address: ListenAddress) -> int | None:
    """The same of a server with TLS; None if it has none."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connection = HTTPSConnection(address.host, address.port, timeout=TIMEOUT_SECONDS, context=context)
    url = f"https://{address}{PATH}"
    try:
        connection.connect()
    except ssl.SSLError as error:
        if error.reason in NO_TLS:
            return None
        return _alive()
    except OSError as error:
        return _dead(f"{url} does not answer: {error.strerror or error}")
    return _ask(connection, url)


def _ask(connection: HTTPConnection, url: str) -> int:
    try:
        connection.request("GET", PATH)
        status = connection.getresponse().status
    except OSError as error:
        if isinstance(connection, HTTPSConnection) and isinstance(error, (ssl.SSLError, ConnectionResetError)):
            return _alive()
        return _dead(f"{url} does not answer: {error.strerror or error}")
    except HTTPException as error:
        return _dead(f"{url} does not speak HTTP: {printable(str(error).strip())}")
    finally:
        connection.close()
    return _alive() if status == 200 else _dead(f"{url} answers with status {status}")


def _alive() -> int:
    """Whoever sends us away because we have no certificate is alive, too."""
    print("ok")
    return 0


def _dead(why: str) -> int:
    print(why)
    return 1
