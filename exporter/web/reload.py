"""Reads --web.config.file and the files that it names, at the start and whenever one of them changes.

New users, headers, limits, certificates and client CAs apply from the next request or handshake on. Other changes of
TLS settings need a restart. An invalid change is logged, and the old configuration stays in force.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import TYPE_CHECKING

from exporter.config.web_config import read_web_config
from exporter.web.authentication import Access

if TYPE_CHECKING:
    from pathlib import Path

    from exporter.config.web_config import WebConfig

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0


class WebFiles:
    """The current content of the files."""

    def __init__(self, path: Path, *, without_users: bool = False) -> None:
        """Raises ValueError, which completes a sentence that begins with the path."""
        self._path = path
        self._without_users = without_users
        tls = read_web_config(path).tls_server_config
        # They cannot change: what is said of TLS does not.
        self._files = [
            path,
            *(path.parent / name for name in (tls.cert_file, tls.key_file, tls.client_ca_file) if name),
        ]
        self._seen = self._state()  # before they are read: what changes meanwhile is read again
        self._complaint = ""
        config, context = self._read()
        self.access = Access(config)
        self.tls = context
        """To listen with; each handshake goes on with the newest."""
        self._newest = context
        if context is not None:
            context.sni_callback = self._use_newest

    async def follow(self) -> None:
        """Check for changes, forever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Apply the changes since the last check."""
        seen = self._state()
        if seen == self._seen:
            return
        try:
            config, context = await asyncio.to_thread(self._read_again)
        except ValueError as error:
            # Tried again at every look: what was in the way may go without a trace in the files.
            if str(error) != self._complaint:
                self._complaint = str(error)
                log.warning("web configuration not reloaded", extra=_fields(file=self._path, error=error))
            return
        self._seen, self._complaint = seen, ""
        self.access.config, self._newest = config, context
        log.info("web configuration reloaded", extra=_fields(file=self._path))

    def _read(self) -> tuple[WebConfig, ssl.SSLContext | None]:
        config = read_web_config(self._path)
        if self._without_users and config.basic_auth_users:
            raise ValueError("has basic_auth_users, which cannot be used together with --web.auth-filter")
        tls = config.tls_server_config
        return config, tls.context(self._path.parent) if tls.is_enabled else None

    def _read_again(self) -> tuple[WebConfig, ssl.SSLContext | None]:
        config, context = self._read()
        if config.tls_server_config != self.access.config.tls_server_config:
            raise ValueError("has changed its TLS settings, which needs a restart")
        return config, context

    def _state(self) -> list[tuple[int, ...]]:
        """It changes whenever a file does, also where a link is turned to another file, as Kubernetes does it."""
        return [_state(file) for file in self._files]

    def _use_newest(self, handshake: ssl.SSLObject, _name: str | None, _listening: ssl.SSLContext) -> int | None:
        """OpenSSL asks this in every handshake, whether or not the client has named the server; returns its alert."""
        if handshake.session_reused:
            return ssl.ALERT_DESCRIPTION_HANDSHAKE_FAILURE  # it would be verified by what held when it began
        if self._newest is not None:
            handshake.context = self._newest
        return None


def _state(file: Path) -> tuple[int, ...]:
    try:
        status = file.stat()
    except OSError:
        return ()
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _fields(**fields: object) -> dict[str, dict[str, str]]:
    return {"fields": {name: str(value) for name, value in fields.items()}}
