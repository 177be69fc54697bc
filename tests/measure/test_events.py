"""Bytes of a watch to events: any line, and any cut of the stream."""

import json
import tracemalloc
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.limits import MOST_MESSAGE_BYTES, Refused
from exporter.measure.events import (
    LONGEST_LINE_BYTES,
    Event,
    EventDecoder,
    LineBudget,
    LineSplitter,
    Stamps,
    Undecodable,
    WatchError,
)
from exporter.measure.write_times import LONGEST_CHARACTERS, apiserver_stamps, parse_annotation
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


@given(LINES)
def test_a_whole_pod_is_the_event_that_its_metadata_are(line: bytes) -> None:
    for annotation in (None, ANNOTATION):
        by_metadata, whole = EventDecoder(annotation), EventDecoder(annotation)
        decoded = whole.decode_pod(line)
        if isinstance(decoded, Event):
            decoded = msgspec.structs.replace(decoded, content=None)
        assert decoded == by_metadata.decode(line)
        assert whole.refused == by_metadata.refused


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


SHARED, ALWAYS = 40, 8
PIECES = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from([b"x" * 30, b"x" * 5, b"x", b"\n", b"xx\nyy"])), max_size=40
)


def read(pieces: list[tuple[int, bytes]], budgets: list[LineBudget]) -> list[tuple[list[bytes], int]]:
    """What three splitters make of theirs: the lines, and how many were thrown away."""
    splitters = [LineSplitter(LONGEST, budget) for budget in budgets]
    read: list[tuple[list[bytes], int]] = [([], 0)] * len(splitters)
    for number, piece in pieces:
        lines, overlong = splitters[number].feed(piece)
        before, thrown_away = read[number]
        read[number] = ([*before, *lines], thrown_away + overlong)
        unfinished = [splitter.unfinished_bytes for splitter in splitters]
        if budgets[0] is budgets[1]:
            assert sum(max(0, size - ALWAYS) for size in unfinished) == SHARED - budgets[0].left_bytes <= SHARED
    for splitter in splitters:
        splitter.leave()
    assert budgets[0] is not budgets[1] or budgets[0].left_bytes == SHARED
    return read


@given(PIECES)
def test_unfinished_lines_have_no_more_than_their_budget_together_and_what_has_no_room_is_counted(
    pieces: list[tuple[int, bytes]],
) -> None:
    alone = read(pieces, [LineBudget(LONGEST) for _ in range(3)])
    together = read(pieces, [LineBudget(SHARED, ALWAYS)] * 3)
    ends = [[b"", *(piece for number, piece in pieces if number == stream)] for stream in range(3)]
    for (all_lines, overlong), (lines, skipped), received in zip(alone, together, ends, strict=True):
        rest = iter(all_lines)
        assert all(line in rest for line in lines), "some are missing, the others are the same and in order"
        has_unfinished = not b"".join(received).endswith(b"\n")
        assert 0 <= len(lines) + skipped - len(all_lines) - overlong <= has_unfinished
        assert [line for line in all_lines if len(line) <= ALWAYS] == [line for line in lines if len(line) <= ALWAYS]


def test_a_budget_that_is_wide_enough_changes_nothing_for_lines_that_are_cut_anywhere() -> None:
    budget = LineBudget(3 * LONGEST)
    for cut in range(1, 20):
        splitters = [LineSplitter(LONGEST, budget) for _ in range(3)]
        for splitter in splitters:
            assert splitter.feed((b"z" * LONGEST)[:cut]) == ([], 0)
        for splitter in splitters:
            assert splitter.feed((b"z" * LONGEST)[cut:] + b"\n") == ([b"z" * LONGEST], 0)
    assert budget.left_bytes == 3 * LONGEST


def test_a_line_of_single_bytes_takes_no_more_memory_than_its_bytes() -> None:
    splitter = LineSplitter(1_000_000)
    tracemalloc.start()
    try:
        for _ in range(500_000):
            splitter.feed(b"x")
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()


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


@pytest.mark.parametrize("status", [b"7", b"[]", b'{"code":"429"}', b'{"details":{"retryAfterSeconds":1e400}}'])
def test_an_error_ends_the_watch_also_if_its_status_cannot_be_read(status: bytes) -> None:
    decoded = PLAIN.decode(b'{"type":"ERROR","object":' + status + b"}")
    assert isinstance(decoded, WatchError)
    assert decoded.code == 0
    assert decoded.message.startswith("its status cannot be read: ")


