"""Whole Leases to write times: whatever a Lease holds, it is an event like any other, and most often a dated one."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.measure.events import Event, EventDecoder, Lease, LeaseLabels, LeaseMetadata, LeaseSpec
from exporter.measure.write_times import is_apiservers_own, renewed_at
from tests.measure.watch_lines import ANNOTATION, EVENTS, JSON_VALUES, LINES, TEXTS, TIMES, encoded

PLAIN, ANNOTATED = EventDecoder(), EventDecoder(ANNOTATION)
IDENTITY = "apiserver.kubernetes.io/identity"

NAMES = st.one_of(TEXTS, st.sampled_from(["apiserver-x4vzn", "apiserver-", "node-1"]))
NAMESPACES = st.one_of(TEXTS, st.sampled_from(["kube-system", "kube-node-lease"]))
LABELS = st.dictionaries(st.one_of(st.just(IDENTITY), TEXTS), st.one_of(st.just("kube-apiserver"), TEXTS), max_size=3)
SPECS = st.fixed_dictionaries(
    {}, optional={"renewTime": TIMES, "holderIdentity": TEXTS, "leaseTransitions": JSON_VALUES}
)
WHOSE = st.fixed_dictionaries(
    {}, optional={"name": NAMES, "namespace": NAMESPACES, "labels": st.one_of(st.none(), LABELS)}
)


@st.composite
def leases(draw: st.DrawFn) -> dict[str, Any]:
    """An event with a whole Lease, as a watch sends it."""
    event: dict[str, Any] = draw(EVENTS)
    event["object"]["metadata"] |= draw(WHOSE)
    event["object"].pop("spec", None)
    if draw(st.booleans()):
        event["object"]["spec"] = draw(st.one_of(st.none(), SPECS))
    return event


@given(leases().flatmap(lambda event: st.tuples(st.just(event), encoded(st.just(event)))))
def test_a_lease_is_decoded_to_what_dates_it_and_to_whose_it_is(written: tuple[dict[str, Any], bytes]) -> None:
    event, line = written
    metadata, spec = event["object"]["metadata"], event["object"].get("spec") or {}
    for decoder in (PLAIN, ANNOTATED):
        decoded = decoder.decode_lease(line)
        assert isinstance(decoded, Event)
        assert decoded.lease is not None
        assert (decoded.lease.spec or LeaseSpec()).renewTime == spec.get("renewTime")
        assert is_apiservers_own(decoded.lease) == (
            metadata.get("namespace") == "kube-system"
            and metadata.get("name", "").startswith("apiserver-")
            and (metadata.get("labels") or {}).get(IDENTITY) == "kube-apiserver"
        )


@given(st.one_of(LINES, encoded(leases())))
def test_any_line_is_for_a_lease_what_it_is_for_any_other_kind(line: bytes) -> None:
    for decoder in (PLAIN, ANNOTATED):
        plain, decoded = decoder.decode(line), decoder.decode_lease(line)
        if not isinstance(plain, Event):
            assert decoded == plain
            continue
        assert isinstance(decoded, Event)
        assert plain.lease is None
        assert (decoded.event_type, decoded.revision, decoded.annotation) == (
            plain.event_type,
            plain.revision,
            plain.annotation,
        )
        assert (decoded.uid, decoded.stamps) == (plain.uid, plain.stamps)
        if decoded.lease is not None:
            renewed_at(decoded.lease)


@given(st.integers(10**14, 4 * 10**15))
def test_the_time_of_a_renewal_is_read_to_the_microsecond(time_us: int) -> None:
    text = f"{datetime.fromtimestamp(time_us // 10**6, UTC):%Y-%m-%dT%H:%M:%S}.{time_us % 10**6:06}Z"
    renewed = renewed_at(Lease(LeaseMetadata(), LeaseSpec(text)))
    assert renewed is not None
    assert abs(renewed - time_us / 1e6) < 1e-6


@pytest.mark.parametrize("spec", [None, {}, {"renewTime": None}, {"renewTime": "soon"}, {"renewTime": 5}, 7, [], "x"])
def test_a_lease_that_says_no_time_is_an_event_without_one(spec: object) -> None:
    line = json.dumps({"type": "MODIFIED", "object": {"metadata": {"resourceVersion": "7"}, "spec": spec}}).encode()
    decoded = PLAIN.decode_lease(line)
    assert isinstance(decoded, Event)
    assert decoded.revision == 7
    assert decoded.lease is None or renewed_at(decoded.lease) is None


@pytest.mark.parametrize(
    ("name", "namespace", "identity"),
    [
        ("apiserver-x4vzn", "kube-system", "konnectivity"),
        ("apiserver-x4vzn", "default", "kube-apiserver"),
        ("kube-scheduler", "kube-system", "kube-apiserver"),
    ],
)
def test_who_only_looks_like_an_apiserver_is_a_holder_like_any_other(name: str, namespace: str, identity: str) -> None:
    assert is_apiservers_own(Lease(LeaseMetadata("apiserver-x4vzn", "kube-system", LeaseLabels("kube-apiserver"))))
    assert not is_apiservers_own(Lease(LeaseMetadata(name, namespace, LeaseLabels(identity))))
    assert not is_apiservers_own(Lease(LeaseMetadata("apiserver-x4vzn", "kube-system")))
