"""Which permissions each feature needs, whether the apiserver grants them, and which user it knows us as.

A SelfSubjectAccessReview gives the authorizer's answer without sending the request itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from exporter.kubernetes.resources import NO_SUCH_NAME, Resource
from exporter.kubernetes.session import AnswerError, Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.kubernetes.session import ApiSession
    from exporter.kubernetes.writes import CanaryObject

SELF_ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
SELF_REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"

TOKEN_REVIEWS = Resource("authentication.k8s.io", "v1", "tokenreviews", is_namespaced=False)
ACCESS_REVIEWS = Resource("authorization.k8s.io", "v1", "subjectaccessreviews", is_namespaced=False)


class Permission(msgspec.Struct, frozen=True):
    """One verb on one resource, in one namespace or (None) in all, for one name or (None) for all."""

    verb: str
    resource: Resource
    namespace: str | None = None
    name: str | None = None


def to_poll(resource: Resource, namespace: str | None) -> Permission:
    """What a poll needs (`Resource.empty_list`): the authorizer sees the name in the field selector."""
    return Permission("list", resource, (namespace or "default") if resource.is_namespaced else None, NO_SUCH_NAME)


def to_watch(resource: Resource, namespace: str | None) -> tuple[Permission, ...]:
    """What a stream needs: the LIST that it starts with, and the watch."""
    return to_poll(resource, namespace), Permission("watch", resource, namespace if resource.is_namespaced else None)


def to_write(what: CanaryObject) -> Permission:
    """What a canary needs."""
    return Permission("patch", what.resource, what.namespace, what.name)


def to_review() -> tuple[Permission, ...]:
    """What --web.auth-filter needs: TokenReviews and SubjectAccessReviews."""
    return Permission("create", TOKEN_REVIEWS), Permission("create", ACCESS_REVIEWS)


class _AccessStatus(msgspec.Struct):
    allowed: bool = False


class AccessReview(msgspec.Struct):
    """The answer to a SelfSubjectAccessReview or a SubjectAccessReview."""

    status: _AccessStatus


class _User(msgspec.Struct):
    username: str = ""


class _SelfStatus(msgspec.Struct, rename="camel"):
    user_info: _User


class _SelfReview(msgspec.Struct):
    status: _SelfStatus


async def is_allowed(session: ApiSession, permission: Permission) -> bool:
    """Whether we have the permission. Raises AnswerError, UNREACHABLE or CredentialsError."""
    attributes = {
        "verb": permission.verb,
        "group": permission.resource.group,
        "version": permission.resource.version,
        "resource": permission.resource.plural,
        "namespace": permission.namespace or "",
        "name": permission.name or "",
    }
    return await _ask(session, {"resourceAttributes": attributes})


async def _ask(session: ApiSession, spec: Mapping[str, Mapping[str, str]]) -> bool:
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec}
    answer = await session.read_json(AccessReview, Request(SELF_ACCESS_REVIEWS, method="POST", body=review))
    return answer.status.allowed


async def may_get(session: ApiSession, path: str) -> bool:
    """Whether we may get a path that is no resource's. Raises AnswerError, UNREACHABLE or CredentialsError."""
    return await _ask(session, {"nonResourceAttributes": {"path": path, "verb": "get"}})


async def own_name(session: ApiSession) -> str | None:
    """Our user name at the apiserver; None if that is not available (before 1.28) or forbidden.

    Raises AnswerError (401 if our credentials are not accepted), UNREACHABLE or CredentialsError.
    """
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    try:
        answer = await session.read_json(_SelfReview, Request(SELF_REVIEWS, method="POST", body=review))
    except AnswerError as error:
        if error.status not in {403, 404}:
            raise
        return None
    return answer.status.user_info.username or None
