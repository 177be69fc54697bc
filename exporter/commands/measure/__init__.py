"""`watchslo measure`: measures once for a duration, and prints one result as a table or as JSON.

The same parts as the daemon's judge the events; nothing is served.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING

from exporter.commands.measure.measuring import Measurement
from exporter.commands.measure.progress import Progress
from exporter.commands.measure.result import EXIT_CODES, document
from exporter.commands.measure.table import table
from exporter.commands.running import completed, quieter, set_by_signal
from exporter.commands.text_table import width_of
from exporter.config import ConfigError
from exporter.service import logs
from exporter.service.canary import too_few_alone
from exporter.service.daemon import load_credentials

if TYPE_CHECKING:
    from exporter.commands.measure.result import Result
    from exporter.config import Config

__all__ = ["run"]


def run(config: Config, duration_seconds: float, output: str) -> int:
    """Print the result of one measurement: 0 met, 1 violated, 3 unknown. Raises ConfigError if nothing can be measured.

    SIGINT and SIGTERM end it early, with the result so far; a second one ends it at once.
    """
    logs.set_up(quieter(config))
    if (warning := too_few_alone(config, duration_seconds)) is not None:
        print(f"watchslo: warning: {warning}", file=sys.stderr)  # noqa: T201 for the person who started it
    result = completed(_measured(config, duration_seconds))
    if result.refused is not None:
        raise ConfigError(result.refused)
    # No value is infinite or NaN: JSON has no word for those.
    text = (
        json.dumps(document(result), indent=2, allow_nan=False)
        if output == "json"
        else table(result, width_of(sys.stdout))
    )
    print(text)  # noqa: T201 a command line prints
    return EXIT_CODES[result.verdict]


async def _measured(config: Config, duration_seconds: float) -> Result:
    stopping = asyncio.Event()
    credentials = await load_credentials(config)
    with set_by_signal(stopping), Progress(sys.stderr, duration_seconds) as progress:
        return await Measurement(config, credentials, duration_seconds, stopping, progress).run()
