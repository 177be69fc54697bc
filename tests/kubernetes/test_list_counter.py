"""However the bytes are cut, whatever they contain: as many objects as a decoder of JSON finds."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.kubernetes.list_counter import MOST_ENVELOPE_BYTES, CountedList, ListCounter, NotAListError
from exporter.limits import refused_texts

texts = st.text(st.sampled_from('ab"\\{}[],:\n\té') | st.characters(codec="utf-8"), max_size=6)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
texts_of_json = st.text(st.sampled_from('{}[]"\\:,items '), max_size=60).map(str.encode)
objects = st.dictionaries(texts, values, max_size=4)
metadata = st.fixed_dictionaries(
    {"resourceVersion": st.just("7")},
    optional={"continue": texts, "remainingItemCount": st.integers(0, 9), "items": st.lists(objects, max_size=2)},
)
sorted_otherwise = st.permutations(["kind", "apiVersion", "metadata", "items", "more"])


@st.composite
def lists(draw: st.DrawFn) -> tuple[dict[str, Any], bytes]:
    """A list, and how it may be written."""
    fields = {
        "kind": "PodList",
        "apiVersion": "v1",
        "metadata": draw(metadata),
        "items": draw(st.none() | st.lists(objects, max_size=5)),
        "more": draw(values),
    }
    document = {name: fields[name] for name in draw(sorted_otherwise)}
    is_spaced, is_ascii = draw(st.booleans()), draw(st.booleans())
    separators = None if is_spaced else (",", ":")
    text = json.dumps(document, separators=separators, ensure_ascii=is_ascii, indent=1 if is_spaced else None)
    return document, text.encode() + b"\n"


def pieces(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    place = 0
    for size in sizes:
        yield data[place : place + size]
        place += size
    yield data[place:]


def counted(data: bytes, sizes: list[int]) -> CountedList:
    counter = ListCounter()
    for piece in pieces(data, sizes):
        counter.feed(piece)
    return counter.finish()


@given(lists(), st.lists(st.integers(0, 40)) | st.just([1] * 1000))
def test_it_counts_what_a_decoder_finds_however_it_is_cut(
    written: tuple[dict[str, Any], bytes], cuts: list[int]
) -> None:
    document, data = written
    found = counted(data, cuts)
    assert found.objects == len(document["items"] or [])
    assert found.size_bytes == len(data)
    assert found.envelope.metadata.next_page == document["metadata"].get("continue", "")
    assert found.envelope.metadata.remaining_objects == document["metadata"].get("remainingItemCount")


@given(
    st.binary() | st.text(st.sampled_from('{}[]"\\:,items '), max_size=60).map(str.encode), st.lists(st.integers(0, 9))
)
def test_what_is_no_list_is_refused_and_never_more(data: bytes, cuts: list[int]) -> None:
    with pytest.raises(NotAListError):
        counted(data, cuts)


HARD = (
    b'{"more":{"items":[{}]},"a":"\\"[","metadata":{"continue":"\\\\","items":[{}]},"items":'
    b'[{"a":"\\"{"},{"b":"}\\\\"},{"c":[{},{"d":"]\\\\\\""}]}],"kind":"PodList","z":"]\\\\"}\n'
)


def test_it_may_be_cut_anywhere_twice() -> None:
    assert len(json.loads(HARD)["items"]) == 3
    whole = counted(HARD, [])
    assert (whole.objects, whole.size_bytes, whole.envelope.metadata.next_page) == (3, len(HARD), "\\")
    for first in range(len(HARD)):
        for second in range(1, len(HARD) - first):
            assert counted(HARD, [first, second]) == whole


@pytest.mark.parametrize(
    "data",
    [
        b'{"kind":"Status","metadata":{}}',
        b'{"kind":"PodList","metadata":{},"items":[{}',
        b'{"kind":"PodList","metadata":{},"items":[{"a":"',
        b'{"kind":"PodList","metadata":{},"items":[],"items":[]}',
        b'{"kind":"PodList","metadata":{},"items":[]}{}',
        b'{"kind":"PodList","items":[]}',
        b"<html>",
    ],
)
def test_these_are_no_lists(data: bytes) -> None:
    with pytest.raises(NotAListError):
        counted(data, [])


def test_an_object_may_be_of_any_size_but_all_else_is_limited() -> None:
    large = b'{"kind":"PodList","metadata":{},"items":[{"a":"%b"}]}' % (b"x" * 10 * MOST_ENVELOPE_BYTES)
    counter = ListCounter()
    for piece in pieces(large, [1000] * 1000):
        counter.feed(piece)
    assert counter.finish().objects == 1
    assert len(counter._envelope) < 100
    before = refused_texts.times["answer"]
    with pytest.raises(NotAListError, match="are no items"):
        counted(b'{"kind":"%b' % (b"x" * 10 * MOST_ENVELOPE_BYTES), [1000] * 1000)
    assert refused_texts.times["answer"] == before + 1
