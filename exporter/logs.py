"""Log records in, one line each on stderr out: logfmt or JSON. A record's fields come in `extra["fields"]`."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exporter.config import Config

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
LEVEL_NAMES = {number: name for name, number in LEVELS.items()}


def set_up(config: Config) -> None:
    """Log everything of this process to stderr, as the configuration says."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Json() if config.log_format == "json" else _Logfmt())
    logging.basicConfig(handlers=[handler], level=LEVELS[config.log_level], force=True)
    # aiohttp and asyncio speak only of what is wrong; their details are for people who debug them.
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    logging.getLogger("aiohttp").setLevel(logging.WARNING)


class _Fields(logging.Formatter):
    def fields(self, record: logging.LogRecord) -> dict[str, Any]:
        """Everything that the line says, in order."""
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
        return json.dumps(self.fields(record), default=str)


class _Logfmt(_Fields):
    def format(self, record: logging.LogRecord) -> str:
        return " ".join(f"{key}={_logfmt(value)}" for key, value in self.fields(record).items())


def _logfmt(value: object) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    needs_quotes = not text or any(character in ' "=\\' or not character.isprintable() for character in text)
    return json.dumps(text, ensure_ascii=False) if needs_quotes else text
