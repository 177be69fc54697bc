"""What is found becomes rows, exit and sentence: each case changes one thing in a world where all is good."""

from typing import Any

import pytest
from msgspec.structs import replace

from exporter.commands.check import report
from exporter.commands.check.findings import (
    Findings,
    Found,
    Greeting,
    Matches,
    NotServed,
    PolledKind,
    Polls,
    Review,
    Unknown,
    UserName,
)
from exporter.config import ResourceName
from exporter.kubernetes.permissions import Permission, to_poll, to_watch
from exporter.kubernetes.resources import CUSTOM_RESOURCE_DEFINITIONS, EVENTS, LEASES, QUIET_KINDS, Resource
from exporter.kubernetes.session import Server
from tests.commands.check.command import Table, config, read_table, rules_in

PODS = Resource("", "v1", "pods", is_namespaced=True)
NODES = Resource("", "v1", "nodes", is_namespaced=False)
WIDGETS = Resource("example.com", "v1", "widgets", is_namespaced=True)
SLICES = Resource("discovery.k8s.io", "v1", "endpointslices", is_namespaced=True)
GREETING = Greeting(0.0123, "v1.36.3", is_certificate_verified=True, on_the_way=())
POLLS = Polls(EVENTS, (0.004, 0.002, 0.003), (), dated=3, contradictions=0, offset_seconds=(-0.03, 0.02))


def reviewed(resource: Resource, namespace: str | None, *permissions: Permission, missing: str = "") -> Review:
    """`missing` are verbs."""
    lost = tuple(permission for permission in permissions if permission.verb in missing.split())
    return Review(resource, namespace, permissions, lost)


def clock_reviews(*, forbidden: int = 0) -> tuple[Review, ...]:
    """The first `forbidden` quiet kinds may not be listed."""
    return tuple(
        reviewed(
            kind,
            "default" if kind.is_namespaced else None,
            to_poll(kind, None),
            missing="list" if number < forbidden else "",
        )
        for number, kind in enumerate(QUIET_KINDS)
    )


def all_good(**changed: Any) -> Findings:
    """An apiserver, named as one, where nothing is missing; but for what is changed."""
    findings = Findings(
        config=config(),
        server=Server("https://127.0.0.1:6443", is_one_apiserver=True),
        credentials="kubeconfig k, by --kubeconfig; context east, its current one",
        greeting=GREETING,
        user=UserName("watcher"),
        found=(Found(ResourceName("pods"), PODS), Found(ResourceName("nodes"), NODES)),
        watches=tuple(reviewed(resource, None, *to_watch(resource, None)) for resource in (PODS, NODES)),
        clock=clock_reviews(),
        endpoints=reviewed(SLICES, "default", Permission("list", SLICES, "default")),
        server_metrics=True,
        request_dump=True,
        apiservers=1,
        polls=POLLS,
        polled_kinds=(PolledKind(PODS, EVENTS), PolledKind(NODES, EVENTS)),
    )
    return replace(findings, **changed)


def reported(findings: Findings) -> tuple[Table, str, bool]:
    text, is_good = report(findings)
    return read_table(text), text.splitlines()[-1], is_good


def test_all_good() -> None:
    table, last_line, is_good = reported(all_good())
    assert (last_line, is_good) == ("all good", True)
    assert {result for rows in table.values() for result, _ in rows.values()} == {"ok"}
    assert list(table) == [
        "configuration",
        "server",
        "credentials",
        "permissions",
        "resources",
        "one store",
        "clock",
    ]


