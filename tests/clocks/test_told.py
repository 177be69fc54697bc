"""Who has much to do with a poll's answer has a turn of the loop: bytes that come meanwhile get their stamp."""

import asyncio
import socket

from exporter.clocks.poll import Answer
from exporter.clocks.pollers import TOLD_IN_ONE_TURN
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

    def told() -> bool:
        if "told" not in happened:
            theirs.send(b".")
        happened.append("told")
        return True

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


async def turns_until_all_are_told(subscribers: int) -> list[int]:
    """The turn of the loop in which each is told who has nothing to do."""
    clock, told_in, turn = revision_poller(), list[int](), 0

    def told() -> bool:
        told_in.append(turn)
        return False

    for _ in range(subscribers):
        clock.subscribe(told, lambda: None)
    clock.revisions.poll_sent(1, 1.0)
    clock.take(1, Answer(1.0, 2.0, 100, 1, None))
    while len(told_in) < subscribers:
        turn += 1
        await asyncio.sleep(0)
    return told_in


def test_those_who_have_nothing_to_do_share_a_turn_but_not_however_many() -> None:
    told_in = loop.run(turns_until_all_are_told(3 * TOLD_IN_ONE_TURN))
    assert len(told_in) == 3 * TOLD_IN_ONE_TURN
    assert 3 <= len(set(told_in)) <= 4
