"""A connection that fails is closed once: the descriptor's number may be another connection's a moment later."""

import asyncio
import contextlib
import socket
import ssl
import struct
from typing import Literal

import pytest

from exporter.service import loop


async def fail_to_connect(how: Literal["reset", "silence"]) -> socket.socket:
    """The socket of a TLS handshake that the other side resets, or that we give up."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        client = socket.create_connection(server.getsockname())
        client.settimeout(0)
        accepted, _ = await asyncio.get_running_loop().sock_accept(server)
        with accepted:
            connecting = asyncio.get_running_loop().create_connection(
                asyncio.Protocol, sock=client, ssl=ssl.create_default_context(), server_hostname="apiserver"
            )
            if how == "reset":
                accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                accepted.close()
            with contextlib.suppress(OSError, TimeoutError):
                await asyncio.wait_for(connecting, timeout=0.2)
    return client


@pytest.mark.parametrize("how", ["reset", "silence"])
def test_a_socket_whose_connection_failed_does_not_close_its_descriptor_again(
    how: Literal["reset", "silence"],
) -> None:
    client = loop.run(fail_to_connect(how))
    assert client.fileno() == -1


def test_the_commands_run_on_it() -> None:
    async def running() -> type[asyncio.AbstractEventLoop]:
        return type(asyncio.get_running_loop())

    assert loop.run(running()) is loop.Loop
