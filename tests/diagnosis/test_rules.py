"""Every fault is named by the facts that show it, with the right certainty, and nothing else is."""

import random
from math import inf
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from exporter.audit.events import VERBS
from exporter.audit.live_counts import AuditSpell
from exporter.diagnosis.audited import is_unnamed
from exporter.diagnosis.facts import (
    ApiserverFacts,
    Facts,
    FlowFacts,
    Missing,
    PollFacts,
    ProcessFacts,
    SocketFacts,
    StreamFacts,
)
from exporter.diagnosis.rules import EXCLUSIVE, RULE_OF, RULES, Rule
from exporter.diagnosis.seen import LoggedShare
from exporter.diagnosis.server_facts import ServerFacts, Timed
from exporter.diagnosis.view import View
from exporter.measure.times import Interval
from exporter.vocabulary import FAULTS, Fault
from tests.diagnosis.cases import (
    AFTER_CACHE,
    CASES,
    IN_CACHE,
    LATE,
    NODES,
    NODES_ON_TIME,
    NOW,
    PODS,
    PROMPT,
    SLOW,
    UNDELIVERED,
    WIDGETS,
    A,
    B,
    apiserver,
    causes,
    facts,
    server,
    stream,
)

_Record = TypeVar("_Record")

NEVER_SHOWN = {"connection_shared", "unknown_cause"}


def test_every_fault_has_a_rule_and_a_case() -> None:
    assert {rule.fault for rule in RULES} | {"unknown_cause"} == set(FAULTS) == set(CASES)


@pytest.mark.parametrize("fault", FAULTS)
def test_facts_that_confirm_a_fault_show_it_and_nothing_else(fault: Fault) -> None:
    found = causes(CASES[fault][0])
    certainty = "suspected" if fault in NEVER_SHOWN else "shown"
    assert [(cause.fault, cause.certainty) for cause in found] == [(fault, certainty)]


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if CASES[fault][1] is not None])
def test_without_what_confirms_it_a_fault_is_suspected(fault: Fault) -> None:
    given_facts = CASES[fault][1]
    assert given_facts is not None
    assert [(cause.fault, cause.certainty) for cause in causes(given_facts)] == [(fault, "suspected")]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_finding_says_what_is_seen_with_figures_and_names_its_place(fault: Fault) -> None:
    (cause,) = causes(CASES[fault][0])
    assert cause.evidence
    assert all(said and "{" not in said for said in (cause.says, *cause.evidence, *cause.excluded))
    assert cause.apiserver == ("" if fault == "exporter_starved" else A)


def test_what_else_it_could_be_is_excluded_by_a_fact() -> None:
    (cause,) = causes(CASES["store_slow"][0])
    assert "no overloaded apiserver: its polls of the watch cache take at most 5 ms" in cause.excluded


def test_a_healthy_cluster_has_no_fault() -> None:
    assert causes(facts(apiserver(server=server()), stream(), NODES_ON_TIME, apiserver(B), stream(B))) == []


def test_a_busy_but_prompt_cluster_has_no_fault() -> None:
    busy = server(
        cpu_cores_used=3.9,
        requests={("LIST", PODS): Timed(500, 0.01, 0.1), ("PUT", PODS): Timed(900, 0.01, 0.1)},
        initial_events_per_second={PODS: 50_000.0},
        open_watches={PODS: 9000.0},
        open_connections=9000.0,
    )
    assert causes(facts(apiserver(server=busy), stream(events_per_second=900.0), NODES_ON_TIME)) == []


def test_our_own_trouble_accuses_nobody_else() -> None:
    for share in (0.15, 0.5, 0.9):
        process = ProcessFacts(loop_lag=Interval(0.25, 0.5), stalled_share=share, throttled_share=share)
        starved = stream(judged={"on_time": 5, "late": 0, "ambiguous": 80})
        slow = apiserver(store=Interval(1.0, 2.5), cache=Interval(1.0, 2.5), throttled=0)
        assert {cause.fault for cause in causes(facts(slow, starved, process))} == {"exporter_starved"}


def test_small_lists_that_are_slow_because_everything_is_are_no_storm() -> None:
    ours = server(
        cpu_cores_used=3.9,
        requests={("LIST", PODS): Timed(8, 0.9, 2.0), ("GET", PODS): Timed(5, 0.1, 0.5)},
        listed_objects_per_second={PODS: 16.0},
    )
    given_facts = facts(apiserver(store=SLOW, cache=SLOW, server=ours), stream(**AFTER_CACHE))
    assert [cause.fault for cause in causes(given_facts)] == ["apiserver_overloaded"]


def test_a_store_that_is_slow_for_one_apiserver_only_is_not_the_stores_fault_unless_its_metrics_say_so() -> None:
    peers = (stream(**AFTER_CACHE), apiserver(B), stream(B))
    assert "store_slow" not in {cause.fault for cause in causes(facts(apiserver(store=SLOW), *peers))}
    slow_etcd = {"store_requests": {"get": Timed(5, 0.9, 2.0)}}
    busy = apiserver(store=SLOW, server=server(**slow_etcd, cpu_cores_used=3.9))
    assert "store_slow" not in {cause.fault for cause in causes(facts(busy, *peers))}
    own_member = apiserver(store=SLOW, server=server(**slow_etcd))
    assert "store_slow" in {cause.fault for cause in causes(facts(own_member, *peers))}


