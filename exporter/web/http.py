"""The HTTP endpoints: /metrics, the probes, the status and the page's, and the sockets that they are served on.

The server gets the metrics and two callables: the reasons why we are not ready, and the status document.
It does not know the apiserver: every answer is made from data in memory, so none of them waits for it.
"""

import os
import re
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry

from exporter.config import ListenAddress
from exporter.metrics import protobuf, scrape
from exporter.metrics.registry import Metrics
from exporter.web import pieces
from exporter.web.connections import Limits, WebServer, name_server
from exporter.web.page.live import is_stream
from exporter.web.probes import is_probe

if TYPE_CHECKING:
    from exporter.web.auth_filter import AuthFilter
    from exporter.web.authentication import Access
    from exporter.web.page.live import Page

METRICS = web.AppKey("metrics", Metrics)
"""Where refused clients are counted."""


class _Answers(msgspec.Struct, frozen=True):
    metrics: Metrics
    not_ready: Callable[[], Sequence[str]]
    status: Callable[[], Iterable[bytes]]
    runtime: Sequence[CollectorRegistry]

    @property
    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/metrics", self.scrape),
            web.get("/livez", self.live),
            web.get("/healthz", self.live),
            web.get("/readyz", self.ready),
            web.get("/api/v1/status", self.status_document),
        ]

    async def scrape(self, request: web.Request) -> web.StreamResponse:
        if self.metrics.histograms != "classic" and accepts_protobuf(request.headers.get("Accept", "")):
            content_type, blocks = protobuf.CONTENT_TYPE, scrape.protobuf_blocks(self.metrics, self.runtime)
        else:
            content_type, blocks = scrape.CONTENT_TYPE, scrape.blocks(self.metrics, self.runtime)
        headers = {"Content-Type": content_type, "Vary": "Accept, Accept-Encoding"}
        if accepts_gzip(request.headers.get("Accept-Encoding", "")):
            headers["Content-Encoding"] = "gzip"
            blocks = scrape.gzipped(blocks)
        return await pieces.answer(request, headers, blocks)

    async def live(self, _: web.Request) -> web.Response:
        # That the loop came round to this line is the whole answer. Asking the apiserver would restart the exporter
        # exactly when the apiserver is slow.
        return web.Response(text="ok\n")

    async def ready(self, _: web.Request) -> web.Response:
        reasons = [" ".join(reason.split()) for reason in self.not_ready()]
        if reasons:
            return web.Response(status=503, text="\n".join(reasons) + "\n")
        return web.Response(text="ok\n")

    async def status_document(self, request: web.Request) -> web.StreamResponse:
        headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
        return await pieces.answer(request, headers, self.status())


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether a client that sends this Accept-Encoding header takes gzip."""
    return next((weight > 0 for coding, _, weight in _weighted(accept_encoding) if coding == "gzip"), False)


def accepts_protobuf(accept: str) -> bool:
    """Whether a client that sends this Accept header takes Prometheus' protobuf no less gladly than its text."""
    protobuf_weight = text_weight = 0.0
    for kind, parameters, weight in _weighted(accept):
        if kind == "application/vnd.google.protobuf" and parameters >= _PROTOBUF:
            protobuf_weight = max(protobuf_weight, weight)
        elif kind == "text/plain":
            text_weight = max(text_weight, weight)
    return protobuf_weight > 0 and protobuf_weight >= text_weight


_PROTOBUF = {"proto=io.prometheus.client.metricfamily", "encoding=delimited"}


def _weighted(header: str) -> Iterator[tuple[str, set[str], float]]:
    """What a client accepts, in lower case: the name, its parameters, and how gladly from 0 to 1."""
    for accepted in header.lower().split(","):
        name, *parameters = (part.strip() for part in accepted.split(";"))
        weights = [parameter.removeprefix("q=") for parameter in parameters if parameter.startswith("q=")]
        yield name, {"=".join(map(str.strip, one.split("=", 1))) for one in parameters}, _weight(weights)


def _weight(texts: Sequence[str]) -> float:
    """As RFC 9110 has it, at most three digits; what is no such number is no wish."""
    if not texts:
        return 1.0
    return float(texts[0]) if all(_WEIGHT.fullmatch(text) for text in texts) else 0.0


_WEIGHT = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")


def protection(access: "Access | None", auth_filter: "AuthFilter | None") -> Callable[[], bool]:
    """Whether clients have to authenticate, at the moment of each call: files of passwords may change."""

    def is_protected() -> bool:
        return auth_filter is not None or (access is not None and access.is_protected)

    return is_protected


def application(  # noqa: PLR0913, PLR0917 what is told, and to whom
    metrics: Metrics,
    not_ready: Callable[[], Sequence[str]],
    status: Callable[[], Iterable[bytes]],
    access: "Access | None" = None,
    auth_filter: "AuthFilter | None" = None,
    page: "Page | None" = None,
) -> web.Application:
    """All paths; HEAD works wherever GET does, other methods get 405, other paths 404.

    `not_ready` returns one sentence per stream that is not ready, which everybody may read. `status` returns the
    status document in pieces, each of which it makes when it is asked for.
    """
    answers = _Answers(metrics, not_ready, status, scrape.runtime_registries())
    app = web.Application()
    app[METRICS] = metrics
    app.on_response_prepare.append(without_version)
    if access is not None:
        access.guard(app)
    if auth_filter is not None:
        auth_filter.guard(app)
    app.add_routes(answers.routes)
    if page is not None:
        app.add_routes(page.routes)
        app.on_shutdown.append(page.stop)
    return app


async def without_version(_request: web.Request, response: web.StreamResponse) -> None:
    """Name the server, and no more of it."""
    name_server(response)


async def serve(
    app: web.Application,
    listen_addresses: Iterable[ListenAddress],
    tls: ssl.SSLContext | None = None,
    limits: Limits = Limits(),  # noqa: B008 it is frozen
) -> WebServer:
    """Listen on every address; `await server.cleanup()` stops and lets scrapes in flight finish.

    Raises OSError that names the address and the reason if one of them cannot be had; then none is served.
    """
    server = WebServer(app[METRICS].web_refused, limits, is_probe, is_stream)
    app.middlewares.append(server.admit)
    for address in listen_addresses:
        try:
            await server.bind(address.host, address.port)
        except OSError as error:
            await server.cleanup()
            raise OSError(error.errno, f"cannot listen on {address}: {_reason(error)}") from error
    await server.start(app, tls)
    return server


def _reason(error: OSError) -> str:
    # Names that do not resolve have no errno of the kernel's.
    if isinstance(error, socket.gaierror) or error.errno is None:
        return error.strerror or str(error)
    return os.strerror(error.errno)
