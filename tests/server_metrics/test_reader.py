"""The reader of one apiserver's metrics: how often it asks, what it counts, what it says, what it refuses."""

import asyncio
import contextlib
import gzip
import itertools
import logging
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from exporter.kubernetes.errors import StartError
from exporter.limits import refused_texts
from exporter.server_metrics import reader as reader_module
from exporter.server_metrics import sources
from exporter.server_metrics.between import ServerReading
from exporter.server_metrics.reader import MOST_AT_ONCE, Listener, Periods, Reader
from exporter.server_metrics.sources import STEP_BYTES, ask_apiserver
from exporter.server_metrics.text import Numbers, TextParser
from tests.server_metrics.serving import Bill, MetricsServer, body, session_with
from tests.support.neighbour import Neighbour
from tests.support.waiting import wait_until

NEVER = 3600.0
OFTEN = Periods(quiet=0.1, trouble=0.1, refused=NEVER)


class ReaderAtWork:
    """A reader at work, and what it has counted."""

    def __init__(self) -> None:
        self.reads: Counter[str] = Counter()
        self.reader: Reader

    def count(self, result: str) -> None:
        self.reads[result] += 1


@contextlib.asynccontextmanager
async def reading(
    folder: Path,
    server: MetricsServer,
    periods: Periods = OFTEN,
    *,
    is_wanted: bool = False,
    is_of_several: bool = False,
    tells_apart: bool = True,
    bill: Bill | None = None,
) -> AsyncIterator[ReaderAtWork]:
    found = ReaderAtWork()
    async with session_with(folder, server.url, bill) as session:
        listener = Listener("127.0.0.1:6443", read=found.count, is_wanted=is_wanted)
        ask = partial(ask_apiserver, session)
        found.reader = Reader(ask, periods, listener, is_of_several=is_of_several, tells_apart=tells_apart)
        running = asyncio.create_task(found.reader.run())
        try:
            yield found
        finally:
            running.cancel()
            await asyncio.wait({running})


def numbers_of(said: str) -> Numbers:
    parser = TextParser()
    parser.feed(said.encode())
    return parser.finish()


async def test_two_readings_become_facts(tmp_path: Path) -> None:
    bill = Bill()
    first, second = body(cpu_seconds=1), body(cpu_seconds=21)
    async with MetricsServer(first, second) as server, reading(tmp_path, server, bill=bill) as found:
        await wait_until(lambda: found.reader.facts is not None, "two readings")
        facts = found.reader.facts
        await wait_until(lambda: found.reads["ok"] > 3, "two more")
    assert facts is not None
    assert facts.started_at == 100
    assert facts.cpu_cores_used == pytest.approx(20 / facts.seconds)
    assert {request.path for request in server.asked} == {"/metrics"}
    assert {request.headers["Accept-Encoding"] for request in server.asked} == {"identity"}
    assert set(bill.requests) == {"server_metrics"}
    assert bill.bytes["server_metrics"] == len(first) + (found.reads["ok"] - 1) * len(second)


async def test_it_is_read_more_often_while_something_is_wrong(tmp_path: Path) -> None:
    seldom = Periods(quiet=NEVER, trouble=0.1)
    async with MetricsServer(body()) as server, reading(tmp_path, server, seldom) as found:
        await wait_until(lambda: found.reads["ok"] == 1, "the first")
        await asyncio.sleep(0.5)
        assert found.reads["ok"] == 1
        found.reader.is_trouble = True
        await wait_until(lambda: found.reads["ok"] > 3, "more of them")
        assert found.reader.facts is not None


@pytest.mark.parametrize(("is_wanted", "level"), [(False, logging.INFO), (True, logging.WARNING)])
@pytest.mark.parametrize("status", [401, 403, 404])
async def test_what_is_not_permitted_is_said_once_and_asked_seldom(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, status: int, level: int, *, is_wanted: bool
) -> None:
    caplog.set_level(logging.INFO)
    seldom = OFTEN._replace(refused=0.3)
    async with (
        MetricsServer(status, status, body(), status, body(), body()) as server,
        reading(tmp_path, server, seldom, is_wanted=is_wanted) as found,
    ):
        await wait_until(lambda: found.reads["forbidden"] == 1, "it is refused")
        await wait_until(lambda: found.reader.facts is not None, "it is permitted after all")
    assert found.reads["forbidden"] == 3
    said = [(record.message, record.levelno) for record in caplog.records if "own metrics" in record.message]
    assert said == [("the apiserver's own metrics are not permitted", level)] * 2, "again once it was permitted"


async def test_what_is_not_permitted_is_not_asked_for_as_often(tmp_path: Path) -> None:
    async with MetricsServer(403) as server, reading(tmp_path, server) as found:
        found.reader.is_trouble = True
        await wait_until(lambda: found.reads["forbidden"] == 2, "it is refused")
        await asyncio.sleep(0.5)
        assert len(server.asked) == 2


