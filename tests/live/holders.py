"""Holders of leases: a client in, renewals out whose commit lies between sending and answer."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from tests.real.api import ApiClient

RENEW_PERIOD_SECONDS = 0.2
PATH = "/apis/coordination.k8s.io/v1/namespaces/default/leases"


class Holder:
    """Renews a lease of its own as the lease controller of component-helpers does; its clock may be set wrong.

    `renewals` says for each revision when its renewal was sent and when it was answered.
    """

    def __init__(self, name: str, *, ahead_seconds: float = 0.0) -> None:
        self.name = name
        self.renewals: dict[int, tuple[float, float]] = {}
        self._ahead = timedelta(seconds=ahead_seconds)

    @contextlib.asynccontextmanager
    async def renewing(self, client: ApiClient) -> AsyncIterator[None]:
        """Renew five times a second until the end of the block, and leave nothing behind."""
        await client.post(PATH, {"metadata": {"name": self.name}, "spec": {"holderIdentity": self.name}})
        renewing = asyncio.create_task(self._renew_for_ever(client))
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.wait({renewing})
            await client.delete(f"{PATH}/{self.name}")

    async def _renew_for_ever(self, client: ApiClient) -> None:
        for number in itertools.count():
            sent = time.monotonic()
            renew_time = f"{datetime.now(UTC) + self._ahead:%Y-%m-%dT%H:%M:%S.%fZ}"
            spec = {"renewTime": renew_time, "leaseTransitions": number}
            renewed = await client.patch(f"{PATH}/{self.name}", {"spec": spec})
            self.renewals[int(renewed["metadata"]["resourceVersion"])] = (sent, time.monotonic())
            await asyncio.sleep(RENEW_PERIOD_SECONDS)
