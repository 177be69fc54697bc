"""Every way in which a LIST or a WATCH fails to start, under its one reason; none of them is an end."""

import socket
from pathlib import Path
from typing import Any

import pytest

from exporter.kubernetes.backoff import Backoff
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
NO_LATIN = b'{"kind":"\xff\xfe","metadata":{"resourceVersion":"1"}}'


async def start(folder: Path, apiserver: ScriptedApiserver) -> Recorder:
    """What is told from the first try to the first watch that opens."""
    recorder = Recorder()
    async with apiserver, watching(apiserver.url, folder) as streams:
        streams.start(recorder)
        await recorder.until_opened()
    return recorder


@pytest.mark.parametrize(("code", "reason"), REASONS)
@pytest.mark.parametrize("verb", ["discoveries", "lists", "watches"])
async def test_a_refusal_is_a_failed_start_and_the_next_try_succeeds(
    code: int, reason: str, verb: str, tmp_path: Path
) -> None:
    answers: dict[str, Any] = {} if verb == "watches" else {verb: [refusal(code)]}
    recorder = await start(tmp_path, ScriptedApiserver(*([refusal(code)] if verb == "watches" else []), **answers))
    assert recorder.start_reasons == [reason]
    assert str(recorder.start_errors[0]) == f"no: {code}"
    assert recorder.ends[1:] == recorder.losses == []
    assert recorder.openings[0][1] == 100


async def test_nobody_listens(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    recorder = Recorder()
    async with watching(url, tmp_path) as streams:
        streams.start(recorder)
        await recorder.until_failed()
    assert recorder.start_reasons[0] == "connect"
    assert recorder.told[:2] == ["relisting start", "start_failed connect"]


@pytest.mark.parametrize(("code", "reason"), [(410, "gone"), (429, "throttled"), (500, "server_error")])
async def test_an_error_as_the_first_word_is_a_failed_start_and_no_end(code: int, reason: str, tmp_path: Path) -> None:
    recorder = await start(tmp_path, ScriptedApiserver(saying(error(code))))
    assert recorder.start_reasons == [reason]
    assert recorder.told.count("opened") == 1
    assert recorder.losses == []


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (document(HTML), "/api/v1/namespaces/default/configmaps: the answer is no list ("),
        (document(DISCOVERY), "/api/v1/namespaces/default/configmaps: the answer is no list ("),
        (document([1, 2]), "/api/v1/namespaces/default/configmaps: the answer is no list ("),
        (document(a_list("")), "/api/v1/namespaces/default/configmaps: the answer is no list (a ConfigMapList with"),
        (document(a_list("9" * 5000)), "/api/v1/namespaces/default/configmaps: the answer is no list ("),
        (document(DEEP), "/api/v1/namespaces/default/configmaps: the answer is no list ("),
        (document(NO_LATIN), "/api/v1/namespaces/default/configmaps: the answer is no list ("),
        (document(b""), "/api/v1/namespaces/default/configmaps: the answer is no list ("),
    ],
    ids=["HTML", "another kind", "an array", "no revision", "a huge revision", "too deep", "no UTF-8", "nothing"],
)
async def test_a_list_that_is_none_is_a_bad_response(answer: Answer, message: str, tmp_path: Path) -> None:
    recorder = await start(tmp_path, ScriptedApiserver(lists=[answer]))
    assert recorder.start_reasons == ["bad_response"]
    assert str(recorder.start_errors[0]).startswith(message)


@pytest.mark.parametrize(
    "content", [DEEP, b'{"message": "\xff"}', HTML, [1]], ids=["deep", "no UTF-8", "HTML", "array"]
)
async def test_a_refusal_that_cannot_be_read_is_told_by_its_status(content: object, tmp_path: Path) -> None:
    recorder = await start(tmp_path, ScriptedApiserver(document(content, status=502)))
    assert recorder.start_reasons == ["server_error"]
    assert str(recorder.start_errors[0]) == "HTTP 502"


@pytest.mark.parametrize("content", [HTML, [1], DEEP, {"resources": 5}], ids=["HTML", "array", "deep", "wrong type"])
async def test_discovery_that_is_none_is_a_bad_response(content: object, tmp_path: Path) -> None:
    recorder = await start(tmp_path, ScriptedApiserver(discoveries=[document(content)]))
    assert recorder.start_reasons == ["bad_response"]
    assert recorder.told == ["relisting start", "start_failed bad_response", "found", "opened", *recorder.told[4:]]


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


@pytest.mark.parametrize("verb", ["lists", "watches"])
async def test_retry_after_is_honoured(verb: str, tmp_path: Path) -> None:
    throttled = refusal(429, retry_after="1")
    apiserver = ScriptedApiserver(throttled) if verb == "watches" else ScriptedApiserver(lists=[throttled])
    recorder = await start(tmp_path, apiserver)
    first, second = apiserver.asked_for(verb.removesuffix("s").removesuffix("e"))[:2]
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


def test_waits_double_up_to_half_a_minute_and_come_back_to_the_first() -> None:
    backoff = Backoff()
    waits = [[backoff.after_failure() for _ in range(30)] for _ in range(20)]
    assert max(wait[0] for wait in waits[:1]) <= 0.8
    assert 20 < max(max(wait) for wait in waits) <= 30
    assert min(backoff.after_failure(5.0) for _ in range(20)) >= 5.0
    backoff.succeeded()
    assert backoff.after_failure() <= 0.8
    assert max(backoff.at_once() for _ in range(100)) <= 0.1
