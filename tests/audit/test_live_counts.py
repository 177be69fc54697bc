"""What is counted while events come: bounded, only upwards, and who stands out against the hour before."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.audit.live_counts import (
    MOST_IN_A_MINUTE,
    MOST_RESOURCES,
    MOST_SELECTIONS,
    MOST_USERS,
    NAMES,
    OTHER,
    LiveCounts,
    Total,
)
from tests.audit.lines import Json, event, lines, listed, watched, wrote
from tests.audit.reports import events_in

LOG = {"resource": "pods", "subresource": "log", "namespace": "default", "name": "x"}
NOW = 1_900_000_000.0 // 60 * 60


def count(live: LiveCounts, events: list[Json], now: float) -> None:
    for one in events_in(lines(events))[0]:
        live.count(one, now)


def values(totals: dict[tuple[str, str, str], Total]) -> dict[tuple[str, str, str], tuple[float, int]]:
    return {series: (round(total.seconds, 3), total.requests) for series, total in totals.items()}


def test_requests_are_counted_by_user_verb_and_resource_and_watches_are_not() -> None:
    live = LiveCounts()
    count(live, [*listed(at=0, lasts=2), *listed(at=1, lasts=1), *wrote("x", at=2, lasts=0.5, user="bob")], NOW)
    count(live, [*watched("resourceVersion=1", at=0, lasts=300), *listed(at=0, lasts=-5)], NOW)
    assert values(live.totals) == {
        ("alice", "list", "pods"): (3, 3),
        ("bob", "update", "deployments.apps"): (0.5, 1),
    }


def test_names_are_what_is_made_of_them() -> None:
    live = LiveCounts(NAMES["none"])
    count(live, [*listed(at=0, lasts=2), *listed(at=0, lasts=2, user="bob")], NOW)
    assert values(live.totals) == {("", "list", "pods"): (4, 2)}
    for number in range(2 * MOST_USERS):
        count(live, listed(at=0, lasts=2, user=f"user-{number}"), NOW + 60 * number)
    assert values(live.totals) == {("", "list", "pods"): (4 + 4 * MOST_USERS, 2 + 2 * MOST_USERS)}


@settings(deadline=None, max_examples=50)
@given(
    asked=st.lists(
        st.tuples(st.integers(0, 3 * MOST_USERS), st.integers(0, 2), st.sampled_from([0.1, 1.0, 5.0])), max_size=150
    )
)
def test_series_are_few_and_only_go_up_while_they_are_there(asked: list[tuple[int, int, float]]) -> None:
    live = LiveCounts()
    now, before = NOW, dict[tuple[str, str, str], float]()
    for user, minutes, seconds in asked:
        now += 60 * minutes
        count(live, listed(at=0, lasts=seconds, user=f"user-{user}"), now)
        totals = {series: total.seconds for series, total in live.totals.items()}
        assert all(totals[series] >= before[series] for series in totals.keys() & before.keys())
        assert len({series[0] for series in totals}) <= MOST_USERS + 1
        before = totals


def test_whoever_costs_most_gets_a_name_though_others_came_first() -> None:
    live = LiveCounts()
    for number in range(2 * MOST_USERS):
        count(live, listed(at=0, lasts=0.1, user=f"early-{number}"), NOW)
    count(live, listed(at=0, lasts=50, user="dear"), NOW)
    assert ("dear", "list", "pods") not in live.totals
    count(live, listed(at=0, lasts=50, user="dear"), NOW + 60)
    assert values(live.totals)["dear", "list", "pods"] == (50, 1)
    assert live.totals[OTHER, "list", OTHER].seconds >= 50


def test_resources_and_minutes_are_bounded() -> None:
    live = LiveCounts()
    for number in range(MOST_IN_A_MINUTE + 100):
        count(live, listed(at=0, resource=f"r{number}"), NOW)
    assert len(live.totals) == MOST_RESOURCES + 1
    assert len(live._minutes[-1][1]) <= MOST_IN_A_MINUTE
    assert sum(total.requests for total in live._minutes[-1][1].values()) == MOST_IN_A_MINUTE + 100
    count(live, listed(at=0, resource="late", lasts=9), NOW)
    count(live, listed(at=0, resource="late", lasts=9), NOW + 60)
    assert values(live.totals)["alice", "list", "late"] == (9, 1)
    for minute in range(500):
        count(live, listed(at=0), NOW + 60 * minute)
    assert len(live._minutes) <= 120


def test_whoever_asks_far_more_than_in_the_hour_before_stands_out() -> None:
    live = LiveCounts()
    for minute in range(70):
        count(live, listed(at=0, lasts=20, user="always"), NOW + 60 * minute)
        if minute >= 65:
            count(live, [one for _ in range(30) for one in listed(at=0, lasts=2, user="storm")], NOW + 60 * minute)
    [spell] = live.spells(NOW + 65 * 60, NOW + 70 * 60)
    assert (spell.user, spell.verb, spell.resource, spell.requests) == ("storm", "list", "pods", 150)
    assert spell.share == pytest.approx(0.75)
    assert spell.in_flight == pytest.approx(1.0)
    assert spell.usual_in_flight == 0
    assert live.spells(NOW + 60 * 60, NOW + 64 * 60) == ()


def test_nobody_stands_out_where_little_is_asked_or_nothing_is_known() -> None:
    live = LiveCounts()
    assert live.spells(NOW, NOW + 60) == ()
    count(live, listed(at=0, lasts=0.5, user="only"), NOW)
    assert live.spells(NOW, NOW + 60) == ()
    assert live.spells(NOW + 5000, NOW + 5000) == ()


def test_what_most_lists_are_selected_by_is_known_unless_they_failed() -> None:
    live = LiveCounts()
    by_node, by_label = "fieldSelector=spec.nodeName%3Dnode-1", "labelSelector=a%3Db"
    for query, times, code in ((by_node, 3, 200), (by_label, 2, 200), ("fieldSelector=a-secret", 9, 400)):
        for _ in range(times):
            count(live, listed(query, at=0, lasts=5, code=code), NOW)
    (spell,) = live.spells(NOW, NOW + 60)
    assert (spell.selected_by, spell.requests) == ("spec.nodeName", 14)


def test_few_selections_are_kept() -> None:
    live = LiveCounts()
    for number in range(2 * MOST_SELECTIONS):
        count(live, listed(f"fieldSelector=field-{number}%3Dx", at=0, lasts=5), NOW)
    count(live, listed("fieldSelector=field-0%3Dy", at=0, lasts=5), NOW)
    (spell,) = live.spells(NOW, NOW + 60)
    assert spell.selected_by == "field-0"
    ((_, minute),) = live._minutes
    assert [len(total.selections) for total in minute.values()] == [MOST_SELECTIONS]


def test_requests_are_counted_by_verb_as_an_apiserver_s_metrics_count_them() -> None:
    live = LiveCounts()
    for code, times in ((200, 5), (404, 1), (401, 1), (403, 1), (429, 1)):
        for _ in range(times):
            count(live, listed(at=0, code=code), NOW)
    count(live, [*wrote("x", at=0), *watched("resourceVersion=1", at=0, lasts=30)], NOW)
    lease = {"resource": "leases", "apiGroup": "coordination.k8s.io", "name": "x"}
    count(live, [event("update", "/apis/coordination.k8s.io/v1/leases/x", at=0, ref=lease)], NOW)
    count(live, [event("get", "/healthz", at=0, ref={}), event("get", "/api/v1/pods/x/log", at=0, ref=LOG)], NOW)
    assert live.requests == {"list": 6, "update": 1}
