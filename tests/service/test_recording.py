"""The history is recorded whatever goes wrong in between."""

import asyncio

import pytest

from exporter.history.recording import History
from exporter.measure.stream_state import StreamState
from exporter.service import recording
from tests.support.states import state
from tests.support.waiting import wait_until


async def test_an_error_ends_neither_the_exporter_nor_the_history_and_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(recording, "RECORDED_EVERY_SECONDS", 0.01)
    looks = iter([False, False, False, True, True, False, False, True])
    history = History()

    def states() -> list[StreamState]:
        if not next(looks, True):
            raise KeyError("a bug")
        return [state()]

    running = asyncio.create_task(recording.record(history, states, list))
    await wait_until(lambda: next(looks, None) is None, "it has gone on")
    await wait_until(lambda: history.began is not None, "a stream is recorded")
    running.cancel()
    said = [record.message for record in caplog.records]
    assert said == ["no history: this is a bug in watchslo", "history works again"] * 2