async def test_an_apiserver_that_starts_may_refuse_once(tmp_path: Path) -> None:
    async with MetricsServer(body(), 403, body(), 403, body()) as server, reading(tmp_path, server) as found:
        await wait_until(lambda: found.reads["ok"] > 3, "it is read again")
        assert found.reads["forbidden"] == 2


async def test_an_error_is_tried_again_and_the_facts_get_old(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with (
        MetricsServer(body(), body(), 500) as server,
        reading(tmp_path, server, Periods(1, 1), is_wanted=True) as found,
    ):
        await wait_until(lambda: found.reader.facts is not None, "two readings")
        await wait_until(lambda: found.reader.facts is None, "they are old")
        assert found.reads["error"] >= 2
        server.answers.append(body())
        await wait_until(lambda: found.reader.facts is not None, "it is well again")
    said = [record.message for record in caplog.records if "own metrics" in record.message]
    assert said == ["the apiserver's own metrics cannot be read"]


async def test_another_process_at_the_address_is_a_restart_once(tmp_path: Path) -> None:
    first, second = body(started_at=100, cpu_seconds=50), body(started_at=500, cpu_seconds=60)
    async with MetricsServer(first, second, body(started_at=500, cpu_seconds=70)) as server:
        seldom = Periods(quiet=NEVER, trouble=0.1)
        async with reading(tmp_path, server, seldom) as found:
            found.reader.is_trouble = True
            await wait_until(lambda: len(server.asked) == 2, "two readings")
            found.reader.is_trouble = False
            await wait_until(lambda: found.reader.facts is not None, "facts")
            facts = found.reader.facts
    assert facts is not None
    assert (facts.started_at, facts.cpu_cores_used) == (500, None)


async def test_several_processes_at_one_address_are_told_apart_from_then_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = body(started_at=100, cpu_seconds=3), body(started_at=500, cpu_seconds=5)
    answers = [one, other] * 20
    async with MetricsServer(*answers) as server, reading(tmp_path, server) as found:
        await wait_until(lambda: len(found.reader.members) == 2, "both are known")
        assert found.reader.facts is None, "there is no one apiserver that it would be of"
    said = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert said == ["several processes answer at one address: their own metrics are told apart by their starts"]


async def test_behind_a_balancer_each_reading_is_compared_with_the_last_of_the_same_apiserver(tmp_path: Path) -> None:
    # The second and the third have started in the same tick; and the time of the boot is told now so, now so.
    starts, cpu_seconds = (100.25, 500.5, 500.5), (1000, 10, 400)
    answers = [
        body(started_at=starts[turn % 3] + turn % 2, cpu_seconds=cpu_seconds[turn % 3] + turn) for turn in range(60)
    ]
    async with MetricsServer(*answers) as server, reading(tmp_path, server, is_of_several=True) as found:
        await wait_until(lambda: len(found.reader.members) == 3, "all are known")
        for _ in range(10):
            await asyncio.sleep(0.1)
            assert len(found.reader.members) == 3
            for facts in found.reader.members:
                assert facts.cpu_cores_used == pytest.approx(3 / facts.seconds)
        assert found.reader.facts is None


async def test_nobody_uses_more_cpu_than_there_is(tmp_path: Path) -> None:
    cores = "go_sched_gomaxprocs_threads 2\n"
    twins = [body(started_at=100, cpu_seconds=seconds, more=cores) for seconds in (10, 400)]
    seldom = Periods(quiet=NEVER, trouble=0.1)
    async with MetricsServer(*twins) as server, reading(tmp_path, server, seldom, is_of_several=True) as found:
        found.reader.is_trouble = True
        await wait_until(lambda: found.reads["ok"] == 2, "both are read")
        found.reader.is_trouble = False
        assert found.reader.members == ()


async def test_behind_a_balancer_each_apiserver_is_asked_as_often_as_if_it_was_alone(tmp_path: Path) -> None:
    answers = [body(started_at=100 + 0.25 * (turn % 4), cpu_seconds=turn) for turn in range(400)]
    async with MetricsServer(*answers) as server, reading(tmp_path, server, Periods(1, 1), is_of_several=True) as found:
        await wait_until(lambda: len(found.reader.members) == 4, "all are known")
        began = len(server.asked)
        await asyncio.sleep(2)
        assert 6 <= len(server.asked) - began <= 10


async def test_behind_a_balancer_what_happened_long_before_is_left_out_of_what_is_so_now(tmp_path: Path) -> None:
    answers = [body(cpu_seconds=turn, more=f"go_sched_gomaxprocs_threads {turn + 1}\n") for turn in range(3)]
    seldom = Periods(quiet=2, trouble=0.1)
    async with MetricsServer(*answers) as server, reading(tmp_path, server, seldom, is_of_several=True) as found:
        await wait_until(lambda: found.reads["ok"] == 1, "the first")
        await asyncio.sleep(0.5)
        found.reader.is_trouble = True
        await wait_until(lambda: bool(found.reader.members), "the second")
        (first,) = found.reader.members
        assert (first.cpu_cores_used, first.cpu_cores) == (None, 2)
        await wait_until(lambda: found.reader.members[0].cpu_cores_used is not None, "two readings of one moment")


async def test_behind_a_balancer_one_that_does_not_answer_keeps_nobody_from_asking_the_others() -> None:
    turns, waiting = itertools.count(), set[int]()

    async def ask() -> ServerReading:
        turn = next(turns)
        if turn == 1 or turn > 4:
            waiting.add(turn)
            await asyncio.sleep(NEVER)
        return ServerReading(turn / 100, numbers_of(body(cpu_seconds=turn)))

    reader = Reader(ask, OFTEN, Listener("127.0.0.1:6443", lambda _: None, is_wanted=False), is_of_several=True)
    running = asyncio.create_task(reader.run())
    try:
        await wait_until(lambda: len(reader.members) == 1, "two answers of the other one")
        await wait_until(lambda: len(waiting) == MOST_AT_ONCE, "the others do not answer")
        await asyncio.sleep(0.5)
        assert len(waiting) == MOST_AT_ONCE
    finally:
        running.cancel()
        await asyncio.wait({running})


async def test_an_apiserver_that_answers_no_more_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "FORGOTTEN_PERIODS", 5.0)
    one, other = body(started_at=100), body(started_at=500)
    async with (
        MetricsServer(one, other, one, other, one) as server,
        reading(tmp_path, server, is_of_several=True) as found,
    ):
        await wait_until(lambda: len(found.reader.members) == 2, "both are known")
        await wait_until(lambda: len(found.reader._processes) == 1, "it is forgotten")
        await wait_until(lambda: len(found.reader.members) == 1, "the other one is still read")


