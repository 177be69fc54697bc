"""What the simulated apiserver serves: kinds built in, and those that CustomResourceDefinitions add.

In: nothing, or the object of a CRD. Out: `Resource` values and discovery documents.
Knows nothing of stored objects or HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

JsonObject = dict[str, Any]

VERBS = ("create", "delete", "get", "list", "patch", "update", "watch")
WITHOUT_WATCH_CACHE = frozenset({"events"})
DELETED_GRACEFULLY = frozenset({"pods"})


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind as discovery tells it. `name` is how people write it: `pods`, `widgets.example.com`."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def name(self) -> str:
        """The plural, with the group unless it is the core group."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def api_version(self) -> str:
        """`v1`, or `group/version`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def has_watch_cache(self) -> bool:
        """Whether LIST is answered from a watch cache: kube-apiserver keeps none for events."""
        return self.name not in WITHOUT_WATCH_CACHE

    @property
    def deleted_gracefully(self) -> bool:
        """Whether a DELETE first only announces itself in deletionTimestamp."""
        return self.name in DELETED_GRACEFULLY


PODS = Resource("", "v1", "pods", "Pod")
NODES = Resource("", "v1", "nodes", "Node", namespaced=False)
EVENTS = Resource("", "v1", "events", "Event")
CONFIGMAPS = Resource("", "v1", "configmaps", "ConfigMap")
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
ENDPOINT_SLICES = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
CRDS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False)
BUILT_IN = (PODS, NODES, EVENTS, CONFIGMAPS, LEASES, ENDPOINT_SLICES, CRDS)


def defined_by(crd: JsonObject) -> Resource:
    """The resource that this CRD's object defines, in its first served version.

    Raises KeyError, StopIteration or TypeError for an object that lacks what every CRD has.
    """
    spec = crd["spec"]
    version = next(version["name"] for version in spec["versions"] if version.get("served", True))
    names = spec["names"]
    return Resource(spec["group"], version, names["plural"], names["kind"], namespaced=spec["scope"] == "Namespaced")


def crd_of(resource: Resource) -> JsonObject:
    """The smallest CustomResourceDefinition that makes an apiserver, simulated or real, serve `resource`."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": resource.version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": CRDS.api_version,
        "kind": CRDS.kind,
        "metadata": {"name": resource.name},
        "spec": {
            "group": resource.group,
            "names": {"plural": resource.plural, "singular": resource.kind.lower(), "kind": resource.kind},
            "scope": "Namespaced" if resource.namespaced else "Cluster",
            "versions": [{**version, "subresources": {"status": {}}}],
        },
    }


def established(crd: JsonObject, *, timestamp: str) -> JsonObject:
    """The CRD's object with the conditions that say that it is served (a real apiserver takes a moment for that)."""
    conditions = [
        {"type": condition, "status": "True", "lastTransitionTime": timestamp, "reason": reason, "message": ""}
        for condition, reason in (("NamesAccepted", "NoConflicts"), ("Established", "InitialNamesAccepted"))
    ]
    spec = crd["spec"]
    stored = [version["name"] for version in spec["versions"] if version.get("storage")]
    return {**crd, "status": {"conditions": conditions, "acceptedNames": spec["names"], "storedVersions": stored}}


def api_versions() -> JsonObject:
    """What `/api` answers."""
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def api_group_list(resources: Iterable[Resource]) -> JsonObject:
    """What `/apis` answers."""
    versions: dict[str, list[JsonObject]] = {}
    for resource in resources:
        served = {"groupVersion": resource.api_version, "version": resource.version}
        if resource.group and served not in versions.setdefault(resource.group, []):
            versions[resource.group].append(served)
    groups = [{"name": group, "versions": all_, "preferredVersion": all_[0]} for group, all_ in versions.items()]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def api_group(name: str, resources: Iterable[Resource]) -> JsonObject | None:
    """What `/apis/GROUP` answers; None if nothing of that group is served."""
    for group in api_group_list(resources)["groups"]:
        if group["name"] == name:
            return {"kind": "APIGroup", "apiVersion": "v1", **group}
    return None


def api_resource_list(api_version: str, resources: Iterable[Resource]) -> JsonObject | None:
    """What `/api/v1` or `/apis/GROUP/VERSION` answers; None if nothing is served there."""
    served = [resource for resource in resources if resource.api_version == api_version]
    if not served:
        return None
    entries: list[JsonObject] = []
    for resource in served:
        entry = {"namespaced": resource.namespaced, "kind": resource.kind}
        entries.append(
            {"name": resource.plural, "singularName": resource.kind.lower(), **entry, "verbs": list(VERBS)},
        )
        if resource in (PODS, NODES) or resource not in BUILT_IN:
            verbs = ["get", "patch", "update"]
            entries.append({"name": f"{resource.plural}/status", "singularName": "", **entry, "verbs": verbs})
    kind = {"kind": "APIResourceList"} if api_version == "v1" else {"kind": "APIResourceList", "apiVersion": "v1"}
    return {**kind, "groupVersion": api_version, "resources": entries}
