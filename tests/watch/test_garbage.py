"""What a proxy may answer instead of the apiserver: none of it ends the exporter, or fills its memory."""

import asyncio
import gzip
import json
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from exporter.clocks.poll import Answer, PollConnection
from exporter.kubernetes.backoff import FIRST_SECONDS, LONGEST_ASKED_SECONDS, Backoff
from exporter.kubernetes.errors import StartError
from exporter.kubernetes.framed import MOST_BYTES_AFTER, MOST_BYTES_BEFORE
from exporter.kubernetes.session import MOST_LIST_BYTES, Server
from exporter.limits import MOST_MESSAGE_BYTES, Refused, refused_texts
from exporter.measure.events import LONGEST_LINE_BYTES, EventDecoder, WatchError
from exporter.service.daemon import load_credentials
from exporter.watch.watch import UNFINISHED_LINES
from tests.support.kubeconfig import kubeconfig
from tests.support.observing import config, observed
from tests.support.waiting import wait_until
from tests.watch.recorder import Recorder, watching
from tests.watch.scripted import LISTED_REVISION, ScriptedApiserver, a_list, document, event, saying
from tests.watch.scripted import Answer as ScriptedAnswer

DATES = [
    "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
    "Mon, 01 Jan 9999 00:00:00 +99999999999999999999",
    "Mon, 32 Jan 2026 00:00:00 GMT",
    "Thu, 01 Jan 2026 00:00:00",
    "Thu, 01 Jan 2026 00:00:00 -0000",
    "Thu, 01 Jan 2026 00:00:00 +0200",
    "Thu, 01 Jan 26 00:00:00 GMT",
    "Thu, 1 Jan 2026 00:00:00 GMT",
    "01 Jan 2026 00:00:00 GMT",
    "Thu, 01 Jan 2026 00:00:00 GMT, Thu, 01 Jan 2026 00:00:01 GMT",
    "Thu, 01 Jan 2026 24:00:00 GMT",
    "yesterday",
    "",
]


class Refusals:
    """How many texts were refused since this was made."""

    def __init__(self) -> None:
        self._before = dict(refused_texts.times)

    def of(self, what: Refused) -> int:
        return refused_texts.times[what] - self._before[what]


@asynccontextmanager
async def polling(folder: Path, *answers: ScriptedAnswer) -> AsyncIterator[PollConnection]:
    """A place whose polls are answered so."""
    async with ScriptedApiserver(lists=answers) as server:
        credentials = await load_credentials(config("--kubeconfig", kubeconfig(folder, server.url)))
        place = PollConnection(Server(server.url, is_one_apiserver=True), credentials, lambda _: None)
        try:
            yield place
        finally:
            await place.close()


async def poll(folder: Path, answer: ScriptedAnswer) -> Answer:
    """What one poll makes of this answer."""
    async with polling(folder, answer) as place:
        return await place.poll("/api/v1/configmaps", {})


@pytest.mark.parametrize("date", DATES)
async def test_a_date_that_is_none_is_no_evidence(tmp_path: Path, date: str) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response(a_list(LISTED_REVISION), headers={"Audit-Id": "1", "Date": date})

    assert (await poll(tmp_path, answer)).date is None


async def test_a_date_as_servers_write_it_is_read_to_the_second(tmp_path: Path) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        headers = {"Audit-Id": "1", "Date": "Sun, 06 Nov 1994 08:49:37 GMT"}
        return web.json_response(a_list(LISTED_REVISION), headers=headers)

    assert (await poll(tmp_path, answer)).date == 784111777.0


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    while True:
        await response.write(b" " * 65_536)
        await asyncio.sleep(0)


async def test_a_poll_whose_answer_does_not_end_is_given_up_and_fills_no_memory(tmp_path: Path) -> None:
    refusals = Refusals()
    tracemalloc.start()
    try:
        with pytest.raises(StartError, match="longer than 1048576 bytes") as refused:
            await poll(tmp_path, endless)
        assert tracemalloc.get_traced_memory()[1] < 8 * MOST_LIST_BYTES
    finally:
        tracemalloc.stop()
    assert refused.value.reason == "bad_response"
    assert refusals.of("answer") == 1


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "identity, gzip", "GZIP"])
async def test_a_compressed_answer_is_refused_and_never_inflated(tmp_path: Path, encoding: str) -> None:
    bomb = gzip.compress(b" " * 2**20)

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=bomb, content_type="application/json", headers={"Content-Encoding": encoding})

    recorder, refusals = Recorder(), Refusals()
    with pytest.raises(StartError, match="compressed") as refused:
        await poll(tmp_path, answer)
    assert refused.value.reason == "bad_response"
    scripted = ScriptedApiserver(answer, discoveries=[answer])
    async with scripted as apiserver, watching(apiserver.url, tmp_path) as streams:
        streams.start(recorder)
        await recorder.until_opened()
    assert recorder.start_reasons == ["bad_response"] * 2, "of the discovery and of the watch"
    assert recorder.readings == []
    assert refusals.of("encoding") == 3


