"""From bytes to events: garbage is counted, size does not matter, and every arrival has an honest interval."""

import asyncio
import os
import socket
import ssl
import time
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest
import uvloop

from exporter.measure.arrivals import Arrivals
from exporter.measure.events import LONGEST_LINE_BYTES
from exporter.simulator import Simulator
from exporter.simulator.resources import CONFIGMAPS
from exporter.watch.body import StampedBody
from exporter.watch.heartbeat import Heartbeat
from tests.real.certificates import CertificateAuthority
from tests.watch.recorder import Recorder, watching
from tests.watch.scripted import ScriptedApiserver, event, saying

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


async def test_what_cannot_be_decoded_is_counted_and_the_stream_goes_on(tmp_path: Path) -> None:
    garbage = [b"{\n", b"\xff\xfe\n", b"<html>\n", b"[" * 100_000 + b"\n", b'{"type":"WHAT","object":{}}\n', b"\n"]
    recorder = Recorder()
    apiserver = ScriptedApiserver(saying(event(101), *garbage, event(102), then="silence"))
    async with apiserver, watching(apiserver.url, tmp_path) as streams:
        streams.start(recorder)
        await recorder.until_revision(102)
        assert recorder.told == ["relisting start", "found", "opened"]
    assert recorder.revisions == [101, 102]
    assert recorder.undecodable == 5


async def test_an_event_without_a_number_for_a_revision_is_handed_on(tmp_path: Path) -> None:
    recorder = Recorder()
    odd = event(101).replace(b'"101"', b'"abc"')
    apiserver = ScriptedApiserver(saying(odd, event(102), then="silence"))
    async with apiserver, watching(apiserver.url, tmp_path) as streams:
        streams.start(recorder)
        await recorder.until_revision(102)
    assert recorder.revisions == [None, 102]


