"""The page of a demo in a real Chromium: what people see of each scenario, with or without scripts, on any screen."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from exporter.simulator import SCENARIOS
from tests.endtoend import axe
from tests.support.browser import Tab, browser, needs_chromium
from tests.support.demo import LIVE, PATIENCE_SECONDS, SEEN, Demo, choose, healthy, started

NOW = "document.querySelector('.now').innerText"
HIDE = (
    "Object.defineProperty(document, 'hidden', { value: IT, configurable: true });"
    "document.dispatchEvent(new Event('visibilitychange'))"
)

pytestmark = [needs_chromium, pytest.mark.timeout(600)]


@pytest.fixture
def demo() -> Iterator[Demo]:
    """A demo whose window is short, so that it has forgotten a scenario when the next one begins."""
    with started("10") as one:
        yield one


@pytest.fixture
async def tab(tmp_path: Path) -> AsyncIterator[Tab]:
    async with browser(tmp_path / "profile") as one:
        yield one


async def violations(tab: Tab) -> list[Any]:
    await tab.ask(axe.script() + "; true")
    found: list[Any] = await tab.ask(
        "axe.run().then((all) => all.violations.map((one) => [one.id, one.nodes.map((node) => node.html)]))"
    )
    return found


def test_every_scenario_is_looked_at() -> None:
    assert SEEN.keys() == SCENARIOS.keys()


async def test_every_scenario_gives_its_sentence_live_and_is_gone_afterwards(tab: Tab, demo: Demo) -> None:
    await tab.look()
    await healthy(tab, demo)
    for name, seen in SEEN.items():
        await choose(tab, name)
        try:
            await tab.until(seen, PATIENCE_SECONDS)
        except TimeoutError:
            pytest.fail(f"{name}: {await tab.ask('document.body.innerText')}")
        if name == "slow-apiserver":
            drawn = "document.querySelectorAll('#rows .plot .of-violated').length"
            await tab.until(f"{drawn} >= 3 && document.querySelectorAll('#rows .plot .of-met').length >= 3")
    await choose(tab, "healthy")
    await tab.until(SEEN["healthy"], PATIENCE_SECONDS)
    assert not tab.complaints


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
async def test_everybody_can_use_it(tab: Tab, demo: Demo, *, width: int, dark: bool) -> None:
    await tab.look(width, dark=dark)
    await healthy(tab, demo)
    await tab.ask("window.shifts.length = 0")
    await choose(tab, "slow-network")
    await tab.until(SEEN["slow-network"], PATIENCE_SECONDS)
    await tab.ask("document.querySelector('#rows summary').click()")
    await tab.until("document.querySelectorAll('#rows details[open] .queries .copy:not([hidden])').length > 5")
    assert await violations(tab) == []
    assert await tab.ask("document.documentElement.scrollWidth <= innerWidth"), "it does not scroll sideways"
    assert not tab.complaints


async def test_nothing_moves_while_people_look(tab: Tab, demo: Demo) -> None:
    await tab.look()
    await healthy(tab, demo)
    await tab.go(demo.url)
    seen = await tab.ask("document.getElementById('now').innerText")
    await tab.until(f"document.getElementById('now').innerText !== '{seen}'")
    await asyncio.sleep(5)
    assert sum(await tab.ask("window.shifts")) < 0.01


async def test_a_keyboard_is_enough(tab: Tab, demo: Demo) -> None:
    await tab.look()
    await healthy(tab, demo)
    for _ in range(40):
        await tab.press("Tab")
        if await tab.ask("document.activeElement.matches('#rows > li > details > summary')"):
            break
    await tab.press("Enter")
    await tab.until("document.activeElement.parentElement.open")
    await asyncio.sleep(5)
    assert await tab.ask("document.activeElement.parentElement.open"), "what is new does not close or leave it"


async def test_without_scripts_the_same_is_there(tab: Tab, demo: Demo) -> None:
    await tab.look(scripts=True)
    await healthy(tab, demo)
    await tab.look(scripts=False)
    async with aiohttp.ClientSession() as client, client.get(demo.url) as response:
        assert "All watches are on time" in await response.text()
    await tab.call("Page.navigate", url=demo.url)
    await asyncio.sleep(2)
    # Asked without a script, which would hide it.
    root = (await tab.call("DOM.getDocument"))["root"]["nodeId"]
    off = await tab.call("DOM.querySelector", nodeId=root, selector="noscript")
    assert (await tab.call("DOM.getBoxModel", nodeId=off["nodeId"]))["model"]["width"] > 100, "scripts are off"
    await tab.call("Emulation.setScriptExecutionDisabled", value=False)
    assert await tab.ask(SEEN["healthy"])
    assert await tab.ask("document.querySelectorAll('#rows .plot').length") == 3
    assert await tab.ask("document.querySelectorAll('.queries code').length") > 20
    assert not await tab.ask(LIVE), "nothing of it ran"
    await tab.ask("document.querySelector('button[value=\"forced-close\"]').click()")
    await tab.until("document.querySelector('button[value=\"forced-close\"][aria-pressed=true]') !== null")
    assert not tab.complaints


async def test_a_page_whose_exporter_hangs_or_is_gone_says_that_it_is_not_live(tab: Tab, demo: Demo) -> None:
    await tab.look()
    await healthy(tab, demo)
    await tab.until(LIVE)
    assert await tab.ask(f"{NOW}.startsWith('live, as of')")
    demo.process.send_signal(signal.SIGSTOP)
    try:
        await tab.until(f"!({LIVE})", 40)
        await tab.until(f"/not live for 1[0-9] s: nothing comes from this exporter, as of/.test({NOW})")
    finally:
        demo.process.send_signal(signal.SIGCONT)
    await tab.until(LIVE, 60)
    await tab.ask(HIDE.replace("IT", "true"))
    await tab.until(f"/paused for [0-9] s: the tab was hidden/.test({NOW})")
    await tab.ask(HIDE.replace("IT", "false"))
    await tab.until(LIVE)
    demo.process.kill()
    await tab.until(f"/not live for [0-9]+ s: this exporter does not answer/.test({NOW})", 40)
    assert not await tab.ask(LIVE)
