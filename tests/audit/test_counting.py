"""Who costs how much; nothing twice, nothing without a limit."""

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.audit.counting import MOST_SHAPES, OTHERS, Audit
from exporter.audit.report import MOST_CLIENTS
from exporter.audit.writers import FEWEST_TURNS
from tests.audit.lines import Json, event, in_order, lines, listed, watched, wrote
from tests.audit.reports import events_in, only_client, report_of_bytes, report_of_lines, report_on
from tests.audit.shapes import event_list


def test_clients_are_ranked_by_the_seconds_that_their_requests_took() -> None:
    events = [
        *[one for at in range(100) for one in listed(at=at, lasts=0.01, user="often")],
        *listed(at=0, lasts=3.0, user="dear"),
        *watched("resourceVersion=5&timeoutSeconds=300", at=0, lasts=300, user="watcher"),
        event(
            "get",
            "/api/v1/namespaces/a/pods/b/log",
            at=0,
            lasts=200,
            user="reader",
            ref={"resource": "pods", "subresource": "log"},
        ),
    ]
    report = report_of_lines(events)
    assert [client.user for client in report.clients] == ["dear", "often", "reader", "watcher"]
    assert [round(client.seconds, 3) for client in report.clients] == [3.0, 1.0, 0, 0]
    assert report.clients[0].share == pytest.approx(0.75)
    assert report.clients[0].in_flight == pytest.approx(3 / 300, rel=0.01)
    assert report.requests == {"list": 101, "get": 1, "watch": 1}


def test_an_event_that_was_there_before_is_counted_once() -> None:
    events = in_order([*listed(at=0), *watched("resourceVersion=5", at=1, lasts=20), *wrote("x", at=30)])
    report = report_of_bytes(lines(events) + event_list(events), lines(events[1:]))
    once = report_of_lines(events)
    assert report.repeated == 2 * len(events) - 1
    assert (report.clients, report.events) == (once.clients, once.events)


def test_requests_to_which_their_client_gave_the_same_id_are_all_counted() -> None:
    events = [one for at in range(50) for one in listed(at=at, audit_id="chosen by the client")]
    assert only_client(events).counts["lists"] == {"newest": 50}


def made(verb: str, *, at: float, user: str, code: int) -> list[Json]:
    match verb:
        case "list":
            return listed(at=at, user=user, code=code)
        case "watch":
            return watched("x=y", at=at, lasts=0.5, user=user, code=code)
    return wrote("x", at=at, user=user, code=code)


@settings(deadline=None, max_examples=100)
@given(
    chosen=st.lists(
        st.tuples(
            st.sampled_from("abc"), st.sampled_from(["list", "watch", "update"]), st.sampled_from([200, 409, 429])
        ),
        max_size=40,
    ),
    again=st.data(),
)
def test_sums_are_those_of_the_events_whatever_is_repeated(
    chosen: list[tuple[str, str, int]], again: st.DataObject
) -> None:
    events = in_order(
        [one for at, (user, verb, code) in enumerate(chosen) for one in made(verb, at=at, user=user, code=code)]
    )
    repeated = [one for one in events for _ in range(again.draw(st.integers(1, 2)))]
    report = report_of_bytes(lines(repeated))
    assert report.events == len(events)
    assert report.repeated == len(repeated) - len(events)
    for user in "abc":
        wanted = [(verb, code) for one, verb, code in chosen if one == user]
        found = [client for client in report.clients if client.user == user]
        assert sum(client.count("requests") for client in found) == len(wanted)
        for code in (409, 429):
            assert sum(client.count("codes", str(code)) for client in found) == sum(at == code for _, at in wanted)


def test_conflicts_throttling_and_time_in_queues_are_counted_for_each_client() -> None:
    latency = "apiserver.latency.k8s.io/"
    events = [
        *[one for at in range(6) for one in wrote("x", at=at, code=409 if at % 2 else 200)],
        *listed(at=7, code=429),
        *listed(at=8, lasts=2, annotations={f"{latency}apf-queue-wait": "1.5s", f"{latency}response-write": "120ms"}),
    ]
    client = only_client(events)
    assert client.counts["codes"] == {"409": 3, "429": 1}
    assert client.counts["lists"] == {"newest": 1}
    assert client.counts["waits"] == {"apf-queue-wait": 1.5, "response-write": 0.12}


def in_turns(users: list[str], *, every: float = 1.0, status: bool = False) -> list[Json]:
    events: list[Json] = []
    for number, user in enumerate(users):
        [one] = wrote("web", at=every * number, user=user)
        if status and user == "b":
            one["objectRef"]["subresource"] = "status"
        events.append(one)
    return events


def test_two_users_that_write_one_object_in_turns_are_found() -> None:
    [fight] = report_of_lines(in_turns(["a", "b"] * 10)).in_turns
    assert (fight.resource, fight.namespace, fight.name) == ("deployments.apps", "default", "web")
    assert [writer.user for writer in fight.writers] == ["a", "b"]
    assert fight.turns == 18
    assert fight.until - fight.since == pytest.approx(17)


