"""Lines of a watch as Kubernetes sends them, and lines that only look like it."""

import json
from typing import Any

from hypothesis import strategies as st

ANNOTATION = "example.com/written-at"

TIMES = st.sampled_from([None, "2026-11-22T16:33:55Z", "2026-11-22T16:33:56.123456Z", "yesterday", ""])
TEXTS = st.text(max_size=8)
ANNOTATIONS = st.dictionaries(st.one_of(st.just(ANNOTATION), TEXTS), TEXTS, max_size=3)

JSON_VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.just(10**400),
        st.floats(allow_nan=False, allow_infinity=False),
        TEXTS,
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=8,
)

METADATA = st.fixed_dictionaries(
    {"resourceVersion": st.one_of(st.integers(0, 2**64 - 1).map(str), TEXTS)},
    optional={
        "name": TEXTS,
        "creationTimestamp": TIMES,
        "deletionTimestamp": TIMES,
        "deletionGracePeriodSeconds": st.one_of(st.none(), st.integers(0, 2**63 - 1)),
        "managedFields": st.one_of(
            st.none(), st.lists(st.fixed_dictionaries({"manager": TEXTS}, optional={"time": TIMES}), max_size=3)
        ),
        "annotations": st.one_of(st.none(), ANNOTATIONS),
    },
)
EVENTS = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]),
        "object": st.fixed_dictionaries({"metadata": METADATA}, optional={"spec": JSON_VALUES, "kind": TEXTS}),
    }
)


@st.composite
def nearly_events(draw: st.DrawFn) -> dict[str, Any]:
    """An event in which one thing is not what it should be."""
    event: dict[str, Any] = draw(EVENTS)
    inner = draw(st.sampled_from([event, event["object"], event["object"]["metadata"]]))
    known = [
        "type",
        "object",
        "metadata",
        "resourceVersion",
        "deletionGracePeriodSeconds",
        "managedFields",
        "annotations",
    ]
    inner[draw(st.sampled_from([*known, "creationTimestamp", "code", "details"]))] = draw(JSON_VALUES)
    if draw(st.booleans()):
        event["type"] = "ERROR"
    return event


@st.composite
def encoded(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> bytes:
    """JSON as different writers write it: escaped or in UTF-8, dense or with spaces. It holds no newline."""
    dense = draw(st.booleans())
    text = json.dumps(draw(values), ensure_ascii=draw(st.booleans()), separators=(",", ":") if dense else None)
    return text.encode(errors="surrogatepass")


GARBAGE = st.binary(max_size=40).map(lambda line: line.replace(b"\n", b" "))
WHOLE_LINES = st.one_of(encoded(EVENTS), encoded(nearly_events()), encoded(JSON_VALUES), GARBAGE)
LINES = st.one_of(
    WHOLE_LINES,
    st.tuples(WHOLE_LINES, st.integers(0, 60)).map(lambda cut: cut[0][: cut[1]]),
    st.just(b""),
)
