"""A cluster in which everything that can come and go does, over and over.

Objects, custom resource definitions, apiservers and the addresses that lead to them, credentials, connections.
"""

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Self

import aiohttp

from tests.real.api import ApiError
from tests.real.cluster import Cluster
from tests.real.custom_resources import CustomResource
from tests.real.process import ServerFailedError
from tests.real.proxy import Proxy
from tests.real.workload import Writer
from tests.support.configuring import write_kubeconfig

USERS = ("admin", "soak")
"""Whose tokens the token file holds in turns."""

PERIOD_SECONDS = 120.0
"""After this all is as it was, but for the second apiserver, which is restarted every other time."""

GROUP = "example.com"
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
WRITES_PER_SECOND = 20.0
PASSING = (ApiError, ServerFailedError, aiohttp.ClientError, TimeoutError)
"""What writers meet while an apiserver is away."""


class Churn:
    """Comes and goes between entering and leaving; `done` counts what."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.done: Counter[str] = Counter()
        self._home, self._second = Proxy(cluster.apiservers[0].url), cluster.apiservers[1]
        self._passing: Proxy | None = None
        self._token_file = cluster.folder / "token"
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        enter = self._stack.enter_async_context
        await self.cluster.create_resource()
        await self.cluster.grant("soak", ["list", "watch"], "*", ["*"])
        self._stack.enter_context(self._home)
        await self._list_apiservers()
        self._write_token(0)
        self._client = await enter(self.cluster.client())
        self._writer = await enter(Writer(self._client, rate_per_second=WRITES_PER_SECOND))
        tasks = await enter(asyncio.TaskGroup())
        ways: list[tuple[float, Callable[[int], Awaitable[None] | None]]] = [
            (1.0, self._configmap),
            (30.0, self._definition),
            (60.0, self._endpoint),
            (20.0, self._cut),
            (30.0, self._write_token),
            (PERIOD_SECONDS, self._compact),
            (2 * PERIOD_SECONDS, self._restart),
        ]
        running = [tasks.create_task(self._again(seconds, way)) for seconds, way in ways]
        self._stack.callback(lambda: [task.cancel() for task in running])
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()
        if self._passing is not None:
            self._passing.__exit__(None, None, None)
        self.done["objects written"] = len(self._writer.writes) + len(self._writer.unversioned)

    @property
    def kubeconfig(self) -> Path:
        """With the token file, through an address whose connections are cut."""
        user = {"tokenFile": str(self._token_file)}
        authority = self.cluster.authority.bundle
        return write_kubeconfig(self.cluster.folder, self._home.url, user=user, authority=authority)

    async def _again(self, seconds: float, way: Callable[[int], Awaitable[None] | None]) -> None:
        for number in itertools.count(1):
            await asyncio.sleep(seconds)
            try:
                awaited = way(number)
                if awaited is not None:
                    await awaited
                self.done[way.__name__.strip("_").replace("_", " ")] += 1
            except PASSING as error:
                self.done[f"failed: {way.__name__.strip('_')}, {type(error).__name__}"] += 1

    async def _configmap(self, number: int) -> None:
        """One is made, the one before is changed, an older one deleted."""
        body = {"metadata": {"name": f"soak-{number}"}, "data": {"number": str(number)}}
        await self._client.post(CONFIG_MAPS, body)
        if number > 10:
            await self._client.patch(f"{CONFIG_MAPS}/soak-{number - 1}", {"data": {"number": "again"}})
            await self._client.delete(f"{CONFIG_MAPS}/soak-{number - 10}")

    async def _definition(self, number: int) -> None:
        """A kind that never was before, in the group that is watched; the one before it goes."""
        with contextlib.suppress(ApiError):  # there is none the first time, nor if it could not be made
            await self.cluster.delete_resource(_kind(number - 1))
        await self.cluster.create_resource(_kind(number))
        await self._client.post(_kind(number).path(), _kind(number).object("only"))

    async def _endpoint(self, number: int) -> None:
        """An address that never was before is one of the cluster's; a minute later it is none, and nobody is there."""
        if number % 2:
            self._passing = Proxy(self.cluster.apiservers[number // 2 % 2].url)
            self._passing.__enter__()
            await self._list_apiservers(self._passing.url)
        elif self._passing is not None:
            await self._list_apiservers()
            self._passing.__exit__(None, None, None)
            self._passing = None

    async def _list_apiservers(self, *more: str) -> None:
        await self.cluster.list_apiservers(self._home.url, self._second.url, *more)

    def _cut(self, _: int) -> None:
        """Every connection to the first apiserver is reset."""
        self._home.cut_all()

    def _write_token(self, number: int) -> None:
        """Another user's token, in one step, as kubelets do it."""
        new = self._token_file.with_suffix(".new")
        new.write_text(self.cluster.token(USERS[number % len(USERS)]), encoding="utf-8")
        new.replace(self._token_file)

    async def _compact(self, _: int) -> None:
        """Who resumes from before gets 410."""
        await self.cluster.etcd.compact()

    async def _restart(self, _: int) -> None:
        """The second apiserver is killed, and is back some seconds later."""
        await self._second.restart()


def _kind(number: int) -> CustomResource:
    return CustomResource(GROUP, f"soak{number}s")
