"""What the page says of pods that start, in a real Chromium: live, without scripts, and on a phone."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from exporter.simulator import Simulator
from tests.endtoend import axe
from tests.support.browser import Tab, browser, needs_chromium
from tests.support.kubeconfig import kubeconfig
from tests.support.observing import observed
from tests.support.pod_starts import start

pytestmark = [needs_chromium, pytest.mark.timeout(300)]

STARTED = 12
SECTION = "document.getElementById('startup').innerText"


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (360, False)])
async def test_what_pods_take_to_start_is_on_the_page(tmp_path: Path, *, width: int, dark: bool) -> None:
    async with Simulator() as simulator, browser(tmp_path / "profile") as tab:
        simulator.faults.deny("watch", "events")  # pulls are not known, and nobody waits for them
        flags = ("--kubeconfig", kubeconfig(tmp_path, simulator.url), "--resource", "pods", "--pod-startup")
        async with observed(*flags) as exporter:
            await exporter.wait_for(lambda scrape: scrape.sum("pod_startup_pull_watch_errors_total") > 0)
            await asyncio.sleep(1)  # the first poll after the start tells history from news
            await tab.look(width, dark=dark)
            await tab.go(exporter.url)
            assert await tab.ask("document.querySelectorAll('#startup tbody tr').length") == 8, "before any has started"
            await tab.ask("window.shifts.length = 0")
            await asyncio.gather(*(start(simulator, f"p-{number}") for number in range(STARTED)))
            await tab.until(f"/of these, pulls not known\\s+{STARTED} \\(100%\\)/.test({SECTION})")
            await tab.until(f"/total\\s+0\\.\\d/.test({SECTION})")
            await asyncio.sleep(5)
            assert sum(await tab.ask("window.shifts")) < 0.01, "nothing moves"
            await _everybody_can_use_it(tab)
            await _without_scripts(tab, exporter.url)


async def _everybody_can_use_it(tab: Tab) -> None:
    await tab.ask(axe.script() + "; true")
    violations = "axe.run().then((all) => all.violations.map((one) => [one.id, one.nodes.map((node) => node.html)]))"
    assert await tab.ask(violations) == []
    assert await tab.ask("document.documentElement.scrollWidth <= innerWidth"), "it does not scroll sideways"
    assert not tab.complaints


async def _without_scripts(tab: Tab, url: str) -> None:
    await tab.look(scripts=False)
    async with aiohttp.ClientSession() as client, client.get(url) as response:
        assert "Pod start-up" in await response.text()
    await tab.call("Page.navigate", url=url)
    await asyncio.sleep(2)
    await tab.call("Emulation.setScriptExecutionDisabled", value=False)
    assert await tab.ask(f"/pulls not known\\s+{STARTED} \\(100%\\)/.test({SECTION})")
    assert not await tab.ask("document.body.dataset.live === 'yes'"), "nothing of it ran"
