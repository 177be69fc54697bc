"""The guard of all tests, attacked: nobody outside of this machine is talked to, and a test that tries is told."""

import asyncio
import socket

import pytest

from tests import loopback


@pytest.mark.parametrize("address", ["10.0.0.1", "192.0.2.1", "::2", "2001:db8::1", "0.0.0.1"])
async def test_who_is_elsewhere_is_not_talked_to(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loopback, "elsewhere", [])
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as stream, pytest.raises(ConnectionRefusedError, match="a test talks to"):
        stream.connect((address, 9))
    with socket.socket(family, socket.SOCK_DGRAM) as datagrams, pytest.raises(ConnectionRefusedError):
        datagrams.sendto(b"", (address, 9))
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(address, 9)
    assert set(loopback.elsewhere) == {f"{address}:9"}


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.8.7", "::1", "::ffff:127.0.0.1"])
def test_this_machine_may_be_talked_to(address: str) -> None:
    assert loopback.is_loopback(address)
