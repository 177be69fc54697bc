"""The HTTP side over real sockets on loopback."""

import asyncio
import errno
import gzip
import json
import socket
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence

import aiohttp
import pytest
from aiohttp import web

from exporter.config import ListenAddress
from exporter.metrics.registry import Metrics
from exporter.turns import HOLD_SECONDS
from exporter.vocabulary import HistogramFormat
from exporter.web import http
from exporter.web.connections import SHUTDOWN_SECONDS, WebServer
from tests.metrics.decoding import samples_of
from tests.metrics.reading import refresh, samples_in, series
from tests.support.neighbour import Neighbour
from tests.support.states import page

LOOPBACK = ListenAddress("127.0.0.1", 0)
PATHS = ("/", "/metrics", "/livez", "/healthz", "/readyz", "/api/v1/status", "/api/v1/history", "/page/changes")


class Daemon:
    """What the real daemon gives to the HTTP side, to be set by a test."""

    def __init__(self) -> None:
        self.metrics = Metrics(threshold_seconds=1.0, objective_ratio=0.99, window_seconds=60.0)
        self.reasons: Sequence[str] = ()
        self.status: Iterable[bytes] = [b"{}"]

    def application(self) -> web.Application:
        return http.application(self.metrics, lambda: self.reasons, lambda: self.status, page=page())


@pytest.fixture
def daemon() -> Daemon:
    return Daemon()


@pytest.fixture
async def runner(daemon: Daemon) -> AsyncIterator[WebServer]:
    runner = await http.serve(daemon.application(), [LOOPBACK])
    yield runner
    await runner.cleanup()


def url_of(runner: WebServer) -> str:
    host, port = runner.addresses[0][:2]
    return f"http://{host}:{port}"


@pytest.fixture
async def client(runner: WebServer) -> AsyncIterator[aiohttp.ClientSession]:
    # The client shows what was sent: it asks for gzip and unpacks only where a test says so.
    skipped = {"Accept-Encoding"}
    async with aiohttp.ClientSession(url_of(runner), skip_auto_headers=skipped, auto_decompress=False) as client:
        yield client


def watch_many(metrics: Metrics, resources: int) -> None:
    for index in range(resources):
        widgets = metrics.resource("10.0.0.1:6443", "example.com", f"widgets{index}")
        widgets.counts.received_bytes += index
        refresh(widgets)


async def test_metrics_are_served_as_prometheus_text(daemon: Daemon, client: aiohttp.ClientSession) -> None:
    pods = daemon.metrics.resource("10.0.0.1:6443", "", "pods")
    pods.counts.judged["late"] = 3
    refresh(pods)
    async with client.get("/metrics") as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert "Content-Encoding" not in response.headers
        written = samples_in(await response.text())
    late = {"apiserver": "10.0.0.1:6443", "group": "", "resource": "pods", "verdict": "late"}
    assert written[series("watchslo_events_judged_total", late)] == 3
    assert written[series("process_start_time_seconds", {})] > 0


async def test_metrics_are_compressed_for_a_client_that_accepts_it(
    daemon: Daemon, client: aiohttp.ClientSession
) -> None:
    watch_many(daemon.metrics, 15)
    async with client.get("/metrics", headers={"Accept-Encoding": "deflate, gzip;q=0.8"}) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        assert response.headers["Vary"] == "Accept, Accept-Encoding"
        compressed = await response.read()
    text = gzip.decompress(compressed).decode()
    assert "watchslo_received_bytes_total" in text
    assert "process_start_time_seconds" in text
    assert len(compressed) < len(text) / 10