@pytest.mark.parametrize(
    "events",
    [
        in_turns(["a"] * 40),
        in_turns(["a"] * 20 + ["b"] * 20),
        in_turns(["a", "b"] * (FEWEST_TURNS // 2)),
        in_turns(["a", "b"] * 20, every=90.0),
        in_turns(["a", "b"] * 20, status=True),
        [one for number in range(40) for one in wrote("web", at=number, user="ab"[number % 2], code=409)],
        [one for number in range(40) for one in wrote(f"web-{number}", at=number, user="ab"[number % 2])],
    ],
    ids=["alone", "one after the other", "few turns", "slowly", "one writes the status", "refused", "each object once"],
)
def test_who_writes_besides_others_does_not_fight(events: list[Json]) -> None:
    assert report_of_lines(events).in_turns == ()


def test_replicas_that_both_believe_to_lead_fight_too() -> None:
    pods = (("one", "uid-1"), ("two", "uid-2"))
    events = [one for number in range(20) for one in wrote("web", at=number, pod=pods[number % 2])]
    [fight] = report_of_lines(events).in_turns
    assert [writer.pod for writer in fight.writers] == ["one", "two"]
    # One client whose address changes on its way is one client.
    events = [one for number in range(20) for one in wrote("web", at=number, ip=f"10.0.0.{number % 2}")]
    assert report_of_lines(events).in_turns == ()


def test_times_that_cannot_be_right_are_left_out_and_said() -> None:
    events = [*listed(at=10, lasts=-5.0), *listed(at=20, lasts=7200.0), *listed(at=30, lasts=1.0)]
    report = report_of_lines(events)
    assert report.contradictory == 2
    assert report.seconds == pytest.approx(1.0)
    assert report.requests == {"list": 3}


def test_many_user_agents_push_nobody_out_who_costs_much() -> None:
    most = 100
    culprit = listed(at=0, lasts=50.0, user="culprit")
    flood = [one for at in range(5 * most) for one in listed(at=at, lasts=0.001, agent=f"agent-{at}", user="flood")]
    late = listed(at=6 * most, lasts=30.0, user="late")
    events, _ = events_in(lines(in_order([*culprit, *flood, *late])))
    audit = Audit(most)
    for one in events:
        audit.count(one)
        assert len(audit.rows) <= most + 1
    report = report_on(events, most_rows=most)
    assert [client.user for client in report.clients[:2]] == ["culprit", "late"]
    assert report.requests == {"list": 5 * most + 2}
    assert report.seconds == pytest.approx(80.5)
    assert audit.rows[OTHERS].of("requests") > 0


def test_what_clients_choose_themselves_is_bounded() -> None:
    events = [one for at in range(200) for one in listed(f"fieldSelector=x{at}%3D1", at=at)]
    events += [event(f"method-{at}", "/x", at=at, ref={}) for at in range(200)]
    client = only_client(events)
    assert len(client.counts["shapes"]) == MOST_SHAPES + 1
    assert set(client.counts["requests"]) == {"list", "other"}


def test_what_is_kept_of_a_million_requests_does_not_grow() -> None:
    def rows(number: int) -> int:
        audit = Audit()
        decoded, _ = events_in(
            lines([*listed("resourceVersion=0", at=0), *watched("resourceVersion=1", at=0, lasts=None)])
        )
        for at in range(number):
            for one in decoded:
                audit.count(
                    type(one)(
                        **{name: getattr(one, name) for name in one.__struct_fields__} | {"staged": one.staged + at}
                    )
                )
        return sum(map(sys.getsizeof, (audit.rows, *(row.counts for row in audit.rows.values())))) + len(
            audit.sequences
        )

    assert rows(2000) == rows(20)


def test_who_relists_most_is_named_though_it_costs_no_seconds() -> None:
    dear = [one for number in range(2 * MOST_CLIENTS) for one in listed(at=number, lasts=5, user=f"dear-{number}")]
    streaming = "timeoutSeconds=400&sendInitialEvents=true&resourceVersion=5"
    relists = [
        one
        for number in range(5)
        for one in (
            *watched("resourceVersion=5", at=number, lasts=0.1, user="r"),
            *watched(streaming, at=number + 0.5, lasts=None, user="r"),
        )
    ]
    report = report_of_lines([*dear, *relists])
    assert report.clients_count == 2 * MOST_CLIENTS + 1
    assert len(report.clients) == MOST_CLIENTS + 1
    assert report.clients[-1].user == "r"
    assert report.clients[-1].count("relists") == 5


def test_a_log_without_reads_clears_nobody() -> None:
    report = report_of_lines(wrote("x", at=0))
    assert "no list and no watch" in report.blind[0]
    assert "nobody is cleared" in report.blind[0]
    assert "apiserver_request_total" in report.blind[-1]
    ended_only = watched("resourceVersion=5", at=1, lasts=20)[1:]
    assert any("only when they end" in sentence for sentence in report_of_lines([*ended_only, *listed(at=3)]).blind)
    assert len(report_of_lines([*watched("resourceVersion=5", at=1, lasts=20), *listed(at=3)]).blind) == 1
