"""Every way in which a LIST or a WATCH fails to start, under its one reason; none of them is an end."""

import asyncio
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from exporter.kubernetes.errors import WHAT_TO_GRANT
from exporter.kubernetes.lists import ONLY_A_PROBE
from exporter.simulator import Simulator
from exporter.simulator.faults import Rejection
from tests.watch.recorder import Recorder, watching
from tests.watch.scripted import (
    DISCOVERY,
    Answer,
    ScriptedApiserver,
    a_list,
    document,
    error,
    event,
    refusal,
    saying,
)

HTML = "<!DOCTYPE html><p>Please log in."
REASONS = [
    (410, "gone"),
    (429, "throttled"),
    (401, "unauthorized"),
    (403, "forbidden"),
    (404, "not_found"),
    (504, "server_timeout"),
    (500, "server_error"),
    (503, "server_error"),
    (400, "bad_response"),
    (302, "bad_response"),
]
DEEP = b'{"kind":"ConfigMapList","metadata":{"resourceVersion":"1"},"x":' + b"[" * 100_000
NO_UTF_8 = b'{"kind":"\xff","message":"\xff","metadata":{"resourceVersion":"1"}}'


async def start(folder: Path, apiserver: ScriptedApiserver) -> Recorder:
    """What is told from the first try to the first watch that opens."""
    recorder = Recorder()
    async with apiserver, watching(apiserver.url, folder) as streams:
        streams.start(recorder)
        await recorder.until_opened()
    return recorder


async def start_each(folder: Path, apiservers: Sequence[ScriptedApiserver]) -> list[Recorder]:
    """The same for several at a time: most of it is waiting."""
    folders = [folder / str(number) for number in range(len(apiservers))]
    for each in folders:
        each.mkdir()
    return await asyncio.gather(*map(start, folders, apiservers))


def refusing(verb: str, answer: Answer) -> ScriptedApiserver:
    """An apiserver that answers the first request of `verb` like this."""
    if verb == "watch":
        return ScriptedApiserver(answer)
    return ScriptedApiserver(lists=[answer]) if verb == "list" else ScriptedApiserver(discoveries=[answer])


@pytest.mark.parametrize("verb", ["discovery", "list", "watch"])
async def test_a_refusal_is_a_failed_start_and_the_next_try_succeeds(verb: str, tmp_path: Path) -> None:
    recorders = await start_each(tmp_path, [refusing(verb, refusal(code)) for code, _ in REASONS])
    for recorder, (code, reason) in zip(recorders, REASONS, strict=True):
        assert recorder.start_reasons == [reason]
        hint = {403: f"{ONLY_A_PROBE if verb == 'list' else ''}{WHAT_TO_GRANT}"}.get(code, "")
        is_missing = verb == "discovery" and code == 404
        said = "configmaps is not served here" if is_missing else f"no: {code}{hint}"
        assert str(recorder.start_errors[0]) == said
        assert recorder.losses == []
        assert recorder.openings[0][1] == 100


def test_what_to_grant_is_said_in_plain_words() -> None:
    assert WHAT_TO_GRANT == '; "watchslo check" with the same flags prints the missing rules'
    assert ONLY_A_PROBE == "; all namespaces are watched, and this one is polled only for the revision"


