import asyncio
from pathlib import Path

from exporter.service.daemon import Exporter, load_credentials
from exporter.simulator import Simulator
from tests.support.kubeconfig import kubeconfig
from tests.support.observing import config, observed
from tests.support.waiting import wait_until


async def test_gauges_are_refreshed_one_stream_at_a_time(tmp_path: Path) -> None:
    async with Simulator(apiservers=2) as simulator:
        addresses = [word for apiserver in simulator.apiservers for word in ("--apiserver", apiserver.url)]
        resources = [word for name in ("pods", "nodes", "configmaps") for word in ("--resource", name)]
        settled = config("--kubeconfig", kubeconfig(tmp_path, simulator.url), *addresses, *resources)
        exporter = Exporter(settled, await load_credentials(settled))
        async with exporter.running():
            await wait_until(lambda: len(exporter.states()) == 6, "all are watched")
            refresh = exporter.metrics.before_render[-1]
            steps = iter(refresh())
            next(steps)
            await exporter.apiservers[0].unwatch(settled.resources[1])
            assert len(list(steps)) == 4, "of six streams one was refreshed and one is gone"


async def test_a_task_that_is_left_behind_is_counted(tmp_path: Path) -> None:
    async with Simulator() as simulator, observed("--kubeconfig", kubeconfig(tmp_path, simulator.url)) as exporter:
        left_behind = [asyncio.create_task(asyncio.Event().wait()) for _ in range(1000)]
        await exporter.wait_for(lambda scrape: scrape.sum("tasks") > 1000)
        for task in left_behind:
            task.cancel()
        await exporter.wait_for(lambda scrape: 0 < scrape.sum("tasks") < 500)
