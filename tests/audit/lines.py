"""Audit events as apiservers write them, a line each; of what is not said they have what most requests have."""

import itertools
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

BEGAN = 1_800_000_000.0
IDS = itertools.count()

Json = dict[str, Any]


def moment(seconds: float) -> str:
    return datetime.fromtimestamp(BEGAN + seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def event(
    verb: str,
    uri: str,
    *,
    at: float,
    lasts: float = 0.01,
    stage: str = "ResponseComplete",
    user: str = "alice",
    agent: str = "a-controller/v1 (linux/amd64)",
    ip: str = "10.0.0.1",
    code: int = 200,
    ref: Mapping[str, str] | None = None,
    audit_id: str | None = None,
    pod: tuple[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Json:
    """A request that came `at` and whose stage was so much later."""
    extra = {}
    if pod is not None:
        extra = {
            f"authentication.kubernetes.io/pod-{key}": [value] for key, value in zip(("name", "uid"), pod, strict=True)
        }
    path, _, _ = uri.partition("?")
    return {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": audit_id or f"id-{next(IDS)}",
        "stage": stage,
        "requestURI": uri,
        "verb": verb,
        "user": {"username": user, "groups": ["system:authenticated"], "extra": extra},
        "sourceIPs": [ip],
        "userAgent": agent,
        "objectRef": dict(ref) if ref is not None else {"resource": path.rpartition("/")[2], "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": code},
        "requestReceivedTimestamp": moment(at),
        "stageTimestamp": moment(at + lasts),
        "annotations": {"authorization.k8s.io/decision": "allow", **(annotations or {})},
    }


def listed(query: str = "", *, at: float, resource: str = "pods", **more: Any) -> list[Json]:
    return [event("list", f"/api/v1/{resource}{query and '?'}{query}", at=at, **more)]


def watched(query: str, *, at: float, lasts: float | None, resource: str = "pods", **more: Any) -> list[Json]:
    """A watch, which is still open if it is not said how long it lasts."""
    audit_id = f"id-{next(IDS)}"
    uri = f"/api/v1/{resource}?{query}&watch=true"
    stages = [event("watch", uri, at=at, lasts=0.001, stage="ResponseStarted", audit_id=audit_id, **more)]
    if lasts is not None:
        stages.append(event("watch", uri, at=at, lasts=lasts, audit_id=audit_id, **more))
    return stages


def wrote(name: str, *, at: float, resource: str = "deployments", verb: str = "update", **more: Any) -> list[Json]:
    ref = {"resource": resource, "apiGroup": "apps", "namespace": "default", "name": name}
    return [event(verb, f"/apis/apps/v1/namespaces/default/{resource}/{name}", at=at, ref=ref, **more)]


def in_order(events: list[Json]) -> list[Json]:
    return sorted(events, key=lambda event: event["stageTimestamp"])


def lines(events: list[Json]) -> bytes:
    return b"".join(json.dumps(event, separators=(",", ":")).encode() + b"\n" for event in events)
