"""The same events in each shape that clouds and tools hand them over in."""

import json
from collections.abc import Callable

from tests.audit.lines import Json, lines

EVENT_LIST = {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}}


def compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def event_list(events: list[Json]) -> bytes:
    """The body of a webhook's request."""
    return compact({**EVENT_LIST, "items": events}).encode()


def pretty_event_list(events: list[Json]) -> bytes:
    return json.dumps({**EVENT_LIST, "items": events}, indent=2).encode()


def pretty_array(events: list[Json]) -> bytes:
    return json.dumps(events, indent=2).encode()


def one_a_line_in_an_array(events: list[Json]) -> bytes:
    return b"[\n" + b",\n".join(lines([event]).strip() for event in events) + b"\n]\n"


def pretty_objects(events: list[Json]) -> bytes:
    return b"\n".join(json.dumps(event, indent=2).encode() for event in events)


def without_line_ends(events: list[Json]) -> bytes:
    return lines(events).replace(b"\n", b"")


def with_windows_line_ends(events: list[Json]) -> bytes:
    return lines(events).replace(b"\n", b"\r\n")


def cloudwatch_export(events: list[Json]) -> bytes:
    """EKS: what an export task writes into S3."""
    return b"".join(b"2026-11-29T02:02:59.000Z " + lines([event]) for event in events)


def cloudwatch_events(events: list[Json]) -> bytes:
    """EKS: what `aws logs filter-log-events` prints."""
    found = [
        {"logStreamName": "kube-apiserver-audit-1", "timestamp": 1, "message": compact(event), "eventId": str(number)}
        for number, event in enumerate(events)
    ]
    return json.dumps({"events": found, "searchedLogStreams": []}, indent=4).encode()


def cloudwatch_subscription(events: list[Json]) -> bytes:
    """EKS: what Firehose delivers, with nothing between one message and the next."""
    messages = [
        {
            "messageType": "DATA_MESSAGE",
            "owner": "1",
            "logEvents": [{"id": "1", "timestamp": 1, "message": compact(event)}],
        }
        for event in events
    ]
    return "".join(map(compact, messages)).encode()


def node_logs(events: list[Json]) -> bytes:
    """OpenShift: `oc adm node-logs --path=kube-apiserver/audit.log`."""
    return b"".join(b"ip-10-0-1-1.example.internal " + lines([event]) for event in events)


def container_log(events: list[Json]) -> bytes:
    """--audit-log-path=-, as a container runtime keeps it."""
    return b"".join(b"2026-11-29T02:02:59.123456789Z stdout F " + lines([event]) for event in events)


def aks_table(events: list[Json]) -> bytes:
    """AKSAudit as `az monitor log-analytics query` prints it: dynamic columns are texts."""
    return json.dumps([_columns(event, compact) for event in events], indent=2).encode()


def aks_dynamic(events: list[Json]) -> bytes:
    """AKSAudit from a data export: a line each."""
    return b"".join(compact(_columns(event, lambda value: value)).encode() + b"\n" for event in events)


def azure_diagnostics(events: list[Json]) -> bytes:
    """AzureDiagnostics: the event as a text in one column."""
    return json.dumps([{"Category": "kube-audit", "log_s": compact(event)} for event in events], indent=2).encode()


def azure_event_hub(events: list[Json]) -> bytes:
    records = [{"category": "kube-audit", "properties": {"log": compact(event), "pod": "x"}} for event in events]
    return compact({"records": records}).encode()


def _columns(event: Json, dynamic: Callable[[object], object]) -> Json:
    return {
        "AuditId": event["auditID"],
        "Level": event["level"],
        "AuditStage": event["stage"],
        "RequestUri": event["requestURI"],
        "Verb": event["verb"],
        "User": dynamic(event["user"]),
        "SourceIps": dynamic(event["sourceIPs"]),
        "UserAgent": event["userAgent"],
        "ObjectRef": dynamic(event["objectRef"]),
        "ResponseStatus": dynamic(event["responseStatus"]),
        "RequestReceivedTime": event["requestReceivedTimestamp"],
        "StageReceivedTime": event["stageTimestamp"],
        "Annotations": dynamic(event["annotations"]),
        "ImpersonatedUser": dynamic(None) if dynamic is not compact else "",
        "PodName": "kube-apiserver-1",
        "TenantId": "1",
    }


SHAPES: tuple[Callable[[list[Json]], bytes], ...] = (
    lines,
    event_list,
    pretty_event_list,
    pretty_array,
    one_a_line_in_an_array,
    pretty_objects,
    without_line_ends,
    with_windows_line_ends,
    cloudwatch_export,
    cloudwatch_events,
    cloudwatch_subscription,
    node_logs,
    container_log,
    aks_table,
    aks_dynamic,
    azure_diagnostics,
    azure_event_hub,
)
"""Those that say all that an apiserver writes. GKE's does not."""


def gke(method: str, name: str, at: str, *, code: int = 0, agent: str = "kubectl/v1", **more: object) -> Json:
    """An entry of Cloud Logging."""
    return {
        "protoPayload": {
            "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
            "authenticationInfo": {"principalEmail": "dev@example.com"},
            "authorizationInfo": [{"granted": True, "permission": method, "resource": name}],
            "methodName": method,
            "requestMetadata": {"callerIp": "10.0.0.9", "callerSuppliedUserAgent": agent},
            "resourceName": name,
            "serviceName": "k8s.io",
            "status": {"code": code} if code else {},
        },
        "insertId": f"insert-{at}-{method}",
        "resource": {"type": "k8s_cluster", "labels": {"cluster_name": "c"}},
        "timestamp": at,
        "receiveTimestamp": at,
        **more,
    }
