"""What an object says of when it was written, source by source."""

import pytest

from exporter.measure.events import Event, Lease, LeaseLabels, LeaseMetadata, LeaseSpec, Stamps
from exporter.measure.evidence import SOURCES_IN_OBJECTS, Wallclocks, in_object
from exporter.measure.serverclock import Offset
from exporter.measure.write_times import parse_rfc3339

NOON = "2026-11-22T12:00:00Z"
SECONDS = parse_rfc3339(NOON) or 0.0
APISERVERS = Offset(lower=SECONDS - 100.5, upper=SECONDS - 99.5, at=99.5, samples=10)
"""Their clocks show noon when ours shows 99.5 to 100.5."""

OTHERS_SECONDS = SECONDS - 90.0
"""Everybody else's shows it at 90 or later."""

OF_APISERVER = LeaseMetadata("apiserver-abc", "kube-system", LeaseLabels("kube-apiserver"))
OF_NODE = LeaseMetadata("node-1", "kube-node-lease")
RENEWED = LeaseSpec("2026-11-22T12:00:00.000000Z")


def said(event: Event, apiservers: Offset | None = APISERVERS) -> dict[str, float]:
    """The earliest commit, by source."""
    clocks = Wallclocks(apiservers, drift=0.0, ahead_seconds=OTHERS_SECONDS)
    return {one.source: round(one.interval.earliest, 6) for one in in_object(event, clocks)}


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (Event("modified", 1), {}),
        (Event("modified", 1, stamps=Stamps(NOON)), {"managed_fields": 99.5}),
        (Event("added", 1, stamps=Stamps("", NOON)), {"creation_timestamp": 99.5}),
        (Event("deleted", 1, stamps=Stamps(deletion=NOON, deletion_grace_seconds=30)), {"deletion_timestamp": 69.5}),
        (Event("modified", 1, annotation=NOON), {"annotation": 90.0}),
        (Event("modified", 1, annotation="yesterday"), {}),
        (Event("modified", 1, lease=Lease(OF_NODE, RENEWED)), {"lease": 90.0}),
        (Event("modified", 1, lease=Lease(OF_APISERVER, RENEWED)), {"lease": 99.5}),
        (Event("modified", 1, lease=Lease(OF_NODE)), {}),
    ],
)
def test_each_source_says_no_more_than_its_clock_allows(event: Event, expected: dict[str, float]) -> None:
    assert said(event) == expected


def test_while_an_apiservers_clock_is_unknown_its_stamps_say_nothing() -> None:
    stamped = Event("modified", 1, stamps=Stamps(NOON, NOON, NOON), lease=Lease(OF_APISERVER, RENEWED))
    assert said(stamped, apiservers=None) == {"lease": 90.0}, "as any clock that is as right as we assume"


def test_all_sources_are_asked() -> None:
    everything = Event("modified", 1, "", Stamps(NOON, NOON, NOON), NOON, Lease(OF_NODE, RENEWED))
    assert set(said(everything)) == {
        "annotation",
        "lease",
        "managed_fields",
        "creation_timestamp",
        "deletion_timestamp",
    }
    assert len(SOURCES_IN_OBJECTS) == 3