def test_a_watch_cache_is_not_blamed_for_what_an_overloaded_apiserver_does() -> None:
    slow = facts(apiserver(store=SLOW, cache=SLOW), stream(**IN_CACHE), NODES_ON_TIME, apiserver(B), stream(B))
    assert "cache_behind" not in {cause.fault for cause in causes(slow)}


def test_several_watch_caches_that_are_behind_at_once_are_no_proof_against_one_of_them() -> None:
    def found(*late: tuple[str, str]) -> set[tuple[Fault, str]]:
        peers = [stream(B, kind) for kind in late]
        behind = [stream(kind=kind, **IN_CACHE) for kind in late]
        seen = causes(facts(apiserver(), *behind, stream(kind=WIDGETS), apiserver(B), *peers))
        return {(cause.fault, cause.certainty) for cause in seen}

    assert found(PODS) == {("cache_behind", "shown")}
    assert found(PODS, NODES) == {("cache_behind", "suspected")}


def test_a_watch_cache_is_not_blamed_just_after_all_watches_were_cut() -> None:
    cut: dict[str, Any] = {"ends": {"early_eof": 1}}
    [one] = causes(facts(apiserver(), stream(**IN_CACHE, **cut), replace(NODES_ON_TIME, **cut)))
    assert one.fault == "unknown_cause"
    found = causes(facts(apiserver(), stream(**IN_CACHE, **cut), NODES_ON_TIME))
    assert [one.fault for one in found] == ["cache_behind"], "one of them alone may have been closed for any reason"


def test_a_watch_cache_is_not_blamed_where_a_conversion_webhook_stands_before_it() -> None:
    late: dict[str, Any] = {**IN_CACHE, "kind": WIDGETS}
    all_late = (apiserver(), stream(**AFTER_CACHE), apiserver(B), stream(B, WIDGETS))
    assert "cache_behind" in {cause.fault for cause in causes(facts(*all_late, stream(**late)))}
    converted = facts(*all_late, stream(**late, converts_by_webhook=True))
    assert "cache_behind" not in {cause.fault for cause in causes(converted)}


def test_where_the_store_is_slow_for_all_nobody_blames_the_queues() -> None:
    queued = apiserver(store=SLOW, cache=SLOW, server=server(queued_requests=30.0))
    peer = apiserver(B, store=SLOW, cache=SLOW)
    assert "requests_queued" not in {cause.fault for cause in causes(facts(queued, stream(), peer))}


def test_an_apiserver_that_has_just_started_refuses_until_it_knows_who_may_what() -> None:
    refused = stream(is_up=False, trouble="forbidden", judged={}, ends={"transport_error": 1})
    anew = apiserver(server=server(started_at=NOW - 5))
    assert "exporter_refused" not in {cause.fault for cause in causes(facts(anew, refused))}
    cut = replace(refused, start_errors={"connect": 2})
    assert "exporter_refused" not in {cause.fault for cause in causes(facts(apiserver(), cut))}


def test_to_relist_alone_is_no_storm() -> None:
    after = stream(relists=1, uncovered_seconds=3.0)
    assert causes(facts(apiserver(), after)) == []


def test_what_is_found_of_one_resource_explains_what_its_apiserver_suffers_from_it() -> None:
    storm = server(cpu_cores_used=3.9, requests={("PUT", PODS): Timed(900, 0.01, 0.1)})
    given_facts = facts(apiserver(cache=SLOW, server=storm), stream(**AFTER_CACHE, events_per_second=900.0))
    assert [cause.fault for cause in causes(given_facts)] == ["write_storm"]


def test_a_store_that_a_storm_on_another_apiserver_makes_slow_is_not_blamed() -> None:
    storm, slow = CASES["relist_storm"][0], apiserver(B, store=SLOW, server=server())
    [stormed] = storm.apiservers
    both = replace(storm, apiservers=(replace(stormed, store_polls=slow.store_polls), slow))
    assert [(cause.fault, cause.apiserver) for cause in causes(both)] == [("relist_storm", A)]
    calm = facts(apiserver(store=SLOW, server=server()), slow)
    assert [(cause.fault, cause.apiserver) for cause in causes(calm)] == [("store_slow", A), ("store_slow", B)]


def test_a_write_that_waits_is_no_sign_of_admission_while_events_do_not_come_either() -> None:
    waits: dict[str, Any] = {"canary_write": Interval(7.4, inf)}
    silent = stream(kind=NODES, undelivered_seconds=6.0, is_undelivered_cached=True)
    assert "admission_slow" not in {cause.fault for cause in causes(facts(apiserver(), stream(**waits), silent))}
    assert [cause.fault for cause in causes(facts(apiserver(), stream(**waits), NODES_ON_TIME))] == ["admission_slow"]
    answered = facts(apiserver(), stream(canary_write=Interval(5.0, 10.0)), silent)
    assert "admission_slow" in {cause.fault for cause in causes(answered)}


@pytest.mark.parametrize(("silent_seconds", "is_admission"), [(6.0, False), (0.5, True)])
def test_behind_a_balancer_it_is_silence_where_usually_much_comes(silent_seconds: float, *, is_admission: bool) -> None:
    socket = SocketFacts(0.0002, silent_seconds, 0, 0)
    waits = stream(canary_write=Interval(7.4, inf), socket=socket, usual_events_per_second=10.0)
    found = {cause.fault for cause in causes(facts(apiserver(is_one_apiserver=False), waits))}
    assert ("admission_slow" in found) is is_admission