@pytest.mark.parametrize(
    ("changed", "section", "check", "part"),
    [
        ({"greeting": replace(GREETING, is_certificate_verified=None)}, "server", "connection", "no TLS"),
        (
            {"greeting": replace(GREETING, is_certificate_verified=False)},
            "server",
            "connection",
            "the certificate is not verified",
        ),
        (
            {"greeting": replace(GREETING, version=Unknown("forbidden"))},
            "server",
            "version",
            "not known: forbidden",
        ),
        (
            {"greeting": replace(GREETING, on_the_way=("Via: 1.1 lb", "Age: 3"))},
            "server",
            "proxies",
            "Via: 1.1 lb, Age: 3",
        ),
        ({"server": Server("https://127.0.0.1:6443", is_one_apiserver=False)}, "server", "address", "--apiserver URL"),
        ({"server": Server("https://127.0.0.1:6443", is_one_apiserver=False)}, "server", "apiservers", "1, but only"),
        ({"apiservers": None}, "server", "apiservers", "is not known"),
        ({"apiservers": 3}, "server", "apiservers", "3, and any of them may write"),
        ({"user": UserName("system:anonymous")}, "credentials", "identity", "no credentials were given"),
        ({"clock": clock_reviews(forbidden=1)}, "permissions", "revision clock", "while it lags, polls wait"),
        (
            {"endpoints": reviewed(SLICES, "default", Permission("list", SLICES, "default"), missing="list")},
            "permissions",
            "count apiservers",
            "is not allowed; only needed",
        ),
        (
            {"polled_kinds": (PolledKind(PODS, PODS), PolledKind(NODES, EVENTS))},
            "one store",
            "pods",
            "polls pods itself",
        ),
        (
            {"polled_kinds": (PolledKind(PODS, LEASES), PolledKind(NODES, EVENTS))},
            "one store",
            "pods",
            "no revision sequence with events but one with leases.coordination.k8s.io, which are polled instead",
        ),
        ({"certificates": 2}, "server", "address", "2 different certificates"),
        ({"apiservers": 1, "identities": 3}, "server", "apiservers", "3 apiservers renew an identity Lease"),
        (
            {"polls": replace(POLLS, failed=("throttled",))},
            "server",
            "round trip",
            "1 of 4 polls of events failed: throttled",
        ),
        (
            {"polls": replace(POLLS, offset_seconds=(1.2, 1.3))},
            "clock",
            "offset",
            "between +1.200 s and +1.300 s; it is ahead of this host's clock",
        ),
        (
            {"polls": replace(POLLS, offset_seconds=(-7.0, -6.9))},
            "clock",
            "offset",
            "it is behind this host's clock",
        ),
        ({"polls": replace(POLLS, offset_seconds=None, dated=0)}, "clock", "offset", "no Audit-Id"),
        (
            {"polls": replace(POLLS, offset_seconds=None, contradictions=1)},
            "clock",
            "offset",
            "contradict each other",
        ),
        ({"polls": replace(POLLS, offset_seconds=None)}, "clock", "offset", "only 3 polls got a response"),
        (
            {"polls": Polls(EVENTS, (0.4,) * 16, (), dated=16, contradictions=0, offset_seconds=None)},
            "clock",
            "offset",
            "round trips of 0.400 s or more",
        ),
    ],
)
def test_what_costs_only_knowledge_is_a_note(changed: dict[str, Any], section: str, check: str, part: str) -> None:
    table, last_line, is_good = reported(all_good(**changed))
    result, detail = table[section][check]
    assert (result, last_line, is_good) == ("note", "all good", True)
    assert part in detail


@pytest.mark.parametrize("offset_seconds", [(-0.5, 1.1), (-1.1, 0.5), (0.9, 1.1)])
def test_a_clock_that_may_be_near_is_not_called_far(offset_seconds: tuple[float, float]) -> None:
    table, _, _ = reported(all_good(polls=replace(POLLS, offset_seconds=offset_seconds)))
    assert table["clock"]["offset"][0] == "ok"


def test_round_trips_are_told_by_minimum_and_median() -> None:
    table, _, _ = reported(all_good())
    assert table["server"]["round trip"] == ("ok", "2.0 ms at least, 3.0 ms median of 3 polls of events")


def test_a_missing_permission_names_its_loss_and_its_rule() -> None:
    watches = (
        reviewed(PODS, None, *to_watch(PODS, None), missing="list watch"),
        reviewed(NODES, None, *to_watch(NODES, None), missing="watch"),
    )
    table, last_line, is_good = reported(all_good(watches=watches))
    assert table["permissions"]["watch pods"] == (
        "missing",
        (
            "list, watch pods; watch includes the right to read whole objects; "
            'add to a ClusterRole: - {apiGroups: [""], resources: [pods], verbs: [list, watch]}'
        ),
    )
    assert not is_good
    assert last_line == (
        "not good: pods cannot be watched without the permission to list, watch pods; "
        "nodes cannot be watched without the permission to watch nodes"
    )


def test_in_one_namespace_a_role_there_is_enough() -> None:
    watches = (
        reviewed(PODS, "shop", *to_watch(PODS, "shop"), missing="watch"),
        reviewed(NODES, None, *to_watch(NODES, "shop"), missing="watch"),
    )
    table, _, _ = reported(all_good(config=config(namespace="shop"), watches=watches))
    assert [(rule.resource, rule.namespace) for rule in rules_in(table)] == [("pods", "shop"), ("nodes", None)]
    assert table["resources"]["nodes"] == ("ok", "v1, cluster scope: --namespace does not apply")


def test_a_revision_clock_without_any_quiet_kind_is_not_good() -> None:
    findings = all_good(clock=clock_reviews(forbidden=len(QUIET_KINDS)), polled_kinds=None)
    table, last_line, is_good = reported(findings)
    result, detail = table["permissions"]["revision clock"]
    assert (result, is_good) == ("missing", False)
    assert 'add to a Role in namespace default: - {apiGroups: [""], resources: [events], ' in detail
    assert "resourceNames: [watchslo-matches-nothing], verbs: [list]}" in detail
    assert last_line == "not good: a slow watch cache stays hidden without the permission to list events"
    assert table["one store"]["pods"] == ("not checked", "")


