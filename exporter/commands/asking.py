"""Asks a running exporter, for commands that have `--url`."""

from __future__ import annotations

from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from exporter.config import ConfigError
from exporter.wording.quoting import printable

TIMEOUT_SECONDS = 10
MOST_BYTES = 64 * 2**20


def asked(url: str, path: str) -> bytes:
    """What it answers. Raises ConfigError if it does not answer, or with anything but 200."""
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read(MOST_BYTES)
    except (OSError, HTTPException) as error:
        raise ConfigError(f"--url: {url} does not answer: {printable(str(error))}") from None
    finally:
        connection.close()
    if answer.status != 200:
        raise ConfigError(f"--url: {url}{path} answers with status {answer.status}")
    return body
