"""Two controllers of client-go that want one object each for itself, on a real apiserver: the audit log names both."""

import asyncio
import re
import subprocess
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Self

import pytest

from tests.conftest import FreshCluster
from tests.live.auditing import WAIT_SECONDS, recorded
from tests.real.cluster import Cluster
from tests.speed.consumers import has_go, informer_binary
from tests.support.waiting import wait_until

OBJECT = "fought-over"
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
WRITES = 60
CONFLICTS = 15


class Controller:
    """One of them. It says itself which revisions it has written, and how often it met a conflict."""

    def __init__(self, kubeconfig: Path, user: str) -> None:
        self.user = user
        self.agent = f"{user}-controller"
        self.written: list[int] = []
        self.told: Counter[str] = Counter()
        self._words = ("-kubeconfig", str(kubeconfig), "-agent", self.agent, "-name", OBJECT)

    async def __aenter__(self) -> Self:
        binary = await asyncio.to_thread(informer_binary, "./fighting")
        self._process = await asyncio.create_subprocess_exec(binary, *self._words, stdout=subprocess.PIPE)
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._process.terminate()
        await self._process.wait()
        await self._reading

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            what, *revision = line.decode().split()
            self.told[what] += 1
            self.written += map(int, revision)


async def controller(cluster: Cluster, folder: Path, user: str) -> Controller:
    await cluster.grant(user, ["get", "list", "watch", "update"], "", ["configmaps"], "default")
    return Controller(cluster.kubeconfig(folder / user, user=user), user)


def turns_of(*controllers: Controller) -> int:
    """How often one wrote who had written before, but not last: the revisions are their order."""
    writers = [user for _, user in sorted((revision, one.user) for one in controllers for revision in one.written)]
    changes = sum(before != after for before, after in pairwise(writers))
    return changes - (len(controllers) - 1)


@pytest.mark.timeout(400)
@pytest.mark.skipif(not has_go(), reason="the controllers are not there: install Go")
async def test_two_controllers_that_fight_are_named_with_their_turns_and_conflicts(
    fresh_cluster: FreshCluster, tmp_path: Path
) -> None:
    async with recorded(fresh_cluster, tmp_path, "red", "blue") as (cluster, log):
        async with cluster.client() as admin:
            await admin.post(CONFIGMAPS, {"metadata": {"name": OBJECT}, "data": {"owner": "nobody"}})
        red, blue = [await controller(cluster, tmp_path, user) for user in ("red", "blue")]

        def is_enough() -> bool:
            return all(len(one.written) >= WRITES and one.told["conflict"] >= CONFLICTS for one in (red, blue))

        async with red, blue:
            await wait_until(is_enough, "they fight", timeout_seconds=WAIT_SECONDS)
    report = log.report()
    [fight] = report["in_turns"]
    assert (fight["resource"], fight["namespace"], fight["name"]) == ("configmaps", "default", OBJECT)
    assert [(writer["user"], writer["agent"]) for writer in fight["writers"]] == [
        (one.user, one.agent) for one in (blue, red)
    ]
    assert fight["turns"] == turns_of(red, blue) > WRITES
    clients = {client["agent"]: client for client in report["clients"]}
    for one in (red, blue):
        counts = clients[one.agent]["counts"]
        assert clients[one.agent]["user"] == one.user
        assert counts["codes"] == {"409": one.told["conflict"]}
        assert counts["requests"]["update"] == len(one.written) + one.told["conflict"]
        assert counts["inferred"]["informers started"] == 1
        assert "relists" not in counts
    said = log.said()
    names = [f"{one.user} ({one.agent})" for one in (blue, red)]
    assert re.search(rf"configmaps default/{OBJECT} +{re.escape(' and '.join(names))} +{fight['turns']} ", said), said
    for name in names:
        assert f"{name}:\n- conflict handling: it gets 409 for many of its writes" in said
