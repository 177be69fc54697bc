"""`watchslo lists` in this process, without its question."""

import asyncio
import io

from exporter.commands.lists.measuring import CommandRun, costs_of
from exporter.commands.lists.result import FORMS, CollectionCost, Form, ListCost
from exporter.commands.lists.sampling import Plan, plans_of
from exporter.commands.progress_line import ProgressLine
from exporter.config import Config


async def costs(settled: Config, plans: list[Plan] | None = None, watch_seconds: float = 0.1) -> list[CollectionCost]:
    """Of these plans, or of new ones."""
    run = CommandRun(settled, watch_seconds, asyncio.Event(), ProgressLine(io.StringIO()))
    return await costs_of(run, await plans_of(settled) if plans is None else plans)


def by_form(cost: CollectionCost) -> dict[Form, ListCost]:
    assert tuple(one.form for one in cost.lists) == FORMS
    return {one.form: one for one in cost.lists}
