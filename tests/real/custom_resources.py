"""CustomResourceDefinitions for tests: names and versions in, a resource that is served out."""

from dataclasses import dataclass

from tests.real.api import ApiClient, ApiError, Json
from tests.support.waiting import wait_until

DEFINITIONS_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@dataclass(frozen=True, slots=True)
class CustomResource:
    """A namespaced kind with status and scale subresources. The first of `versions` is the stored one."""

    group: str = "example.com"
    plural: str = "widgets"
    versions: tuple[str, ...] = ("v1",)

    @property
    def name(self) -> str:
        """The definition's name, `widgets.example.com`."""
        return f"{self.plural}.{self.group}"

    @property
    def kind(self) -> str:
        """`Widget`."""
        return self.plural.removesuffix("s").capitalize()

    def path(self, namespace: str | None = "default", *, version: str | None = None) -> str:
        """The collection's path, in one namespace or (None) in all."""
        folder = f"/apis/{self.group}/{version or self.versions[0]}"
        return f"{folder}/{self.plural}" if namespace is None else f"{folder}/namespaces/{namespace}/{self.plural}"

    def object(self, name: str, *, version: str | None = None) -> Json:
        """A new object of this kind."""
        metadata = {"name": name}
        api_version = f"{self.group}/{version or self.versions[0]}"
        return {"apiVersion": api_version, "kind": self.kind, "metadata": metadata, "spec": {"replicas": 1}}

    def definition(self, conversion: Json | None = None) -> Json:
        """The CustomResourceDefinition; `conversion` is its spec.conversion."""
        spec = {
            "group": self.group,
            "scope": "Namespaced",
            "names": {"plural": self.plural, "singular": self.kind.lower(), "kind": self.kind},
            "versions": [self._version(version) for version in self.versions],
        }
        if conversion is not None:
            spec["conversion"] = conversion
        return {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": self.name},
            "spec": spec,
        }

    def _version(self, version: str) -> Json:
        anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        replicas = {"properties": {"replicas": {"type": "integer"}}}
        schema = {"type": "object", "properties": {"spec": anything | replicas, "status": anything | replicas}}
        scale = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}
        return {
            "name": version,
            "served": True,
            "storage": version == self.versions[0],
            "schema": {"openAPIV3Schema": schema},
            "subresources": {"status": {}, "scale": scale},
        }


async def create(client: ApiClient, resource: CustomResource, conversion: Json | None = None) -> None:
    """Creates the definition. It is served a moment later: see `wait_served`."""
    await client.post(DEFINITIONS_PATH, resource.definition(conversion))


async def delete(client: ApiClient, resource: CustomResource) -> None:
    """Deletes the definition, and with it every object of the kind."""
    await client.delete(f"{DEFINITIONS_PATH}/{resource.name}")


async def wait_served(client: ApiClient, resource: CustomResource) -> None:
    """Wait until this server lists the resource in all its versions. Raises TimeoutError."""

    async def is_served() -> bool:
        return all([await _is_listed(client, resource.path(version=version)) for version in resource.versions])

    await wait_until(is_served, f"{resource.name} is served")


async def _is_listed(client: ApiClient, path: str) -> bool:
    try:
        await client.get(path, limit="1")
    except ApiError as error:
        # 429 while the resource's new watch cache fills.
        if error.status in {404, 429, 503}:
            return False
        raise
    return True
