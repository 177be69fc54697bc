"""Chunked transfer coding: any cut gives the same content, and a body's end is told for what it is."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.kubernetes.chunked import LONGEST_SIZE_LINE_BYTES, ChunkedBody, ChunkedBodyError
from exporter.measure.arrivals import Arrivals
from exporter.measure.times import Interval
from exporter.watch.body import MUCH_BYTES, StampedBody
from exporter.watch.heartbeat import Heartbeat
from tests.support.waiting import wait_until

LAST_CHUNK = b"0\r\n\r\n"


def chunk(content: bytes, extension: bytes = b"") -> bytes:
    return b"%X%s\r\n%s\r\n" % (len(content), extension, content)


@given(
    contents=st.lists(st.binary(min_size=1, max_size=40) | st.sampled_from([b"\r\n", b"0\r\n\r\n"]), max_size=6),
    extension=st.sampled_from([b"", b";a=b"]),
    cuts=st.lists(st.integers(0, 300), max_size=8),
)
def test_any_cut_of_the_bytes_gives_the_same_content(contents: list[bytes], extension: bytes, cuts: list[int]) -> None:
    wire = b"".join(chunk(content, extension) for content in contents) + LAST_CHUNK
    body, at, found = ChunkedBody(), 0, b""
    for cut in sorted({*cuts, len(wire) - 1, len(wire)}):
        found += b"".join(body.feed(wire[at:cut]))
        if cut < len(wire) - len(b"\r\n"):
            assert body.is_over == (len(wire[:cut]) >= len(wire) - len(b"\r\n"))
        at = max(at, cut)
    assert found == b"".join(contents)
    assert body.is_over
    assert body.feed(b"GET / HTTP/1.1\r\n") == [], "what follows is not the body's"


def test_content_is_not_held_back_until_its_chunk_is_over() -> None:
    body = ChunkedBody()
    assert body.feed(b"5\r\nab") == [b"ab"]
    assert body.feed(b"c") == [b"c"]
    assert body.feed(b"de\r") == [b"de"]
    assert body.feed(b"\n") == []
    assert not body.is_over


NO_SIZES = [b"xyz", b"", b"-5", b"+5", b";a", b"0x5", b"0X5", b"1_0", b" 5", b"5 ", b"\t5", b"5\n", b"\xd9\xa3"]
NO_SIZES += [b"0" * 17, b"f" * 17, b"5;" + b"a" * LONGEST_SIZE_LINE_BYTES]


@pytest.mark.parametrize("size_line", [*(size + b"\r\n" for size in NO_SIZES), b"1" * (LONGEST_SIZE_LINE_BYTES + 2)])
def test_what_is_no_size_is_an_error(size_line: bytes) -> None:
    body = ChunkedBody()
    body.feed(chunk(b"abc"))
    with pytest.raises(ChunkedBodyError):
        body.feed(size_line)
    assert body.feed(chunk(b"invented")) == []


@pytest.mark.parametrize("piece_bytes", [1, LONGEST_SIZE_LINE_BYTES, LONGEST_SIZE_LINE_BYTES + 1, 10_000])
def test_the_longest_size_line_is_the_same_in_any_cut(piece_bytes: int) -> None:
    def feed(extension_bytes: int) -> bytes:
        data, body = chunk(b"abc", b";".ljust(extension_bytes, b"x")), ChunkedBody()
        return b"".join(b"".join(body.feed(data[at : at + piece_bytes])) for at in range(0, len(data), piece_bytes))

    assert feed(LONGEST_SIZE_LINE_BYTES - 1) == b"abc"
    with pytest.raises(ChunkedBodyError):
        feed(LONGEST_SIZE_LINE_BYTES)


@pytest.mark.parametrize("size_line", [b"5", b"00005;a=b", b"5 ; a", b"5\t;a"])
def test_extensions_and_leading_zeros_are_read_over(size_line: bytes) -> None:
    assert ChunkedBody().feed(size_line + b"\r\nabcde\r\n") == [b"abcde"]


@pytest.mark.parametrize("ending", [b"xy", b"\n\r", b"\n3", b"\r3", b"3\r"])
def test_a_chunk_that_does_not_end_with_its_size_is_an_error_wherever_it_is_cut(ending: bytes) -> None:
    wire = b"3\r\nabc" + ending + chunk(b"invented")
    for cut in range(len(wire)):
        body, found = ChunkedBody(), b""
        with suppress(ChunkedBodyError):
            found = b"".join(body.feed(wire[:cut]))
        if not body.is_over:
            with pytest.raises(ChunkedBodyError):
                body.feed(wire[cut:])
        assert body.is_over
        assert b"abc".startswith(found)
        assert body.feed(chunk(b"invented")) == []


LINE = b'{"a":1}\n'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


@asynccontextmanager
async def serving(*writes: bytes) -> AsyncIterator[str]:
    """A server that sends each of `writes` in a packet of its own, and closes the connection."""
    answered = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            for write in writes:
                writer.write(write)
                await writer.drain()
                await asyncio.sleep(0.02)
        with suppress(ConnectionError):
            writer.close()
            await writer.wait_closed()
        answered.set()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}"
        await answered.wait()


async def read(*writes: bytes) -> tuple[bytes, BaseException | None]:
    """The content of the body that these bytes are, and how it ended."""
    content = bytearray()

    def take(received: Sequence[bytes], _: Interval) -> None:
        content.extend(b"".join(received))

    heartbeat = Heartbeat(lambda _: None)
    async with serving(*writes) as url, aiohttp.ClientSession() as session:
        body = StampedBody(await session.get(url), Arrivals(), heartbeat, take)
        ended = await asyncio.wait_for(body.ended, 20)
        body.close()
    return bytes(content), ended


async def test_the_body_goes_on_where_aiohttp_left_it() -> None:
    """The first event comes with the headers, in a reading of its own, or cut in the middle."""
    rest = chunk(LINE * 3)
    for writes in (
        [HEAD + chunk(LINE), rest[:9], rest[9:], LAST_CHUNK],
        [HEAD, chunk(LINE), rest + LAST_CHUNK],
        [HEAD + chunk(LINE)[:4], chunk(LINE)[4:] + rest, LAST_CHUNK],
        [HEAD + chunk(LINE)[:4], chunk(LINE)[4:], rest, b"0", b"\r\n\r\n"],
    ):
        assert await read(*writes) == (LINE * 4, None), writes


async def test_a_body_that_ends_without_its_last_chunk_is_cut_short() -> None:
    for writes in ([chunk(LINE)], [chunk(LINE), chunk(LINE)[:5]], [chunk(LINE), b"0"]):
        content, ended = await read(HEAD, chunk(LINE), *writes)
        assert content.startswith(LINE * 2)
        assert isinstance(ended, aiohttp.ClientPayloadError), writes


async def test_a_body_that_leaves_its_coding_ends_with_that_error() -> None:
    content, ended = await read(HEAD, chunk(LINE), chunk(LINE), b"nonsense\r\n", chunk(LINE))
    assert content == LINE * 2
    assert isinstance(ended, ChunkedBodyError)


async def test_a_reading_larger_than_aiohttp_holds_is_read_to_its_end() -> None:
    """It stops parsing above half a mebibyte, until its buffer is emptied."""
    lines = [b'{"a":"%s"}\n' % (b"x" * 1000) for _ in range(1500)]
    content = bytearray()

    def take(received: Sequence[bytes], _: Interval) -> None:
        content.extend(b"".join(received))

    async with serving(HEAD, b"") as url, aiohttp.ClientSession() as session:
        response = await session.get(url)
        assert response.connection is not None
        transport = response.connection.transport
        assert isinstance(transport, asyncio.ReadTransport)
        body = StampedBody(response, Arrivals(), Heartbeat(lambda _: None), take)
        body.data_received(b"".join(map(chunk, lines)))
        assert transport.is_reading()
        body.data_received(chunk(LINE) + LAST_CHUNK)
        assert await asyncio.wait_for(body.ended, 20) is None
        body.close()
    assert bytes(content) == b"".join(lines) + LINE


async def test_what_comes_bit_by_bit_is_passed_on_after_the_next_look_and_much_at_once() -> None:
    """Without a heartbeat no look comes; what was read before an end is passed on in any case."""
    taken: list[int] = []

    async def iterations() -> list[int]:
        for _ in range(5):
            await asyncio.sleep(0)
        return taken

    def take(received: Sequence[bytes], _: Interval) -> None:
        taken.append(sum(map(len, received)))

    much = chunk(b"x" * (MUCH_BYTES - 2 * len(LINE)))
    async with serving(HEAD, b"") as url, aiohttp.ClientSession() as session:
        response = await session.get(url)
        heartbeat = Heartbeat(lambda _: None)
        body = StampedBody(response, Arrivals(), heartbeat, take)
        body.data_received(chunk(LINE))
        body.data_received(chunk(LINE))
        assert await iterations() == []
        body.data_received(much)
        assert await iterations() == [len(LINE), len(LINE), MUCH_BYTES - 2 * len(LINE)]
        taken.clear()
        body.data_received(chunk(LINE))
        beating = asyncio.create_task(heartbeat.run())
        await wait_until(lambda: taken == [len(LINE)], "the heartbeat has looked")
        beating.cancel()
        body.data_received(chunk(LINE))
        body.abort()
        assert taken == [len(LINE), len(LINE)]
        body.data_received(chunk(LINE))
        body.close()
        assert taken == [len(LINE)] * 3


async def test_an_error_with_one_read_costs_no_other_and_no_end() -> None:
    taken: list[bytes] = []
    reported: list[object] = []

    def take(received: Sequence[bytes], _: Interval) -> None:
        taken.append(b"".join(received))
        if len(taken) == 1:
            raise MemoryError

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reported.append(type(context["exception"])))
    async with serving(HEAD, b"") as url, aiohttp.ClientSession() as session:
        body = StampedBody(await session.get(url), Arrivals(), Heartbeat(lambda _: None), take)
        for _ in range(3):
            body.data_received(chunk(LINE))
        body.data_received(LAST_CHUNK)
        assert await asyncio.wait_for(body.ended, 20) is None
        body.close()
    assert taken == [LINE] * 3
    assert reported == [MemoryError]


async def test_a_body_without_chunks_is_left_to_aiohttp() -> None:
    head = HEAD.replace(b"Transfer-Encoding: chunked", b"Content-Length: %d" % (len(LINE + LINE)))
    assert await read(head, LINE, LINE) == (LINE * 2, None)