def test_behind_a_balancer_a_conversion_webhook_is_suspected_where_other_resources_are_on_time() -> None:
    def found(*others: StreamFacts, kind: tuple[str, str] = WIDGETS) -> list[tuple[Fault, str]]:
        balancer = apiserver(is_one_apiserver=False, cache_polls=PollFacts())
        late = stream(kind=kind, **{**LATE, "storage_to_cache": None}, converts_by_webhook=kind == WIDGETS)
        return [(cause.fault, cause.certainty) for cause in causes(facts(balancer, late, *others))]

    assert found(NODES_ON_TIME) == [("conversion_slow", "suspected")]
    assert found() == [("unknown_cause", "suspected")]
    assert found(NODES_ON_TIME, kind=PODS) == [("unknown_cause", "suspected")]
    # It comes from an apiserver at which all is late, perhaps.
    for other in (replace(stream(), judged={"on_time": 99, "late": 1}), stream(is_up=False)):
        assert found(NODES_ON_TIME, other) == [("unknown_cause", "suspected")]


LATE_BEHIND = stream(**{**LATE, "storage_to_cache": None, "cache_to_client": None})
"""As it is seen behind a balancer: no stage is known there."""


def balanced(*members: ServerFacts) -> ApiserverFacts:
    """An address before several apiservers, of which these have answered."""
    return apiserver(is_one_apiserver=False, cache_polls=PollFacts(), members=members)


@pytest.mark.parametrize(
    ("trouble", "fault", "says"),
    [
        ({"cpu_cores_used": 4.0}, "apiserver_overloaded", "it uses 4.0 of 4 CPUs"),
        (
            {"store_requests": {"get": Timed(20, 0.5, 1.0)}},
            "store_slow",
            "its requests to etcd take 0.5 s on average (get)",
        ),
        (
            {"cache_read_wait": {PODS: Timed(5, 1.0, 2.5)}},
            "cache_behind",
            "consistent reads of pods waited up to 2.5 s for the watch cache",
        ),
        (
            {"requests": {("LIST", PODS): Timed(30, 0.5, 1.0)}},
            "list_storm",
            "LISTs take 15.0 s of each second, 100% of all its time, most for pods (30.0 a second)",
        ),
    ],
)
def test_behind_a_balancer_what_one_of_the_apiservers_says_makes_it_suspected_and_is_told_so(
    trouble: dict[str, Any], fault: Fault, says: str
) -> None:
    assert [one.fault for one in causes(facts(balanced(), LATE_BEHIND, NODES_ON_TIME))] == ["unknown_cause"]
    healthy, bad = server(), server(**trouble)
    assert [one.fault for one in causes(facts(balanced(healthy, healthy), LATE_BEHIND))] == ["unknown_cause"]
    (found,) = causes(facts(balanced(healthy, bad), LATE_BEHIND, NODES_ON_TIME))
    assert (found.fault, found.certainty) == (fault, "suspected")
    assert f"an apiserver behind {A}" in found.says
    assert f"of an apiserver behind this address: {says}" in found.evidence
    # Where all is on time it is nobody's fault.
    assert causes(facts(balanced(healthy, bad), stream(), NODES_ON_TIME)) == []


HANGING = PollFacts(answered=9, seconds=PROMPT, waiting_seconds=8.0, usual_seconds=0.005)


@pytest.mark.parametrize(
    ("stores", "fault"),
    [
        ([0.002, 0.002], "apiserver_overloaded"),
        ([0.002, None], "apiserver_overloaded"),
        ([], "unknown_cause"),
        ([None], "unknown_cause"),
        ([0.002, 0.5], "store_slow"),
    ],
)
def test_behind_a_balancer_polls_that_hang_are_not_the_stores_where_requests_to_etcd_are_prompt(
    stores: list[float | None], fault: Fault
) -> None:
    members = [
        server(store_requests={} if seconds is None else {"get": Timed(20, seconds, 2 * seconds)}) for seconds in stores
    ]
    polled = replace(balanced(*members), store_polls=HANGING)
    (found,) = causes(facts(polled, LATE_BEHIND, NODES_ON_TIME))
    assert (found.fault, found.certainty) == (fault, "suspected")
    if fault == "apiserver_overloaded":
        assert found.says == f"an apiserver behind {A} is overloaded"
        assert found.evidence[1:] == (
            "its polls of the store are not answered for 8.0 s",
            "of an apiserver behind this address: its requests to etcd take 2 ms on average (get)",
        )


def cached(revision: int, asked: float = 20.0) -> ServerFacts:
    """Whose watch cache of pods had this revision, when we asked at this moment."""
    return server(cache_revisions={PODS: revision}, asked=asked)


SINCE = 8.0
MISSES_LONG = stream(**{**UNDELIVERED, "undelivered": Missing(100, SINCE)})
MISSES = stream(**{**LATE, "storage_to_cache": None, "undelivered": Missing(100, SINCE), "undelivered_seconds": 2.0})


