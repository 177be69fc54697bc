"""The event loop of every command: uvloop, with one correction."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import uvloop

if TYPE_CHECKING:
    import socket
    from collections.abc import Coroutine

_Result = TypeVar("_Result")


class Loop(uvloop.Loop):
    """A uvloop that closes the descriptor of a connection that fails once, not twice.

    uvloop 0.23 closes the descriptor of `sock` but leaves it to the socket as well (MagicStack/uvloop#738). When that
    is collected it closes the number again, by then perhaps another connection's: streams break, and the process.
    """

    async def create_connection(self, *args: Any, sock: socket.socket | None = None, **more: Any) -> Any:
        """As uvloop's; a socket whose connection fails is taken over all the same."""
        try:
            return await super().create_connection(*args, sock=sock, **more)
        except BaseException:
            if sock is not None:
                sock.detach()
            raise


def run(main: Coroutine[Any, Any, _Result]) -> _Result:
    """Run `main` to its end, as `asyncio.run` does."""
    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(main)
