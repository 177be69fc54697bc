"""`watchslo measure`: measures once for a duration, and prints one result as a table or as JSON.

The same parts as the daemon's judge the events; nothing is served.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from exporter.commands.measure.measuring import Measurement
from exporter.commands.measure.progress import Progress
from exporter.commands.measure.result import EXIT_CODES, document
from exporter.commands.measure.table import table
from exporter.commands.text_table import width_of
from exporter.credentials import CredentialsError
from exporter.service import logs, loop
from exporter.service.canary import too_few_alone
from exporter.service.daemon import CANNOT_START, load_credentials, reason_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.commands.measure.result import Result
    from exporter.config import Config

__all__ = ["quieter", "run", "set_by_signal"]


def run(config: Config, duration_seconds: float, output: str) -> int:
    """Print the result of one measurement: 0 met, 1 violated, 3 unknown; 2 if the credentials are not accepted.

    SIGINT and SIGTERM end it early, with the result so far; a second one ends it at once.
    """
    logs.set_up(quieter(config))
    if (warning := too_few_alone(config, duration_seconds)) is not None:
        print(f"watchslo: warning: {warning}", file=sys.stderr)  # noqa: T201 for the person who started it
    try:
        result = loop.run(_measured(config, duration_seconds))
    except (CredentialsError, OSError) as error:
        return _cannot_start(reason_of(error))
    if result.refused is not None:
        return _cannot_start(result.refused)
    # No value is infinite or NaN: JSON has no word for those.
    text = (
        json.dumps(document(result), indent=2, allow_nan=False)
        if output == "json"
        else table(result, width_of(sys.stdout))
    )
    print(text)  # noqa: T201 a command line prints
    return EXIT_CODES[result.verdict]


def _cannot_start(why: str) -> int:
    print(f"watchslo: error: {why}", file=sys.stderr)  # noqa: T201 for the person who started it
    return CANNOT_START


def quieter(config: Config) -> Config:
    """Opened streams are not logged; on a terminal only errors may interrupt the progress line."""
    if config.log_level != "info":
        return config
    return replace(config, log_level="error" if sys.stderr.isatty() else "warn")


async def _measured(config: Config, duration_seconds: float) -> Result:
    stopping = asyncio.Event()
    credentials = await load_credentials(config)
    with set_by_signal(stopping), Progress(sys.stderr, duration_seconds) as progress:
        return await Measurement(config, credentials, duration_seconds, stopping, progress).run()


@contextmanager
def set_by_signal(stopping: asyncio.Event) -> Iterator[None]:
    """Set the event at the first SIGINT or SIGTERM within the block."""
    loop = asyncio.get_running_loop()

    def stop(number: int) -> None:
        stopping.set()
        loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    yield
