"""What a write does to an object: merge patches, field managers' stamps, deletion marks.

In: the object before, what the client sent, the server's time as text. Out: a new object; none is changed in place.
Knows neither store nor clock.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exporter.simulator.resources import JsonObject


Key = tuple[str, str]  # namespace ("" for cluster-scoped kinds), name

# Written by the server on its own account: a change in them alone is no change by a client.
SERVER_SIDE = frozenset({"managedFields", "resourceVersion"})


def key_of(obj: JsonObject) -> Key:
    """Namespace and name."""
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386: null removes, objects merge, all else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for field, value in patch.items():
        if value is None:
            merged.pop(field, None)
        else:
            merged[field] = merge_patch(merged.get(field), value)
    return merged


def adds_or_changes(before: Any, after: Any) -> bool:
    """Whether `after` holds a value that `before` does not: a write that only removes moves no managedFields time."""
    if isinstance(before, dict) and isinstance(after, dict):
        return any(field not in before or adds_or_changes(before[field], value) for field, value in after.items())
    if isinstance(before, list) and isinstance(after, list):
        return any(item not in before for item in after)
    return bool(before != after)


def as_clients_see(obj: JsonObject) -> JsonObject:
    """The object without what the server writes into it."""
    metadata = {field: value for field, value in obj["metadata"].items() if field not in SERVER_SIDE}
    return {**obj, "metadata": metadata}


def with_metadata(obj: JsonObject, **fields: Any) -> JsonObject:
    """The object with these metadata fields set."""
    return {**obj, "metadata": {**obj["metadata"], **fields}}


def created(obj: JsonObject, *, timestamp: str) -> JsonObject:
    """The object with what the server gives to a new one."""
    return with_metadata(obj, uid=str(uuid.uuid4()), creationTimestamp=timestamp)


def stamped(obj: JsonObject, *, manager: str, subresource: str | None, timestamp: str) -> JsonObject:
    """The object with this manager's entry in managedFields moved to `timestamp`."""
    entry: JsonObject = {
        "manager": manager,
        "operation": "Update",
        "apiVersion": obj["apiVersion"],
        "time": timestamp,
        "fieldsType": "FieldsV1",
        "fieldsV1": {},
        **({"subresource": subresource} if subresource else {}),
    }
    identity = (manager, "Update", subresource)
    others = [
        other
        for other in obj["metadata"].get("managedFields") or []
        if (other.get("manager"), other.get("operation"), other.get("subresource")) != identity
    ]
    return with_metadata(obj, managedFields=[*others, entry])


def marked_deleted(obj: JsonObject, *, timestamp: str, grace_seconds: int) -> JsonObject:
    """The object on its way out: deletionTimestamp is when it shall be gone."""
    return with_metadata(obj, deletionTimestamp=timestamp, deletionGracePeriodSeconds=grace_seconds)
