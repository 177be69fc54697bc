"""What each HTTP request gets: discovery, LIST, GET, writes, access reviews, refusals.

In: requests. Out: answers with the headers of a kube-apiserver: Date when the headers are written, Audit-Id, no Server.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from exporter.simulator import listing, resources, status, watching
from exporter.simulator.encoding import encode, partial_metadata, wants_metadata_only
from exporter.simulator.objects import merge_patch, with_metadata
from exporter.simulator.requests import ListOptions, ResourcePath, parse_options, parse_path
from exporter.simulator.status import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.simulator.apiserver import Apiserver
    from exporter.simulator.resources import JsonObject, Resource

VERSION = {"major": "1", "minor": "36", "gitVersion": "v1.36.3", "platform": "simulated"}
ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
HEALTH_PATHS = frozenset({"/livez", "/readyz", "/healthz"})
LARGEST_BODY_BYTES = 3 * 1024 * 1024
WRITE_VERBS = {"POST": "create", "PATCH": "patch", "PUT": "update", "DELETE": "delete"}
MERGE_PATCHES = frozenset({"application/merge-patch+json", "application/strategic-merge-patch+json"})
HTML = "<!DOCTYPE html><html><body>Please log in.</body></html>"


def _json(value: JsonObject | bytes, code: int = 200) -> web.Response:
    body = value if isinstance(value, bytes) else encode(value)
    return web.Response(body=body, status=code, content_type="application/json")


class Handlers:
    """The HTTP side of one apiserver."""

    def __init__(self, apiserver: Apiserver, tokens: dict[str, str]) -> None:
        self._apiserver = apiserver
        self._tokens = tokens

    def runner(self, *, idle_timeout_seconds: float) -> web.AppRunner:
        """What makes protocols for connections."""
        app = web.Application(client_max_size=LARGEST_BODY_BYTES)
        app.router.add_route("*", "/{path:.*}", self.answer)
        app.on_response_prepare.append(self.put_headers)
        return web.AppRunner(
            app,
            access_log=None,
            handler_cancellation=True,
            keepalive_timeout=idle_timeout_seconds,
            shutdown_timeout=0.1,
        )

    async def put_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """Give an answer what every answer of a kube-apiserver has; called when its headers are about to be written."""
        path = parse_path(request.path)
        name = ".".join(filter(None, (path.plural, path.group))) if path is not None else ""
        ahead_seconds = self._apiserver.faults.aggregated_clocks.get(name, 0.0)
        response.headers["Date"] = self._apiserver.clock.http_date(ahead_seconds=ahead_seconds)
        response.headers["Audit-Id"] = str(uuid.uuid4())
        response.headers["Cache-Control"] = "no-cache, private"
        response.headers.pop("Server", None)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, refusals included."""
        try:
            user = self._user(request)
            path = parse_path(request.path)
            resource = self._apiserver.resource_at(path.group, path.version, path.plural) if path else None
            if path is not None and resource is not None:
                return await self._answer_for(request, user, path, resource)
            return await self._answer_other(request, user)
        except ApiError as error:
            response = _json(error.status, error.code)
            if error.retry_after_seconds is not None:
                response.headers["Retry-After"] = str(error.retry_after_seconds)
            return response

    def _user(self, request: web.Request) -> str:
        if not self._tokens:
            return "kubernetes-admin"
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or token not in self._tokens:
            raise status.unauthorized()
        return self._tokens[token]

    async def _answer_other(self, request: web.Request, user: str) -> web.Response:
        if request.path in HEALTH_PATHS:
            return web.Response(text="ok")
        if request.path == ACCESS_REVIEWS and request.method == "POST":
            return await self._review_access(request, user)
        document = self._discovery(request.path)
        if document is not None:
            return _json(document)
        path = parse_path(request.path)
        if path is not None and any(
            (path.group, path.version) == (resource.group, resource.version) for resource in self._apiserver.resources()
        ):
            raise status.no_such_resource()
        return web.Response(text="404 page not found\n", status=404)

    def _discovery(self, path: str) -> JsonObject | None:
        served = self._apiserver.resources()
        at_the_top = {"/version": VERSION, "/api": resources.api_versions(), "/apis": resources.api_group_list(served)}
        if path in at_the_top:
            return at_the_top[path]
        match path.strip("/").split("/"):
            case ["api", version]:
                return resources.api_resource_list(version, served)
            case ["apis", group]:
                return resources.api_group(group, served)
            case ["apis", group, version]:
                return resources.api_resource_list(f"{group}/{version}", served)
        return None

    async def _review_access(self, request: web.Request, user: str) -> web.Response:
        review = await _body(request)
        attributes = review.get("spec", {}).get("resourceAttributes") or {}
        group, plural = attributes.get("group", ""), attributes.get("resource", "")
        name = f"{plural}.{group}" if group else plural
        allowed = self._apiserver.faults.permits(user, attributes.get("verb", ""), name)
        return _json({**review, "status": {"allowed": allowed}}, 201)

    async def _answer_for(
        self, request: web.Request, user: str, path: ResourcePath, resource: Resource
    ) -> web.StreamResponse:
        options = parse_options(path, request.query)
        verb = _verb(request.method, path, options)
        faults = self._apiserver.faults
        if faults.rejection is not None and faults.rejection.concerns(verb, resource.name):
            raise status.rejected(faults.rejection.status, faults.rejection.retry_after_seconds)
        if not faults.permits(user, verb, resource.name):
            raise status.forbidden(user, verb, resource, path.namespace, path.name)
        if verb in faults.html_verbs:
            return web.Response(text=HTML, content_type="text/html")
        if verb == "list":
            return await self._list(request, options, resource)
        if verb == "watch":
            return await self._watch(request, options, resource)
        return await (self._get if verb == "get" else self._write)(request, verb, path, resource)

    # Reading.

    async def _list(self, request: web.Request, options: ListOptions, resource: Resource) -> web.Response:
        metadata_only = wants_metadata_only(request.headers.get("Accept", ""), kind="PartialObjectMetadataList")
        cache = self._apiserver.cache_of(resource)
        return _json(await listing.list_objects(cache, options, metadata_only=metadata_only))

    async def _watch(self, request: web.Request, options: ListOptions, resource: Resource) -> web.StreamResponse:
        metadata_only = wants_metadata_only(request.headers.get("Accept", ""), kind="PartialObjectMetadata")
        return await watching.watch(
            request,
            options,
            self._apiserver.cache_of(resource),
            metadata_only=metadata_only,
            delivered=self._apiserver.delivered,
        )

    async def _get(self, request: web.Request, _: str, path: ResourcePath, resource: Resource) -> web.Response:
        store = self._apiserver.stores.of(resource)
        await store.reachable()
        obj = store.objects(resource).get(path.key)
        if obj is None:
            raise status.not_found(resource, path.key[1])
        return _object(request, obj)

    # Writing.

    async def _write(self, request: web.Request, verb: str, path: ResourcePath, resource: Resource) -> web.Response:
        registry = self._apiserver.registry
        manager = request.query.get("fieldManager") or request.headers.get("User-Agent", "").split("/", 1)[0]
        body = await _body(request)
        if request.query.get("dryRun") == "All" and verb in {"create", "patch"}:
            # Nothing is kept; what admission would change is not simulated.
            return _json(body, 201) if verb == "create" else await self._get(request, verb, path, resource)
        if verb == "create" and path.subresource == "binding":
            await registry.bind(resource, path.key, body.get("target", {}).get("name", ""))
            return _json(status.success(code=201), 201)
        if verb == "create":
            obj = await registry.create(resource, _in_namespace(body, path), manager=manager)
            return _object(request, obj, 201)
        if verb == "delete":
            grace = body.get("gracePeriodSeconds", request.query.get("gracePeriodSeconds"))
            grace_seconds = None if grace is None else int(grace)
            obj = await registry.delete(resource, path.key, grace_seconds=grace_seconds)
            # Only what lingers, or lingered, is shown once more.
            lingers = resource.deleted_gracefully or "deletionTimestamp" in obj["metadata"]
            return _object(request, obj) if lingers else _json(status.deleted(resource, obj))
        if verb == "patch" and request.content_type not in MERGE_PATCHES:
            raise ApiError(415, "UnsupportedMediaType", "only merge patches are supported here")
        transform = _replacing(body, path) if verb == "update" else _patching(body, path)
        return _object(
            request,
            await registry.update(resource, path.key, transform, manager=manager, subresource=path.subresource),
        )


