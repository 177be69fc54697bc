"""Bytes of a watch to events: any line, and any cut of the stream."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.measure.events import Event, EventDecoder, LineSplitter, Stamps, Undecodable, WatchError
from exporter.measure.stamps import apiserver_stamps, parse_annotation
from tests.measure.watch_lines import ANNOTATION, EVENTS, LINES, encoded

PLAIN, ANNOTATED = EventDecoder(), EventDecoder(ANNOTATION)


def stamps_in(metadata: dict[str, Any]) -> Stamps:
    newest = max((entry.get("time") or "" for entry in metadata.get("managedFields") or []), default="")
    creation = metadata.get("creationTimestamp") or ""
    return Stamps(
        newest,
        "" if len(creation) == len(newest) and creation <= newest else creation,
        metadata.get("deletionTimestamp") or "",
        metadata.get("deletionGracePeriodSeconds") or 0,
    )


def line_of(**event: Any) -> bytes:
    return json.dumps(event).encode()


@given(EVENTS.flatmap(lambda event: st.tuples(st.just(event), encoded(st.just(event)))))
def test_an_event_is_decoded_to_what_dates_it(written: tuple[dict[str, Any], bytes]) -> None:
    event, line = written
    metadata = event["object"]["metadata"]
    version = metadata["resourceVersion"]
    for decoder in (PLAIN, ANNOTATED):
        decoded = decoder.decode(line)
        assert isinstance(decoded, Event)
        assert decoded.event_type == event["type"].lower()
        assert decoded.revision == (int(version) if version.isascii() and version.isdigit() else None)
        assert decoded.uid == metadata.get("uid", "")
        assert decoded.stamps == stamps_in(metadata)
        annotations = metadata.get("annotations") or {}
        assert decoded.annotation == (annotations.get(ANNOTATION) if decoder is ANNOTATED else None)


@given(LINES)
def test_any_line_is_an_event_an_error_or_undecodable_and_nothing_raises(line: bytes) -> None:
    for decoder in (PLAIN, ANNOTATED):
        decoded = decoder.decode(line)
        assert isinstance(decoded, Event | WatchError | Undecodable)
        if isinstance(decoded, Event):
            apiserver_stamps(decoded.stamps)
            parse_annotation(decoded.annotation or "")


LONGEST = 50


@given(
    lines=st.lists(LINES, max_size=6),
    ending=st.sampled_from([b"", b"\n", b"\n\n"]),
    cuts=st.lists(st.integers(0, 400), max_size=8),
    stuffing=st.integers(0, 70),
)
@example(lines=[b"x" * LONGEST], ending=b"", cuts=[LONGEST], stuffing=0)
def test_any_cut_of_the_stream_gives_the_same_lines(
    lines: list[bytes], ending: bytes, cuts: list[int], stuffing: int
) -> None:
    stream = b"\n".join([*lines, b"x" * stuffing]) + ending
    whole = stream.split(b"\n")[:-1]
    splitter = LineSplitter(LONGEST)
    got: list[bytes] = []
    overlong = 0
    for begin, end in pairwise(sorted({0, *(min(cut, len(stream)) for cut in cuts), len(stream)})):
        complete, thrown_away = splitter.feed(stream[begin:end])
        got += complete
        overlong += thrown_away
    rest = stream.rpartition(b"\n")[2]
    assert got == [line for line in whole if 0 < len(line) <= LONGEST]
    assert overlong == sum(len(line) > LONGEST for line in [*whole, rest])
    assert splitter.unfinished_bytes == (len(rest) if len(rest) <= LONGEST else 0)


@pytest.mark.parametrize("cut_every", [1, 7, 1000])
def test_a_line_that_never_ends_keeps_no_memory(cut_every: int) -> None:
    splitter = LineSplitter(LONGEST)
    overlong = 0
    for _ in range(10_000 // cut_every):
        lines, thrown_away = splitter.feed(b"x" * cut_every)
        assert not lines
        assert splitter.unfinished_bytes <= LONGEST
        overlong += thrown_away
    assert overlong == 1
    assert splitter.feed(b"\nnext\n") == ([b"next"], 0)


@pytest.mark.parametrize(
    "line",
    [
        b'{"type":"ADDED","object":{"metadata":{"annotations":' + b"[" * 100_000,
        b'{"type":"ADDED","object":{"spec":' + b"[" * 100_000,
        b'{"type":"ERROR","object":' + b'{"details":' * 100_000,
        b'{"type":"ADDED","object":{"metadata":{"resourceVersion":"\xff"}}}',
        b'{"type":"ADDED","object":{"metadata":{"resourceVersion":"\\ud800"}}}',
        b'{"type":"ADDED","object":{"metadata":{"deletionGracePeriodSeconds":1' + b"0" * 400 + b"}}}",
        b'{"type":"ADDED","object":{}}',
        b'{"type":"added","object":{"metadata":{"resourceVersion":"1"}}}',
        b'{"type":"RENAMED","object":{"metadata":{"resourceVersion":"1"}}}',
        b"<html><body>502 Bad Gateway</body></html>",
        b"\r",
    ],
    ids=lambda line: line[:60].decode(errors="replace"),
)
def test_what_is_no_event_is_undecodable_and_says_why(line: bytes) -> None:
    for decoder in (PLAIN, ANNOTATED):
        decoded = decoder.decode(line)
        assert isinstance(decoded, Undecodable)
        assert decoded.reason


@pytest.mark.parametrize("version", ["", "abc", "-1", "1.5", "0x10", "\u0663", "1" * 21, "9" * 5000])
def test_a_resource_version_that_is_no_number_gives_no_revision(version: str) -> None:
    decoded = PLAIN.decode(line_of(type="ADDED", object={"metadata": {"resourceVersion": version}}))
    assert isinstance(decoded, Event)
    assert decoded.revision is None


def test_an_error_carries_the_status_that_ends_the_watch() -> None:
    status = {"kind": "Status", "metadata": {}, "code": 410, "reason": "Expired", "message": "too old"}
    for extra, retry_after in (
        ({}, None),
        ({"details": None}, None),
        ({"details": {"retryAfterSeconds": 7}}, 7),
        ({"details": {"retryAfterSeconds": -7}}, None),
    ):
        decoded = PLAIN.decode(line_of(type="ERROR", object={**status, **extra}))
        assert decoded == WatchError(410, "Expired", "too old", retry_after)


def test_a_huge_object_is_an_event_like_any_other() -> None:
    metadata = {"resourceVersion": "7", "annotations": {"a": "x" * 2_000_000, ANNOTATION: "1700000000"}}
    line = line_of(type="MODIFIED", object={"spec": [{"image": "y" * 1000}] * 1000, "metadata": metadata})
    lines, overlong = LineSplitter().feed(line + b"\n")
    assert (lines, overlong) == ([line], 0)
    decoded = ANNOTATED.decode(line)
    assert isinstance(decoded, Event)
    assert (decoded.revision, decoded.annotation) == (7, "1700000000")
