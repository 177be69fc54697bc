"""Names of resources in, what discovery says of them out: group, version, path, scope."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import msgspec

from exporter.kubernetes.session import AnswerError, Request

if TYPE_CHECKING:
    from exporter.config import ResourceName
    from exporter.kubernetes.session import ApiSession

NO_SUCH_NAME = "watchslo-matches-nothing"
"""A name that selects nothing: an empty LIST costs the apiserver next to nothing and still says the revision."""


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
"""Groups that kube-apiserver serves itself (pkg/controlplane/instance.go). One that is missing here does no harm."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind as one version of its API group serves it."""

    group: str
    version: str
    plural: str
    is_namespaced: bool

    def __str__(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def is_lease(self) -> bool:
        """Whether its objects say in their spec when they were written: of all others metadata is enough."""
        return (self.group, self.plural) == (LEASES.group, LEASES.plural)

    @property
    def is_built_in(self) -> bool:
        """Whether it is certain that kube-apiserver itself answers for it, and no aggregated API behind it."""
        return self.group in BUILT_IN_GROUPS

    def path(self, namespace: str | None = None) -> str:
        """The collection's path: of one namespace, or of all."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{namespace}" if namespace and self.is_namespaced else ""
        return f"{root}{scope}/{self.plural}"

    def empty_list(self, namespace: str | None, *, from_cache: bool = False) -> tuple[str, dict[str, str]]:
        """Path and parameters of a LIST that matches nothing, cheaply: one key is looked up, nothing is scanned.

        It says the revision of the store, or the one that this apiserver's watch cache has reached (`from_cache`).

        A name selector is cheap only within one namespace, so one is named where all are watched.
        """
        parameters = {"limit": "1", "fieldSelector": f"metadata.name={NO_SUCH_NAME}"}
        if from_cache:
            parameters["resourceVersion"] = "0"
        return self.path(namespace or "default"), parameters


EVENTS = Resource("", "v1", "events", is_namespaced=True)
LEASES = Resource("coordination.k8s.io", "v1", "leases", is_namespaced=True)
CUSTOM_RESOURCE_DEFINITIONS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", is_namespaced=False)

QUIET_KINDS = (
    EVENTS,  # has no watch cache by default: its LIST reads etcd and waits for nothing
    CUSTOM_RESOURCE_DEFINITIONS,
    Resource("", "v1", "configmaps", is_namespaced=True),
    LEASES,
)
"""What revision clocks poll, in the order of preference: the first that we may list and that is in the same store."""


Name = Annotated[str, msgspec.Meta(max_length=253)]
"""As long as Kubernetes lets the name of anything be."""

MOST_VERSIONS = 32
"""Of one group; each may have to be asked."""


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
    """There is no such resource."""


async def discover(session: ApiSession, name: ResourceName) -> Resource:
    """Find `name` as the apiserver serves it, in its preferred version unless one is named.

    Raises AnswerError (404 if it cannot be watched, NotServedError), UNREACHABLE or CredentialsError.
    """
    try:
        found = await _found(session, name)
    except AnswerError as error:
        # Where a whole group is missing, the apiserver's own words name nothing.
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
