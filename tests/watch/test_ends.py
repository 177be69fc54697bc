"""Every way in which an open watch ends, under its one reason."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from exporter.kubernetes.errors import WHAT_TO_GRANT
from exporter.simulator import Simulator
from exporter.watch.watch import WatchTimes
from tests.watch.recorder import Recorder, watching
from tests.watch.scripted import Answer, ScriptedApiserver, error, event, refusal, saying

NEXT = event(101)
ERRORS = {
    410: "gone",
    429: "throttled",
    504: "server_timeout",
    500: "server_error",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    0: "server_error",
}


async def ended(folder: Path, *watches: Answer, times: WatchTimes | None = None) -> Recorder:
    """What a listener is told until the first end has its reason and the stream is open again, or refused."""
    recorder = Recorder()
    async with ScriptedApiserver(*watches) as apiserver, watching(apiserver.url, folder) as streams:
        streams.start(recorder, times=times)
        await recorder.until_ended()
    return recorder


async def each_ended(folder: Path, watches: Sequence[Sequence[Answer]]) -> list[Recorder]:
    """The same for several at a time: most of it is waiting."""
    folders = [folder / str(number) for number in range(len(watches))]
    for each in folders:
        each.mkdir()
    return await asyncio.gather(*(ended(each, *answers) for each, answers in zip(folders, watches, strict=True)))


async def test_an_error_on_an_open_watch_says_why_it_ends(tmp_path: Path) -> None:
    recorders = await each_ended(tmp_path, [[saying(NEXT, error(code))] for code in ERRORS])
    for recorder, (code, reason) in zip(recorders, ERRORS.items(), strict=True):
        assert recorder.end_reasons == [reason]
        assert recorder.ends[0][0].message == f"no: {code}"
        assert recorder.start_errors == []


async def test_an_error_says_more_than_the_connection_that_breaks_after_it(tmp_path: Path) -> None:
    recorder = await ended(tmp_path, saying(NEXT, error(504), then="cut"))
    assert recorder.end_reasons == ["server_timeout"]


async def test_nothing_follows_an_error_even_if_the_connection_stays_open(tmp_path: Path) -> None:
    began = time.monotonic()
    recorder = await ended(tmp_path, saying(NEXT, error(410), then="silence"), times=WatchTimes(silent_seconds=30))
    assert recorder.end_reasons == ["gone"]
    assert time.monotonic() - began < 20


async def test_an_end_in_time_is_a_timeout_and_before_it_is_early(tmp_path: Path) -> None:
    in_time, early = Recorder(), Recorder()
    async with Simulator() as simulator, watching(simulator.url, tmp_path) as streams:
        streams.start(in_time, "configmaps", times=WatchTimes(2, 2))
        streams.start(early, "leases.coordination.k8s.io")
        await early.until_opened()
        simulator.apiserver.end_watches("leases.coordination.k8s.io")
        await early.until_ended()
        await in_time.until_ended()
    assert in_time.end_reasons[0] == "timeout"
    assert in_time.ends[0][1] > 1.0
    assert early.end_reasons[0] == "early_eof"


async def test_a_cut_connection_is_a_transport_error(tmp_path: Path) -> None:
    recorder = Recorder()
    async with Simulator() as simulator, watching(simulator.url, tmp_path) as streams:
        streams.start(recorder)
        await recorder.until_opened()
        simulator.apiserver.cut_watches()
        await recorder.until_ended()
    assert recorder.end_reasons[0] == "transport_error"


@pytest.mark.parametrize("then", ["eof", "cut"])
async def test_an_early_end_is_explained_by_the_answer_to_the_reconnect(then: str, tmp_path: Path) -> None:
    codes = [401, 403, 404]
    recorders = await each_ended(tmp_path, [[saying(NEXT, then=then), refusal(code)] for code in codes])
    for recorder, code in zip(recorders, codes, strict=True):
        reason = ERRORS[code]
        assert recorder.end_reasons == [reason]
        assert recorder.ends[0][0].message == f"no: {code}{WHAT_TO_GRANT if code == 403 else ''}"
        ended_at = recorder.told.index(f"ended {reason}")
        assert recorder.told[ended_at + 1] == f"start_failed {reason}"


async def test_a_reconnect_refused_for_another_reason_explains_nothing(tmp_path: Path) -> None:
    recorder = await ended(tmp_path, saying(NEXT), refusal(503))
    assert recorder.end_reasons == ["early_eof"]


async def test_only_the_first_answer_explains(tmp_path: Path) -> None:
    recorder = Recorder()
    apiserver = ScriptedApiserver(saying(NEXT, then="cut"), refusal(500), refusal(403))
    async with apiserver, watching(apiserver.url, tmp_path) as streams:
        streams.start(recorder)
        await recorder.until_opened(2)
    assert recorder.end_reasons[0] == "transport_error"
    assert recorder.ends[0][0].message == "the connection was closed in the middle of the answer"


async def test_a_silent_watch_is_closed_and_was_lost_at_its_last_byte(tmp_path: Path) -> None:
    recorder = await ended(tmp_path, saying(NEXT, then="silence"), times=WatchTimes(silent_seconds=0.6))
    end, _ = recorder.ends[0]
    assert end.reason == "silent"
    assert end.message == "nothing, not even a bookmark, for 1 s"
    (_, arrival) = recorder.readings[0]
    assert recorder.losses[0] == end.at == arrival.latest


async def test_bytes_of_any_kind_are_no_silence(tmp_path: Path) -> None:
    recorder = Recorder()
    bookmarks = [event(101, kind="BOOKMARK")] * 10
    apiserver = ScriptedApiserver(saying(*bookmarks, then="silence", pause_seconds=0.2))
    async with apiserver, watching(apiserver.url, tmp_path) as streams:
        streams.start(recorder, times=WatchTimes(silent_seconds=1.2))
        await recorder.until_ended()
    assert recorder.end_reasons == ["silent"]
    assert recorder.ends[0][1] > 1.5


async def test_an_end_that_nothing_explains_any_more_is_still_told(tmp_path: Path) -> None:
    """The program stops between the end and the answer to the reconnect."""
    recorder = Recorder()
    async with Simulator() as simulator, watching(simulator.url, tmp_path) as streams:
        streams.start(recorder)
        await recorder.until_opened()
        simulator.apiserver.cut_watches()
        await recorder.until(lambda: bool(recorder.losses), "the loss")
        assert recorder.losses[0] <= time.monotonic()
    assert recorder.end_reasons == ["transport_error"]


async def test_a_watch_ends_when_the_machine_was_suspended_since_nobody_knows_whether_it_lives(tmp_path: Path) -> None:
    recorder = Recorder()
    apiserver = ScriptedApiserver(saying(NEXT, then="silence"))
    async with apiserver, watching(apiserver.url, tmp_path) as streams:
        streams.start(recorder)
        await recorder.until_revision(101)
        woke = time.monotonic()
        streams.asleep_seconds += 30.0
        await recorder.until_opened(2)
    assert recorder.end_reasons == ["suspended"]
    assert recorder.ends[0][0].message.startswith("the machine was suspended for 30.0")
    assert recorder.losses[0] <= woke + 0.02
    assert [30.0 <= seconds < 30.1 for seconds in recorder.slept_seconds] == [True]
    assert [asked.revision for asked in apiserver.asked_for("watch")] == [100, 101]
