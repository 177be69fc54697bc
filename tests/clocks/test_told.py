"""Who waits for a poll's answer is told in a turn of the loop of his own: bytes that come meanwhile get their stamp."""

import asyncio
import socket

from exporter.clocks.connections import Answer
from exporter.service import loop
from tests.support.streams import revision_poller

SUBSCRIBERS = 5


async def told_and_read() -> list[str]:
    """What happens when a socket becomes readable while the first of many is told of an answer."""
    clock, happened = revision_poller(), []
    ours, theirs = socket.socketpair()
    read = asyncio.Event()

    def readable() -> None:
        ours.recv(1)
        happened.append("read")
        read.set()

    def told() -> None:
        if "told" not in happened:
            theirs.send(b".")
        happened.append("told")

    asyncio.get_running_loop().add_reader(ours, readable)
    for _ in range(SUBSCRIBERS):
        clock.subscribe(told, lambda: None)
    clock.revisions.poll_sent(1, 1.0)
    clock.take(1, Answer(1.0, 2.0, 100, 1, None))
    await read.wait()
    while happened.count("told") < SUBSCRIBERS:  # noqa: ASYNC110 turns of the loop are what is waited for
        await asyncio.sleep(0)
    asyncio.get_running_loop().remove_reader(ours)
    ours.close()
    theirs.close()
    return happened


def test_a_socket_is_looked_at_before_the_last_is_told() -> None:
    happened = loop.run(told_and_read())
    assert happened.index("read") < 3, happened
