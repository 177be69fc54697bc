"""What the kernel says of our sockets."""

import os
import socket
import sys

import pytest

from exporter.measure.arrivals import Arrivals
from exporter.watch import tcp_info
from exporter.watch.heartbeat import Heartbeat
from exporter.watch.tcp_info import socket_state
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="TCP_INFO is Linux'")


def connected() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
    return ours, theirs


async def test_what_has_come_and_what_of_it_is_unread() -> None:
    ours, theirs = connected()
    with ours, theirs:
        theirs.sendall(b"x" * 5000)

        def said(unread_bytes: int) -> bool:
            state = socket_state(ours.fileno(), 7.0)
            assert state is not None
            assert state.opened == 7.0
            return (state.received_bytes, state.unread_bytes) == (5000, unread_bytes)

        await wait_until(lambda: said(5000), "all has come")
        ours.recv(3000)
        assert said(2000)
        ours.recv(3000)
        assert said(0)
        state = socket_state(ours.fileno(), 7.0)
        assert state is not None
        assert 0 < state.round_trip_seconds < 10
        assert state.out_of_order_packets == 0

        def silent_seconds() -> float:
            state = socket_state(ours.fileno(), 7.0)
            assert state is not None
            return state.silent_seconds

        await wait_until(lambda: silent_seconds() > 0.3, "nothing comes")
        theirs.sendall(b"y")
        await wait_until(lambda: silent_seconds() < 0.3, "something has come")
        ours.send(b"it is still open")


def test_what_is_no_connection_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = socket.socketpair()
    with one, other:
        assert socket_state(one.fileno(), 0.0) is None
        one.send(b"it is still open")
    reading, writing = os.pipe()
    assert socket_state(reading, 0.0) is None
    os.close(reading)
    os.close(writing)
    ours, theirs = connected()
    with ours, theirs:
        monkeypatch.setattr(tcp_info, "LENGTH_BYTES", 10_000)
        assert socket_state(ours.fileno(), 0.0) is None, "a kernel whose struct is shorter"
        monkeypatch.setattr(tcp_info, "TCP_INFO", None)
        assert socket_state(ours.fileno(), 0.0) is None


def test_a_heartbeat_knows_the_socket_of_a_stream_for_as_long_as_it_is_open() -> None:
    heartbeat, arrivals = Heartbeat(lambda _: None), Arrivals()
    assert heartbeat.socket_of(arrivals) is None
    first, *others = connected()
    second, *more = connected()
    heartbeat.attend(first.fileno(), arrivals)
    before = heartbeat.socket_of(arrivals)
    heartbeat.attend(second.fileno(), arrivals)
    heartbeat.forget(first.fileno())
    after = heartbeat.socket_of(arrivals)
    assert before is not None
    assert after is not None
    assert after.opened >= before.opened
    heartbeat.forget(second.fileno())
    assert heartbeat.socket_of(arrivals) is None
    heartbeat.attend(first.fileno(), arrivals)
    heartbeat.attend(second.fileno(), arrivals)
    heartbeat.forget(second.fileno())
    heartbeat.forget(first.fileno())
    assert heartbeat.socket_of(arrivals) is None
    for one in (first, second, *others, *more):
        one.close()
