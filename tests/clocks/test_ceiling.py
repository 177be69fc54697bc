"""All requests that clocks cause at one apiserver stay under the ceiling, counted on the wire before it."""

import asyncio
import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from exporter.clocks.rate_limit import TOGETHER_SECONDS
from exporter.metrics.registry import CostMetrics
from exporter.service.daemon import Exporter, load_credentials
from exporter.simulator import Resource, Simulator
from tests.simulated.wire import Wire
from tests.support.kubeconfig import kubeconfig
from tests.support.observing import config
from tests.support.waiting import wait_until

APISERVERS = 5
RESOURCES = 30
KINDS = [Resource("example.com", "v1", f"kind{number}s", f"Kind{number}") for number in range(RESOURCES)]

START_SECONDS = 60.0
STEADY_SECONDS = 11.0
"""Every resource is proven again in the meantime."""

AT_ONCE = 3
"""One poll of each sort may go out at the first moment, and one be on its way to the wire then; beside those that go
out together."""


def is_proven(exporter: Exporter) -> bool:
    """Whether every stream has a clock that is proven to be good for it."""
    states = exporter.states()
    return len(states) == APISERVERS * RESOURCES and all(state.revision_clock.kind for state in states)


def by_clocks(wire: Wire) -> int:
    """Requests so far; definitions are asked for as well, one every other second (service/conversions.py)."""
    return wire.requests.total() - wire.requests["discovery"]


def sent(load: CostMetrics) -> Counter[str]:
    """Requests so far, by purpose."""
    return Counter({purpose: int(counter.value) for purpose, counter in load.requests.items()})


@pytest.mark.parametrize("ceiling_hz", [50, 10])
async def test_thirty_resources_on_five_apiservers_stay_under_the_ceiling_of_each(
    tmp_path: Path, ceiling_hz: int
) -> None:
    async with Simulator(apiservers=APISERVERS) as simulator, AsyncExitStack() as stack:
        for kind in KINDS:
            await simulator.define(kind)
        wires = [await stack.enter_async_context(Wire(one.host, one.port)) for one in simulator.apiservers]
        named = [word for wire in wires for word in ("--apiserver", wire.url)]
        watched = [word for kind in KINDS for word in ("--resource", kind.name)]
        ceiling = ("--clock.max-requests", str(ceiling_hz))
        settled = config("--kubeconfig", kubeconfig(tmp_path, wires[0].url), *ceiling, *named, *watched)
        exporter = Exporter(settled, await load_credentials(settled))
        async with exporter.running():
            loads = [exporter.metrics.cost(wire.url.removeprefix("http://")) for wire in wires]
            await wait_until(lambda: is_proven(exporter), "every clock is proven", timeout_seconds=START_SECONDS)
            begun = time.monotonic()
            on_the_wire, by_purpose = [by_clocks(wire) for wire in wires], [sent(load) for load in loads]
            await asyncio.sleep(STEADY_SECONDS)
            requests = [by_clocks(wire) - before for wire, before in zip(wires, on_the_wire, strict=True)]
            possible = ceiling_hz * (time.monotonic() - begun) + AT_ONCE + ceiling_hz * TOGETHER_SECONDS
            since = [sent(load) - before for load, before in zip(loads, by_purpose, strict=True)]
    assert max(requests) <= possible
    for ours in since:
        assert ours["list"] > 0, "it is proven again"
        assert ours["revision_poll"] > 2 * ours["cache_poll"] / RESOURCES > 0, "the revision clock goes first"
