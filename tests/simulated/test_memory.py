"""Memory is bounded by settings, not by what goes by: neither events nor distinct objects are remembered."""

from pathlib import Path

import pytest

from tests.simulated.replay import Replay
from tests.support.kubeconfig import kubeconfig
from tests.support.observing import Process, started, until

WARM_EVENTS = 20_000
ALL_EVENTS = 200_000
GROWTH_BYTES = 10 * 1024 * 1024


async def all_judged(exporter: Process, events: int) -> None:
    scrape = await exporter.wait_for(lambda scrape: scrape.sum("events_judged_total") >= events, seconds=100)
    assert scrape.sum("events_judged_total") == events


@pytest.mark.timeout(240)
async def test_memory_does_not_grow_with_the_number_of_events(tmp_path: Path) -> None:
    with (
        Replay() as replay,
        started("--kubeconfig", kubeconfig(tmp_path, replay.url), "--resource", "pods") as exporter,
    ):
        await until(exporter.ready)
        await exporter.wait_for(lambda scrape: scrape.sum("clock_polls_total", result="ok") >= 3)
        replay.send(WARM_EVENTS)
        await all_judged(exporter, WARM_EVENTS)
        warm_bytes = exporter.resident_bytes
        # In portions, as a cluster would send them: what waits for its verdict is bounded by time, not by this test.
        for portion in range(1, 10):
            replay.send(WARM_EVENTS)
            await all_judged(exporter, WARM_EVENTS * (portion + 1))
        assert WARM_EVENTS * 10 == ALL_EVENTS
        assert exporter.resident_bytes - warm_bytes < GROWTH_BYTES
        scrape = await exporter.scrape()
        assert scrape.sum("decode_errors_total") == 0