def test_a_revision_clock_that_is_off_needs_nothing() -> None:
    off = config(**{"revision-clock.hz": "0"})
    table, last_line, _ = reported(all_good(config=off, clock=clock_reviews(forbidden=4), polled_kinds=None))
    assert table["configuration"]["revision clock"][0] == "note"
    assert "revision clock" not in table["permissions"]
    assert "one store" not in table
    assert last_line == "all good"


@pytest.mark.parametrize(
    ("changed", "section", "check", "result", "loss"),
    [
        (
            {"found": (Found(ResourceName("pods"), NotServed("pods is not served here")),)},
            "resources",
            "pods",
            "missing",
            "pods is not served and cannot be watched",
        ),
        (
            {"found": (Found(ResourceName("pods"), Unknown("HTTP 503")),)},
            "resources",
            "pods",
            "failed",
            "pods cannot be found: HTTP 503",
        ),
        (
            {"watches": (Review(PODS, None, to_watch(PODS, None), Unknown("HTTP 503")),)},
            "permissions",
            "watch pods",
            "failed",
            "pods cannot be watched, or this could not be checked",
        ),
        (
            {"clock": (Review(EVENTS, "default", (to_poll(EVENTS, None),), Unknown("HTTP 503")),)},
            "permissions",
            "revision clock",
            "failed",
            "it is not known whether the revision clock may poll",
        ),
        (
            {"polled_kinds": (PolledKind(PODS, Unknown("no list")), PolledKind(NODES, EVENTS))},
            "one store",
            "pods",
            "failed",
            "it is not known whether the revision clock can date pods",
        ),
        (
            {"polls": Polls(EVENTS, (), ("no list",) * 3, dated=0, contradictions=0, offset_seconds=None)},
            "server",
            "round trip",
            "failed",
            "polls get no response, and without polls no event can be dated",
        ),
    ],
)
def test_what_does_not_work_is_not_good(
    changed: dict[str, Any], section: str, check: str, result: str, loss: str
) -> None:
    table, last_line, is_good = reported(all_good(**changed))
    assert (table[section][check][0], last_line, is_good) == (result, f"not good: {loss}", False)


@pytest.mark.parametrize(
    ("mode", "may", "result", "part"),
    [
        ("auto", True, "ok", "get /metrics"),
        ("auto", False, "note", "get /metrics is not allowed"),
        ("on", False, "missing", "get /metrics is not allowed"),
        ("auto", Unknown("HTTP 503"), "note", "HTTP 503"),
    ],
)
def test_the_apiservers_own_metrics_are_missing_only_to_who_asks_for_them(
    mode: str, *, may: bool | Unknown, result: str, part: str
) -> None:
    findings = all_good(config=config(**{"apiserver.metrics": mode}), server_metrics=may)
    table, last_line, is_good = reported(findings)
    assert table["permissions"]["server metrics"][0] == result
    assert part in table["permissions"]["server metrics"][1]
    assert is_good == (result != "missing")
    assert ("nonResourceURLs: [/metrics]" in report(findings)[0]) == (may is False)
    assert is_good or last_line.endswith("cannot be read without the permission to get /metrics")


def test_image_pulls_are_a_row_where_they_are_wanted_and_never_missing() -> None:
    assert "image pulls" not in reported(all_good())[0]["permissions"]
    watch = Permission("watch", EVENTS)
    for missing, result, part in (
        ((), "ok", "watch events"),
        ((watch,), "note", "watch events is not allowed: what image pulls take of a pod's start is not known"),
        (Unknown("HTTP 503"), "note", "HTTP 503"),
    ):
        findings = all_good(pulls=Review(EVENTS, None, (watch,), missing))
        table, _, is_good = reported(findings)
        assert table["permissions"]["image pulls"][0] == result
        assert part in table["permissions"]["image pulls"][1]
        assert is_good
        assert ("resources: [events], verbs: [watch]" in report(findings)[0]) == (missing == (watch,))


@pytest.mark.parametrize(
    ("may", "result", "part"),
    [
        (True, "ok", "get /debug/api_priority_and_fairness/dump_requests"),
        (False, "note", "is not allowed; only needed to say without an audit log whose requests"),
        (Unknown("HTTP 503"), "note", "HTTP 503"),
        (None, "not checked", ""),
    ],
)
def test_the_dump_of_requests_is_never_missing(*, may: bool | Unknown | None, result: str, part: str) -> None:
    findings = all_good(request_dump=may)
    table, _, is_good = reported(findings)
    assert table["permissions"]["request dump"][0] == result
    assert part in table["permissions"]["request dump"][1]
    assert is_good == (may is not None), "what was not checked may be bad"
    assert ("nonResourceURLs: [/debug/" in report(findings)[0]) == (may is False)


