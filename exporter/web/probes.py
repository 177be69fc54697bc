"""Requests in; whether they are a kubelet's, which has no password, whatever others do."""

from aiohttp import web

PROBES = frozenset({"/livez", "/healthz", "/readyz"})
"""What a kubelet asks: it learns yes or no."""


def is_probe(request: web.Request) -> bool:
    """Whether one of these paths will answer, however the client has spelled it."""
    resource = request.match_info.route.resource
    return resource is not None and resource.canonical in PROBES
