"""The proxy against a plain TCP server, where every byte can be timed."""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from tests.real.certificates import CertificateAuthority
from tests.real.proxy import Proxy, Tls
from tests.support.waiting import wait_until

DELAY_SECONDS = 0.4


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A server whose connections are over when this is left; its address."""
    connections = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError):
            await handler(reader, writer)
        with contextlib.suppress(ConnectionError):
            writer.close()
            await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    await asyncio.gather(*(connection for connection in connections if connection is not None))


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back what comes; end when the client has ended."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


@pytest_asyncio.fixture
async def upstream() -> AsyncIterator[str]:
    """A server that sends back what comes, and ends when the client has ended."""
    async with serving(echo) as address:
        yield address


async def connect(proxy: Proxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", proxy.port)


async def test_the_delay_holds_every_piece_and_keeps_order_and_rate(upstream: str) -> None:
    """Ten pieces sent 50 ms apart take one delay, not ten, and come back in order; so does the end."""
    with Proxy(upstream) as proxy:
        proxy.delay_to_client_seconds = DELAY_SECONDS
        reader, writer = await connect(proxy)
        sent_seconds = []
        for number in range(10):
            sent_seconds.append(time.monotonic())
            writer.write(b"%d\n" % number)
            await asyncio.sleep(0.05)
        all_sent_seconds = time.monotonic()
        writer.write_eof()
        ended_early = reader.at_eof()
        arrived = [(await reader.readline(), time.monotonic()) for _ in sent_seconds]
        assert await reader.read() == b""
        end_seconds = time.monotonic()
        writer.close()
    assert [line for line, _ in arrived] == [b"%d\n" % number for number in range(10)]
    assert not ended_early
    assert arrived[-1][1] - sent_seconds[-1] >= DELAY_SECONDS
    assert end_seconds - all_sent_seconds >= DELAY_SECONDS
    assert end_seconds - sent_seconds[0] < 10 * DELAY_SECONDS


async def test_each_direction_has_its_own_delay(upstream: str) -> None:
    with Proxy(upstream) as proxy:
        proxy.delay_to_server_seconds = DELAY_SECONDS
        reader, writer = await connect(proxy)
        assert await seconds_of_an_echo(reader, writer) >= DELAY_SECONDS
        proxy.delay_to_client_seconds = DELAY_SECONDS
        assert await seconds_of_an_echo(reader, writer) >= 2 * DELAY_SECONDS
        writer.close()


async def test_a_delay_can_be_for_some_connections_only(upstream: str) -> None:
    with Proxy(upstream, only_if_request_contains=b"watch=1") as proxy:
        poll_reader, poll_writer = await connect(proxy)
        watch_reader, watch_writer = await connect(proxy)
        watch_writer.write(b"GET /pods?watch=1\n")
        await watch_reader.readline()
        proxy.delay_to_client_seconds = 30.0
        watch_writer.write(b"an event\n")
        await seconds_of_an_echo(poll_reader, poll_writer)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(watch_reader.readline(), 0.3)
        poll_writer.close()
        watch_writer.close()


async def test_in_the_middle_of_tls_it_sees_the_request_and_both_ends_verify(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path)
    certificate, client_context = authority.issue("server"), authority.client_context()
    as_server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    as_server.load_cert_chain(certificate.certificate_file, certificate.key_file)
    ended_cleanly = asyncio.Event()

    async def echo_to_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await echo(reader, writer)
        ended_cleanly.set()

    async with serving(echo_to_the_end, as_server) as address:
        with Proxy(address, tls=Tls(as_server, client_context), only_if_request_contains=b"hello") as proxy:
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port, ssl=client_context)
            await seconds_of_an_echo(reader, writer)
            proxy.delay_to_client_seconds = DELAY_SECONDS
            assert await seconds_of_an_echo(reader, writer) >= DELAY_SECONDS
            proxy.only_if_request_contains = b"watch=1"
            proxy.delay_to_client_seconds = 30.0
            await seconds_of_an_echo(reader, writer)
            writer.close()
            await writer.wait_closed()
            await asyncio.wait_for(ended_cleanly.wait(), 10)


async def test_it_tells_what_was_handed_to_a_client_and_when(upstream: str) -> None:
    told: list[tuple[int, bytes, float, float]] = []
    with Proxy(upstream, handed_over=lambda *piece: told.append(piece)) as proxy:
        first_reader, first_writer = await connect(proxy)
        await seconds_of_an_echo(first_reader, first_writer)
        second_reader, second_writer = await connect(proxy)
        proxy.delay_to_client_seconds = DELAY_SECONDS
        sent_seconds = time.monotonic()
        await seconds_of_an_echo(second_reader, second_writer)
        arrived_seconds = time.monotonic()
        await wait_until(lambda: len(told) == 2, "both are told")
        first_writer.close()
        second_writer.close()
    assert [(number, piece) for number, piece, _, _ in told] == [(1, b"hello\n"), (2, b"hello\n")]
    _, _, before_seconds, after_seconds = told[1]
    assert sent_seconds + DELAY_SECONDS <= before_seconds <= after_seconds
    assert before_seconds <= arrived_seconds


async def test_bandwidth_is_bounded(upstream: str) -> None:
    with Proxy(upstream) as proxy:
        proxy.bandwidth_bytes_per_second = 200_000
        reader, writer = await connect(proxy)
        begin = time.monotonic()
        writer.write(bytes(100_000))
        await reader.readexactly(100_000)
        assert time.monotonic() - begin >= 0.4
        writer.close()


async def test_a_client_that_does_not_read_is_felt_by_the_server() -> None:
    """The delay line holds what is not due, not what nobody takes."""
    sent_bytes = 0

    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent_bytes
        while True:
            writer.write(bytes(65536))
            await writer.drain()
            sent_bytes += 65536

    async with serving(flood) as address:
        with Proxy(address) as proxy:
            _, writer = await connect(proxy)
            before = -1
            while sent_bytes != before:
                before = sent_bytes
                await asyncio.sleep(0.3)
            writer.transport.abort()
    assert 0 < sent_bytes < 64 << 20


async def test_cut_connections_are_reset(upstream: str) -> None:
    with Proxy(upstream) as proxy:
        reader, writer = await connect(proxy)
        await seconds_of_an_echo(reader, writer)
        proxy.cut_all()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        reader, writer = await connect(proxy)
        await seconds_of_an_echo(reader, writer)
        writer.close()


async def test_what_fell_into_the_black_hole_is_lost_and_its_connection_stays_silent(upstream: str) -> None:
    with Proxy(upstream) as proxy:
        reader, writer = await connect(proxy)
        await seconds_of_an_echo(reader, writer)
        proxy.black_hole = True
        writer.write(b"lost\n")
        await asyncio.sleep(0.2)
        proxy.black_hole = False
        writer.write(b"late\n")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readline(), 0.3)
        writer.close()
        reader, writer = await connect(proxy)
        await seconds_of_an_echo(reader, writer)
        writer.close()


async def test_connections_go_to_the_upstreams_in_turn(upstream: str) -> None:
    with Proxy(upstream, "127.0.0.1:1") as proxy:
        reader, writer = await connect(proxy)
        await seconds_of_an_echo(reader, writer)
        writer.close()
        # The reset may come while the connection is still being made.
        with pytest.raises(ConnectionResetError):
            await first_byte(proxy)


async def first_byte(proxy: Proxy) -> bytes:
    reader, writer = await connect(proxy)
    try:
        return await reader.readexactly(1)
    finally:
        writer.close()


async def seconds_of_an_echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> float:
    sent_seconds = time.monotonic()
    writer.write(b"hello\n")
    assert await reader.readline() == b"hello\n"
    return time.monotonic() - sent_seconds


async def test_connections_share_a_capacity_in_each_direction(upstream: str) -> None:
    """Four that send back 25 kB each take as long as one with 100 kB would; alone each takes a quarter of it."""
    size, count, capacity = 25_000, 4, 200_000.0
    with Proxy(upstream) as proxy:
        proxy.capacity_bytes_per_second = capacity

        async def transfer() -> None:
            reader, writer = await connect(proxy)
            writer.write(bytes(size))
            await reader.readexactly(size)
            writer.close()

        began = time.monotonic()
        await asyncio.gather(*(transfer() for _ in range(count)))
        assert time.monotonic() - began >= count * size / capacity


async def asking(proxy: Proxy, words: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that began with these words."""
    reader, writer = await connect(proxy)
    writer.write(words)
    assert await reader.readline() == words
    return reader, writer


async def test_what_began_with_the_words_falls_silent_and_others_and_new_ones_do_not(upstream: str) -> None:
    with Proxy(upstream) as proxy:
        watch, poll = await asking(proxy, b"watch\n"), await asking(proxy, b"poll\n")
        proxy.silence(b"watch")
        again = await connect(proxy)
        again[1].write(b"watch again\n")
        watch[1].write(b"more\n")
        poll[1].write(b"more\n")
        assert await again[0].readline() == b"watch again\n"
        assert await poll[0].readline() == b"more\n"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(watch[0].readline(), 0.2)
        for _, writer in (watch, poll, again):
            writer.close()


async def test_only_what_began_with_the_words_is_cut(upstream: str) -> None:
    with Proxy(upstream) as proxy:
        watch, poll = await asking(proxy, b"watch\n"), await asking(proxy, b"poll\n")
        assert proxy.upstreams_of(b"watch") == {upstream}
        proxy.cut(b"watch")
        assert proxy.upstreams_of(b"watch") == set()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(watch[0].readline(), 5)
        poll[1].write(b"more\n")
        assert await poll[0].readline() == b"more\n"
        poll[1].close()
