"""Which apiservers a cluster has, as the EndpointSlices of the Service default/kubernetes say it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from exporter.kubernetes.session import Server
from exporter.kubernetes.watch import StartError, translated

if TYPE_CHECKING:
    from exporter.kubernetes.session import ApiSession

SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"


class _Endpoint(msgspec.Struct):
    addresses: list[str] = []


class _Port(msgspec.Struct):
    name: str = ""
    port: int = 443


class _Slice(msgspec.Struct):
    endpoints: list[_Endpoint] | None = None
    ports: list[_Port] | None = None


class _Slices(msgspec.Struct):
    items: list[_Slice] | None = None


async def apiserver_servers(session: ApiSession) -> list[Server]:
    """Every apiserver of the cluster that `session` talks to, in order. Raises StartError.

    They are reached as the cluster is, and show its certificate: for its name, not for their address.
    """
    selector = {"labelSelector": "kubernetes.io/service-name=kubernetes"}
    with translated(SLICES):
        slices = msgspec.convert(await session.get_json(SLICES, selector), _Slices)
    home = urlsplit(session.server.url)
    addresses = {
        f"[{address}]:{port.port}" if ":" in address else f"{address}:{port.port}"
        for endpoint_slice in slices.items or []
        for port in (endpoint_slice.ports or [_Port()])[:1]
        for endpoint in endpoint_slice.endpoints or []
        for address in endpoint.addresses
    }
    return [
        Server(f"{home.scheme}://{address}", is_one_apiserver=True, tls_name=home.hostname)
        for address in sorted(addresses)
    ]


async def count_apiservers(session: ApiSession) -> int | None:
    """How many apiservers the cluster has; None if it does not say, or not to us."""
    try:
        return len(await apiserver_servers(session)) or None
    except StartError:
        return None
