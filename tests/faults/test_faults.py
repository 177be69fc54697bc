"""A fault of each kind that this machine can make in seconds, what it is called, and what the page shows meanwhile.

`make faults` has all of them.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from exporter.diagnosis.rules import RULE_OF
from exporter.diagnosis.words import FAULT_WORDS, START_WORDS
from exporter.vocabulary import Fault
from tests.faults.laboratory import SETTINGS, Laboratory, laboratory
from tests.faults.making import Strength
from tests.faults.playing import play
from tests.faults.table import OF_FAULT
from tests.support.browser import Tab, browser, needs_chromium

PATIENCE_SECONDS = 150.0
SETTLING_SECONDS = 20.0
"""While it starts, a slow machine's store is slow in truth; facts are of so many seconds."""

LATE = "document.querySelector('#rows .plot .of-violated') !== null"
DOWN = "document.querySelector('#rows .state.is-down') !== null"
ANYTHING = "true"

ROWS: tuple[tuple[Fault, Strength, str], ...] = (
    ("store_slow", "medium", ANYTHING),
    ("cache_stuck", "light", LATE),
    ("conversion_slow", "medium", LATE),
    ("path_slow", "heavy", LATE),
    ("connection_dropped", "light", LATE),
    ("exporter_refused", "light", DOWN),
)
"""What is made, how strong, and what the rows of the page show of it, in JavaScript."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(server_binaries: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Laboratory]:
    async with laboratory(server_binaries, SETTINGS[0], objects=0, log=tmp_path_factory.mktemp("lab") / "log") as made:
        await asyncio.sleep(SETTLING_SECONDS)
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tab]:
    async with browser(tmp_path_factory.mktemp("profile")) as one:
        await one.look()
        yield one


def sentence_names(fault: Fault) -> str:
    """Whether the first sentences of the page name the fault and its card does too, in JavaScript."""
    # A refusal is why no watch is open: it is said once.
    said = START_WORDS["forbidden"] if fault == "exporter_refused" else RULE_OF[fault].says
    words = re.sub(r"\\{\w+\\}", ".*", re.escape(said).replace("/", "\\/"))
    tags = "[...document.querySelectorAll('#findings .tag')]"
    tag = f"{tags}.some((one) => one.textContent.includes('{FAULT_WORDS[fault]}'))"
    return f"/{words}/is.test(document.getElementById('sentence').innerText) && {tag}"


@needs_chromium
@pytest.mark.timeout(400)
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("fault", "strength", "drawn"), ROWS)
async def test_a_fault_is_called_by_its_name_and_withdrawn(
    lab: Laboratory, tab: Tab, fault: Fault, strength: Strength, drawn: str
) -> None:
    await tab.go(lab.exporter.url)
    shown = asyncio.create_task(tab.until(f"{sentence_names(fault)} && {drawn}", PATIENCE_SECONDS))
    played = await play(lab, OF_FAULT[fault], strength)
    assert played.outcome == "right", (played.names, played.documents)
    assert played.withdrawn_seconds is not None, played.names
    await shown
    # It is told as long as the window has what it caused.
    await tab.until("document.getElementById('findings').childElementCount === 0", PATIENCE_SECONDS)
    assert not tab.complaints
