"""Samples, plans, places, remedies and the table: all that is computed from figures."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import pytest
from msgspec.structs import replace

from exporter.commands.lists.advice import advice_for
from exporter.commands.lists.plan import (
    LEAST_ALLOWED_BYTES,
    PlannedList,
    SampledObject,
    announcement,
    most_bytes,
    planned,
    sample_of,
)
from exporter.commands.lists.result import (
    FORMS,
    CollectionCost,
    Form,
    ListCost,
    ObjectSample,
    Place,
    Remedy,
    ServedFrom,
    WatchCost,
    document,
    served_from,
)
from exporter.commands.lists.table import table
from exporter.commands.text_table import bytes_text
from exporter.config.names import ResourceName
from exporter.kubernetes.resources import Resource
from exporter.server_metrics.lists import Reads, ServedLists

PODS = Resource("", "v1", "pods", is_namespaced=True)
NODES = Resource("", "v1", "nodes", is_namespaced=False)
NAME = ResourceName("pods")
NONE = Reads(0, 0)


def sample(*objects: tuple[str, Sequence[str]], remaining: int | None = 0, has_choice: bool = True) -> ObjectSample:
    found = [SampledObject(namespace, labels) for namespace, labels in objects]
    size = 1000 * len(objects)
    return sample_of(found, remaining, full_bytes=size, metadata_bytes=size // 4, has_choice=has_choice)


def cost(form: Form, *, objects: int = 5000, size_bytes: int = 10_000_000, pages: int = 1) -> ListCost:
    return ListCost(
        form=form,
        request="/api/v1/pods",
        first_byte_seconds=0.1,
        seconds=1.0,
        counting_seconds=0.0,
        size_bytes=size_bytes,
        objects=objects,
        pages=pages,
        served=None,
        why_not_served=None,
        trouble=None,
    )


def read(found: ListCost, place: Place, objects_read: int) -> ListCost:
    return replace(found, served=ServedFrom(place=place, objects_read=objects_read))


def test_the_label_is_one_that_not_all_have_and_the_namespace_the_largest() -> None:
    found = sample(("a", ["app=x", "all=1"]), ("b", ["app=x", "all=1"]), ("b", ["app=y", "all=1"]), remaining=7)
    assert (found.objects, found.object_bytes, found.metadata_bytes) == (10, 1000, 250)
    assert (found.label, found.namespace) == ("app=x", "b")
    assert (found.label_share, found.namespace_share) == pytest.approx((2 / 3, 2 / 3))
    assert sample(("a", ["all=1"]), ("a", ["all=1"])).label == "all=1"


def test_without_objects_nothing_is_chosen() -> None:
    found = sample()
    assert (found.objects, found.label, found.namespace, found.object_bytes) == (0, None, None, None)
    why_not = {one.form: one.why_not for one in planned(PODS, None, found) if one.why_not}
    assert why_not == {"label": "no object of the sample has a label", "namespace": "there are no objects"}
    assert {one.why_not for one in planned(NODES, None, found)} >= {"nodes have no namespaces"}


def test_a_plan_says_what_it_will_load() -> None:
    found = sample(("a", ["app=x"]), ("b", []), remaining=1998)
    plans = {one.form: one for one in planned(PODS, None, found)}
    assert tuple(plans) == FORMS
    assert [plans[form].expected_bytes for form in ("newest", "pages", "metadata", "label", "namespace")] == [
        2e6, 2e6, 5e5, 1e6, 1e6,
    ]  # fmt: skip
    assert plans["streaming"].expected_bytes > 2e6
    assert plans["namespace"].namespace == "a"
    said = announcement(found, plans.values(), 60, reads_metrics=True)
    assert said.startswith(
        "2000 objects, about 1.00 kB each: 10 requests, one after another, will load about 10.6 MB (a LIST is stopped "
    )
    assert said.endswith("; then a watch of metadata for 60 s; the apiserver's /metrics are read 8 times")
    unknown = sample(("a", []), remaining=None)
    assert announcement(unknown, planned(PODS, None, unknown), 60, reads_metrics=False).startswith(
        "more than 1 objects"
    )


def test_a_list_may_bring_a_few_times_what_was_announced() -> None:
    one = PlannedList("newest", None, {}, "application/json", 1e9)
    assert most_bytes(one) == 2e9
    assert most_bytes(one._replace(expected_bytes=10)) == LEAST_ALLOWED_BYTES


@pytest.mark.parametrize(
    ("store", "cache", "events", "sent", "place"),
    [
        (Reads(1, 50), NONE, 0, 1, "store"),
        (NONE, Reads(1, 50), 0, 1, "cache"),
        (Reads(1, 0), Reads(1, 50), 0, 1, "cache"),  # the store was asked for its revision
        (Reads(1, 50), Reads(1, 50), 0, 1, "others listed too"),
        (NONE, Reads(2, 50), 0, 1, "others listed too"),
        (Reads(2, 50), NONE, 0, 1, "others listed too"),
        (NONE, NONE, 0, 1, "others listed too"),
        (Reads(2, 50), Reads(1, 50), 0, 3, "store and cache"),
        (Reads(3, 50), Reads(1, 50), 0, 3, "store and cache"),
        (Reads(4, 50), Reads(1, 50), 0, 3, "others listed too"),
        (Reads(1, 50), Reads(1, 50), 0, 3, "others listed too"),
        (NONE, NONE, 50, None, "cache"),
        (Reads(1, 0), NONE, 50, None, "cache"),
        (Reads(1, 50), NONE, 50, None, "others listed too"),
        (NONE, Reads(1, 0), 50, None, "others listed too"),
        (NONE, NONE, 100, None, "others listed too"),
    ],
)
def test_where_from_is_said_only_if_all_lists_were_ours(
    store: Reads, cache: Reads, events: int, sent: int | None, place: Place
) -> None:
    assert served_from(ServedLists(store, cache, events), sent, 50).place == place


def names(*lists: ListCost, name: ResourceName = NAME, watch: WatchCost | None = None) -> dict[str, str]:
    return {one.name: one.figures for one in advice_for(name, sample(("a", [])), lists, watch)}


def test_each_remedy_needs_its_figures() -> None:
    newest, cached, pages = cost("newest"), read(cost("cached"), "cache", 5000), cost("pages", pages=11)
    assert names(newest) == {}
    assert names(read(newest, "store", 5000), cached) == {
        "resourceVersion=0": "resourceVersion unset reads 5000 objects from the store in one answer"
    }
    assert "11 answers" in names(cached, read(pages, "store and cache", 5000))["resourceVersion=0"]
    assert names(read(newest, "cache", 5000), cached) == {}
    assert names(read(newest, "others listed too", 5000), cached) == {}
    assert names(read(newest, "store", 5000), read(cached, "others listed too", 0)) == {}

    label = cost("label", objects=50)
    assert names(read(label, "cache", 5000)) == {
        "informer": "the LIST by label selector reads 5000 objects and returns 50"
    }
    for unsure in (label, read(label, "others listed too", 5000), read(label, "cache", 99), read(label, "cache", 51)):
        assert names(unsure) == {}

    assert names(newest, cost("metadata", size_bytes=2_000_000)) == {
        "metadata only": "metadata are 2.00 MB of 10.0 MB, 20%"
    }
    assert names(newest, cost("metadata", size_bytes=6_000_000)) == {}
    assert names(newest, cost("streaming")) == {"streaming lists": "resourceVersion unset is one answer of 10.0 MB"}
    assert names(newest, pages) == {
        "limit": "resourceVersion unset is one answer of 10.0 MB, limit=500 is 11 answers of 909 kB"
    }
    small = cost("newest", size_bytes=100_000)
    assert names(small, cost("streaming"), pages) == {}
    stopped = replace(newest, trouble="stopped")
    assert names(stopped, cost("streaming"), pages) == {}
    assert list(names(name=ResourceName("endpoints"))) == ["EndpointSlices"]


def test_a_watch_speaks_for_metadata_if_it_had_events() -> None:
    watch = WatchCost(seconds=10, events=5, size_bytes=1000, full_bytes_estimate=9000, trouble=None)
    assert list(names(watch=watch)) == ["metadata only"]
    assert names(watch=replace(watch, events=0)) == {}
    assert names(watch=replace(watch, full_bytes_estimate=1500)) == {}


def collection(*lists: ListCost, trouble: str | None = None) -> CollectionCost:
    return CollectionCost(
        apiserver="127.0.0.1:6443",
        group="",
        resource="pods",
        namespace=None,
        trouble=trouble,
        why_no_server_metrics=None,
        sample=None if trouble else sample(("a", [])),
        lists=lists,
        watch=WatchCost(seconds=10, events=5, size_bytes=1000, full_bytes_estimate=9000, trouble=None),
        advice=advice_for(NAME, None, lists, None),
    )


def test_the_table_marks_what_was_stopped_and_says_why() -> None:
    lists = [cost(form) for form in FORMS]
    lists[0] = replace(lists[0], trouble="stopped after 120 s")
    lists[3] = replace(lists[3], trouble="no label", first_byte_seconds=None, seconds=None, size_bytes=0)
    lists[4] = replace(lists[4], why_not_served="/metrics: no: 500")
    text = table([collection(*lists), collection(trouble="it is away")])
    assert "one namespace: it is not known what was read from where: /metrics: no: 500\n" in text
    assert [line.split()[0] for line in text.splitlines() if line.endswith("not known")] == ["one"]
    assert "resourceVersion unset (stopped)  0.100 s" in text
    assert "resourceVersion unset: stopped after 120 s" in text
    assert "label selector: no label" in text
    assert "0.5 events and 100 B each second; of whole objects it would be 900 B each second (estimate" in text
    assert text.endswith("pods on 127.0.0.1:6443: it is away")
    narrow = table([collection(*lists)], 60)
    assert max(map(len, narrow.splitlines())) <= 60
    assert not collection(*lists).name.endswith(" ")


def test_the_document_has_a_version_and_every_field() -> None:
    found = document([collection(cost("newest"))])
    assert found["version"] == 1
    [one] = found["collections"]
    assert one["lists"][0]["form"] == "newest"
    assert one["watch"]["events"] == 5


def test_the_page_has_every_field_of_the_document() -> None:
    page = (Path(__file__).parents[3] / "docs" / "lists.md").read_text(encoding="utf-8")
    table_of_fields = page[page.index("## JSON") :]
    documented = {name.rpartition(".")[2] for name in re.findall(r"`([\w\[\].]+)`", table_of_fields)}
    kinds = (CollectionCost, ObjectSample, ListCost, ServedFrom, WatchCost, Remedy)
    assert {field for kind in kinds for field in kind.__struct_fields__} <= documented
    assert {*FORMS, *get_args(Place), "collections"} - documented == {"store and cache", "others listed too"}


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (999.6, "1.00 kB"), (12_345, "12.3 kB"), (999_600, "1.00 MB"), (2.5e12, "2500 GB")],
)
def test_bytes_have_three_digits(size: float, text: str) -> None:
    assert bytes_text(size) == text
