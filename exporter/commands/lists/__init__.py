"""`watchslo lists`: what a LIST costs on one's own cluster, form by form.

It loads what it has announced, once somebody has agreed to that, and writes nothing.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING

from exporter.commands.lists.measuring import CommandRun, costs_of
from exporter.commands.lists.plan import announcement
from exporter.commands.lists.result import document
from exporter.commands.lists.sampling import plans_of
from exporter.commands.lists.table import table
from exporter.commands.progress_line import ProgressLine
from exporter.commands.running import completed, set_by_signal
from exporter.commands.text_table import folded, width_of
from exporter.config import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.commands.lists.result import CollectionCost
    from exporter.commands.lists.sampling import Plan
    from exporter.config import Config

__all__ = ["run"]

YES = frozenset({"y", "yes"})


def run(config: Config, watch_seconds: float, output: str, *, is_agreed: bool) -> int:
    """Print what LISTs cost: 0. Raises ConfigError if nothing can be said, or nobody agrees to what it will load.

    SIGINT and SIGTERM end it early, with the result so far; a second one ends it at once.
    """
    if not is_agreed and not sys.stdin.isatty():
        raise ConfigError("--yes: there is no terminal to ask whether it may load all objects: add the flag to agree")
    plans = completed(plans_of(config))
    _announce(plans, watch_seconds, reads_metrics=config.apiserver_metrics != "off")
    if not is_agreed and not _agrees():
        raise ConfigError("nothing more was loaded: the answer was not yes")
    # The question waits for a person, and no event loop does: its connections would be closed behind its back.
    costs = completed(_costs(config, watch_seconds, plans))
    text = json.dumps(document(costs), indent=2) if output == "json" else table(costs, width_of(sys.stdout))
    print(text)  # noqa: T201 a command line prints
    if not any(cost.is_said for cost in costs):
        raise ConfigError("no LIST came to its end")
    return 0


def _announce(plans: Sequence[Plan], watch_seconds: float, *, reads_metrics: bool) -> None:
    """Say what will be loaded, or why not. Raises ConfigError if there is nothing to load, or at a 429."""
    said = [
        f"{plan.name} on {plan.server.name}: "
        + (plan.trouble.said if plan.trouble is not None else "")
        + (announcement(plan.sample, plan.lists, watch_seconds, reads_metrics=reads_metrics) if plan.sample else "")
        for plan in plans
    ]
    if plans[-1].is_throttled:
        raise ConfigError(said[-1])
    if not any(plan.lists for plan in plans):
        raise ConfigError(said[0])
    for line in said:
        for part in folded(line, width_of(sys.stderr)):
            print(part, file=sys.stderr)  # noqa: T201 for the person who is asked


def _agrees() -> bool:
    print("Send them? [y/N] ", end="", file=sys.stderr, flush=True)  # noqa: T201 as above
    return sys.stdin.readline().strip().lower() in YES


async def _costs(config: Config, watch_seconds: float, plans: Sequence[Plan]) -> list[CollectionCost]:
    stopping = asyncio.Event()
    with set_by_signal(stopping), ProgressLine(sys.stderr) as progress:
        return await costs_of(CommandRun(config, watch_seconds, stopping, progress), plans)
