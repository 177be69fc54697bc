"""Writes each log record to stderr as one line of logfmt or JSON. A record's fields are in `extra["fields"]`.

A line is always printable ASCII, because terminals interpret some Unicode characters and some programs treat them as
line ends.
"""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exporter.config import Config

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
LEVEL_NAMES = {number: name for name, number in LEVELS.items()}

_BARE = re.compile(r"[!#-<>-\[\]-~]+")
"""Printable ASCII without space, quotation mark, equals sign and backslash."""


def set_up(config: Config) -> None:
    """Log to stderr with the configured format and level."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Json() if config.log_format == "json" else _Logfmt())
    logging.basicConfig(handlers=[handler], level=LEVELS[config.log_level], force=True)
    # The debug messages of aiohttp and asyncio are only useful to debug those.
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    logging.getLogger("aiohttp").setLevel(logging.WARNING)


class _Fields(logging.Formatter):
    def fields(self, record: logging.LogRecord) -> dict[str, Any]:
        """The fields of the line, in order."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        said = {
            "ts": at.replace("+00:00", "Z"),
            "level": LEVEL_NAMES.get(record.levelno, record.levelname.lower()),
            "msg": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            said["traceback"] = self.formatException(record.exc_info)
        return said


class _Json(_Fields):
    def format(self, record: logging.LogRecord) -> str:
        return _json(self.fields(record))


class _Logfmt(_Fields):
    def format(self, record: logging.LogRecord) -> str:
        return " ".join(f"{key}={_logfmt(value)}" for key, value in self.fields(record).items())


def _logfmt(value: object) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    return text if _BARE.fullmatch(text) else _json(text)


def _json(value: object) -> str:
    # DEL is ASCII but not printable, and json.dumps does not escape it.
    return json.dumps(value, default=str).replace("\x7f", "\\u007f")
