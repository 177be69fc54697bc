"""From where LISTs were served, by the families of every version."""

from collections.abc import Mapping

import pytest

from exporter.server_metrics.between import ServerReading
from exporter.server_metrics.families import LIST_FAMILIES, samples_of
from exporter.server_metrics.lists import Reads, ServedLists, lists_between
from tests.server_metrics.lines import reading

NOTHING: dict[str, float] = {}
OF_1_33 = {
    'apiserver_cache_list_total{index="",resource_prefix="/pods"}': 3.0,
    'apiserver_cache_list_fetched_objects_total{index="",resource_prefix="/pods"}': 300,
    'apiserver_storage_list_total{resource="pods"}': 2,
    'apiserver_storage_list_fetched_objects_total{resource="pods"}': 20,
    'apiserver_init_events_total{resource="pods"}': 7,
}
OF_1_36 = {
    'apiserver_cache_list_total{group="",index="",resource="pods"}': 3.0,
    'apiserver_cache_list_fetched_objects_total{group="",index="",resource="pods"}': 300,
    'apiserver_storage_list_total{group="",resource="pods"}': 2,
    'apiserver_storage_list_fetched_objects_total{group="",resource="pods"}': 20,
    'apiserver_init_events_total{group="",resource="pods"}': 7,
}
OF_1_37 = {
    'apiserver_cache_list_total{group="",index="",resource="pods"}': 3.0,
    'apiserver_cache_list_fetched_objects_total{group="",index="",resource="pods"}': 300,
    'apiserver_storage_list_total{group="",index="",resource="pods",storage="watchcache"}': 3,
    'apiserver_storage_list_fetched_objects_total{group="",index="",resource="pods",storage="watchcache"}': 300,
    'apiserver_storage_list_total{group="",index="",resource="pods",storage="etcd"}': 2,
    'apiserver_storage_list_fetched_objects_total{group="",index="",resource="pods",storage="etcd"}': 20,
    'apiserver_init_events_total{group="",resource="pods"}': 7,
}
OTHERS = {
    'apiserver_storage_list_total{group="example.com",resource="pods"}': 9.0,
    'apiserver_storage_list_total{group="",resource="nodes"}': 9,
    'apiserver_storage_list_fetched_objects_total{group="",resource="nodes"}': 9,
    'apiserver_init_events_total{group="",resource="nodes"}': 9,
}


def said(values: Mapping[str, float], at: float, plus: float = 0.0, started_at: float = 100.0) -> ServerReading:
    lines = [f"{name} {value + plus}" for name, value in values.items()]
    return reading(at, *lines, started_at=started_at, wanted=samples_of(LIST_FAMILIES))


@pytest.mark.parametrize("values", [OF_1_33, OF_1_36, OF_1_37], ids=["1.33", "1.36", "1.37"])
def test_each_version_says_how_many_lists_read_how_much_from_where(values: Mapping[str, float]) -> None:
    before = said(dict.fromkeys([*values, *OTHERS], 5.0), 1)
    after = said({**values, **OTHERS}, 2, plus=5.0)
    assert lists_between(before, after, "", "pods") == ServedLists(Reads(2, 20), Reads(3, 300), 7)


def test_what_was_never_listed_before_begins_at_nothing() -> None:
    assert lists_between(said(NOTHING, 1), said(OF_1_36, 2), "", "pods") == ServedLists(Reads(2, 20), Reads(3, 300), 7)
    assert lists_between(said(OTHERS, 1), said(OTHERS, 2), "", "pods") == ServedLists(Reads(0, 0), Reads(0, 0), 0)


def test_two_processes_and_servers_that_do_not_count_say_nothing() -> None:
    assert lists_between(said(OF_1_36, 1), said(OF_1_36, 2, started_at=900), "", "pods") is None
    assert lists_between(said(NOTHING, 1), said(NOTHING, 2), "", "pods") is None
