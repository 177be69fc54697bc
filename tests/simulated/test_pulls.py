"""What goes wrong with the watch of Events about image pulls is counted by its reason."""

from pathlib import Path

from exporter.simulator import Simulator
from exporter.simulator.resources import EVENTS
from tests.support.kubeconfig import kubeconfig
from tests.support.observing import Scrape, observed

ERRORS = "pod_startup_pull_watch_errors_total"


async def test_whatever_hides_pulls_is_counted_with_its_reason(tmp_path: Path) -> None:
    async with Simulator() as simulator:
        apiserver = simulator.apiserver
        apiserver.faults.deny("watch", "events")
        flags = ("--kubeconfig", kubeconfig(tmp_path, simulator.url), "--resource", "pods", "--pod-startup")
        async with observed(*flags) as exporter:
            scrape = await exporter.wait_for(lambda scrape: scrape.sum(ERRORS, reason="forbidden") > 0)
            assert scrape.sum(ERRORS) == scrape.sum(ERRORS, reason="forbidden")
            assert scrape.sum("init_events_errors_total") == 0, "pods themselves are watched"
            apiserver.faults.allow("watch", "events")

            def is_garbage_counted(scrape: Scrape) -> bool:
                apiserver.send_on_watches(b"no event\n", "events")
                return scrape.sum(ERRORS, reason="undecodable") > 0

            await exporter.wait_for(is_garbage_counted)
            # It does not match what is watched, so that only the history moves on.
            await apiserver.registry.create(EVENTS, {"metadata": {"name": "e", "namespace": "default"}}, manager="m")
            apiserver.forget_history("events")
            apiserver.end_watches("events")
            scrape = await exporter.wait_for(lambda scrape: scrape.sum(ERRORS, reason="relist") > 0)
            assert scrape.sum(ERRORS, reason="gone") == 1, "the first answer to the next watch"
            assert scrape.sum("decode_errors_total") == 0, "pods themselves are watched"