def test_metrics_that_would_not_be_read_are_no_row() -> None:
    balancer = Server("https://127.0.0.1:6443", is_one_apiserver=False)
    elsewhere = config(**{"prometheus.url": "http://127.0.0.1:9090"})
    for findings, rows in (
        (all_good(server=balancer), {"server metrics"}),
        (all_good(config=config(**{"apiserver.metrics": "off"})), set()),
        (all_good(config=elsewhere), {"request dump"}),
    ):
        table, *_ = reported(findings)
        assert table["permissions"].keys() & {"server metrics", "request dump"} == rows


def test_without_a_connection_everything_else_is_not_checked() -> None:
    findings = Findings(
        config(), Server("https://127.0.0.1:6443", is_one_apiserver=False), "", Unknown("no connection")
    )
    table, last_line, is_good = reported(findings)
    assert table["server"].pop("connection") == ("failed", "no connection")
    del table["configuration"]
    assert {result for rows in table.values() for result, _ in rows.values()} == {"not checked"}
    assert (last_line, is_good) == ("not good: no answer from 127.0.0.1:6443", False)


def test_what_is_not_known_in_time_is_not_good() -> None:
    _, last_line, is_good = reported(all_good(polls=None, polled_kinds=None, ran_out_of_time=True))
    assert (last_line, is_good) == ("not good: the apiserver was too slow to check the rest", False)


def test_custom_resources_are_counted_and_watched_once() -> None:
    both = config(
        **{"custom-resources": "*.example.com", "custom-resources.max": "1", "resource": "widgets.example.com"}
    )
    found = Found(ResourceName("widgets", "example.com"), WIDGETS)
    definitions = reviewed(CUSTOM_RESOURCE_DEFINITIONS, None, Permission("list", CUSTOM_RESOURCE_DEFINITIONS))
    findings = all_good(
        config=both,
        definitions=definitions,
        custom=Matches((ResourceName("widgets", "example.com"),), left_out=2),
        found=(found,),
        watches=(reviewed(WIDGETS, None, *to_watch(WIDGETS, None)),),
        polled_kinds=(PolledKind(WIDGETS, EVENTS),),
    )
    table, last_line, _ = reported(findings)
    assert findings.watched_names == (ResourceName("widgets", "example.com"),)
    result, detail = table["resources"]["*.example.com"]
    assert result == "note"
    assert "1 custom resource matches now" in detail
    assert "2 more match but are left out by --custom-resources.max 1" in detail
    assert last_line == "all good"


@pytest.mark.parametrize(
    ("custom", "result", "part"),
    [
        (
            Matches((), 0, ('"a" matches no custom resource now',)),
            "note",
            '"a" matches no custom resource now',
        ),
        (Matches((ResourceName("widgets", "example.com"),), 0), "ok", "1 custom resource matches now"),
        (Unknown("the definitions were not listed"), "failed", "the definitions were not listed"),
        (None, "not checked", ""),
    ],
)
def test_what_globs_match_is_told(custom: Matches | Unknown | None, result: str, part: str) -> None:
    globs = config(**{"custom-resources": "*.example.com"})
    table, _, _ = reported(all_good(config=globs, custom=custom))
    assert table["resources"]["*.example.com"][0] == result
    assert part in table["resources"]["*.example.com"][1]


def test_where_the_credentials_come_from_is_said() -> None:
    table, *_ = reported(all_good())
    said = "kubeconfig k, by --kubeconfig; context east, its current one"
    assert table["configuration"]["credentials"] == ("ok", said)


def test_fewer_addresses_than_are_named_is_a_note_of_its_own() -> None:
    named = config(apiserver="https://127.0.0.1:6443,https://127.0.0.2:6443")
    table, *_ = reported(all_good(config=named))
    result, detail = table["server"]["apiservers"]
    assert result == "note"
    assert detail.startswith("2 are named with --apiserver, but the cluster lists 1 address: ")


@pytest.mark.parametrize(("interval", "is_said"), [("2", True), ("1.2", False), ("0", False)])
def test_canaries_that_are_too_few_for_a_verdict_are_a_note(interval: str, *, is_said: bool) -> None:
    settings = {"canary.interval": interval, "canary.node": "one"}
    table, *_ = reported(all_good(config=config(**settings)))
    assert ("canary" in table["configuration"]) == is_said
    if is_said:
        result, detail = table["configuration"]["canary"]
        assert result == "note"
        assert detail.startswith("--canary.interval: 30 canaries in 60 s are fewer than the 50 events that a verdict")
        assert detail.endswith("write at least every 1.2 s")
