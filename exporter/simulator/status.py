"""The refusals of an apiserver, in its own words.

In: what was asked for. Out: an `ApiError` that carries a metav1.Status. Knows nothing of HTTP but the code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exporter.simulator.resources import Resource


class ApiError(Exception):
    """A request that fails. `status` is the body, `retry_after_seconds` the header if not None."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: dict[str, Any] | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after_seconds = retry_after_seconds
        self.status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            **({"details": details} if details else {}),
            "code": code,
        }


def _details(resource: Resource, name: str | None) -> dict[str, Any]:
    named = {"name": name} if name else {}
    return {**named, **({"group": resource.group} if resource.group else {}), "kind": resource.plural}


def success(**fields: Any) -> dict[str, Any]:
    """The Status of a request that has no object to answer with."""
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", **fields}


def deleted(resource: Resource, obj: dict[str, Any]) -> dict[str, Any]:
    """The Status of a delete that is done."""
    metadata = obj["metadata"]
    return success(details={**_details(resource, metadata["name"]), "uid": metadata["uid"]})


def bad_request(message: str) -> ApiError:
    """The request makes no sense."""
    return ApiError(400, "BadRequest", message)


def unauthorized(retry_after_seconds: int | None = None) -> ApiError:
    """No token, or one that nobody knows."""
    return ApiError(401, "Unauthorized", "Unauthorized", retry_after_seconds=retry_after_seconds)


def forbidden(user: str, verb: str, resource: Resource, namespace: str | None, name: str | None) -> ApiError:
    """RBAC says no."""
    scope = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    named = f' "{name}"' if name else ""
    message = (
        f'{resource.name}{named} is forbidden: User "{user}" cannot {verb} resource "{resource.plural}" '
        f'in API group "{resource.group}" {scope}'
    )
    return ApiError(403, "Forbidden", message, details=_details(resource, name))


def not_found(resource: Resource, name: str) -> ApiError:
    """No object of this name."""
    return ApiError(404, "NotFound", f'{resource.name} "{name}" not found', details=_details(resource, name))


def no_such_resource() -> ApiError:
    """The group and version are served, the resource is not."""
    return ApiError(404, "NotFound", "the server could not find the requested resource")


def method_not_allowed() -> ApiError:
    """The path exists, the method does not."""
    return ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")


def not_acceptable() -> ApiError:
    """Nothing in Accept that this server could answer with."""
    message = "only the following media types are accepted: application/json"
    return ApiError(406, "NotAcceptable", message)


def already_exists(resource: Resource, name: str) -> ApiError:
    """A create of what is there."""
    return ApiError(409, "AlreadyExists", f'{resource.name} "{name}" already exists', details=_details(resource, name))


def conflict(resource: Resource, name: str) -> ApiError:
    """A write that names a resourceVersion which is not the newest."""
    message = (
        f'Operation cannot be fulfilled on {resource.name} "{name}": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    return ApiError(409, "Conflict", message, details=_details(resource, name))


def expired(resource: Resource, asked_revision: int, forgotten_revision: int) -> ApiError:
    """A watch from before what the watch cache remembers."""
    message = f"too old resource version: {asked_revision} ({forgotten_revision})"
    if not resource.has_watch_cache:
        message = "The resourceVersion for the provided watch is too old."
    return ApiError(410, "Expired", message)


def not_ready(retry_after_seconds: int) -> ApiError:
    """The watch cache is being filled."""
    return ApiError(
        429,
        "TooManyRequests",
        "storage is (re)initializing",
        details={"retryAfterSeconds": retry_after_seconds},
        retry_after_seconds=retry_after_seconds,
    )


def rejected(code: int, retry_after_seconds: int) -> ApiError:
    """Priority and fairness, a shutdown, or an apiserver that has just started turns the request away."""
    if code == 401:
        return unauthorized(retry_after_seconds)
    reason, message = ("TooManyRequests", "too many requests, please try again later")
    if code != 429:
        reason, message = ("ServiceUnavailable", "the server is currently unable to handle the request")
    details = {"retryAfterSeconds": retry_after_seconds}
    return ApiError(code, reason, message, details=details, retry_after_seconds=retry_after_seconds)


def too_large_resource_version(asked_revision: int, revision: int) -> ApiError:
    """The cache did not reach the revision in time."""
    message = f"Timeout: Too large resource version: {asked_revision}, current: {revision}"
    causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    return ApiError(504, "Timeout", message, details={"causes": causes, "retryAfterSeconds": 1}, retry_after_seconds=1)
