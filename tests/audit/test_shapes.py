"""Each shape of an audit log gives the same events, however its bytes are cut."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.audit.decoding import LONGEST_AGENT, AuditDecoder
from exporter.audit.reading import EventReader
from tests.audit.lines import Json, event, in_order, lines, listed, watched, wrote
from tests.audit.reports import events_in, report_on
from tests.audit.shapes import SHAPES, event_list, gke, pretty_array, pretty_objects

ALL = in_order(
    [
        event("list", "/api/v1/pods", at=-1, stage="RequestReceived"),
        *listed("limit=500&resourceVersion=0", at=0, pod=("a-1", "uid-1")),
        *watched("resourceVersion=5&timeoutSeconds=300", at=1, lasts=300),
        *wrote("web", at=2, annotations={"apiserver.latency.k8s.io/etcd": "1m2.5s"}),
        *listed(at=3, agent='quotes " and \\ and {[', code=429),
        *wrote("wéb", at=4, verb="patch", code=409),
    ]
)
TOLD = len(ALL) - 1
"""Of the first only the request has come: it will be told again."""

EVERY_SHAPE = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
Shape = Callable[[list[Json]], bytes]


@EVERY_SHAPE
def test_each_shape_gives_the_same_events_and_nothing_is_unreadable(shape: Shape) -> None:
    plain, _ = events_in(lines(ALL))
    assert len(plain) == TOLD
    assert events_in(shape(ALL)) == (plain, 0)


@EVERY_SHAPE
@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_any_cut_of_the_bytes_gives_the_same_report(shape: Shape, data: st.DataObject) -> None:
    text = shape(ALL)
    at = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[begin:end] for begin, end in zip([0, *at], [*at, len(text)], strict=True)]
    events, unreadable = events_in(*pieces)
    assert report_on(events, unreadable=unreadable) == report_on(events_in(lines(ALL))[0])


JUNK = st.sampled_from(
    [
        b"",
        b"\n",
        b'{"kind":"Ev',
        b'"',
        b"}",
        b"]",
        b"[",
        b"{",
        b"junk\n",
        b'{"a":[{"b":1}]}',
        b"\\",
        b'{"items":[',
        b"\xff",
    ]
)


@settings(deadline=None, max_examples=300)
@given(data=st.data(), longest=st.sampled_from([700, 1100, 10_000]))
def test_any_cut_of_broken_bytes_gives_the_same_events_and_keeps_no_more_than_an_event(
    data: st.DataObject, longest: int
) -> None:
    shapes = data.draw(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=3))
    text = b"".join(data.draw(JUNK) + shape(ALL[:2]) + data.draw(JUNK) for shape in shapes)
    begin, end = sorted(data.draw(st.tuples(st.integers(0, len(text)), st.integers(0, len(text)))))
    text = text[:begin] + text[end:]

    def read(pieces: list[bytes]) -> tuple[object, ...]:
        reader, events = EventReader(longest), []
        for piece in pieces:
            events += reader.feed(piece)
            assert reader.kept_bytes <= 2 * longest
        events += reader.end()
        return events, reader.decoder.unreadable, reader.decoder.received_only

    size = data.draw(st.integers(1, 400))
    assert read([text]) == read([text[at : at + size] for at in range(0, len(text), size)])


def test_what_is_broken_costs_no_event_after_its_line() -> None:
    whole = lines(ALL)
    for broken in (
        b'{"kind":"Event","requestURI":"/api/v1/po\n',
        b'{"kind":"Event","user":{"username":"x",\n',
        b"}]\n",
    ):
        events, unreadable = events_in(broken + whole)
        assert len(events) == TOLD
        assert unreadable == 1
    for shape in (lines, pretty_objects, pretty_array):
        events, unreadable = events_in(shape(ALL)[:-20])
        assert (len(events), unreadable) == (TOLD - 1, 1)


def test_what_is_broken_in_a_list_of_many_lines_ends_with_its_line() -> None:
    text = pretty_array(ALL[1:]).replace(b'"verb": "list",', b'"verb": "list', 1)
    events, unreadable = events_in(text)
    assert len(events) == TOLD - 1
    assert unreadable >= 1


def test_lines_that_are_something_else_are_counted() -> None:
    events, unreadable = events_in(b'I1129 apiserver started\n\n{"msg":"x"}\n' + lines(ALL) + b"[1,2]\n")
    assert (len(events), unreadable) == (TOLD, 3)


def test_an_event_of_which_no_more_than_the_request_has_come_is_known_and_left_out() -> None:
    received = event("list", "/api/v1/pods", at=0, stage="RequestReceived")
    assert events_in(lines([received, *ALL]))[1] == 0
    assert len(events_in(lines([received, *ALL]))[0]) == TOLD


def test_a_list_that_is_longer_than_any_event_is_read_event_by_event() -> None:
    text = event_list(ALL * 50)
    reader = EventReader(2000)
    events = reader.feed(text) + reader.end()
    assert len(events) == 50 * TOLD
    assert reader.decoder.unreadable == 0


def test_an_event_beyond_the_limit_is_left_out_and_counted() -> None:
    large = event("list", "/api/v1/pods", at=0, agent="x" * 5000)
    for shape in (lines, event_list, pretty_objects):
        reader = EventReader(4000)
        events = reader.feed(shape([*ALL, large, *ALL])) + reader.end()
        assert len(events) == 2 * TOLD
        assert reader.decoder.unreadable == 1


def test_a_user_agent_of_a_megabyte_is_cut_and_counted() -> None:
    large = event("list", "/api/v1/pods", at=0, agent="\x1b[31m" * 200_000)
    decoder = AuditDecoder()
    decoded = decoder.decode(json.dumps(large).encode())
    assert decoded is not None
    assert len(decoded.agent) == LONGEST_AGENT
    assert decoder.cut == 1


def test_whoever_impersonates_is_named_with_whom() -> None:
    [decoded], _ = events_in(lines([event("list", "/api/v1/pods", at=0) | {"impersonatedUser": {"username": "bob"}}]))
    assert decoded.user == "alice as bob"


def test_only_the_last_address_is_believed() -> None:
    forged = event("list", "/api/v1/pods", at=0) | {"sourceIPs": ["1.1.1.1", "10.0.0.7"]}
    [decoded], _ = events_in(lines([forged]))
    assert decoded.instance == "10.0.0.7"


def test_the_entries_of_gke_say_who_did_what_but_not_how_long() -> None:
    at = "2026-11-29T02:00:0{}.123456789Z".format
    entries = [
        gke("io.k8s.core.v1.pods.list", "core/v1/namespaces/default/pods", at(0)),
        gke("io.k8s.core.v1.pods.status.update", "core/v1/namespaces/default/pods/web/status", at(1), code=10),
        gke("io.k8s.apps.v1.deployments.patch", "apps/v1/namespaces/default/deployments/web", at(2)),
        gke("io.k8s.coordination.v1.leases.get", "coordination.k8s.io/v1/namespaces/x/leases/l", at(3)),
        gke("com.example.v1.widgets.create", "example.com/v1/namespaces/x/widgets/w", at(4), code=8),
        gke("io.k8s.core.v1.pods.watch", "core/v1/pods", at(5), operation={"id": "7", "first": True}),
        gke("io.k8s.core.v1.pods.watch", "core/v1/pods", at(6), operation={"id": "7", "last": True}),
    ]
    for text in (pretty_array(entries), lines(entries)):
        events, unreadable = events_in(text)
        assert unreadable == 0
        assert [(one.verb, one.resource, one.namespace, one.code) for one in events] == [
            ("list", "pods", "default", 200),
            ("update", "pods/status", "default", 409),
            ("patch", "deployments.apps", "default", 200),
            ("get", "leases.coordination.k8s.io", "x", 200),
            ("create", "widgets.example.com", "x", 429),
            ("watch", "pods", "", 200),
            ("watch", "pods", "", 200),
        ]
        report = report_on(events)
        assert report.requests == {"list": 1, "update": 1, "patch": 1, "get": 1, "create": 1, "watch": 1}
        assert report.seconds == 0
        assert any("no queries" in sentence for sentence in report.blind)
        assert any("how long 5 of" in sentence for sentence in report.blind)