@pytest.mark.parametrize(
    ("misses", "members", "fault", "says"),
    [
        (
            MISSES_LONG,
            [cached(150), cached(99)],
            "cache_stuck",
            "its watch cache of pods lacked an event at least 12.0 s after it was written",
        ),
        (
            MISSES,
            [cached(150, 9.0), cached(99, 9.0)],
            "cache_behind",
            "its watch cache of pods lacked an event at least 1.0 s after it was written",
        ),
        (MISSES_LONG, [cached(150), cached(100)], "connection_dropped", "its watch cache, and that of each other one"),
    ],
)
def test_behind_a_balancer_watch_caches_say_by_their_revisions_who_holds_back_what_does_not_come(
    misses: StreamFacts, members: list[ServerFacts], fault: Fault, says: str
) -> None:
    (found,) = causes(facts(balanced(*members), misses, NODES_ON_TIME))
    assert (found.fault, found.certainty) == (fault, "suspected")
    assert any(one.startswith(f"of an apiserver behind this address: {says}") for one in found.evidence), found.evidence


@pytest.mark.parametrize(
    ("misses", "members"),
    [
        (MISSES_LONG, []),
        (MISSES_LONG, [cached(100)]),  # the watch comes from another one
        (MISSES_LONG, [server(), cached(150)]),  # one does not tell
        (MISSES_LONG, [cached(150), cached(99, SINCE)]),  # asked before it was missing: it may have it now
        (MISSES_LONG, [cached(99, SINCE + 5)]),  # not for long enough
        (MISSES_LONG, [server(cache_revisions={PODS: 100})]),  # when it was asked is not known
        (replace(MISSES_LONG, undelivered_seconds=2.0), [cached(150)]),
        (replace(MISSES_LONG, is_up=False), [cached(150)]),
    ],
)
def test_behind_a_balancer_watch_caches_that_may_have_it_are_not_blamed(
    misses: StreamFacts, members: list[ServerFacts]
) -> None:
    assert causes(facts(balanced(*members), misses, NODES_ON_TIME)) == []


def test_behind_a_balancer_a_silent_connection_is_not_blamed_where_other_watches_are_late() -> None:
    late_nodes = stream(kind=NODES, **{**LATE, "storage_to_cache": None})
    found = causes(facts(balanced(cached(100), cached(100)), MISSES_LONG, late_nodes, stream(kind=WIDGETS)))
    assert [one.fault for one in found] == ["unknown_cause"]


def test_where_polls_reach_the_apiserver_of_the_watch_its_metrics_alone_make_nothing_suspected() -> None:
    trouble = server(cpu_cores_used=4.0, store_requests={"get": Timed(20, 0.5, 1.0)})
    found = causes(facts(apiserver(server=trouble), LATE_BEHIND, NODES_ON_TIME))
    assert [one.fault for one in found] == ["unknown_cause"]


def test_behind_a_balancer_most_watches_are_found_on_one_of_its_apiservers() -> None:
    many = server(open_watches={PODS: 2000.0}, cpu_cores_used=4.0)
    (found,) = causes(facts(balanced(server(), many), LATE_BEHIND))
    assert (found.fault, found.certainty) == ("connections_unbalanced", "suspected")
    assert "of an apiserver behind this address: it has 2000 open watches, the others 100" in found.evidence


def test_behind_a_balancer_two_apiservers_do_not_make_one_fault_together() -> None:
    many, busy = server(open_watches={PODS: 2000.0}), server(cpu_cores_used=4.0)
    (found,) = causes(facts(balanced(many, busy), LATE_BEHIND))
    assert found.fault == "apiserver_overloaded"


def test_behind_a_balancer_what_one_apiserver_says_of_itself_excludes_nothing() -> None:
    late_widgets = stream(A, WIDGETS, **{**LATE, "storage_to_cache": None}, converts_by_webhook=True)
    for one in (server(), server(cpu_cores_used=4.0), server(started_at=NOW - 10)):
        given_facts = facts(balanced(one), late_widgets, NODES_ON_TIME)
        found = causes(given_facts)
        assert found, one
        for cause in found:
            assert cause.certainty == "suspected"
            assert not [said for said in cause.excluded if "behind this address" in said or "CPU" in said]
        refused = stream(is_up=False, trouble="forbidden")
        (cause,) = causes(facts(balanced(one), refused))
        assert (cause.fault, cause.certainty) == ("exporter_refused", "shown")


def test_behind_a_balancer_no_other_cause_is_said_to_be_excluded_by_one_apiserver() -> None:
    (found,) = causes(facts(balanced(server(cpu_cores_used=4.0)), LATE_BEHIND))
    assert found.fault == "apiserver_overloaded"
    assert not [said for said in found.excluded if "CPU" in said]
    burst = server(initial_events_per_second={PODS: 9000.0})
    (found,) = causes(facts(balanced(burst), LATE_BEHIND))
    assert found.fault == "initial_events_burst"
    assert not [said for said in found.excluded if "LISTs a second" in said]


def test_behind_a_balancer_another_address_confirms_nothing_that_only_one_apiserver_says() -> None:
    waiting = server(cache_read_wait={PODS: Timed(5, 1.0, 2.5)})
    (found,) = causes(facts(balanced(waiting), apiserver(B), LATE_BEHIND, stream(B)))
    assert (found.fault, found.certainty) == ("cache_behind", "suspected")


def test_a_fight_is_seen_in_its_conflicts_where_an_overloaded_apiserver_delivers_few_events() -> None:
    def found(conflicts: float) -> list[Fault]:
        busy = server(
            cpu_cores_used=3.9,
            scheduling=Timed(1000, 0.1, 0.5),
            requests={("PUT", PODS): Timed(70, 0.1, 0.5)},
            conflicts_per_second={PODS: conflicts},
            initial_events_per_second={PODS: 40_000.0},
        )
        slow = apiserver(store=SLOW, cache=SLOW, server=busy)
        return [cause.fault for cause in causes(facts(slow, stream(**AFTER_CACHE), stream(kind=NODES, **AFTER_CACHE)))]

    assert found(29.0)[0] == "write_storm"
    assert "write_storm" not in found(10.0), "retries now and then"


