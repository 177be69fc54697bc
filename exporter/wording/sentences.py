"""Describes any failed request to an apiserver in one line, for logs, status, /readyz and `check`.

It shows no names and internals of libraries, and uses the operating system's own words where possible. Errors of our
own have sentences already.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
from typing import TYPE_CHECKING, Any

import aiohttp

from exporter.wording.quoting import NO_TLS, printable

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST = 600
"""Characters of a sentence: an admission may have much to say."""

_AROUND_OPENSSL = re.compile(r"^\[[^\]]*\] | \(_ssl\.c:[0-9]+\)$")
_ERRNO = re.compile(r"\[Errno ([0-9]+)\]")


def sentence(error: BaseException) -> str:
    """The error message in one line."""
    said = next((words(error) for kind, words in _WORDS if isinstance(error, kind)), str(error))
    return printable(" ".join(said.split()), LONGEST) or "unknown cause"


def _of_certificate(refused: Exception) -> str:
    return f"the certificate is not accepted: {getattr(refused, 'verify_message', None) or refused}"


def _of_system(error: OSError) -> str:
    """The operating system's message, without the text that libraries and event loops wrap around it."""
    refused = error if isinstance(error, ssl.SSLError) else error.__cause__
    if isinstance(refused, ssl.SSLError):
        if refused.reason in NO_TLS:
            return "the server does not use TLS: use http:// if that is intended"
        return f"TLS: {_AROUND_OPENSSL.sub('', str(refused.strerror or refused))}"
    if isinstance(error, socket.gaierror):  # its numbers are not errno values
        return error.strerror or str(error)
    number = error.errno
    if not number and (first := _ERRNO.search(str(error))):  # of the first of several addresses that were tried
        number = int(first[1])
    said = os.strerror(number) if number else error.strerror or str(error)
    return f"{error.filename}: {said}" if error.filename else said


_WORDS: tuple[tuple[type[BaseException], Callable[[Any], str]], ...] = (
    # Subclasses come before their base classes.
    (aiohttp.InvalidURL, lambda _: "the URL, or the URL of a proxy, is invalid"),
    (aiohttp.ClientHttpProxyError, lambda error: f"the proxy refuses the connection: HTTP {error.status}"),
    (aiohttp.ClientProxyConnectionError, lambda error: f"no connection to the proxy: {_of_system(error.os_error)}"),
    (aiohttp.ClientConnectorCertificateError, lambda error: _of_certificate(error.certificate_error)),
    (aiohttp.ClientConnectorError, lambda error: f"no connection: {_of_system(error.os_error)}"),
    (aiohttp.ServerDisconnectedError, lambda _: "the connection was closed without an answer"),
    (aiohttp.ClientPayloadError, lambda _: "the connection was closed in the middle of the answer"),
    (aiohttp.ClientResponseError, lambda _: "the answer is not HTTP"),
    (TimeoutError, lambda _: "no answer in time"),
    (aiohttp.ClientOSError, lambda error: f"the connection broke: {_of_system(error)}"),
    (aiohttp.ClientConnectionError, lambda _: "the connection was closed"),
    (OSError, _of_system),
)
