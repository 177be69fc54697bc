"""Each event once and in order, whatever cuts the stream; and when that cannot be, a relist that is told."""

import asyncio
import time
from pathlib import Path

import pytest
from aiohttp import web

from exporter.simulator import Simulator
from exporter.simulator.resources import CONFIGMAPS
from exporter.simulator.workload import Workload
from tests.watch.recorder import Recorder, watching
from tests.watch.scripted import (
    LISTED_REVISION,
    Answer,
    ScriptedApiserver,
    a_list,
    document,
    error,
    event,
    refusal,
    saying,
)

FOLLOWING = [event(LISTED_REVISION + 2), event(LISTED_REVISION + 3, kind="DELETED"), event(LISTED_REVISION + 7)]
HISTORY = b"".join(FOLLOWING)


def after(revision: int) -> bytes:
    """The part of the history that a server sends to who resumes there."""
    revisions = [LISTED_REVISION + 2, LISTED_REVISION + 3, LISTED_REVISION + 7]
    return b"".join(line for line, own in zip(FOLLOWING, revisions, strict=True) if own > revision)


def cutting_once(then: str) -> Answer:
    """Cuts the first watch of each namespace after as many bytes as the namespace's name says."""
    seen: set[str] = set()

    async def answer(request: web.Request) -> web.StreamResponse:
        namespace = request.path.split("/")[4]
        rest = after(int(request.query["resourceVersion"]))
        if namespace in seen:
            return await saying(rest, then="silence")(request)
        seen.add(namespace)
        return await saying(rest[: int(namespace)], then=then)(request)

    return answer


@pytest.mark.parametrize("then", ["eof", "cut"])
async def test_a_cut_at_any_byte_loses_nothing_and_repeats_nothing(then: str, tmp_path: Path) -> None:
    recorders = [Recorder() for _ in range(1, len(HISTORY))]
    apiserver = ScriptedApiserver(last_watch=cutting_once(then))
    async with apiserver, watching(apiserver.url, tmp_path) as streams:
        for cut_after, recorder in enumerate(recorders, start=1):
            streams.start(recorder, namespace=str(cut_after))
        for recorder in recorders:
            await recorder.until_revision(LISTED_REVISION + 7)
    for recorder in recorders:
        assert recorder.revisions == [LISTED_REVISION + 2, LISTED_REVISION + 3, LISTED_REVISION + 7]
        assert recorder.undecodable == 0
        assert recorder.relists == ["start"]


async def test_events_that_a_server_repeats_after_a_resume_are_handed_on_once(tmp_path: Path) -> None:
    recorder = Recorder()
    repeating = saying(HISTORY, event(108), then="silence")
    apiserver = ScriptedApiserver(saying(*FOLLOWING[:2]), repeating)
    async with apiserver, watching(apiserver.url, tmp_path) as streams:
        streams.start(recorder)
        await recorder.until_revision(108)
    assert recorder.revisions == [102, 103, 107, 108]
    assert recorder.repeated == [("modified", 102), ("deleted", 103)]
    assert [asked.revision for asked in apiserver.asked_for("watch")] == [100, 103]


async def test_what_is_not_above_the_newest_before_it_is_told_apart_whatever_it_comes_with(tmp_path: Path) -> None:
    recorder = Recorder()
    together = saying(event(105) + event(103) + event(105) + event(106), event(104), event(107), then="silence")
    apiserver = ScriptedApiserver(together)
    async with apiserver, watching(apiserver.url, tmp_path) as streams:
        streams.start(recorder)
        await recorder.until_revision(107)
    assert recorder.revisions == [105, 106, 107]
    assert [revision for _, revision in recorder.repeated] == [103, 105, 104]


async def test_a_bookmark_is_resumed_from(tmp_path: Path) -> None:
    apiserver = ScriptedApiserver(saying(event(250, kind="BOOKMARK")))
    async with apiserver, watching(apiserver.url, tmp_path) as streams:
        recorder = Recorder()
        streams.start(recorder)
        await recorder.until_opened(2)
    assert [asked.revision for asked in apiserver.asked_for("watch")] == [100, 250]
    assert len(apiserver.asked_for("list")) == 1


async def test_no_write_of_a_busy_cluster_is_lost_or_repeated_over_many_cuts(tmp_path: Path) -> None:
    recorder = Recorder()
    async with Simulator() as simulator, watching(simulator.url, tmp_path) as streams:
        streams.start(recorder)
        await recorder.until_opened()
        from_revision = simulator.store.revision
        async with Workload(simulator, rate_per_second=150, resources=(CONFIGMAPS,)):
            for times, cut in enumerate(
                (simulator.apiserver.cut_watches, simulator.apiserver.end_watches) * 2, start=1
            ):
                await recorder.until_opened(times)
                await asyncio.sleep(0.3)
                cut()
        await recorder.until_revision(simulator.store.revision)
        written = [d.revision for d in simulator.truth.deliveries("configmaps") if d.revision > from_revision]
    assert len(recorder.ends) >= 3
    assert recorder.revisions == sorted(set(written))
    assert recorder.relists == ["start"]


