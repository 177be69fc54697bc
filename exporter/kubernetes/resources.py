"""Resources of an apiserver, and their discovery by name: group, version, path, scope."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from exporter.kubernetes.session import AnswerError, Request
from exporter.wording.kinds import kind_name

if TYPE_CHECKING:
    from exporter.config import ResourceName
    from exporter.kubernetes.session import ApiSession

NO_SUCH_NAME = "watchslo-matches-nothing"
"""A name that matches no object: an empty LIST costs the apiserver almost nothing and still returns the revision."""


BUILT_IN_GROUPS = frozenset(
    {
        "",
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "apiregistration.k8s.io",
        "apps",
        "authentication.k8s.io",
        "authorization.k8s.io",
        "autoscaling",
        "batch",
        "certificates.k8s.io",
        "coordination.k8s.io",
        "discovery.k8s.io",
        "events.k8s.io",
        "flowcontrol.apiserver.k8s.io",
        "internal.apiserver.k8s.io",
        "networking.k8s.io",
        "node.k8s.io",
        "policy",
        "rbac.authorization.k8s.io",
        "resource.k8s.io",
        "scheduling.k8s.io",
        "storage.k8s.io",
        "storagemigration.k8s.io",
    }
)
"""Groups that kube-apiserver itself serves (pkg/controlplane/instance.go). A missing one does no harm."""


class Resource(msgspec.Struct, frozen=True):
    """One resource in one version of its API group."""

    group: str
    version: str
    plural: str
    is_namespaced: bool

    def __str__(self) -> str:
        return kind_name(self.group, self.plural)

    @property
    def is_built_in(self) -> bool:
        """Whether kube-apiserver itself certainly serves it, and no aggregated API."""
        return self.group in BUILT_IN_GROUPS

    def path(self, namespace: str | None = None) -> str:
        """The path of the collection in one namespace or in all."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{namespace}" if namespace and self.is_namespaced else ""
        return f"{root}{scope}/{self.plural}"

    def empty_list(self, namespace: str | None, *, from_cache: bool = False) -> tuple[str, dict[str, str]]:
        """Path and parameters of a cheap LIST that matches nothing: it looks up one key and scans nothing.

        It returns the revision of the store or, with `from_cache`, of this apiserver's watch cache.

        A name selector is cheap only within one namespace, so `default` is used if all are watched.
        """
        parameters = {"limit": "1", "fieldSelector": f"metadata.name={NO_SUCH_NAME}"}
        if from_cache:
            parameters["resourceVersion"] = "0"
        return self.path(namespace or "default"), parameters


EVENTS = Resource("", "v1", "events", is_namespaced=True)
PODS = Resource("", "v1", "pods", is_namespaced=True)
LEASES = Resource("coordination.k8s.io", "v1", "leases", is_namespaced=True)
CUSTOM_RESOURCE_DEFINITIONS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", is_namespaced=False)

QUIET_KINDS = (
    EVENTS,  # has no watch cache by default: its LIST reads etcd without waiting for a cache
    CUSTOM_RESOURCE_DEFINITIONS,
    Resource("", "v1", "configmaps", is_namespaced=True),
    LEASES,
)
"""The kinds that revision clocks poll, by preference: the first one that we may list and that is in the same store."""


Name = Annotated[str, msgspec.Meta(max_length=253)]
"""Of the maximum length of names in Kubernetes."""

MOST_VERSIONS = 32
"""Maximum per group; each may need a request."""


class _ApiResource(msgspec.Struct):
    name: Name
    namespaced: bool
    verbs: tuple[Name, ...] = ()


class _ApiResourceList(msgspec.Struct):
    resources: list[_ApiResource]


class _GroupVersion(msgspec.Struct):
    version: Name


class _ApiGroup(msgspec.Struct):
    preferredVersion: _GroupVersion  # noqa: N815 Kubernetes' own name
    versions: Annotated[list[_GroupVersion], msgspec.Meta(max_length=MOST_VERSIONS)] = []


class NotServedError(AnswerError):
    """The apiserver does not serve the resource."""


async def discover(session: ApiSession, name: ResourceName) -> Resource:
    """Find the resource `name`, in the preferred version unless `name` contains one.

    Raises AnswerError (404 if it cannot be watched, NotServedError), UNREACHABLE or CredentialsError.
    """
    try:
        found = await _found(session, name)
    except AnswerError as error:
        # If the whole group is missing, the apiserver's message does not name the resource.
        if error.status != 404 or str(name) in str(error):
            raise
        found = None
    if found is None:
        raise NotServedError(404, f"{name} is not served here")
    return found


async def _found(session: ApiSession, name: ResourceName) -> Resource | None:
    for version in await _versions(session, name):
        path = f"/apis/{name.group}/{version}" if name.group else f"/api/{version}"
        served = await session.read_json(_ApiResourceList, Request(path))
        for resource in served.resources:
            if resource.name == name.plural:
                if not {"list", "watch"} <= set(resource.verbs):
                    raise AnswerError(404, f"{name} cannot be watched: it has no list or no watch")
                return Resource(name.group, version, name.plural, is_namespaced=resource.namespaced)
    return None


async def _versions(session: ApiSession, name: ResourceName) -> list[str]:
    if name.version is not None:
        return [name.version]
    if not name.group:
        return ["v1"]
    group = await session.read_json(_ApiGroup, Request(f"/apis/{name.group}"))
    preferred = group.preferredVersion.version
    return [preferred, *(version.version for version in group.versions if version.version != preferred)]
