"""Real inputs in, inputs out that are nearly like them: each follows from the seed and its number alone."""

import random
import re
from collections.abc import Callable, Sequence

MOST_STEPS = 6
LONGEST_SPAN_BYTES = 64
MOST_REPEATS = 200

NUMBERS = (
    b"0",
    b"-1",
    b"1",
    b"1e400",
    b"00",
    b"4294967296",
    b"18446744073709551616",
    b"-9223372036854775809",
    b"9" * 99,
)
TEXTS = (
    b"\x00",
    b"\xff",
    b"\xed\xa0\x80",
    b"\xe2\x80\xae",
    b"\xc2\x9b",
    b"\r",
    b"\n",
    b"\r\n",
    b'"',
    b"\\",
    b"\\u0000",
    b"%s",
)
"""NUL, no UTF-8, half a surrogate pair, what turns a line around, what a terminal obeys, ends of lines, quotes."""

_NUMBER = re.compile(rb"\d+")

Step = Callable[[random.Random, bytearray, Sequence[bytes]], None]


def mutated(inputs: Sequence[bytes], words: Sequence[bytes], seed: int, number: int, most_bytes: int) -> bytes:
    """Input `number` of a run: one of `inputs` after some steps, which may put in `words`."""
    rng = random.Random(seed * 1_000_000_007 + number)
    data = bytearray(rng.choice(inputs))
    others = inputs if rng.random() < 0.5 else words or inputs
    for _ in range(rng.randrange(MOST_STEPS + 1)):
        rng.choice(STEPS)(rng, data, others)
        del data[most_bytes:]
    return bytes(data)


def cuts(data: bytes, seed: int) -> list[bytes]:
    """The same bytes in pieces, as a network might cut them."""
    rng = random.Random(seed)
    longest = rng.choice((2, 20, 200, 2000))
    pieces, at = [], 0
    while at < len(data):
        pieces.append(data[at : at + rng.randint(1, longest)])
        at += len(pieces[-1])
    return pieces


def _span(rng: random.Random, data: bytearray) -> slice:
    begin = rng.randrange(len(data) + 1)
    return slice(begin, begin + rng.randint(1, LONGEST_SPAN_BYTES))


def _flip(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _overwrite(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    if data:
        data[rng.randrange(len(data))] = rng.randrange(256)


def _remove(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    del data[_span(rng, data)]


def _end(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    del data[rng.randrange(len(data) + 1) :]


def _repeat(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    span = _span(rng, data)
    data[span] = data[span] * rng.randint(2, MOST_REPEATS)


def _move(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    span, place = _span(rng, data), rng.randrange(len(data) + 1)
    data[place:place] = data[span]


def _insert(rng: random.Random, data: bytearray, others: Sequence[bytes]) -> None:
    place = rng.randrange(len(data) + 1)
    data[place:place] = rng.choice(others)


def _splice(rng: random.Random, data: bytearray, others: Sequence[bytes]) -> None:
    other = rng.choice(others)
    data[rng.randrange(len(data) + 1) :] = other[rng.randrange(len(other) + 1) :]


def _insert_text(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    place = rng.randrange(len(data) + 1)
    data[place:place] = rng.choice(TEXTS)


def _change_number(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    found = _NUMBER.search(data, rng.randrange(len(data) + 1))
    if found:
        data[found.start() : found.end()] = rng.choice(NUMBERS)


STEPS: Sequence[Step] = (
    _flip,
    _overwrite,
    _remove,
    _end,
    _repeat,
    _move,
    _insert,
    _splice,
    _insert_text,
    _change_number,
)