def test_objects_are_as_large_as_another_apiserver_says_that_sends_them() -> None:
    sends = apiserver(B, server=server(object_bytes={PODS: 800_000.0}))
    keeps = apiserver(server=server(object_bytes={PODS: 30_000.0}))
    given_facts = facts(keeps, stream(**IN_CACHE), NODES_ON_TIME, sends, stream(B))
    assert [(cause.fault, cause.certainty) for cause in causes(given_facts)] == [("objects_large", "shown")]


def test_polls_that_only_wait_are_no_sign_of_queues() -> None:
    waits = PollFacts(answered=3, seconds=Interval(0.0025, 0.005), usual_seconds=0.005, waiting_seconds=3.0)
    assert causes(facts(apiserver(store_polls=waits, cache_polls=waits), stream())) == []


def test_two_faults_at_once_are_both_named() -> None:
    store = CASES["store_slow"][0]
    refused_stream = stream(kind=NODES, is_up=False, trouble="forbidden", judged={})
    both = replace(store, streams=(*store.streams, refused_stream))
    assert {cause.fault for cause in causes(both)} == {"store_slow", "exporter_refused"}


def test_where_a_group_is_not_named_a_kind_is_found_by_its_resource() -> None:
    old = server(cache_fallbacks={("*", "pods"): 4.0})
    (cause,) = causes(replace(CASES["cache_behind"][0], apiservers=(apiserver(server=old),)))
    assert cause.certainty == "shown"


LONGHORN = ("longhorn.io", "nodes")


def test_no_two_rules_explain_each_other() -> None:
    for rule in RULES:
        for fault in rule.explains:
            assert fault == rule.fault or rule.fault not in RULE_OF[fault].explains, (rule.fault, fault)
    throttled = facts(apiserver(store=SLOW, throttled=12, server=server(queued_requests=9.0)), stream())
    assert {cause.fault for cause in causes(throttled)} == {"requests_queued", "store_slow"}
    converted = CASES["conversion_slow"][0]
    webhooks = {"widgets.example.com": Timed(2, 2.0, 2.5)}
    large = server(conversion_webhooks=webhooks, object_bytes={WIDGETS: 500_000.0})
    both = replace(converted, apiservers=(apiserver(server=large),))
    assert [cause.fault for cause in causes(both)] == ["conversion_slow"]


def test_what_is_only_suspected_does_not_explain_what_is_shown() -> None:
    often = stream(**IN_CACHE, events_per_second=900.0)
    one = facts(apiserver(), often, NODES_ON_TIME, apiserver(B), stream(B))
    found = {cause.fault: cause.certainty for cause in causes(one)}
    assert found == {"write_storm": "suspected", "cache_behind": "shown"}


def test_another_kind_of_the_same_name_is_none_of_it() -> None:
    writes = server(
        requests={("PUT", LONGHORN): Timed(900, 0.01, 0.1)}, conflicts_per_second={LONGHORN: 90.0}, cpu_cores_used=0.4
    )
    late_nodes = stream(kind=NODES, **AFTER_CACHE, events_per_second=900.0)
    [cause] = causes(facts(apiserver(server=writes), late_nodes, stream()))
    assert (cause.fault, cause.certainty) == ("write_storm", "suspected")
    asker = asking("longhorn", "update", "nodes.longhorn.io")
    storm = replace(CASES["write_storm"][0], streams=(late_nodes,))
    assert "longhorn" not in said_of_who(logged(storm, asker, update=1.0))
    own = facts(apiserver(server=writes), replace(late_nodes, group="longhorn.io"), stream())
    assert causes(own)[0].certainty == "shown"
    assert "longhorn:" in said_of_who(logged(own, replace(asker, resource="nodes.longhorn.io/status"), update=1.0))


def test_a_watch_was_closed_alone_only_where_another_one_was_not_cut() -> None:
    closed = server(terminated_watchers={PODS: 3.0})
    reset: dict[str, Any] = {"ends": {"transport_error": 1}, **AFTER_CACHE}
    all_cut = facts(apiserver(server=closed), stream(**reset), stream(kind=NODES, **reset))
    assert "watchers_closed" not in {cause.fault for cause in causes(all_cut)}
    alone = facts(apiserver(server=closed), stream(**reset), NODES_ON_TIME)
    assert "watchers_closed" in {cause.fault for cause in causes(alone)}


# Any facts at all


