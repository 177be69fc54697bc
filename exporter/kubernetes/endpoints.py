"""Which apiservers a cluster has, as the EndpointSlices of the Service default/kubernetes say it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from exporter.kubernetes.credentials import CredentialsError
from exporter.kubernetes.session import UNREACHABLE, AnswerError

if TYPE_CHECKING:
    from exporter.kubernetes.session import ApiSession

SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"


class _Endpoint(msgspec.Struct):
    addresses: list[str] = []


class _Slice(msgspec.Struct):
    endpoints: list[_Endpoint] | None = None


class _Slices(msgspec.Struct):
    items: list[_Slice] | None = None


async def count_apiservers(session: ApiSession) -> int | None:
    """How many apiservers the cluster has; None if it does not say, or not to us."""
    selector = {"labelSelector": "kubernetes.io/service-name=kubernetes"}
    try:
        slices = msgspec.convert(await session.get_json(SLICES, selector), _Slices)
    except (AnswerError, CredentialsError, msgspec.ValidationError, *UNREACHABLE):
        return None
    addresses = {
        address
        for endpoint_slice in slices.items or []
        for endpoint in endpoint_slice.endpoints or []
        for address in endpoint.addresses
    }
    return len(addresses) or None
