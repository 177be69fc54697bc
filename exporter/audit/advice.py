"""The known remedies: when each applies to what a client does, and since which version it is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.audit.report import Client

APISERVER = "system:apiserver"
"""An apiserver's requests to itself, which no FlowSchema holds back."""

FEW = 10
"""Less often than this nothing is worth a change."""

MUCH_OF_ALL = 0.25
MUCH_OF_WRITES = 0.1
MUCH_OF_ITS_TIME = 0.3


class Advice(msgspec.Struct, frozen=True):
    """A remedy, and for whom it is one."""

    name: str
    remedy: str
    since: str
    applies: Callable[[Client], bool]


def advice_for(client: Client) -> list[Advice]:
    """The remedies for one client, in the order of the list."""
    return [advice for advice in KNOWN if advice.applies(client)]


def _polls(client: Client) -> bool:
    return any(activity.polls for activity in client.resources)


def _lists_all_anew(client: Client) -> bool:
    return client.count("lists", "newest", "newest_pages") >= FEW


def _lists_without_limit(client: Client) -> bool:
    return client.count("shapes", "newest") >= FEW


def _relists(client: Client) -> bool:
    return client.count("relists") >= FEW


def _loses_history(client: Client) -> bool:
    return client.count("relists", "gone") > 0 and client.count("inferred", "without bookmarks") > 0


def _replays(client: Client) -> bool:
    return client.count("watches", "from_zero", "from_newest") >= FEW


def _is_sent_much(client: Client) -> bool:
    waits = ("decode-response-object", "transform-response-object", "serialize-response-object", "response-write")
    return client.seconds > 1 and client.count("waits", *waits) > MUCH_OF_ITS_TIME * client.seconds


def _reads_slowly(client: Client) -> bool:
    return client.seconds > 1 and client.count("waits", "response-write") > MUCH_OF_ITS_TIME * client.seconds


def _waits_for_webhooks(client: Client) -> bool:
    waited = client.count("waits", "mutating-webhook", "validating-webhook")
    return client.seconds > 1 and waited > MUCH_OF_ITS_TIME * client.seconds


def _conflicts(client: Client) -> bool:
    conflicts = client.count("codes", "409")
    return conflicts >= FEW and conflicts > MUCH_OF_WRITES * client.count("requests", "create", "update", "patch")


def _takes_most(client: Client) -> bool:
    return client.share > MUCH_OF_ALL and client.in_flight >= 1 and client.user != APISERVER


def _reads(client: Client, *resources: str) -> float:
    of = [activity.counts for activity in client.resources if activity.resource in resources]
    return sum(counts.get("requests", {}).get(verb, 0) for counts in of for verb in ("get", "list", "watch"))


def _reads_endpoints(client: Client) -> bool:
    return _reads(client, "endpoints") >= FEW


def _reads_secrets_of_pods(client: Client) -> bool:
    return client.user.startswith("system:node:") and _reads(client, "secrets", "configmaps") >= FEW


KNOWN: tuple[Advice, ...] = (
    Advice(
        "informer",
        "lists again and again without a watch: an informer lists once and is then told what changes",
        "any version",
        _polls,
    ),
    Advice(
        "resourceVersion=0",
        "asks for the newest state each time: where a second old is good enough, resourceVersion=0 costs least",
        "any version; from 1.31 on such LISTs are answered from the watch cache as well (ConsistentListFromCache), but "
        "wait for it to be up to date",
        _lists_all_anew,
    ),
    Advice(
        "limit",
        "lists everything at once: limit=500 and continue keep the apiserver's memory flat",
        "any version; without effect together with resourceVersion=0",
        _lists_without_limit,
    ),
    Advice(
        "streaming lists",
        "relists often: a streaming list (WatchList) costs the apiserver far less memory than a LIST",
        "on by default in apiservers from 1.34 and in client-go from 1.35",
        _relists,
    ),
    Advice(
        "bookmarks",
        "loses its history, and watches without allowWatchBookmarks: bookmarks keep its revision fresh",
        "1.17; the default of client-go's informers",
        _loses_history,
    ),
    Advice(
        "resume watches",
        "watches from 0 or from nothing, and is sent all objects each time: go on from the last revision it saw",
        "any version",
        _replays,
    ),
    Advice(
        "metadata only",
        "most of its time goes into decoding, encoding and sending: if it needs no more than metadata, "
        "PartialObjectMetadata is a fraction of it; fewer objects with a selector, or protobuf, help too",
        "1.15",
        _is_sent_much,
    ),
    Advice(
        "slow client",
        "reads its answers slowly: the apiserver waits for it while it writes. More CPU for it, or a nearer place",
        "any version",
        _reads_slowly,
    ),
    Advice(
        "EndpointSlices",
        "reads endpoints: each change sends all addresses of a service; EndpointSlices send a hundred at most",
        "1.21; endpoints are deprecated since 1.33",
        _reads_endpoints,
    ),
    Advice(
        "immutable Secrets",
        "reads Secrets and ConfigMaps of its pods, as a kubelet does: those that are immutable it would not watch",
        "1.21",
        _reads_secrets_of_pods,
    ),
    Advice(
        "conflict handling",
        "gets 409 for many of its writes: read anew before each retry, wait longer between them, or use server-side "
        "apply",
        "server-side apply: 1.22",
        _conflicts,
    ),
    Advice(
        "webhooks",
        "waits for admission webhooks: matchConditions and a short timeout keep them out of its way",
        "matchConditions: 1.30",
        _waits_for_webhooks,
    ),
    Advice(
        "FlowSchema",
        "takes a large share of all server seconds: a FlowSchema of its own with few seats protects the others",
        "1.29 (flowcontrol.apiserver.k8s.io/v1)",
        _takes_most,
    ),
)
