"""The bytes of an answer: any cut of them gives the same, and what can be read in two ways is refused."""

from collections.abc import Sequence
from itertools import pairwise

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.kubernetes.answer import MOST_HEAD_BYTES, MOST_HEADERS, AnswerReader, NotHTTPError, TooMuchError

MOST_BEFORE_BYTES, MOST_BODY_BYTES = 200_000, 200
BODY = b'{"kind":"List","metadata":{"resourceVersion":"7"}}'
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"
LENGTH = b"Content-Length: %d" % len(BODY)
IN_CHUNKS = b"14\r\n%b\r\n%x;a=b\r\n%b\r\n0\r\n\r\n" % (BODY[:20], len(BODY) - 20, BODY[20:])

Found = tuple[int, dict[str, str], bytes, bool, bool]


def head(*headers: bytes, status: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"\r\n".join((status, *headers, b"", b""))


def read(pieces: Sequence[bytes], *, ends: bool = False) -> Found | None:
    """What these bytes are; None if they are refused."""
    reader = AnswerReader(MOST_BEFORE_BYTES, MOST_BODY_BYTES)
    try:
        for piece in pieces:
            reader.feed(piece)
        if ends:
            reader.end(is_cut=False)
    except aiohttp.ClientError:
        return None
    return reader.status, reader.headers, bytes(reader.body), reader.is_over, reader.is_over and reader.is_kept


ANSWERS = [
    head(LENGTH, b"Audit-Id: 1") + BODY,
    INTERIM * 3 + head(LENGTH) + BODY,
    head(b"transfer-encoding:Chunked") + IN_CHUNKS,
    head(b"Transfer-Encoding: chunked") + IN_CHUNKS[:-2] + b"Trailer: 1\r\n\r\n",
    head(b"Connection: close", LENGTH) + BODY,
    head(LENGTH, status=b"HTTP/1.0 200 OK") + BODY,
    head(LENGTH) + BODY + b"HTTP/1.1 200 OK\r\n\r\n",
    head(b"Content-Type: text/html") + BODY,
    head(status=b"HTTP/1.1 204 No Content"),
    head(b"Content-Length: 0", status=b"HTTP/1.1 401"),
    head(b"Content-Length: 201") + b"x" * 201,
    head(b"Transfer-Encoding: chunked") + b"cc\r\n" + b"x" * 204,
    head(b"Transfer-Encoding: chunked") + b"x\r\n",
    b"nonsense\r\n\r\n",
]
MEANINGFUL = [
    b"\r\n",
    b"\r\n\r\n",
    b":",
    b"0\r\n\r\n",
    b"HTTP/1.1 ",
    b"chunked",
    b"\0",
    INTERIM,
    b"Content-Length: 5\r\n",
]


@given(
    data=st.data(),
    answer=st.sampled_from(ANSWERS),
    cuts=st.lists(st.integers(0, 400), max_size=12),
    ends=st.booleans(),
)
def test_any_cut_of_the_bytes_gives_the_same_answer(
    data: st.DataObject, answer: bytes, cuts: list[int], *, ends: bool
) -> None:
    at = data.draw(st.integers(0, len(answer)))
    inserted = data.draw(st.just(b"") | st.sampled_from(MEANINGFUL) | st.binary(max_size=3))
    answer = answer[:at] + inserted + answer[at + data.draw(st.integers(0, 2)) :]
    whole = read([answer], ends=ends)
    bytewise = read([answer[at : at + 1] for at in range(len(answer))], ends=ends)
    somehow = read([answer[one:other] for one, other in pairwise([0, *sorted(cuts), 10_000])], ends=ends)
    assert whole == bytewise == somehow


@pytest.mark.parametrize("answer", ANSWERS[:7])
def test_what_an_answer_says_is_read(answer: bytes) -> None:
    found = read([answer])
    assert found is not None
    status, _, body, is_over, _ = found
    assert (status, body, is_over) == (200, BODY, True)


def test_a_connection_is_kept_only_where_it_is_certain_where_the_answer_ends() -> None:
    kept = [(found := read([answer])) is not None and found[-1] for answer in ANSWERS]
    assert kept == [True] * 3 + [False] * 5 + [True] * 2 + [False] * 4


def test_a_body_without_a_length_ends_with_its_connection() -> None:
    answer = head(b"Content-Type: text/html") + BODY
    assert read([answer]) == (200, {"content-type": "text/html"}, BODY, False, False)
    assert read([answer], ends=True) == (200, {"content-type": "text/html"}, BODY, True, False)


@pytest.mark.parametrize("answer", [head(LENGTH) + BODY[:-1], head(b"Transfer-Encoding: chunked") + IN_CHUNKS[:-2]])
def test_a_body_that_is_cut_short_is_none(answer: bytes) -> None:
    assert read([answer]) is not None
    assert read([answer], ends=True) is None


def test_what_stands_there_several_times_is_joined() -> None:
    found = read([head(b"Via: a", b"Audit-Id:", b"VIA:\tb ", b"Content-Length: 0")])
    assert found is not None
    assert found[1] == {"via": "a, b", "audit-id": "", "content-length": "0"}


NOT_HTTP = [
    b"SSH-2.0-OpenSSH\r\n\r\n",
    b"HTTP/2 200\r\n\r\n",
    b"HTTP/1.1 20\r\n\r\n",
    b"HTTP/1.1 2000 OK\r\n\r\n",
    b" HTTP/1.1 200 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nno header\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA: 1\r\n folded: 2\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA : 1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n: 1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA: 1\nB: 2\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA: 1\rB: 2\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA: \0\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    head(LENGTH, b"Transfer-Encoding: chunked") + BODY,
    head(LENGTH, LENGTH) + BODY,
    head(b"Transfer-Encoding: gzip, chunked") + BODY,
    head(b"Transfer-Encoding: identity") + BODY,
    head(b"Transfer-Encoding: chunked", status=b"HTTP/1.0 200 OK") + IN_CHUNKS,
    *(head(b"Content-Length: " + length) for length in (b"", b"-1", b"+1", b"0x1", b"1 ,", b"\xd9\xa1", b"1" * 17)),
    head(*[b"A: 1"] * (MOST_HEADERS + 1)),
    head(b"A: " + b"x" * MOST_HEAD_BYTES),
    b"HTTP/1.1 200 " + b"x" * (MOST_HEAD_BYTES + 4),
]


@pytest.mark.parametrize("answer", NOT_HTTP, ids=lambda answer: str(answer[:60]))
def test_what_could_be_read_in_two_ways_is_no_answer(answer: bytes) -> None:
    with pytest.raises(NotHTTPError, match="the answer is not HTTP"):
        AnswerReader(MOST_BEFORE_BYTES, MOST_BODY_BYTES).feed(answer)


@pytest.mark.parametrize(
    "answer",
    [
        INTERIM * (MOST_BEFORE_BYTES // len(INTERIM) + 1),
        head(b"Content-Length: 201"),
        head() + b"x" * 201,
        head(b"Transfer-Encoding: chunked") + b"65\r\n%b\r\n" % (b"x" * 101) * 2,
    ],
    ids=["interim answers", "a length", "no length", "chunks"],
)
def test_no_more_is_kept_than_is_allowed(answer: bytes) -> None:
    with pytest.raises(TooMuchError):
        AnswerReader(MOST_BEFORE_BYTES, MOST_BODY_BYTES).feed(answer)


@pytest.mark.parametrize("bytes_more", [0, 1])
def test_the_longest_head_is_the_same_in_any_cut(bytes_more: int) -> None:
    line = b"HTTP/1.1 204 No Content\r\nA: "
    answer = line + b"x" * (MOST_HEAD_BYTES + bytes_more - len(line)) + b"\r\n\r\n"
    near = len(answer) - 8
    cut = [answer[:near], *(answer[at : at + 1] for at in range(near, len(answer)))]
    assert (read([answer]) is None, read(cut) is None) == (bool(bytes_more), bool(bytes_more))