async def test_an_answer_that_says_it_is_not_compressed_is_read(tmp_path: Path) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response(a_list(LISTED_REVISION), headers={"Content-Encoding": "identity"})

    assert (await poll(tmp_path, answer)).revision == LISTED_REVISION


INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"


async def without_end(request: web.Request, what: bytes) -> int:
    """Write so for as long as anybody reads; how many bytes were taken, as far as that can be told."""
    sent_bytes, transport = 0, request.transport
    while transport is not None and not transport.is_closing():
        if transport.get_write_buffer_size() < 65_536:
            transport.write(what * 1_000)
            sent_bytes += len(what) * 1_000
        assert sent_bytes < 20 * MOST_BYTES_BEFORE, "somebody takes it all"
        await asyncio.sleep(0)
    return sent_bytes


async def test_interim_answers_without_end_are_given_up_at_a_limit(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        await without_end(request, INTERIM)
        return web.Response()

    refusals = Refusals()
    with pytest.raises(StartError, match="more than 1048576 bytes came before the answer") as refused:
        await poll(tmp_path, answer)
    assert refused.value.reason == "bad_response"
    recorder = Recorder()
    async with ScriptedApiserver(answer) as apiserver, watching(apiserver.url, tmp_path) as streams:
        streams.start(recorder)
        await recorder.until_opened()
    assert recorder.start_reasons == ["bad_response"]
    assert refusals.of("answer") == 2


async def test_a_few_interim_answers_are_read_over(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(INTERIM * 3)
        return web.json_response(a_list(LISTED_REVISION))

    assert (await poll(tmp_path, answer)).revision == LISTED_REVISION


async def test_what_comes_on_a_connection_that_nobody_uses_closes_it_and_is_not_kept(tmp_path: Path) -> None:
    flooded: list[asyncio.Task[int]] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        async def flood() -> int:
            await asyncio.sleep(0.1)
            return await without_end(request, INTERIM)

        flooded.append(asyncio.create_task(flood()))
        return web.json_response(a_list(LISTED_REVISION))

    good, refusals = document(a_list(LISTED_REVISION + 1)), Refusals()
    async with polling(tmp_path, answer, good) as place:
        first = await place.poll("/api/v1/configmaps", {})
        await wait_until(lambda: refusals.of("answer") == 1, "the flood is refused", timeout_seconds=20)
        await flooded[0]
        second = await place.poll("/api/v1/configmaps", {})
    assert (first.revision, second.revision) == (LISTED_REVISION, LISTED_REVISION + 1)
    assert second.connection != first.connection
    assert MOST_BYTES_AFTER < MOST_BYTES_BEFORE


@pytest.mark.parametrize("status", [200, 500])
async def test_of_what_an_apiserver_says_of_an_error_the_beginning_is_kept(tmp_path: Path, status: int) -> None:
    """On a watch, before it, and of a poll."""
    said = {"kind": "Status", "code": 500, "message": "x" * 900_000}
    line = json.dumps({"type": "ERROR", "object": said}).encode() + b"\n"
    at_once = saying(line) if status == 200 else document(said, status=status)
    recorder, refusals = Recorder(), Refusals()
    scripted = ScriptedApiserver(at_once, saying(event(101), line))
    async with scripted as apiserver, watching(apiserver.url, tmp_path) as streams:
        streams.start(recorder)
        await recorder.until_ended()
    (failed,), ((end, _),) = recorder.start_errors, recorder.ends
    for message in (str(failed), end.message):
        assert 500 < len(message) <= MOST_MESSAGE_BYTES
        assert set(message) <= {"x", "."}
    assert refusals.of("message") == 2


async def test_whatever_an_apiserver_says_the_page_and_readyz_stay_small(tmp_path: Path) -> None:
    said = {"kind": "Status", "code": 500, "message": "x" * 900_000}
    line = json.dumps({"type": "ERROR", "object": said}).encode() + b"\n"
    sizes: dict[str, int] = {}
    async with ScriptedApiserver(last_watch=saying(line)) as apiserver:
        flags = ("--kubeconfig", kubeconfig(tmp_path, apiserver.url), "--resource", "configmaps")
        async with observed(*flags, ready=False) as exporter, aiohttp.ClientSession() as http:
            await exporter.wait_for(lambda scrape: scrape.sum("init_events_errors_total") >= 1)
            for path in ("/", "/readyz", "/api/v1/status"):
                async with http.get(exporter.url + path) as answer:
                    sizes[path] = len(await answer.read())
    assert sizes.pop("/") < 60_000, "the page has styles and a script, and nothing of what was said but its beginning"
    assert max(sizes.values()) < 20_000


async def test_the_unfinished_lines_of_all_watches_have_one_budget(tmp_path: Path) -> None:
    streams_at_once = 24
    piece = b"x" * 2**20
    all_sent = [asyncio.Event() for _ in range(streams_at_once)]
    number = iter(range(streams_at_once))

    async def answer(request: web.Request) -> web.StreamResponse:
        mine = next(number)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        for _ in range(LONGEST_LINE_BYTES // len(piece) - 1):
            await response.write(piece)
        all_sent[mine].set()
        await asyncio.gather(*(sent.wait() for sent in all_sent))
        await asyncio.sleep(0.5)
        await response.write(b"\n" + event(101))
        await asyncio.Event().wait()
        return response

    recorders, refusals = [Recorder() for _ in range(streams_at_once)], Refusals()
    left_bytes = UNFINISHED_LINES.left_bytes
    async with (
        ScriptedApiserver(*[answer] * streams_at_once) as apiserver,
        watching(apiserver.url, tmp_path) as streams,
    ):
        for recorder in recorders:
            streams.start(recorder)
        for recorder in recorders:
            await recorder.until_revision(101)
        # Those that had room are no events either; each is counted once.
        assert [recorder.undecodable for recorder in recorders] == [1] * streams_at_once
        assert refusals.of("line") >= 2
        assert UNFINISHED_LINES.left_bytes == left_bytes


async def test_a_watch_that_ends_in_the_middle_of_a_line_gives_its_room_back(tmp_path: Path) -> None:
    recorder, left_bytes = Recorder(), UNFINISHED_LINES.left_bytes
    unfinished = [b"x" * 2**20] * 3
    scripted = ScriptedApiserver(saying(event(101), *unfinished, then="cut"))
    async with scripted as apiserver, watching(apiserver.url, tmp_path) as streams:
        streams.start(recorder)
        await recorder.until_ended()
        assert UNFINISHED_LINES.left_bytes == left_bytes


async def test_an_error_whose_status_cannot_be_read_ends_the_watch(tmp_path: Path) -> None:
    recorder = Recorder()
    scripted = ScriptedApiserver(saying(event(101), b'{"type":"ERROR","object":[]}\n', then="silence"))
    async with scripted as apiserver, watching(apiserver.url, tmp_path) as streams:
        streams.start(recorder)
        await recorder.until_ended()
    assert recorder.end_reasons == ["server_error"]
    assert recorder.undecodable == 0


NO_WAITS = ["-7", "-0.0", "0", "-1e308", "NaN", "1e400", '"7"', "-Infinity"]


@pytest.mark.parametrize("in_first_words", [True, False])
async def test_what_an_error_says_of_when_to_return_never_makes_us_return_sooner(
    tmp_path: Path, *, in_first_words: bool
) -> None:
    async def watches(wait: str) -> int:
        line = b'{"type":"ERROR","object":{"code":429,"details":{"retryAfterSeconds":%s}}}\n' % wait.encode()
        words = [line] if in_first_words else [event(101), line]
        folder = tmp_path / str(NO_WAITS.index(wait))
        folder.mkdir()
        async with (
            ScriptedApiserver(last_watch=saying(*words)) as apiserver,
            watching(apiserver.url, folder) as streams,
        ):
            streams.start(Recorder())
            await asyncio.sleep(3)
        return len(apiserver.asked_for("watch"))

    # Drawn between 0 and 0.8, 1.6, 3.2 and 6.4 s: ten in three seconds is less than one in a million.
    assert max(await asyncio.gather(*map(watches, NO_WAITS))) < 10


@pytest.mark.parametrize("wait", ["1e308", "9" * 300])
async def test_nor_does_it_keep_us_away_for_ever(wait: str) -> None:
    line = b'{"type":"ERROR","object":{"code":429,"details":{"retryAfterSeconds":%s}}}' % wait.encode()
    decoded = EventDecoder().decode(line)
    if isinstance(decoded, WatchError):
        assert Backoff().after_failure(decoded.retry_after_seconds) <= LONGEST_ASKED_SECONDS + FIRST_SECONDS


@pytest.mark.parametrize("wait", ["-7", "NaN", "inf", "1e308", "9" * 5_000, "-0", "+7", "\u0667"])
async def test_a_retry_after_header_is_a_number_within_bounds_or_none(tmp_path: Path, wait: str) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response({}, status=429, headers={"Retry-After": wait})

    with pytest.raises(StartError) as refused:
        await poll(tmp_path, answer)
    assert refused.value.reason == "throttled"
    assert refused.value.retry_after_seconds in {None, float(wait) if wait.isdecimal() else None}
    asked = Backoff().after_failure(refused.value.retry_after_seconds)
    assert 0 <= asked <= LONGEST_ASKED_SECONDS + FIRST_SECONDS