@pytest.mark.parametrize(
    ("accept_encoding", "accepted"),
    [
        ("gzip", True),
        ("GZIP", True),
        ("deflate , gzip", True),
        ("gzip; q=0.5", True),
        ("gzip;q=1.0", True),
        ("gzip;q=0.001", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("x-gzip", False),
        ("identity", False),
        ("", False),
    ],
)
def test_gzip_is_accepted_as_the_header_says(accept_encoding: str, *, accepted: bool) -> None:
    assert http.accepts_gzip(accept_encoding) == accepted


PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
OPENMETRICS = "application/openmetrics-text;version=1.0.0"
TEXT = "text/plain;version=0.0.4"


@pytest.mark.parametrize(
    ("accept", "accepted"),
    [
        (PROTOBUF, True),
        (f"{PROTOBUF};q=0.6,{OPENMETRICS};escaping=allow-utf-8;q=0.5,{TEXT};q=0.3,*/*;q=0.2", True),  # Prometheus 3
        (f"{OPENMETRICS};q=0.6,{TEXT};q=0.4,{PROTOBUF};q=0.3,*/*;q=0.2", False),
        (f"{TEXT}, {PROTOBUF}".upper(), True),
        (f"{PROTOBUF}; q=0", False),
        (f"{PROTOBUF};q=2", False),
        (f"{PROTOBUF};q=nan", False),
        (f"{PROTOBUF};q=", False),
        ("application/vnd.google.protobuf", False),
        (PROTOBUF.replace("delimited", "text"), False),
        (PROTOBUF.replace("MetricFamily", "Metric"), False),
        ("application/vnd.google.protobuf ; encoding = delimited ; proto = io.prometheus.client.MetricFamily", True),
        ("*/*", False),
        (TEXT, False),
        ("", False),
        (";,;=,q=1", False),
    ],
)
def test_protobuf_is_accepted_as_the_header_says(accept: str, *, accepted: bool) -> None:
    assert http.accepts_protobuf(accept) == accepted


@pytest.mark.parametrize(
    ("histograms", "accept", "is_protobuf"),
    [
        ("classic", PROTOBUF, False),
        ("native", PROTOBUF, True),
        ("both", PROTOBUF, True),
        ("native", TEXT, False),
        ("both", "*/*", False),
    ],
)
async def test_a_scrape_is_protobuf_for_those_who_ask_and_text_has_all_buckets(
    daemon: Daemon, histograms: HistogramFormat, accept: str, *, is_protobuf: bool
) -> None:
    daemon.metrics = Metrics(1.0, 0.99, 60.0, histograms)
    daemon.metrics.resource("a:1", "", "pods")
    server = await http.serve(daemon.application(), [LOOPBACK])
    url = f"http://127.0.0.1:{server.addresses[0][1]}/metrics"
    async with aiohttp.ClientSession() as client, client.get(url, headers={"Accept": accept}) as response:
        assert response.headers["Vary"] == "Accept, Accept-Encoding"
        assert response.headers["Content-Encoding"] == "gzip"
        scraped = await response.read()
        if is_protobuf:
            assert response.headers["Content-Type"].startswith("application/vnd.google.protobuf; proto=io.prometheus")
            assert {name for name, _ in samples_of(scraped)} >= {"watchslo_stream_up", "process_cpu_seconds_total"}
        else:
            assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
            assert "watchslo_apiserver_time_span_seconds_bucket" in {name for name, _ in samples_in(scraped.decode())}
    await server.cleanup()


@pytest.mark.parametrize("path", PATHS)
async def test_head_gives_the_headers_of_get_without_a_body(path: str, client: aiohttp.ClientSession) -> None:
    async with client.get(path) as got, client.head(path) as headed:
        assert (headed.status, headed.headers["Content-Type"]) == (got.status, got.headers["Content-Type"])
        assert await headed.read() == b""
        assert await got.read() != b""
    async with client.get("/livez") as following:
        assert await following.text() == "ok\n"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_other_methods_are_not_allowed(path: str, method: str, client: aiohttp.ClientSession) -> None:
    async with client.request(method, path) as response:
        assert response.status == 405
        assert set(response.headers["Allow"].split(",")) == {"GET", "HEAD"}


async def test_unknown_paths_get_one_line(client: aiohttp.ClientSession) -> None:
    for path in ("/metric", "/metrics/", "/api/v1", "/favicon.ico"):
        async with client.get(path) as response:
            assert response.status == 404
            assert len((await response.text()).splitlines()) == 1


async def test_liveness_does_not_depend_on_readiness(daemon: Daemon, client: aiohttp.ClientSession) -> None:
    daemon.reasons = ("pods on 10.0.0.1:6443 has had no answer yet",)
    for path in ("/livez", "/healthz"):
        async with client.get(path) as response:
            assert (response.status, await response.text()) == (200, "ok\n")


async def test_readiness_names_every_stream_that_is_not_ready_on_a_line_of_its_own(
    daemon: Daemon, client: aiohttp.ClientSession
) -> None:
    daemon.reasons = ("pods on a:1 has had no answer yet", "nodes on a:1:\nconnection\n  refused")
    async with client.get("/readyz") as response:
        assert response.status == 503
        assert await response.text() == "pods on a:1 has had no answer yet\nnodes on a:1: connection refused\n"
    daemon.reasons = ()
    async with client.get("/readyz") as response:
        assert (response.status, await response.text()) == (200, "ok\n")


async def test_the_loop_runs_while_a_long_status_is_made(daemon: Daemon, client: aiohttp.ClientSession) -> None:
    neighbour = Neighbour()

    def pieces() -> Iterator[bytes]:
        yield b'{"turns":['
        for _ in range(10):
            time.sleep(HOLD_SECONDS)
            yield b"%d," % neighbour.turns
        yield b"0]}"

    daemon.status = pieces()
    async with neighbour, client.get("/api/v1/status") as response:
        assert response.headers["Content-Type"] == "application/json"
        *seen, _ = json.loads(await response.text())["turns"]
    assert len(set(seen)) == 10


async def test_two_scrapes_at_once_are_both_whole(daemon: Daemon, client: aiohttp.ClientSession) -> None:
    watch_many(daemon.metrics, 100)
    under_way = 0
    most_under_way = 0

    async def received_bytes() -> list[str]:
        nonlocal under_way, most_under_way
        async with client.get("/metrics") as response:
            under_way += 1
            most_under_way = max(most_under_way, under_way)
            text = await response.text()
            under_way -= 1
            return [line for line in text.splitlines() if line.startswith("watchslo_received_bytes_total{")]

    first, second = await asyncio.gather(received_bytes(), received_bytes())
    assert most_under_way == 2
    assert first == second
    assert [int(line.split()[-1]) for line in first] == list(range(100))


async def test_a_client_that_goes_away_leaves_the_others_served(
    daemon: Daemon, runner: WebServer, client: aiohttp.ClientSession
) -> None:
    watch_many(daemon.metrics, 200)
    reader, writer = await asyncio.open_connection(*runner.addresses[0][:2])
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: loopback\r\n\r\n")
    await reader.readexactly(1000)
    writer.transport.abort()
    async with client.get("/metrics") as response:
        assert (await response.text()).count("watchslo_received_bytes_total{") == 200


async def test_a_scrape_that_breaks_off_does_not_look_whole(daemon: Daemon, client: aiohttp.ClientSession) -> None:
    def broken() -> Iterator[None]:
        raise ZeroDivisionError

    daemon.metrics.before_render.append(broken)
    with pytest.raises(aiohttp.ClientPayloadError):
        async with client.get("/metrics") as response:
            await response.read()


async def test_stopping_lets_a_scrape_in_flight_finish(daemon: Daemon) -> None:
    watch_many(daemon.metrics, 200)
    runner = await http.serve(daemon.application(), [LOOPBACK])
    stopping: list[asyncio.Task[None]] = []

    def stop() -> Iterator[None]:
        """Called inside of the scrape, so the stop certainly falls into it."""
        stopping.append(asyncio.create_task(runner.cleanup()))
        yield

    daemon.metrics.before_render.append(stop)
    async with aiohttp.ClientSession(url_of(runner)) as client, client.get("/metrics") as response:
        text = await response.text()
    await asyncio.gather(*stopping)
    assert len(stopping) == 1
    assert text.count("watchslo_received_bytes_total{") == 200
    assert "process_start_time_seconds" in text


async def test_stopping_closes_idle_connections_and_the_socket(daemon: Daemon) -> None:
    runner = await http.serve(daemon.application(), [LOOPBACK])
    address = runner.addresses[0][:2]
    async with aiohttp.ClientSession(url_of(runner)) as client:
        async with client.get("/livez") as response:
            await response.read()
        async with asyncio.timeout(SHUTDOWN_SECONDS / 2):
            await runner.cleanup()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*address)


