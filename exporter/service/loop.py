"""The event loop of all commands: uvloop with one bug fix."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import uvloop

if TYPE_CHECKING:
    import socket
    from collections.abc import Coroutine

_Result = TypeVar("_Result")


class Loop(uvloop.Loop):
    """A uvloop that closes the descriptor of a failed connection once, not twice.

    uvloop 0.23 closes the descriptor of `sock` without detaching the socket (MagicStack/uvloop#738). The socket's
    finalizer closes the same number again, which by then may be another connection's: that breaks streams or crashes
    the process.
    """

    async def create_connection(self, *args: Any, sock: socket.socket | None = None, **more: Any) -> Any:
        """As uvloop's, but detach the socket if the connection fails."""
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