async def test_gone_at_a_resume_relists_at_once(tmp_path: Path) -> None:
    recorder = Recorder()
    apiserver = ScriptedApiserver(saying(event(101)), refusal(410), lists=[document(a_list(n)) for n in (100, 300)])
    async with apiserver, watching(apiserver.url, tmp_path) as streams:
        streams.start(recorder)
        await recorder.until_opened(2)
    assert recorder.relists == ["start", "gone"]
    assert [revision for _, revision in recorder.openings] == [100, 300]
    refused, relisted = apiserver.asked_for("watch")[1:]
    # A small jitter, no step of the backoff; two round trips on a busy machine.
    assert relisted.at - refused.at < 0.8


async def test_gone_in_the_middle_of_a_watch_relists(tmp_path: Path) -> None:
    recorder = Recorder()
    gone = saying(event(101), error(410))
    apiserver = ScriptedApiserver(gone, lists=[document(a_list(n)) for n in (100, 300)])
    async with apiserver, watching(apiserver.url, tmp_path) as streams:
        streams.start(recorder)
        await recorder.until_opened(2)
    assert recorder.relists == ["start", "gone"]
    assert recorder.told == ["relisting start", "found", "opened", "lost", "ended gone", "relisting gone", "opened"]


async def test_a_restart_of_the_apiserver_is_one_gap_that_is_told(tmp_path: Path) -> None:
    recorder = Recorder()
    async with Simulator() as simulator, watching(simulator.url, tmp_path) as streams:
        await simulator.apiserver.registry.create(CONFIGMAPS, {"metadata": {"name": "a", "namespace": "b"}}, manager="")
        streams.start(recorder)
        await recorder.until_opened()
        await simulator.apiserver.stop()
        await recorder.until_failed()
        await simulator.apiserver.registry.create(CONFIGMAPS, {"metadata": {"name": "c", "namespace": "b"}}, manager="")
        await simulator.apiserver.start()
        await recorder.until_opened(2)
    assert recorder.relists == ["start", "gone"]
    assert recorder.openings[1][1] == simulator.store.revision


async def test_what_was_followed_before_the_store_went_back_is_heard_no_more(tmp_path: Path) -> None:
    recorder = Recorder()
    apiserver = ScriptedApiserver(
        saying(*map(event, range(101, 20_000))),
        lists=[document(a_list(n)) for n in (100, 50)],
        last_watch=saying(event(51), then="silence"),
    )
    async with apiserver, watching(apiserver.url, tmp_path) as streams:
        stream = streams.start(recorder)
        await recorder.until_revision(105)
        stream.store_went_back()
        before = len(recorder.revisions)
        await recorder.until_revision(51)
    assert recorder.relists == ["start", "revision_went_back"]
    assert recorder.revisions[before:] == [51]
    assert [asked.revision for asked in apiserver.asked_for("watch")] == [100, 50]


@pytest.mark.parametrize("says", [[], [event(101)]], ids=["silence", "an event at once"])
async def test_a_store_that_goes_back_while_a_watch_opens_is_told_once(says: list[bytes], tmp_path: Path) -> None:
    arrived = asyncio.Event()

    async def hesitating(request: web.Request) -> web.StreamResponse:
        arrived.set()
        await asyncio.sleep(0.3)
        return await saying(*says, then="silence")(request)

    recorder = Recorder()
    apiserver = ScriptedApiserver(
        hesitating, lists=[document(a_list(n)) for n in (100, 50)], last_watch=saying(event(51), then="silence")
    )
    async with apiserver, watching(apiserver.url, tmp_path) as streams:
        stream = streams.start(recorder)
        await arrived.wait()
        stream.store_went_back()
        await recorder.until_revision(51)
    assert recorder.relists == ["start", "revision_went_back"]
    assert recorder.revisions == [51]


async def test_a_store_that_goes_back_during_the_list_makes_that_list_worthless(tmp_path: Path) -> None:
    arrived = asyncio.Event()

    async def hesitating(request: web.Request) -> web.StreamResponse:
        arrived.set()
        await asyncio.sleep(0.2)
        return await document(a_list(100))(request)

    recorder = Recorder()
    apiserver = ScriptedApiserver(lists=[hesitating, document(a_list(50))])
    async with apiserver, watching(apiserver.url, tmp_path) as streams:
        stream = streams.start(recorder)
        await arrived.wait()
        stream.store_went_back()
        await recorder.until_opened()
    assert recorder.relists == ["start", "revision_went_back"]
    assert [asked.revision for asked in apiserver.asked_for("watch")] == [50]


async def test_no_server_is_hammered(tmp_path: Path) -> None:
    """Whatever it does wrong at once, every time."""
    wrong = {
        "closes at once": saying(),
        "says something and closes": saying(event(101)),
        "is gone, as a refusal": refusal(410),
        "is gone, as the first word": saying(error(410)),
        "is gone, after an event": saying(event(101), error(410)),
        "is gone, after a while": saying(error(410), pause_seconds=0.3),
        "fails": refusal(500),
        "is cut": saying(then="cut"),
    }
    for name in wrong:
        (tmp_path / name).mkdir()
    asked = await asyncio.gather(*(asked_in_3_s(answer, tmp_path / name) for name, answer in wrong.items()))
    assert all(1 <= count <= 8 for count in asked), dict(zip(wrong, asked, strict=True))


async def asked_in_3_s(answer: Answer, folder: Path) -> int:
    apiserver = ScriptedApiserver(last_watch=answer)
    async with apiserver, watching(apiserver.url, folder) as streams:
        streams.start(Recorder())
        began = time.monotonic()
        await asyncio.sleep(3)
    return sum(asked.at - began < 3 for asked in apiserver.asked_for("watch"))