async def test_every_address_is_served(daemon: Daemon) -> None:
    runner = await http.serve(daemon.application(), [LOOPBACK, LOOPBACK])
    assert len(set(runner.addresses)) == 2
    for host, port in runner.addresses:
        async with aiohttp.ClientSession() as client, client.get(f"http://{host}:{port}/livez") as response:
            assert response.status == 200
    await runner.cleanup()


async def test_an_address_in_use_is_refused_in_one_sentence_and_nothing_is_served(daemon: Daemon) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket() as spare:
        port = taken.getsockname()[1]
        spare.bind(("127.0.0.1", 0))
        free = spare.getsockname()[1]
        spare.close()
        with pytest.raises(OSError, match="cannot listen") as refused:
            await http.serve(daemon.application(), [ListenAddress("127.0.0.1", free), ListenAddress("127.0.0.1", port)])
        assert refused.value.errno == errno.EADDRINUSE
        assert refused.value.strerror == f"cannot listen on 127.0.0.1:{port}: Address already in use"
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", free)


async def test_a_host_that_does_not_resolve_is_refused_in_one_sentence(daemon: Daemon) -> None:
    with pytest.raises(OSError, match="cannot listen on") as refused:
        await http.serve(daemon.application(), [ListenAddress("no-such-host.invalid", 9985)])
    assert str(refused.value.strerror).startswith("cannot listen on no-such-host.invalid:9985: ")
    assert "Unknown error" not in str(refused.value.strerror)


async def test_an_address_that_is_not_ours_is_refused_in_one_sentence(daemon: Daemon) -> None:
    with pytest.raises(OSError, match="cannot listen on") as refused:
        await http.serve(daemon.application(), [ListenAddress("192.0.2.1", 9985)])
    said = str(refused.value.strerror)
    assert said.startswith("cannot listen on 192.0.2.1:9985: ")
    assert any(reason in said for reason in ("Cannot assign requested address", "could not bind on any address"))


async def test_addresses_are_named_as_they_are_written_on_the_command_line(daemon: Daemon) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as taken:
        address = f"[::1]:{taken.getsockname()[1]}"
        with pytest.raises(OSError, match="cannot listen on") as refused:
            await http.serve(daemon.application(), [ListenAddress.parse(address)])
    assert refused.value.strerror == f"cannot listen on {address}: Address already in use"
