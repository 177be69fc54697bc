"""Events are counted up to the bookmark that ends the initial ones, however the bytes are cut."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.kubernetes.event_counter import EventCounter, NotAWatchError, WatchRefusedError
from exporter.limits import refused_texts
from exporter.measure.events import LONGEST_LINE_BYTES


def line(kind: str, annotations: dict[str, str] | None = None, **fields: object) -> bytes:
    metadata = {"name": 'x"\\\n{', "annotations": annotations or {}}
    return json.dumps({"type": kind, "object": {"metadata": metadata, **fields}}).encode() + b"\n"


END = line("BOOKMARK", {"k8s.io/initial-events-end": "true"})
OTHER = line("BOOKMARK") + line("BOOKMARK", {"k8s.io/initial-events-end": "false"})


def fed(data: bytes, cuts: list[int]) -> EventCounter:
    counter = EventCounter()
    for size in cuts:
        counter.feed(data[:size])
        data = data[size:]
    counter.feed(data)
    return counter


@given(st.integers(0, 5), st.integers(0, 3), st.lists(st.integers(0, 90)))
def test_what_comes_after_the_initial_events_does_not_count(initial: int, later: int, cuts: list[int]) -> None:
    wanted = OTHER + line("ADDED") * initial + END
    counter = fed(wanted + line("MODIFIED") * later + b'{"type":"ADD', cuts)
    assert (counter.events, counter.size_bytes, counter.is_complete) == (initial, len(wanted), True)


@given(st.integers(0, 5), st.lists(st.integers(0, 90)))
def test_without_that_bookmark_all_counts(events: int, cuts: list[int]) -> None:
    data = OTHER + line("DELETED") * events
    counter = fed(data, cuts)
    assert (counter.events, counter.size_bytes, counter.is_complete) == (events, len(data), False)


def test_an_error_and_what_is_no_event_are_told() -> None:
    with pytest.raises(WatchRefusedError, match="too old") as refused:
        fed(line("ERROR", code=410, message="too old"), [])
    assert refused.value.code == 410
    with pytest.raises(NotAWatchError):
        fed(b"<html>\n", [])
    before = refused_texts.times["line"]
    with pytest.raises(NotAWatchError, match="longer than any event"):
        fed(b"x" * (LONGEST_LINE_BYTES + 1), [])
    assert refused_texts.times["line"] == before + 1