async def test_a_huge_event_arrives_and_an_endless_line_is_skipped(tmp_path: Path) -> None:
    recorder = Recorder()
    huge = event(101, padding=3 * 2**20)
    endless = [b"x" * 1_000_000] * (LONGEST_LINE_BYTES // 1_000_000 + 2)
    apiserver = ScriptedApiserver(saying(huge, *endless, b"\n", event(102), then="silence"))
    async with apiserver, watching(apiserver.url, tmp_path) as streams:
        streams.start(recorder)
        await recorder.until_revision(102)
    assert recorder.revisions == [101, 102]
    assert recorder.undecodable == 1
    assert sum(reading.size_bytes for reading, _ in recorder.readings) == (
        len(huge) + sum(map(len, endless)) + 1 + len(event(102))
    )


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("loop", LOOPS)
def test_both_loops_give_the_same_events_and_ends_with_and_without_tls(loop: str, scheme: str, tmp_path: Path) -> None:
    recorder = Recorder()
    authority, server_side = None, None
    if scheme == "https":
        tests = CertificateAuthority(tmp_path)
        certificate = tests.issue("server")
        authority, server_side = tests.bundle, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server_side.load_cert_chain(certificate.certificate_file, certificate.key_file)

    async def watch() -> None:
        lines = [event(101), event(102, padding=500_000), event(103)[:30], event(103)[30:], event(104) + event(105)]
        apiserver = ScriptedApiserver(
            saying(*lines, pause_seconds=0.01), saying(event(106), then="cut"), saying(then="silence"), ssl=server_side
        )
        async with apiserver, watching(apiserver.url, tmp_path, authority=authority) as streams:
            streams.start(recorder)
            await recorder.until_opened(3)
            await recorder.until_ended(2)

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(watch())
    assert recorder.revisions == [101, 102, 103, 104, 105, 106]
    assert recorder.undecodable == 0
    # A reset of a TLS connection and one of a plain one both reach us as a cut.
    assert recorder.end_reasons[:2] == ["early_eof", "transport_error"]
    assert recorder.relists == ["start"]


async def test_no_arrival_ends_before_it_begins_or_begins_before_the_request(tmp_path: Path) -> None:
    recorder = Recorder()
    began = time.monotonic()
    at_once, with_pauses = saying(event(101)), saying(event(102), event(103), event(104), pause_seconds=0.2)
    apiserver = ScriptedApiserver(at_once, with_pauses)
    async with apiserver, watching(apiserver.url, tmp_path) as streams:
        streams.start(recorder)
        await recorder.until_revision(104)
    received = time.monotonic()
    arrivals = [arrival for reading, arrival in recorder.readings if reading.events]
    assert all(began <= arrival.earliest <= arrival.latest <= received for arrival in arrivals)
    # What comes over the second connection was not here while the first was open.
    assert recorder.losses[0] < arrivals[1].earliest
    # The heartbeat has seen the socket empty between the lines.
    assert arrivals[1].latest < arrivals[2].earliest
    assert arrivals[2].latest < arrivals[3].earliest


async def test_a_loop_that_stands_still_is_unsure_and_not_late(tmp_path: Path) -> None:
    """What arrived during the pause may have arrived at any time of it."""
    recorder = Recorder()
    async with Simulator() as simulator, watching(simulator.url, tmp_path) as streams:
        streams.start(recorder)
        await recorder.until_opened()
        await asyncio.sleep(0.1)
        created = simulator.apiserver.registry.create(CONFIGMAPS, {"metadata": {"name": "a"}}, manager="test")
        before = time.monotonic()
        await created
        while not simulator.truth.deliveries("configmaps"):  # noqa: ASYNC110  no event tells that bytes are in a socket
            await asyncio.sleep(0)
        time.sleep(0.3)  # noqa: ASYNC251  it is the loop's standing still that is under test
        await recorder.until_revision(simulator.store.revision)
        sent = simulator.truth.deliveries("configmaps")[0].sent_seconds
    arrival = recorder.readings[-1][1]
    assert arrival.earliest <= before <= sent <= arrival.latest


async def test_the_heartbeat_reports_how_late_it_runs() -> None:
    lags: list[float] = []
    beating = asyncio.create_task(Heartbeat(lags.append).run())
    await asyncio.sleep(0.05)
    time.sleep(0.2)  # noqa: ASYNC251  as above
    await asyncio.sleep(0.05)
    beating.cancel()
    assert max(lags) > 0.15
    assert min(lags) >= 0


class Sleeper:
    def __init__(self) -> None:
        self.stood: list[tuple[float, float]] = []

    def stood_still(self, began: float, ended: float) -> None:
        self.stood.append((began, ended))

    def slept(self, began: float, woke: float, seconds: float) -> None:
        raise AssertionError((began, woke, seconds))


async def test_the_heartbeat_tells_when_it_did_not_beat_also_to_who_watches_nothing() -> None:
    heartbeat, sleeper = Heartbeat(lambda _: None), Sleeper()
    heartbeat.sleepers.add(sleeper)
    beating = asyncio.create_task(heartbeat.run())
    await asyncio.sleep(0.05)
    before = time.monotonic()
    time.sleep(0.2)  # noqa: ASYNC251  as above
    after = time.monotonic()
    await asyncio.sleep(0.05)
    beating.cancel()
    assert any(began <= before and after <= ended for began, ended in sleeper.stood)
    assert heartbeat.stalled_seconds == pytest.approx(sum(ended - began for began, ended in sleeper.stood))
    assert heartbeat.suspended_seconds == 0


async def test_a_body_closed_twice_takes_no_later_socket_out_of_the_heartbeat() -> None:
    """Numbers of sockets are used again: who forgets twice forgets somebody else's."""
    heartbeat, later = Heartbeat(lambda _: None), Arrivals()
    beating = asyncio.create_task(heartbeat.run())
    apiserver = ScriptedApiserver(saying(then="silence"))
    async with apiserver, aiohttp.ClientSession() as session, session.get(f"{apiserver.url}?watch=1") as response:
        assert response.connection is not None
        assert response.connection.transport is not None
        number = response.connection.transport.get_extra_info("socket").fileno()
        body = StampedBody(response, Arrivals(), heartbeat, lambda _chunk, _arrival: None)
        body.close()
        await asyncio.sleep(0.05)
        ours, theirs = socket.socketpair()
        os.dup2(ours.fileno(), number)
        heartbeat.attend(number, later)
        body.close()
        await asyncio.sleep(0.05)
        assert later.received(time.monotonic(), 1).earliest > 0
        heartbeat.forget(number)
        for each in (ours, theirs):
            each.close()
        if number != ours.fileno():
            with suppress(OSError):
                os.close(number)
    beating.cancel()


async def test_a_beat_that_fails_ends_the_heartbeat_with_its_error() -> None:
    """It is raised where the heartbeat is waited for: nobody beats on unseen, and nobody stops unseen."""

    def fail(_: float) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(Heartbeat(fail).run(), 20)
