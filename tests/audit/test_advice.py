"""Each remedy is given where it applies, and not where it does not."""

import pytest

from exporter.audit.advice import KNOWN, advice_for
from tests.audit.lines import Json, event, listed, watched, wrote
from tests.audit.reports import only_client

LATENCY = "apiserver.latency.k8s.io/"


def lists(query: str, lasts: float = 0.01) -> list[Json]:
    return [one for number in range(20) for one in listed(query, at=number, lasts=lasts)]


def slow(wait: str) -> list[Json]:
    return [
        one
        for at in range(3)
        for one in listed("resourceVersion=0", at=10 * at, lasts=2, annotations={LATENCY + wait: "1.5s"})
    ]


def gone(number: int) -> list[Json]:
    at = 10 * number
    return [
        *watched("timeoutSeconds=400&resourceVersion=5", at=at, lasts=3),
        *watched("timeoutSeconds=400&resourceVersion=5", at=at + 4, lasts=0.01),
        *listed("resourceVersion=5", at=at + 5),
    ]


CASES: dict[str, tuple[list[Json], set[str]]] = {
    "an informer": (
        [
            *listed("limit=500&resourceVersion=0", at=0),
            *watched("allowWatchBookmarks=true&resourceVersion=5", at=1, lasts=None),
        ],
        set(),
    ),
    "a poller of the cache": (lists("resourceVersion=0"), {"informer"}),
    "a poller of everything": (lists(""), {"informer", "resourceVersion=0", "limit"}),
    "a poller in pages": (lists("limit=500"), {"informer", "resourceVersion=0"}),
    "relists": ([one for number in range(12) for one in gone(number)], {"streaming lists", "bookmarks"}),
    "watches from 0": (
        [one for at in range(20) for one in watched("allowWatchBookmarks=true&resourceVersion=0", at=at, lasts=1)],
        {"resume watches"},
    ),
    "much to encode": (slow("serialize-response-object"), {"metadata only"}),
    "reads slowly": (slow("response-write"), {"metadata only", "slow client"}),
    "webhooks": (slow("validating-webhook"), {"webhooks"}),
    "endpoints": (
        [
            one
            for at in range(20)
            for one in watched("allowWatchBookmarks=true&resourceVersion=5", at=at, lasts=None, resource="endpoints")
        ],
        {"EndpointSlices"},
    ),
    "conflicts": (
        [one for at in range(40) for one in wrote("x", at=at, code=409 if at % 2 else 200)],
        {"conflict handling"},
    ),
    "a kubelet": (
        [
            event("get", "/api/v1/namespaces/a/secrets/b", at=at, user="system:node:n", ref={"resource": "secrets"})
            for at in range(20)
        ],
        {"immutable Secrets"},
    ),
    "takes everything": (lists("resourceVersion=0", lasts=3.0), {"informer", "FlowSchema"}),
    "an apiserver itself": (
        [one | {"user": {"username": "system:apiserver"}} for one in lists("resourceVersion=0", lasts=3.0)],
        {"informer"},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_remedy_is_given_where_it_applies(case: str) -> None:
    events, names = CASES[case]
    assert {advice.name for advice in advice_for(only_client(events))} == names


def test_each_remedy_applies_somewhere() -> None:
    assert {advice.name for advice in KNOWN} == {name for _, names in CASES.values() for name in names}