async def test_nobody_listens(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    recorder = Recorder()
    async with watching(url, tmp_path) as streams:
        streams.start(recorder)
        await recorder.until_failed()
    assert recorder.start_reasons[0] == "connect"
    assert str(recorder.start_errors[0]) == "no connection: Connection refused"
    assert recorder.told[:2] == ["relisting start", "start_failed connect"]


async def test_an_error_as_the_first_word_is_a_failed_start_and_no_end(tmp_path: Path) -> None:
    reasons = [reason for reason in REASONS if reason[0] >= 400]
    recorders = await start_each(tmp_path, [ScriptedApiserver(saying(error(code))) for code, _ in reasons])
    for recorder, (_, reason) in zip(recorders, reasons, strict=True):
        assert recorder.start_reasons == [reason]
        assert recorder.told.count("opened") == 1
        assert recorder.losses == []


async def test_a_list_that_is_none_is_a_bad_response(tmp_path: Path) -> None:
    revisions = ["", "9" * 5000, "9" * 21, "+5", "1_0", " 5", "\u0663", "0x5"]
    contents = [HTML, DISCOVERY, [1, 2], *map(a_list, revisions), DEEP, NO_UTF_8, b""]
    recorders = await start_each(tmp_path, [ScriptedApiserver(lists=[document(content)]) for content in contents])
    for recorder in recorders:
        assert recorder.start_reasons == ["bad_response"]
        message = str(recorder.start_errors[0])
        assert message.startswith("/api/v1/namespaces/default/configmaps: the response is not a list (")


async def test_a_refusal_that_cannot_be_read_is_told_by_its_status(tmp_path: Path) -> None:
    contents = [DEEP, NO_UTF_8, HTML, [1]]
    recorders = await start_each(tmp_path, [ScriptedApiserver(document(content, status=502)) for content in contents])
    for recorder in recorders:
        assert recorder.start_reasons == ["server_error"]
        assert str(recorder.start_errors[0]) == "HTTP 502"


async def test_discovery_that_is_none_is_a_bad_response(tmp_path: Path) -> None:
    contents = [HTML, [1], DEEP, NO_UTF_8, {"resources": 5}]
    recorders = await start_each(tmp_path, [ScriptedApiserver(discoveries=[document(content)]) for content in contents])
    for recorder in recorders:
        assert recorder.told == ["relisting start", "start_failed bad_response", "found", "opened"]


async def test_a_watch_answered_with_a_page_is_a_bad_response(tmp_path: Path) -> None:
    recorder = await start(tmp_path, ScriptedApiserver(document(HTML)))
    assert recorder.start_reasons == ["bad_response"]
    assert str(recorder.start_errors[0]) == "the watch is answered with text/html"


async def test_what_is_not_served_is_found_once_it_is(tmp_path: Path) -> None:
    unknown = {**DISCOVERY, "resources": []}
    recorder = await start(tmp_path, ScriptedApiserver(refusal(404), discoveries=[document(unknown)]))
    assert recorder.start_reasons == ["not_found", "not_found"]
    assert str(recorder.start_errors[0]) == "configmaps is not served here"
    # After a 404 it may be served in another version: it is looked for again.
    assert recorder.told.count("found") == 2


async def test_retry_after_is_honoured(tmp_path: Path) -> None:
    verbs = ["discovery", "list", "watch"]
    apiservers = [refusing(verb, refusal(429, retry_after="1")) for verb in verbs]
    recorders = await start_each(tmp_path, apiservers)
    for verb, apiserver, recorder in zip(verbs, apiservers, recorders, strict=True):
        first, second = apiserver.asked_for(verb)[:2]
        assert recorder.start_errors[0].retry_after_seconds == 1.0
        assert second.at - first.at >= 1.0


@pytest.mark.parametrize("said", [[], [event(101)]], ids=["as the first word", "after an event"])
async def test_retry_after_in_an_error_event_is_honoured(said: list[bytes], tmp_path: Path) -> None:
    recorder = Recorder()
    apiserver = ScriptedApiserver(saying(*said, error(429, retry_after_seconds=1)))
    async with apiserver, watching(apiserver.url, tmp_path) as streams:
        streams.start(recorder)
        await recorder.until(lambda: len(apiserver.asked_for("watch")) == 2, "a second watch")
    first, second = apiserver.asked_for("watch")
    assert second.at - first.at >= 1.0


async def test_a_retry_after_that_is_no_number_is_none(tmp_path: Path) -> None:
    recorder = await start(tmp_path, ScriptedApiserver(refusal(429, retry_after="Wed, 21 Oct 2026 07:28:00 GMT")))
    assert recorder.start_errors[0].retry_after_seconds is None


async def test_one_resources_trouble_touches_no_other_stream(tmp_path: Path) -> None:
    well, denied, rejected = Recorder(), Recorder(), Recorder()
    async with Simulator() as simulator, watching(simulator.url, tmp_path) as streams:
        simulator.faults.deny("*", "pods")
        simulator.faults.rejection = Rejection(503, resource="nodes")
        for recorder, name in ((well, "configmaps"), (denied, "pods"), (rejected, "nodes")):
            streams.start(recorder, name)
        await denied.until_failed(2)
        await rejected.until_failed(1)
        await well.until_opened()
        simulator.apiserver.cut_watches("pods")
        simulator.faults.allow("*", "pods")
        simulator.faults.rejection = None
        await denied.until_opened()
        await rejected.until_opened()
        assert well.told == ["relisting start", "found", "opened"]
    assert set(denied.start_reasons) == {"forbidden"}
    assert set(rejected.start_reasons) == {"server_error"}


async def test_what_may_have_been_meant_is_looked_for_once(tmp_path: Path) -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        if request.path == "/apis" and asked.count("/apis") == 1:
            raise web.HTTPServiceUnavailable
        if request.path == "/apis":
            return web.json_response({"groups": []})
        known = {"singularName": "configmap", "shortNames": ["cm"], "namespaced": True, "verbs": ["list", "watch"]}
        return web.json_response({"resources": [{"name": "configmaps", **known}]})

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    recorder = Recorder()
    async with (
        TestServer(app, host="127.0.0.1") as apiserver,
        watching(str(apiserver.make_url("")), tmp_path) as streams,
    ):
        streams.start(recorder, "cm")
        await recorder.until_failed(4)
    first, *later = map(str, recorder.start_errors)
    assert first == "cm is not served here"
    assert set(later) == {'cm is not served here, did you mean "configmaps"?'}
    assert asked.count("/apis") == 2, "what was found is kept"
    assert asked.count("/api/v1") > 4, "whether it is served is asked each time"
