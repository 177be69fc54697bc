"""JSON of what goes over the wire: objects, their metadata alone, watch events.

In: plain values. Out: bytes. Chooses by the Accept header as kube-apiserver does, and knows nothing else of HTTP.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from exporter.simulator.status import not_acceptable

if TYPE_CHECKING:
    from exporter.simulator.resources import JsonObject, Resource

encode = msgspec.json.Encoder().encode

PARTIAL_API_VERSION = "meta.k8s.io/v1"
INITIAL_EVENTS_END = {"k8s.io/initial-events-end": "true"}


def wants_metadata_only(accept: str, *, kind: str) -> bool:
    """Whether the first media type in `accept` that we can serve asks for `kind` (`PartialObjectMetadata[List]`).

    Raises ApiError 406 if we can serve none of them.
    """
    for clause in (accept or "*/*").split(","):
        media_type, *parameters = (part.strip() for part in clause.split(";"))
        if media_type not in {"application/json", "application/*", "*/*"}:
            continue
        asked = dict(parameter.partition("=")[::2] for parameter in parameters)
        if "as" not in asked:
            return False
        if (asked["as"], asked.get("g"), asked.get("v")) == (kind, "meta.k8s.io", "v1"):
            return True
    raise not_acceptable()


def partial_metadata(obj: JsonObject) -> JsonObject:
    """The object as PartialObjectMetadata: all of its metadata, nothing else."""
    return {"kind": "PartialObjectMetadata", "apiVersion": PARTIAL_API_VERSION, "metadata": obj["metadata"]}


def event_line(event_type: str, obj: bytes) -> bytes:
    """One line of a watch."""
    return b'{"type":"%s","object":%s}\n' % (event_type.encode(), obj)


def bookmark_line(resource: Resource, revision: int, *, metadata_only: bool, initial_events_end: bool = False) -> bytes:
    """A BOOKMARK event."""
    annotations = {"annotations": INITIAL_EVENTS_END} if initial_events_end else {}
    obj = {
        "kind": resource.kind,
        "apiVersion": resource.api_version,
        "metadata": {"resourceVersion": str(revision), **annotations},
    }
    return event_line("BOOKMARK", encode(partial_metadata(obj) if metadata_only else obj))