def _verb(method: str, path: ResourcePath, options: ListOptions) -> str:
    if method == "GET":
        if options.watch:
            return "watch"
        return "list" if path.name is None else "get"
    verb = WRITE_VERBS.get(method)
    creates = verb == "create" and (path.name is None or path.subresource == "binding")
    changes = verb in {"patch", "update", "delete"} and path.name is not None
    if verb is None or not (creates or changes):
        raise status.method_not_allowed()
    return verb


def _object(request: web.Request, obj: JsonObject, code: int = 200) -> web.Response:
    metadata_only = wants_metadata_only(request.headers.get("Accept", ""), kind="PartialObjectMetadata")
    return _json(partial_metadata(obj) if metadata_only else obj, code)


async def _body(request: web.Request) -> JsonObject:
    raw = await request.read()
    if not raw:
        return {}
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise status.bad_request(f"the body is not a JSON object: {error}") from error


def _in_namespace(obj: JsonObject, path: ResourcePath) -> JsonObject:
    metadata = dict(obj.get("metadata") or {})
    if not metadata.get("name"):
        if not metadata.get("generateName"):
            raise status.bad_request("name or generateName is required")
        metadata["name"] = metadata["generateName"] + uuid.uuid4().hex[:5]
    if path.namespace:
        metadata["namespace"] = path.namespace
    return {**obj, "metadata": metadata}


def _patching(patch: JsonObject, path: ResourcePath) -> Callable[[JsonObject], JsonObject]:
    def patched(before: JsonObject) -> JsonObject:
        return _only_subresource(before, merge_patch(before, patch), path)

    return patched


def _replacing(obj: JsonObject, path: ResourcePath) -> Callable[[JsonObject], JsonObject]:
    def replaced(before: JsonObject) -> JsonObject:
        kept = {
            field: before["metadata"][field] for field in ("uid", "creationTimestamp") if field in before["metadata"]
        }
        return _only_subresource(before, with_metadata(_in_namespace(obj, path), **kept), path)

    return replaced


def _only_subresource(before: JsonObject, after: JsonObject, path: ResourcePath) -> JsonObject:
    # Under /status a writer may change the status and nothing else but metadata.
    if path.subresource != "status":
        return after
    return {**before, "metadata": after["metadata"], "status": after.get("status", {})}
