"""`watchslo healthcheck`: asks a running watchslo with the same configuration whether it is alive.

It asks on the same machine and for no secret, so it verifies no certificate.
"""
# ruff: noqa: T201 - it prints the answer

from __future__ import annotations

import ssl
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import TYPE_CHECKING

from exporter.config import ConfigError, ListenAddress
from exporter.config.web_config import TLSServerConfig, read_web_config
from exporter.wording.quoting import NO_TLS, printable

if TYPE_CHECKING:
    from exporter.config import Config

TIMEOUT_SECONDS = 3
PATH = "/livez"
_LOOPBACKS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - to connect to, not to listen on


def run(config: Config) -> int:
    """0 if it is alive, 1 if not, with one line that says so. Raises ConfigError if there is no port to ask."""
    address = config.listen_addresses[0]
    if address.port == 0:
        raise ConfigError("healthcheck needs a fixed port: port 0 means any free port")
    reachable = ListenAddress(_LOOPBACKS.get(address.host, address.host), address.port)
    tls = _tls(config)
    if (tls is None or tls.is_enabled) and (exit_code := _ask_with_tls(reachable, tls)) is not None:
        return exit_code
    url = f"http://{reachable}{PATH}"
    try:
        return _ask(HTTPConnection(reachable.host, reachable.port, timeout=TIMEOUT_SECONDS), url)
    except _NoAnswerError as error:
        # Who is not there, or silent, is not asked a second time: whoever calls us has a time limit too.
        if isinstance(error.__cause__, (HTTPException, ConnectionResetError)) and _speaks_tls(reachable):
            return _dead(f"{url} does not answer, but the port uses TLS: set --web.config.file to the exporter's file")
        return _dead(str(error))


def _tls(config: Config) -> TLSServerConfig | None:
    """The file's TLS settings; None if it cannot be read at this moment, which a running exporter survives."""
    if config.web_config_file is None:
        return TLSServerConfig()
    try:
        return read_web_config(config.web_config_file).tls_server_config
    except ValueError:
        return None


def _ask_with_tls(address: ListenAddress, tls: TLSServerConfig | None) -> int | None:
    """The exit code; None if it was not known whether there is TLS, and there is none."""
    connection = HTTPSConnection(address.host, address.port, timeout=TIMEOUT_SECONDS, context=_trusting())
    url = f"https://{address}{PATH}"
    # Whoever sends us away because we have no certificate is alive.
    is_sent_away = tls is None or tls.client_auth_type == "RequireAndVerifyClientCert"
    try:
        connection.connect()
    except OSError as error:
        if isinstance(error, ssl.SSLError) and error.reason in NO_TLS and tls is None:
            return None
        if isinstance(error, (ssl.SSLError, ConnectionResetError)) and is_sent_away:
            return _alive()
        return _dead(f"{url} does not answer: {error.strerror or error}")
    try:
        return _ask(connection, url, is_sent_away=is_sent_away)
    except _NoAnswerError as error:
        return _dead(str(error))


def _speaks_tls(address: ListenAddress) -> bool:
    connection = HTTPSConnection(address.host, address.port, timeout=TIMEOUT_SECONDS, context=_trusting())
    try:
        connection.connect()
    except OSError:
        return False
    finally:
        connection.close()
    return True


def _trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class _NoAnswerError(Exception):
    """The message is one sentence."""


def _ask(connection: HTTPConnection, url: str, *, is_sent_away: bool = False) -> int:
    """The exit code. Raises _NoAnswerError."""
    try:
        connection.request("GET", PATH)
        status = connection.getresponse().status
    except OSError as error:
        if is_sent_away and isinstance(error, (ssl.SSLError, ConnectionResetError)):
            return _alive()
        raise _NoAnswerError(f"{url} does not answer: {error.strerror or error}") from error
    except HTTPException as error:
        raise _NoAnswerError(f"{url} does not speak HTTP: {printable(str(error).strip())}") from error
    finally:
        connection.close()
    return _alive() if status == 200 else _dead(f"{url} answers with status {status}")


def _alive() -> int:
    print("ok")
    return 0


def _dead(why: str) -> int:
    print(why)
    return 1