def built(kind: type[_Record], **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[_Record]:
    """As st.builds, which evaluates the types of all fields: some of those are imported for the type checker only."""
    return st.fixed_dictionaries(fields).map(lambda given: kind(**given))


_ratios = st.sampled_from([0.0, 0.05, 0.3, 0.9])
_intervals = st.none() | st.tuples(st.sampled_from([0.0, 0.1, 0.6, 2.0]), st.sampled_from([0.0, 0.2, 3.0])).map(
    lambda ends: Interval(ends[0], ends[0] + ends[1])
)
_counts = st.sampled_from([0, 1, 3, 200])
_timed = st.builds(
    Timed, st.sampled_from([0.0, 1.0, 500.0]), st.sampled_from([0.001, 0.5]), st.sampled_from([0.01, 2.0])
)
_kinds = st.sampled_from([PODS, NODES, ("*", "pods")])
_by_kind = st.dictionaries(_kinds, st.sampled_from([0.0, 5.0, 50_000.0]), max_size=2)
_servers = built(
    ServerFacts,
    seconds=st.just(10.0),
    started_at=st.none() | st.sampled_from([NOW - 5, NOW - 5000]),
    cpu_cores_used=st.none() | st.sampled_from([0.1, 3.9]),
    cpu_cores=st.just(4.0),
    scheduling=st.none() | _timed,
    store_requests=st.dictionaries(st.just("get"), _timed),
    admission_webhooks=st.dictionaries(st.just("a"), _timed),
    conversion_webhooks=st.dictionaries(st.just("*"), _timed),
    requests=st.dictionaries(st.tuples(st.sampled_from(["LIST", "PUT", "GET"]), _kinds), _timed, max_size=3),
    queued_requests=st.none() | st.sampled_from([0.0, 9.0]),
    open_watches=_by_kind,
    open_watches_before=st.none() | st.sampled_from([0.0, 100.0]),
    open_connections=st.none() | st.sampled_from([0.0, 10.0]),
    terminated_watchers=_by_kind,
    initial_events_per_second=_by_kind,
    dispatch=st.dictionaries(
        _kinds, st.dictionaries(st.sampled_from(["storage_to_cache", "x"]), _timed, max_size=2), max_size=2
    ),
    cache_fallbacks=_by_kind,
    cache_revisions=st.dictionaries(_kinds, st.sampled_from([50, 150]), max_size=2),
    asked=st.none() | st.sampled_from([5.0, 40.0]),
    object_bytes=_by_kind,
)
_polls = built(
    PollFacts,
    answered=_counts,
    failed=st.dictionaries(st.sampled_from(["connect", "throttled"]), _counts, max_size=1),
    seconds=_intervals,
    usual_seconds=st.none() | st.just(0.005),
)
_apiservers = built(
    ApiserverFacts,
    apiserver=st.just(A),
    store_polls=_polls,
    store_polls_read=st.sampled_from(["store", "another_cache", "nothing"]),
    cache_polls=_polls,
    way_back=_intervals,
    throttled=_counts,
    server=st.none() | _servers,
)
_balancers = built(
    ApiserverFacts,
    apiserver=st.just(A),
    is_one_apiserver=st.just(value=False),
    store_polls=_polls,
    store_polls_read=st.sampled_from(["store", "nothing"]),
    way_back=_intervals,
    members=st.lists(_servers, max_size=2).map(tuple),
)
_streams = built(
    StreamFacts,
    apiserver=st.sampled_from([A, B]),
    group=st.just(""),
    resource=st.sampled_from(["pods", "nodes"]),
    is_up=st.booleans(),
    trouble=st.sampled_from([None, "connect", "forbidden"]),
    is_late=st.booleans(),
    judged=st.fixed_dictionaries({"on_time": _counts, "late": _counts, "ambiguous": _counts}),
    time_span=_intervals,
    storage_to_cache=_intervals,
    cache_to_client=_intervals,
    write=_intervals,
    canary_write=_intervals,
    canaries_lost=_counts,
    events_per_second=st.sampled_from([0.0, 10.0, 5000.0]),
    usual_events_per_second=st.none() | st.sampled_from([0.0, 10.0]),
    is_rate_steady=st.booleans(),
    ends=st.dictionaries(st.sampled_from(["silent", "early_eof", "transport_error"]), _counts, max_size=2),
    start_errors=st.dictionaries(st.just("connect"), _counts),
    relists=_counts,
    undelivered=st.none() | st.just(Missing(100, 10.0)),
    undelivered_seconds=st.sampled_from([0.0, 6.0, 60.0]),
    is_undelivered_cached=st.none() | st.booleans(),
    cache_still_seconds=st.none() | st.sampled_from([0.0, 60.0]),
    socket=st.none() | st.builds(SocketFacts, st.just(0.1), st.sampled_from([0.0, 60.0]), _counts, _counts),
    converts_by_webhook=st.none() | st.booleans(),
)
_facts = st.builds(
    lambda apiservers, streams, process: Facts(
        now=NOW,
        threshold_seconds=1.0,
        streams=tuple({(one.apiserver, one.resource): one for one in streams}.values()),
        apiservers=(apiservers[0], replace(apiservers[1], apiserver=B)),
        process=process,
    ),
    st.tuples(_apiservers | _balancers, _apiservers),
    st.lists(_streams, max_size=4),
    built(ProcessFacts, loop_lag=_intervals, stalled_share=_ratios, throttled_share=st.none() | _ratios),
)


@given(_facts)
@settings(max_examples=400)
def test_never_two_that_exclude_each_other_are_shown_of_one_place(given_facts: Facts) -> None:
    shown = [cause for cause in causes(given_facts) if cause.certainty == "shown"]
    for one in shown:
        for other in shown:
            overlap = one.apiserver == other.apiserver and (
                one.place == other.place or not one.resource or not other.resource
            )
            assert not (overlap and frozenset((one.fault, other.fault)) in EXCLUSIVE), (one, other)


@given(_facts)
@settings(max_examples=200)
def test_what_is_late_gets_a_cause_and_whatever_is_not_known_makes_nothing_shown(given_facts: Facts) -> None:
    found = causes(given_facts)
    known = {one.apiserver for one in given_facts.apiservers}
    for late in [one for one in given_facts.streams if one.is_late and one.apiserver in known]:
        places = {cause.place for cause in found}
        assert places & {(late.apiserver, late.group, late.resource), (late.apiserver, "", "")}, late
    assert len({(cause.fault, cause.place) for cause in found}) == len(found)


@given(_facts)
@settings(max_examples=400)
def test_what_apiservers_behind_a_balancer_say_of_themselves_neither_shows_nor_excludes(given_facts: Facts) -> None:
    without = [replace(one, members=()) for one in given_facts.apiservers]
    shown = [cause for cause in causes(replace(given_facts, apiservers=tuple(without))) if cause.certainty == "shown"]
    of_a_balancer = {one.apiserver for one in given_facts.apiservers if not one.is_one_apiserver}
    for cause in causes(given_facts):
        if cause.apiserver in of_a_balancer:
            assert not [said for said in (*cause.confirmed, *cause.excluded) if "behind this address" in said]
            assert cause.certainty == "suspected" or cause.place in {one.place for one in shown}


@given(_facts)
@settings(max_examples=200)
def test_nobody_asks_for_bounds_that_are_left_out_of_what_is_on_time(given_facts: Facts) -> None:
    servers = {one.apiserver: one.server or one.members for one in given_facts.apiservers}
    without = {"storage_to_cache": None, "cache_to_client": None}
    streams = [
        one if one.is_late else replace(one, **without, time_span=one.time_span if servers[one.apiserver] else None)
        for one in given_facts.streams
    ]
    assert causes(replace(given_facts, streams=tuple(streams))) == causes(given_facts)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.fault)