def test_the_longest_line_takes_no_more_than_a_multiple_of_it_whatever_is_in_it() -> None:
    line = b'{"type":"ADDED","object":{"metadata":{"managedFields":[{}'
    line += b",{}" * ((LONGEST_LINE_BYTES - len(line)) // 3) + b"]}}}"
    assert LONGEST_LINE_BYTES > 3 * 2**20, "of the longest request that an apiserver takes"
    tracemalloc.start()
    try:
        assert isinstance(PLAIN.decode(line), Event)
        assert tracemalloc.get_traced_memory()[1] < 100 * 2**20
    finally:
        tracemalloc.stop()


def test_a_huge_object_is_an_event_like_any_other() -> None:
    metadata = {"resourceVersion": "7", "annotations": {"a": "x" * 2_000_000, ANNOTATION: "1700000000"}}
    line = line_of(type="MODIFIED", object={"spec": [{"image": "y" * 1000}] * 1000, "metadata": metadata})
    lines, overlong = LineSplitter().feed(line + b"\n")
    assert (lines, overlong) == ([line], 0)
    decoded = ANNOTATED.decode(line)
    assert isinstance(decoded, Event)
    assert (decoded.revision, decoded.annotation) == (7, "1700000000")


TIME = "2026-11-22T16:33:55Z"
LONG = "2" * (LONGEST_CHARACTERS + 1)
BEYOND: list[tuple[Refused, dict[str, Any]]] = [
    ("uid", {"uid": LONG}),
    ("managed_fields", {"managedFields": [{"time": LONG}, {"time": TIME}]}),
    ("managed_fields", {"creationTimestamp": LONG}),
    ("managed_fields", {"deletionTimestamp": LONG}),
    ("annotation", {"annotations": {ANNOTATION: LONG}}),
]


@pytest.mark.parametrize(("what", "beyond"), BEYOND)
def test_a_text_beyond_its_limit_is_left_out_and_counted_and_the_event_counts_as_ever(
    what: Refused, beyond: dict[str, Any]
) -> None:
    metadata = {
        "resourceVersion": "7",
        "uid": "it",
        "managedFields": [{"time": TIME}],
        "annotations": {ANNOTATION: "1700000000", "other": LONG},
    }
    decoder = EventDecoder(ANNOTATION)
    usual = decoder.decode(line_of(type="ADDED", object={"metadata": metadata}))
    assert usual == Event("added", 7, "it", Stamps(TIME), "1700000000")
    assert not decoder.refused
    decoded = decoder.decode(line_of(type="ADDED", object={"metadata": metadata | beyond}))
    left_out = {
        "uid": Event("added", 7, "", usual.stamps, "1700000000"),
        "annotation": Event("added", 7, "it", usual.stamps),
    }
    assert decoded == left_out.get(what, usual)
    assert decoder.refused == {what: 1}


def test_of_a_lease_with_names_beyond_their_limit_only_the_event_is_kept() -> None:
    decoder = EventDecoder()
    for name, time in (("n" * 254, TIME), ("n", "9" * 254)):
        metadata = {"resourceVersion": "7", "name": name, "namespace": "kube-system"}
        decoded = decoder.decode_lease(
            line_of(type="ADDED", object={"metadata": metadata, "spec": {"renewTime": time}})
        )
        assert decoded == Event("added", 7)
    assert decoder.refused == {"managed_fields": 2}


def test_whatever_stands_in_objects_what_is_kept_of_them_is_small() -> None:
    decoder = EventDecoder(ANNOTATION)
    kept = []
    tracemalloc.start()
    try:
        for number in range(300):
            text = f"{number:>262144}"
            metadata = {
                "resourceVersion": "7",
                "uid": text,
                "creationTimestamp": text,
                "managedFields": [{"time": text}],
                "annotations": {ANNOTATION: text},
            }
            kept.append(decoder.decode(line_of(type="ADDED", object={"metadata": metadata})))
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()
    assert kept == [Event("added", 7)] * 300
    assert decoder.refused == {"uid": 300, "managed_fields": 600, "annotation": 300}


@pytest.mark.parametrize("letter", ["x", "é", "\U0001f600"])
def test_of_what_an_error_says_the_beginning_is_kept(letter: str) -> None:
    decoder = EventDecoder()
    status = {"code": 500, "reason": letter * 15_000_000, "message": letter * 15_000_000}
    decoded = decoder.decode(json.dumps({"type": "ERROR", "object": status}, ensure_ascii=False).encode())
    assert isinstance(decoded, WatchError)
    for text in (decoded.reason, decoded.message):
        assert text == letter * (MOST_MESSAGE_BYTES // len(letter.encode()))
    assert decoder.refused == {"message": 2}


def test_why_a_line_is_no_event_is_said_in_a_few_words() -> None:
    decoded = PLAIN.decode(line_of(type="X" * 1_000_000, object={"metadata": {}}))
    assert isinstance(decoded, Undecodable)
    assert len(decoded.reason) < 100
