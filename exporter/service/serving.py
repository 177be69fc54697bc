"""The exporter's own HTTP servers: metrics, documents and the page, and the listener for audit webhooks."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

from exporter import descriptors
from exporter.config import ConfigError, ListenAddress
from exporter.config.names import is_loopback
from exporter.kubernetes.reviews import Reviews
from exporter.kubernetes.session import ApiSession
from exporter.service.apiserver import CountedCost
from exporter.service.fleet import home_of
from exporter.web import audit_webhook, http
from exporter.web.auth_filter import AuthFilter
from exporter.web.connections import Limits
from exporter.web.page.live import Page
from exporter.wording.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator
    from pathlib import Path

    from exporter.config import Config
    from exporter.credentials import Credentials
    from exporter.metrics.registry import Metrics
    from exporter.service.audit_intake import AuditIntake
    from exporter.web.connections import WebServer
    from exporter.web.page.live import Demo
    from exporter.web.page.look import Look
    from exporter.web.reload import WebFiles

log = logging.getLogger(__name__)


class Shown(Protocol):
    """What clients can ask for."""

    metrics: Metrics

    def not_ready(self, *, with_errors: bool) -> list[str]:
        """One sentence for each stream without an answer so far."""

    def status(self, *, has_errors: bool) -> Iterator[bytes]:
        """The status document in pieces."""

    def look(self, *, has_errors: bool) -> Look:
        """What the page shows now."""


class Serving(NamedTuple):
    """The servers, while they listen."""

    scheme: str
    addresses: list[tuple[str, int]]
    """Host and port of each listening socket."""
    files: list[WebFiles]
    """To be followed: they may change."""


@asynccontextmanager
async def serving(
    config: Config, credentials: Credentials, shown: Shown, intake: AuditIntake, demo: Demo | None
) -> AsyncIterator[Serving]:
    """Listen until the block is left; then a scrape in progress is finished.

    Raises OSError if an address cannot be listened on, ConfigError if a configuration file has become invalid.
    """
    files = _web_files("--web.config.file", config.web_config_file, without_users=config.auth_filter)
    webhook_files = _web_files("--audit.web-config.file", config.audit_web_config_file)
    async with AsyncExitStack() as stack:
        auth_filter = None
        if config.auth_filter:
            # A session of its own, so that our clients' requests do not delay measurements.
            home = home_of(credentials)
            reviews = ApiSession(home, credentials, cost=CountedCost(shown.metrics, home))
            stack.push_async_callback(reviews.close)
            auth_filter = AuthFilter(Reviews(reviews).status)
        server = await _serve(config, shown, files, auth_filter, demo)
        stack.push_async_callback(server.cleanup)
        if webhook_files is not None and config.audit_listen_addresses:
            webhook = await _serve_webhook(config, shown.metrics, webhook_files, intake)
            stack.push_async_callback(webhook.cleanup)
        scheme = "https" if files and files.tls else "http"
        addresses = [address[:2] for address in server.addresses]
        _log(scheme, addresses, is_filtered=auth_filter is not None)
        yield Serving(scheme, addresses, [one for one in (files, webhook_files) if one is not None])


async def _serve(
    config: Config, shown: Shown, files: WebFiles | None, auth_filter: AuthFilter | None, demo: Demo | None
) -> WebServer:
    # Probes need no authentication, so their answers contain no messages from apiservers.
    not_ready = partial(shown.not_ready, with_errors=False)
    access = files.access if files else None
    is_protected = http.protection(access, auth_filter)
    page = Page(lambda: shown.look(has_errors=is_protected()), demo)
    app = http.application(
        shown.metrics, not_ready, lambda: shown.status(has_errors=is_protected()), access, auth_filter, page
    )
    # Half of the file descriptors is reserved for watches, whatever clients do.
    connections = min(config.web_max_connections, max(1, descriptors.limit() // 2))
    limits = Limits(connections=connections, requests=config.web_max_requests)
    return await http.serve(app, config.listen_addresses, files.tls if files else None, limits)


async def _serve_webhook(config: Config, metrics: Metrics, files: WebFiles, intake: AuditIntake) -> WebServer:
    app = audit_webhook.application(metrics, intake.take)
    files.access.guard(app)
    server = await http.serve(app, config.audit_listen_addresses, files.tls, audit_webhook.LIMITS)
    for host, port, *_ in server.addresses:
        log.info("listening for audit webhooks", extra={"fields": {"address": str(ListenAddress(host, port))}})
    return server


def _log(scheme: str, addresses: Iterable[tuple[str, int]], *, is_filtered: bool) -> None:
    for host, port in addresses:
        log.info("listening", extra={"fields": {"scheme": scheme, "address": str(ListenAddress(host, port))}})
    readable = tokens_in_the_clear(scheme, [host for host, _ in addresses])
    if is_filtered and readable is not None:
        log.warning(readable)


def _web_files(flag: str, path: Path | None, *, without_users: bool = False) -> WebFiles | None:
    if path is None:
        return None
    from exporter.web.reload import WebFiles  # noqa: PLC0415 it imports bcrypt, which few users need

    try:
        return WebFiles(path, without_users=without_users)
    except ValueError as error:
        raise ConfigError(f"{flag}: {quoted(str(path))} {error}") from None


def tokens_in_the_clear(scheme: str, hosts: Iterable[str]) -> str | None:
    """A warning if --web.auth-filter is used without TLS on addresses that others can reach."""
    if scheme == "https" or all(map(is_loopback, hosts)):
        return None
    return "--web.auth-filter without TLS: whoever is on the way can read tokens; --web.config.file gives a certificate"