async def test_a_prometheus_that_knows_several_processes_as_one_is_asked_no_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = body(started_at=100), body(started_at=500)
    async with (
        MetricsServer(one, other, one, other) as server,
        reading(tmp_path, server, tells_apart=False) as found,
    ):
        await wait_until(lambda: found.reader.is_of_several, "the first one again")
        assert (found.reader.facts, found.reader.members) == (None, ())
        await asyncio.sleep(0.3)
        read = len(server.asked)
        await asyncio.sleep(0.5)
        assert len(server.asked) == read
    said = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert said == ["several processes answer at one address: their own metrics are not used"]


@pytest.mark.parametrize("is_of_several", [False, True])
async def test_what_is_read_twice_says_nothing_new(*, is_of_several: bool) -> None:
    same, counted = ServerReading(1.0, numbers_of(body())), ReaderAtWork()

    async def ask() -> ServerReading:
        return same

    listener = Listener("127.0.0.1:6443", read=counted.count, is_wanted=False)
    reader = Reader(ask, OFTEN, listener, is_of_several=is_of_several)
    running = asyncio.create_task(reader.run())
    await wait_until(lambda: counted.reads["ok"] > 3, "it is read again and again")
    assert (reader.facts, reader.members) == (None, ())
    running.cancel()


async def test_a_body_without_end_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MOST_BYTES", 2**20)
    before = refused_texts.times["answer"]
    async with MetricsServer(body(more="x" * 2**22)) as server, session_with(tmp_path, server.url) as session:
        with pytest.raises(StartError, match="longer than 1048576 bytes"):
            await ask_apiserver(session)
    assert refused_texts.times["answer"] == before + 1


async def test_a_page_that_is_something_else_is_an_error(tmp_path: Path) -> None:
    async with MetricsServer("<html>Please log in.</html>") as server, session_with(tmp_path, server.url) as session:
        with pytest.raises(StartError, match="not the metrics of an apiserver") as raised:
            await ask_apiserver(session)
    assert raised.value.reason == "bad_response"


async def test_a_compressed_body_is_refused(tmp_path: Path) -> None:
    packed = gzip.compress(body().encode()).decode("latin-1")
    headers = {"Content-Encoding": "gzip"}
    async with MetricsServer(packed, headers=headers) as server, session_with(tmp_path, server.url) as session:
        with pytest.raises(StartError, match="compressed"):
            await ask_apiserver(session)


async def test_lines_that_are_none_are_counted(tmp_path: Path) -> None:
    before = refused_texts.times["server_metrics"]
    said = body(more="process_open_fds many\n")
    async with MetricsServer(said) as server, session_with(tmp_path, server.url) as session:
        await ask_apiserver(session)
    assert refused_texts.times["server_metrics"] == before + 1


async def test_others_have_their_turn_while_a_large_body_is_read(tmp_path: Path) -> None:
    """20 MB take a quarter of a second; nobody waits for more than some kilobytes of them."""
    labels = 'group="",resource="pods",verb="LIST",le="0.1"'
    said = body(more=f"apiserver_request_duration_seconds_bucket{{{labels}}} 5\n" * 50_000)
    async with MetricsServer(said) as server, session_with(tmp_path, server.url) as session, Neighbour() as neighbour:
        found = await ask_apiserver(session)
    assert found.numbers.size_bytes == len(said)
    assert neighbour.turns >= len(said) / STEP_BYTES
