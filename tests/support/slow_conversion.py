"""Writes that come late because a conversion webhook is slow."""

import asyncio
import time

from tests.real.api import ApiClient
from tests.real.custom_resources import CustomResource
from tests.real.webhooks import Webhooks
from tests.real.workload import Writer

CONVERSION_SECONDS = 2.0


WRITES = 8


async def write_slowly(client: ApiClient, webhooks: Webhooks, gadgets: CustomResource) -> None:
    """While each object of theirs is converted for two seconds, nodes are written as ever."""
    webhooks.conversion_delay_seconds = CONVERSION_SECONDS
    await asyncio.sleep(1)
    async with Writer(client, rate_per_second=30, resources=("nodes",)):
        # One after the other: written faster than the webhook answers, the lag would grow.
        for number in range(WRITES):
            next_write = time.monotonic() + CONVERSION_SECONDS * 1.1
            await client.post(gadgets.path(), gadgets.object(f"one-{number}"))
            await asyncio.sleep(max(0, next_write - time.monotonic()))
    await asyncio.sleep(CONVERSION_SECONDS + 1)
    webhooks.conversion_delay_seconds = 0
