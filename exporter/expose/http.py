"""The HTTP side: /metrics, the probes, the page and the status, and the sockets they are served on.

The metrics and two callables come in: why we are not ready, and the status document. Answers go out.
It must not know the apiserver: every answer is made from what is here already, so none of them waits for it.
"""

import os
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry

from exporter.config import ListenAddress
from exporter.expose import landing, scrape
from exporter.expose.metrics import Metrics

if TYPE_CHECKING:
    from exporter.expose.access import Access
    from exporter.expose.auth_filter import AuthFilter

# How long a scrape in flight may take to finish when we are told to stop. For a client that reads nothing aiohttp
# waits this long twice, which is still well below a pod's grace period.
SHUTDOWN_SECONDS = 5.0

_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class _Answers:
    metrics: Metrics
    not_ready: Callable[[], Sequence[str]]
    status: Callable[[], Mapping[str, Any]]
    runtime: Sequence[CollectorRegistry]

    async def scrape(self, request: web.Request) -> web.StreamResponse:
        headers = {"Content-Type": scrape.CONTENT_TYPE, "Vary": "Accept-Encoding"}
        blocks = scrape.blocks(self.metrics, self.runtime)
        if accepts_gzip(request.headers.get("Accept-Encoding", "")):
            headers["Content-Encoding"] = "gzip"
            blocks = scrape.gzipped(blocks)
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        if request.method != "HEAD":
            await scrape.write_in_turns(blocks, response.write)
        await response.write_eof()
        return response

    async def live(self, _: web.Request) -> web.Response:
        # That the loop came round to this line is the whole answer. Asking the apiserver would restart the exporter
        # exactly when the apiserver is slow.
        return web.Response(text="ok\n")

    async def ready(self, _: web.Request) -> web.Response:
        reasons = [" ".join(reason.split()) for reason in self.not_ready()]
        if reasons:
            return web.Response(status=503, text="\n".join(reasons) + "\n")
        return web.Response(text="ok\n")

    async def page(self, _: web.Request) -> web.Response:
        slo = {
            "objective_ratio": self.metrics.objective_ratio.value or 0,
            "window_seconds": self.metrics.window_seconds,
            "threshold_seconds": self.metrics.threshold_seconds.value or 0,
        }
        text = landing.page(self.metrics.version, slo, self.status().get("streams", ()))
        return web.Response(text=text, content_type="text/html", headers=_PAGE_HEADERS)

    async def status_document(self, _: web.Request) -> web.Response:
        # msgspec writes null for what JSON has no number for: an upper end of +Inf is "no limit known".
        body = msgspec.json.encode(self.status())
        return web.Response(body=body, content_type="application/json", headers={"Cache-Control": "no-store"})


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether a client that sends this Accept-Encoding header takes gzip."""
    for coding in accept_encoding.lower().split(","):
        name, *parameters = (part.strip() for part in coding.split(";"))
        if name == "gzip":
            weights = [parameter.removeprefix("q=") for parameter in parameters if parameter.startswith("q=")]
            return all(weight.strip("0.") for weight in weights)
    return False


def application(
    metrics: Metrics,
    not_ready: Callable[[], Sequence[str]],
    status: Callable[[], Mapping[str, Any]],
    access: "Access | None" = None,
    auth_filter: "AuthFilter | None" = None,
) -> web.Application:
    """All paths; HEAD works wherever GET does, other methods get 405, other paths 404.

    `not_ready` returns one sentence per stream that is not ready. `status` returns the status document; its
    `streams` is a list of flat mappings, which the page shows as a table. Without `access` and
    `auth_filter` everybody may ask.
    """
    answers = _Answers(metrics, not_ready, status, scrape.runtime_registries())
    app = web.Application()
    if access is not None:
        access.guard(app)
    if auth_filter is not None:
        auth_filter.guard(app)
    app.add_routes(
        [
            web.get("/", answers.page),
            web.get("/metrics", answers.scrape),
            web.get("/livez", answers.live),
            web.get("/healthz", answers.live),
            web.get("/readyz", answers.ready),
            web.get("/api/v1/status", answers.status_document),
        ]
    )
    return app


async def serve(
    app: web.Application, listen_addresses: Iterable[ListenAddress], tls: ssl.SSLContext | None = None
) -> web.AppRunner:
    """Listen on every address; `await runner.cleanup()` stops and lets scrapes in flight finish.

    Raises OSError that names the address and the reason if one of them cannot be had; then none is served.
    """
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    for address in listen_addresses:
        try:
            await web.TCPSite(runner, address.host or None, address.port, ssl_context=tls).start()
        except OSError as error:
            await runner.cleanup()
            raise OSError(error.errno, f"cannot listen on {address}: {_reason(error)}") from error
    return runner


def _reason(error: OSError) -> str:
    # The event loops wrap the kernel's reason in sentences of their own; names that do not resolve have no errno.
    if isinstance(error, socket.gaierror) or error.errno is None:
        return error.strerror or str(error)  # from Python 3.13 on, asyncio says some of it in words alone
    return os.strerror(error.errno)
