"""Recognises a kubelet's probes, which have no password and are always answered."""

from aiohttp import web

PROBES = frozenset({"/livez", "/healthz", "/readyz"})
"""The paths that a kubelet requests: the answer is only yes or no."""


def is_probe(request: web.Request) -> bool:
    """Whether one of these paths will answer, however the client has spelled it."""
    resource = request.match_info.route.resource
    return resource is not None and resource.canonical in PROBES
