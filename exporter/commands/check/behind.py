"""Counts the apiservers behind an address: by the certificates it shows, and by the apiservers' identity Leases."""

from __future__ import annotations

import asyncio
import ssl
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from exporter.kubernetes.resources import LEASES
from exporter.kubernetes.session import AnswerError, Request
from exporter.measure.events import Lease  # noqa: TC001 msgspec reads it
from exporter.measure.write_times import is_apiservers_own, renewed_at

if TYPE_CHECKING:
    from exporter.credentials import Credentials
    from exporter.kubernetes.session import ApiSession, Server

CONNECTIONS = 6
CONNECTING_SECONDS = 5.0
IDENTITY = "apiserver.kubernetes.io/identity=kube-apiserver"

ALIVE_SECONDS = 60.0
"""Each apiserver renews its identity Lease every 10 s; that of one that has gone stays for an hour."""


class _Leases(msgspec.Struct):
    items: list[Lease] | None = None


async def certificates(server: Server, credentials: Credentials) -> int | None:
    """How many different certificates the address shows on a few connections; None where that cannot be asked.

    Apiservers that kubeadm set up have one each. One certificate proves nothing.
    """
    if not server.url.startswith("https") or credentials.proxy(server.url) is not None:
        return None
    try:
        async with asyncio.timeout(CONNECTING_SECONDS):
            shown = await asyncio.gather(*(_certificate(server, credentials) for _ in range(CONNECTIONS)))
    except (OSError, TimeoutError):
        return None
    return len(set(shown))


async def identities(session: ApiSession) -> int | None:
    """The number of apiservers that renew an identity Lease; None if that is not known, or we may not list Leases.

    Raises UNREACHABLE or CredentialsError.
    """
    try:
        request = Request(LEASES.path("kube-system"), {"labelSelector": IDENTITY})
        leases = (await session.read_json(_Leases, request)).items or []
    except AnswerError:
        return None
    renewed = [instant for lease in leases if is_apiservers_own(lease) and (instant := renewed_at(lease)) is not None]
    return sum(instant > max(renewed) - ALIVE_SECONDS for instant in renewed) or None


async def _certificate(server: Server, credentials: Credentials) -> bytes:
    address = urlsplit(server.url)
    name = credentials.tls_server_name or server.tls_name or address.hostname
    _, writer = await asyncio.open_connection(
        address.hostname, address.port or 443, ssl=credentials.ssl or ssl.create_default_context(), server_hostname=name
    )
    try:
        return sha256(writer.get_extra_info("ssl_object").getpeercert(binary_form=True) or b"").digest()
    finally:
        writer.close()