def test_a_rule_is_told_by_a_sign_that_is_not_there_while_all_is_well(rule: Rule) -> None:
    given_facts = facts(apiserver(server=server()), stream(), NODES_ON_TIME)
    one_stream = given_facts.streams[0] if rule.scope == "stream" else None
    behind = replace(given_facts.apiservers[0], is_one_apiserver=False, server=None, members=(server(), server()))
    for one, alternatives in ((given_facts.apiservers[0], [rule.needs]), (behind, [rule.needs, *rule.behind_balancer])):
        telling = rule.telling(is_one_apiserver=one.is_one_apiserver)
        view = View(given_facts, one, one_stream)
        for needs, sign in zip(alternatives, telling, strict=True):
            assert sign in needs
            assert not any(sign.look(each).holds for each in (view, *view.of_members()))


@given(_facts, st.randoms(use_true_random=False))
@settings(max_examples=100)
def test_the_order_of_facts_changes_nothing(given_facts: Facts, order: random.Random) -> None:
    streams = list(given_facts.streams)
    order.shuffle(streams)
    again = replace(given_facts, streams=tuple(streams), apiservers=given_facts.apiservers[::-1])
    assert {(cause.fault, cause.certainty, cause.place) for cause in causes(again)} == {
        (cause.fault, cause.certainty, cause.place) for cause in causes(given_facts)
    }


def test_polls_that_are_not_answered_yet_are_slow_ones() -> None:
    waiting = PollFacts(answered=60, seconds=Interval(0.0025, 0.005), waiting_seconds=1.5, usual_seconds=0.005)
    stopped = apiserver(store_polls=waiting, cache_polls=waiting)
    late = stream(is_late=True, judged={"late": 5, "on_time": 0, "ambiguous": 0}, time_span=Interval(1.0, 2.5))
    assert {cause.fault for cause in causes(facts(stopped, late))} == {"apiserver_overloaded"}


def test_the_evidence_has_the_figure_of_the_sentence_as_soon_as_the_window_has_one() -> None:
    for window_p99, said in ((None, "at least 2.0 s"), (3.0, "at least 3.0 s")):
        (cause,) = causes(facts(apiserver(), stream(**IN_CACHE, window_p99_seconds=window_p99)))
        assert cause.evidence[0] == f"watches of pods are late, with a P99 of {said}"
        assert cause.evidence[1] == "events take 1.5 s to 2.5 s from the commit into the watch cache"


def test_a_watch_that_ended_at_its_time_and_relists_alone_is_no_storm() -> None:
    def found(**ends: int) -> list[Fault]:
        relisting = stream(kind=WIDGETS, ends=ends, relists=1)
        return [cause.fault for cause in causes(facts(apiserver(), stream(**AFTER_CACHE), relisting))]

    assert found(transport_error=1) == found() == ["relist_storm"]
    assert found(timeout=1) == ["unknown_cause"]
    assert found(timeout=1, transport_error=1) == ["relist_storm"]


def test_a_quiet_watch_without_bookmarks_ends_silently_and_nothing_is_wrong() -> None:
    quiet = stream(kind=("", "events"), judged={}, time_span=None, ends={"silent": 1}, uncovered_seconds=0.1)
    assert causes(facts(apiserver(), quiet, NODES_ON_TIME)) == []


def asking(user: str, verb: str, resource: str, share: float = 0.7, selected_by: str = "") -> AuditSpell:
    """Somebody who takes a share of all server seconds, and did not in the hour before."""
    return AuditSpell(user, verb, resource, NOW - 60, NOW, 1840, 90.0, share, 0.0, selected_by)


def logged(given: Facts, *askers: AuditSpell, **seen: float) -> Facts:
    """An audit log is read, which has these shares of 100 requests a second of each verb."""
    return replace(
        given, askers=askers, seen={verb: LoggedShare(100 * seen[verb], 100) for verb in VERBS if verb in seen}
    )


