"""Which resource a series is of, by the labels of each version."""

import pytest

from exporter.server_metrics.families import FAMILIES, LabelValues, kind


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        # 1.34 and later
        ({"group": "", "resource": "pods"}, ("", "pods")),
        ({"group": "apps", "resource": "deployments"}, ("apps", "deployments")),
        # Before: GroupResource.String() (pkg/storage/cacher and etcd3 of 1.29 and 1.33).
        ({"resource": "pods"}, ("", "pods")),
        ({"resource": "deployments.apps"}, ("apps", "deployments")),
        ({"resource": "widgets.example.com"}, ("example.com", "widgets")),
        # Before: the place in etcd (consistent reads, consistency checks; LISTs from the cache as resource_prefix).
        ({"resource": "/pods"}, ("*", "pods")),
        ({"resource": "/minions"}, ("*", "nodes")),
        ({"resource": "/services/specs"}, ("*", "services")),
        ({"resource": "/services/endpoints"}, ("*", "endpoints")),
        ({"resource_prefix": "/controllers"}, ("*", "replicationcontrollers")),
        ({"resource_prefix": "/example.com/widgets"}, ("example.com", "widgets")),
        # Before: the kind, of watch events.
        ({"group": "", "version": "v1", "kind": "Pod"}, ("", "pods")),
        (
            {"group": "networking.k8s.io", "version": "v1", "kind": "NetworkPolicy"},
            ("networking.k8s.io", "networkpolicies"),
        ),
        (
            {"group": "networking.k8s.io", "version": "v1", "kind": "IngressClass"},
            ("networking.k8s.io", "ingressclasses"),
        ),
        ({"group": "", "version": "v1", "kind": "Endpoints"}, ("", "endpoints")),
        ({}, None),
        ({"group": "", "resource": ""}, None),
    ],
)
def test_the_resource_is_what_the_labels_of_each_version_say(
    labels: LabelValues, expected: tuple[str, str] | None
) -> None:
    assert kind(labels) == expected


def test_what_lasts_as_long_as_somebody_looks_on_is_no_request() -> None:
    [requests] = [family for family in FAMILIES if family.fact == "requests"]
    of_pods = {"group": "", "resource": "pods", "subresource": ""}
    assert requests.by({**of_pods, "verb": "GET"}) == ("GET", "", "pods")
    assert requests.by({**of_pods, "verb": "PATCH", "subresource": "status"}) == ("PATCH", "", "pods")
    for endless in (
        {"verb": "WATCH"},
        {"verb": "CONNECT", "subresource": "exec"},
        {"verb": "GET", "subresource": "log"},
    ):
        assert requests.by({**of_pods, **endless}) is None
    assert requests.by({"verb": "GET", "group": "", "resource": "", "subresource": "/readyz"}) is None


def test_operations_of_the_store_are_named_as_before_1_37() -> None:
    [store] = [family for family in FAMILIES if family.fact == "store"]
    assert [store.by({"operation": name}) for name in ("list", "listStream", "get", "getCurrentResourceVersion")] == [
        ("list",),
        ("list",),
        ("get",),
        ("get",),
    ]
