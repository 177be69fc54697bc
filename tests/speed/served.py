"""The answers of the replay other than watches: discovery, its own endpoints, and LISTs that match nothing."""

import json
from collections.abc import Sequence

from tests.speed import protobuf
from tests.speed.protobuf import Field

GROUP, VERSION = "speed.example.com", "v1"
ADDRESS = "127.0.0.1"


def resources(count: int) -> list[str]:
    """The names of so many resources for the exporter's flags: pods, then custom resources."""
    return ["pods", *(f"things{number:02d}.{GROUP}" for number in range(1, count))]


def plural(resource: str) -> str:
    """The last part of its path."""
    return resource.partition(".")[0]


def discovery(path: str, served: Sequence[str]) -> bytes | None:
    """The discovery document at `path`; None for any other path."""
    custom = [plural(resource) for resource in served if resource != "pods"]
    group_version = {"groupVersion": f"{GROUP}/{VERSION}", "version": VERSION}
    group = {"name": GROUP, "versions": [group_version], "preferredVersion": group_version}
    documents: dict[str, object] = {
        "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": [_resource("pods")]},
        f"/apis/{GROUP}": {"kind": "APIGroup", **group},
        f"/apis/{GROUP}/{VERSION}": {"kind": "APIResourceList", "resources": [_resource(name) for name in custom]},
    }
    document = documents.get(path)
    return json.dumps(document).encode() if document is not None else None


def _resource(name: str) -> dict[str, object]:
    return {"name": name, "singularName": "", "namespaced": True, "kind": name.title(), "verbs": ["list", "watch"]}


def endpoint_slices(ports: Sequence[int]) -> bytes:
    """The EndpointSlices of default/kubernetes: each port is an apiserver."""
    items = [{"endpoints": [{"addresses": [ADDRESS]}], "ports": [{"name": "https", "port": port}]} for port in ports]
    return json.dumps({"kind": "EndpointSliceList", "items": items}).encode()


def empty_list(revision: int, *, as_protobuf: bool) -> tuple[str, bytes]:
    """Content type and body of a LIST that matches nothing."""
    if not as_protobuf:
        body = (
            '{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1",'
            f'"metadata":{{"resourceVersion":"{revision}"}},"items":[]}}\n'
        )
        return "application/json", body.encode()
    list_metadata = protobuf.message([Field(2, str(revision).encode())])
    type_metadata = protobuf.message([Field(1, b"meta.k8s.io/v1"), Field(2, b"PartialObjectMetadataList")])
    unknown = protobuf.message([Field(1, type_metadata), Field(2, protobuf.message([Field(1, list_metadata)]))])
    return "application/vnd.kubernetes.protobuf", b"k8s\0" + unknown
