"""RBAC for a test's users: a Grant in, roles and bindings that are in force on an apiserver out."""

import itertools
from dataclasses import dataclass

from tests.real.api import ApiClient, Json
from tests.support.waiting import wait_until

RBAC_GROUP = "rbac.authorization.k8s.io"
ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


@dataclass(frozen=True, slots=True)
class Grant:
    """`user` may do `verbs` with `resources` (`pods`, `pods/status`) of one group, in `namespace` or (None) anywhere,
    with the object named `only` or (None) with all.

    `name` is that of the role and of its binding.
    """

    name: str
    user: str
    verbs: tuple[str, ...]
    api_group: str
    resources: tuple[str, ...]
    namespace: str | None
    only: str | None = None

    @property
    def kind(self) -> str:
        """The role's kind."""
        return "ClusterRole" if self.namespace is None else "Role"

    @property
    def roles(self) -> str:
        """The path of the role's collection; its bindings' is the same with `bindings` for `s`."""
        folder = "" if self.namespace is None else f"/namespaces/{self.namespace}"
        return f"/apis/{RBAC_GROUP}/v1{folder}/{self.kind.lower()}s"

    @property
    def bindings(self) -> str:
        """The path of the binding's collection."""
        return self.roles.removesuffix("s") + "bindings"

    def access_reviews(self) -> list[Json]:
        """One SubjectAccessReview for each verb and resource."""
        reviews: list[Json] = []
        for verb, name in itertools.product(self.verbs, self.resources):
            resource, _, subresource = name.partition("/")
            attributes = {"verb": verb, "group": self.api_group, "resource": resource, "subresource": subresource}
            attributes |= {"namespace": self.namespace or "", "name": self.only or ""}
            reviews.append({"spec": {"user": self.user, "resourceAttributes": attributes}})
        return reviews


async def create(client: ApiClient, grant: Grant) -> None:
    """Creates the role and its binding. They are in force a moment later: see `wait_in_force`."""
    rule = {"verbs": list(grant.verbs), "apiGroups": [grant.api_group], "resources": list(grant.resources)}
    if grant.only is not None:
        rule["resourceNames"] = [grant.only]
    role = {"apiGroup": RBAC_GROUP, "kind": grant.kind, "name": grant.name}
    subject = {"apiGroup": RBAC_GROUP, "kind": "User", "name": grant.user}
    metadata = {"name": grant.name}
    await client.post(grant.roles, {"metadata": metadata, "rules": [rule]})
    await client.post(grant.bindings, {"metadata": metadata, "roleRef": role, "subjects": [subject]})


async def delete(client: ApiClient, grant: Grant) -> None:
    """Deletes the role and its binding. They are in force a moment longer."""
    await client.delete(f"{grant.bindings}/{grant.name}")
    await client.delete(f"{grant.roles}/{grant.name}")


async def wait_in_force(client: ApiClient, grant: Grant, *, allowed: bool) -> None:
    """Wait until this server allows everything that is granted, or nothing of it. Raises TimeoutError."""

    async def is_so() -> bool:
        answers = [await client.post(ACCESS_REVIEWS, review) for review in grant.access_reviews()]
        return {answer["status"]["allowed"] for answer in answers} == {allowed}

    await wait_until(is_so, f"{grant} allowed: {allowed}")
