"""Finds the apiservers of a cluster in the EndpointSlices of default/kubernetes, and which of them can be reached."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Address, ip_address
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import aiohttp
import msgspec

from exporter.config.names import is_dns_subdomain
from exporter.credentials import CredentialsError
from exporter.kubernetes.errors import StartError, translated
from exporter.kubernetes.resources import Name  # noqa: TC001 msgspec reads it
from exporter.kubernetes.session import UNREACHABLE, AnswerError, OnlyTLSError, Request, Server, too_much
from exporter.limits import refused_texts
from exporter.wording.quoting import printable
from exporter.wording.sentences import LONGEST, sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from exporter.kubernetes.session import ApiSession

SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"

MOST_APISERVERS = 64
"""Maximum of discovered apiservers: each needs memory and descriptors, and no cluster has nearly as many."""

MOST_ADDRESSES = 1000
"""As many as Kubernetes allows in one slice. A list with more is refused."""

REACHING_SECONDS = 5.0
"""An endpoint that can be reached has connected and answered long before."""


class _Endpoint(msgspec.Struct):
    addresses: tuple[Name, ...] = ()


class _Port(msgspec.Struct):
    port: int | None = 443


class _Slice(msgspec.Struct, rename="camel"):
    address_type: Name = ""
    endpoints: list[_Endpoint] | None = None
    ports: list[_Port] | None = None


class _Slices(msgspec.Struct):
    items: list[_Slice] | None = None


class Apiservers(NamedTuple):
    """The apiservers of a cluster, in order."""

    servers: list[Server]
    is_whole: bool
    """Whether the list is complete: no entry was left out as an invalid address."""


async def find_apiservers(session: ApiSession) -> Apiservers:
    """Every apiserver of the cluster that `session` talks to. Raises StartError.

    Their URLs have the scheme of `session`; their certificates are verified for the host name of `session`.
    """
    selector = {"labelSelector": "kubernetes.io/service-name=kubernetes"}
    with translated(SLICES):
        slices = await session.read_json(_Slices, Request(SLICES, selector))
        named = [
            (endpoint_slice.address_type, address, port.port)
            for endpoint_slice in slices.items or []
            for port in (endpoint_slice.ports or [_Port()])[:1]
            for endpoint in endpoint_slice.endpoints or []
            for address in endpoint.addresses
        ]
        if len(named) > MOST_ADDRESSES:
            raise too_much(f"{SLICES}: more than {MOST_ADDRESSES} addresses")
    addresses = [_address(*one) for one in named]
    refused = addresses.count(None)
    refused_texts.count("endpoint", refused)
    home = urlsplit(session.server.url)
    servers = [
        Server(f"{home.scheme}://{address}", is_one_apiserver=True, tls_name=home.hostname)
        for address in sorted({address for address in addresses if address is not None})
    ]
    return Apiservers(servers, is_whole=not refused)


def _address(address_type: str, text: str, port: int | None) -> str | None:
    """host:port; None if it is not a valid address."""
    if port is None or not 1 <= port <= 65535:
        return None
    if address_type == "FQDN":
        return f"{text}:{port}" if is_dns_subdomain(text) else None
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return f"{address}:{port}"
    return f"[{address}]:{port}" if address.scope_id is None else None


async def count_apiservers(session: ApiSession) -> int | None:
    """How many apiservers the cluster has; None if that is unknown or forbidden to us."""
    try:
        servers, is_whole = await find_apiservers(session)
    except StartError:
        return None
    return len(servers) or None if is_whole else None


async def why_unreached(
    home: Server, servers: Collection[Server], session_to: Callable[[Server], ApiSession]
) -> str | None:
    """Why none of `servers` answers, in one line; None as soon as one does, be it to refuse us. All are asked at once.

    None as well where there are none, or where one is `home`, which has just said that they are the apiservers.
    """
    if not servers or home.name in {server.name for server in servers}:
        return None
    asking = {server.name: asyncio.ensure_future(_why_unreached(session_to(server))) for server in servers}
    try:
        for asked in asyncio.as_completed(asking.values()):
            if await asked is None:
                return None
    finally:
        for task in asking.values():
            task.cancel()
        await asyncio.gather(*asking.values(), return_exceptions=True)
    named: dict[str, list[str]] = {}
    for name, task in asking.items():
        named.setdefault(task.result() or "", []).append(name)
    return printable("; ".join(f"{', '.join(names)}: {reason}" for reason, names in named.items()), LONGEST)


async def _why_unreached(session: ApiSession) -> str | None:
    try:
        await session.read(Request("/version", time_limit=aiohttp.ClientTimeout(total=REACHING_SECONDS)))
    except (OnlyTLSError, CredentialsError, *UNREACHABLE) as error:
        return sentence(error)
    except AnswerError:
        return None
    finally:
        await session.close()
    return None
