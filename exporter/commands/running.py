"""What commands have in common that measure by themselves, and are watched by a person."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import replace

from exporter.config import ConfigError
from exporter.credentials import CredentialsError
from exporter.service import loop
from exporter.service.daemon import reason_of

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from exporter.config import Config

_Value = TypeVar("_Value")


def completed(work: Coroutine[Any, Any, _Value]) -> _Value:
    """Run it to its end on an event loop of its own. Raises ConfigError, with the sentence, if it cannot start."""
    try:
        return loop.run(work)
    except (CredentialsError, OSError) as error:
        raise ConfigError(reason_of(error)) from None


def quieter(config: Config) -> Config:
    """Opened streams are not logged; on a terminal only errors may interrupt the progress line."""
    if config.log_level != "info":
        return config
    return replace(config, log_level="error" if sys.stderr.isatty() else "warn")


@contextmanager
def set_by_signal(stopping: asyncio.Event) -> Iterator[None]:
    """Set the event at the first SIGINT or SIGTERM within the block."""
    running = asyncio.get_running_loop()

    def stop(number: int) -> None:
        stopping.set()
        running.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        running.add_signal_handler(number, stop, number)
    yield