def said_of_who(given: Facts) -> str:
    (cause,) = causes(given)
    (said,) = [said for said in cause.evidence if said.startswith("who: ")]
    return said


def test_a_list_storm_is_shown_by_the_audit_log_which_knows_the_name() -> None:
    slow = facts(
        apiserver(store=Interval(1.0, 2.5), cache=Interval(1.0, 2.5)), stream(is_late=True, judged={"late": 9})
    )
    told = logged(slow, asking("bad-controller", "list", "pods", selected_by="spec.nodeName"), list=0.97)
    (cause,) = causes(told)
    assert (cause.fault, cause.certainty) == ("list_storm", "shown")
    assert "LISTs of one user take 70% of all server seconds in the audit log" in cause.evidence
    assert said_of_who(told) == (
        "who: bad-controller: 1840 requests to list pods by spec.nodeName, 70% of all server seconds in the audit "
        "log; the audit log has 97% of all LISTs"
    )


def test_whoever_stands_out_is_named_where_that_may_be_the_cause() -> None:
    askers = (
        asking("lister", "list", "pods", 0.3),
        asking("writer", "update", "pods", 0.2),
        asking("", "update", "nodes"),
    )
    said = said_of_who(logged(CASES["write_storm"][0], *askers, update=0.4, list=1.0))
    assert said == (
        "who: writer: 1840 requests to update pods, 20% of all server seconds in the audit log; "
        "the audit log has only 40% of all writes"
    )
    (elsewhere,) = causes(logged(CASES["cache_stuck"][0], *askers, list=1.0))
    assert not [said for said in elsewhere.evidence if said.startswith("who")]


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        ({"list": 0.97}, "who: nobody stands out in the audit log, which has 97% of all LISTs"),
        ({"list": 0.5}, "who: nobody stands out in the audit log, which has 50% of all LISTs"),
        ({"list": 0.49, "get": 1.0}, "who: not known; the audit log has only 49% of all LISTs"),
        ({"list": 0.0}, "who: not known; the audit log has only 0% of all LISTs"),
        (
            {"get": 1.0},
            "who: not known; which share of all LISTs the audit log has is not known (needs --apiserver.metrics)",
        ),
    ],
)
def test_nobody_is_said_only_where_the_log_has_enough_of_the_requests(seen: dict[str, float], said: str) -> None:
    assert said_of_who(logged(CASES["list_storm"][0], **seen)) == said


def test_without_an_audit_log_nothing_is_said_of_it() -> None:
    (cause,) = causes(CASES["list_storm"][0])
    assert not [said for said in cause.evidence if said.startswith("who")]


def test_a_name_that_is_not_to_be_said_is_not_said() -> None:
    said = said_of_who(logged(CASES["list_storm"][0], asking("", "list", "pods")))
    assert said.startswith("who: one user (--audit.user-names gives its name): 1840 requests to list pods, ")


def holding(name: str | None, seats: float, waiting: float = 0.0, requests: int = 40) -> FlowFacts:
    return FlowFacts("service-accounts", name, requests, seats, waiting)


def held(given: Facts, *flows: FlowFacts) -> Facts:
    """By these the seats of the first apiserver are held."""
    first, *others = given.apiservers
    return replace(given, apiservers=(replace(first, flows=flows), *others))


def test_without_an_audit_log_whoever_holds_the_seats_is_named() -> None:
    storm = CASES["list_storm"][0]
    flows = (holding("bad-controller", 0.8, 1.0), holding("kubelet", 0.15), holding("few", 0.3, requests=2))
    schema = "flow schema service-accounts"
    said = f"who: bad-controller ({schema}) with 80% of the seats in use and 100% of the requests that wait"
    assert said_of_who(held(storm, *flows)) == said
    assert said_of_who(held(logged(storm, list=0.9), *flows)) == said
    assert said_of_who(held(logged(storm, asking("lister", "list", "pods"), list=0.9), *flows)).startswith(
        "who: lister: "
    )


def test_a_flow_without_a_name_or_with_one_that_is_not_to_be_said() -> None:
    storm = CASES["list_storm"][0]
    assert said_of_who(held(storm, holding("", 0.9))) == (
        "who: one flow (--audit.user-names gives its name) (flow schema service-accounts) with 90% of the seats in use"
    )
    assert said_of_who(held(storm, holding(None, 0.9))).startswith("who: requests without a name (flow schema ")


def test_where_the_cause_is_unknown_whoever_asks_most_may_be_it() -> None:
    unknown = CASES["unknown_cause"][0]
    for told in (
        held(unknown, holding("bad-controller", 0.8)),
        logged(unknown, asking("bad-controller", "get", "nodes")),
    ):
        (cause,) = causes(told)
        assert cause.fault == "unknown_cause"
        assert cause.evidence[-1].startswith("perhaps: bad-controller")
    (cause,) = causes(logged(unknown, list=1.0))
    assert not [said for said in cause.evidence if said.startswith(("who", "perhaps"))]


def test_it_is_asked_who_holds_the_seats_only_where_that_may_be_the_cause_and_nobody_is_named() -> None:
    storm = CASES["list_storm"][0]
    assert is_unnamed("list_storm", "", storm)
    assert is_unnamed("list_storm", "", logged(storm, asking("writer", "update", "pods"), list=1.0))
    assert not is_unnamed("list_storm", "", logged(storm, asking("lister", "list", "pods"), list=1.0))
    assert not is_unnamed("path_slow", "", storm)
