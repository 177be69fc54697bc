"""A fault of each kind that this machine can make in seconds, and what it is called; `make faults` has all of them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.faults.laboratory import SETTINGS, Laboratory, laboratory
from tests.faults.making import Strength
from tests.faults.playing import play
from tests.faults.table import OF_FAULT

ROWS: tuple[tuple[str, Strength], ...] = (
    ("store_slow", "medium"),
    ("cache_stuck", "light"),
    ("conversion_slow", "medium"),
    ("path_slow", "heavy"),
    ("connection_dropped", "light"),
    ("exporter_refused", "light"),
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(server_binaries: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Laboratory]:
    async with laboratory(server_binaries, SETTINGS[0], objects=0, log=tmp_path_factory.mktemp("lab") / "log") as made:
        yield made


@pytest.mark.timeout(200)
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("fault", "strength"), ROWS)
async def test_a_fault_is_called_by_its_name_and_withdrawn(lab: Laboratory, fault: str, strength: Strength) -> None:
    played = await play(lab, OF_FAULT[fault], strength)
    assert played.outcome == "right", (played.names, played.documents)
    assert played.withdrawn_seconds is not None, played.names
