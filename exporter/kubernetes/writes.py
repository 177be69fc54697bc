"""Canary writes: the objects to write to, and one write with its revision and the interval of its commit."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, NamedTuple

import aiohttp
import msgspec

from exporter.config import ResourceName
from exporter.kubernetes.api_discovery import find
from exporter.kubernetes.errors import translated
from exporter.kubernetes.resources import Resource
from exporter.kubernetes.session import METADATA_WATCH, UNREADABLE, AnswerError, Request, refusal
from exporter.measure.canaries import Canary
from exporter.measure.events import revision_of
from exporter.wording.quoting import quoted

if TYPE_CHECKING:
    from exporter.config import Config
    from exporter.credentials import Credentials
    from exporter.kubernetes.session import ApiSession

WRITTEN = "canary.watchslo.dev/written"
"""The annotation. Its value is our wall-clock time in nanoseconds since the epoch, and a random word."""

MERGE_PATCH = "application/merge-patch+json"
WRITE_LIMIT = aiohttp.ClientTimeout(total=10.0)

PODS = Resource("", "v1", "pods", is_namespaced=True)
NODES = Resource("", "v1", "nodes", is_namespaced=False)
CANARIES = Resource("watchslo.dev", "v1", "canaries", is_namespaced=True)


class CanaryObject(NamedTuple):
    """An existing object that we write to. We create none, because RBAC cannot limit `create` to names."""

    resource: Resource
    namespace: str | None
    name: str

    def __str__(self) -> str:
        return f"{self.resource} {f'{self.namespace}/' if self.namespace else ''}{self.name}"

    @property
    def path(self) -> str:
        """The path of the object."""
        return f"{self.resource.path(self.namespace)}/{self.name}"


def canary_objects(config: Config, credentials: Credentials) -> list[CanaryObject]:
    """The configured objects; if there are none, our own Pod, if we run in the cluster and watch its Pods.

    Every informer of Pods receives each write to a Pod, so Pods are written only if canaries are enabled.
    """
    if not config.canary_interval_seconds:
        return []
    home = config.namespace or credentials.pod_namespace or "default"
    objects = []
    if config.canary_pod is not None:
        objects.append(_namespaced(PODS, config.canary_pod, home))
    if config.canary_node is not None:
        objects.append(CanaryObject(NODES, None, config.canary_node))
    if config.canary_custom_resource is not None:
        objects.append(_namespaced(CANARIES, config.canary_custom_resource, home))
    if not objects and credentials.pod_namespace is not None and _watches_pods_of(config, credentials.pod_namespace):
        objects.append(CanaryObject(PODS, credentials.pod_namespace, credentials.pod_name))
    return objects


def why_no_canary(config: Config, credentials: Credentials) -> str | None:
    """An error message if canaries are enabled without an object to write to; else None."""
    if not config.canary_interval_seconds or canary_objects(config, credentials):
        return None
    sentence = "--canary.interval: there is nothing to write to"
    if config.watches(PODS.group, PODS.plural) and credentials.pod_namespace is not None:
        outside, watched = quoted(credentials.pod_namespace), quoted(str(config.namespace))
        sentence += f", since the exporter's own Pod is in the namespace {outside} and only {watched} is watched"
    return f"{sentence}: name an object with --canary.pod, --canary.node or --canary.custom-resource"


def _watches_pods_of(config: Config, namespace: str) -> bool:
    return config.watches(PODS.group, PODS.plural) and config.namespace in {None, namespace}


def _namespaced(resource: Resource, text: str, home: str) -> CanaryObject:
    namespace, _, name = text.rpartition("/")
    return CanaryObject(resource, namespace or home, name)


class _Annotations(msgspec.Struct, frozen=True, rename={"written": WRITTEN}):
    """Our annotation. Others are skipped while decoding."""

    written: str = ""


class _Metadata(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    annotations: _Annotations = _Annotations()


class _Answer(msgspec.Struct):
    metadata: _Metadata


async def write(session: ApiSession, what: CanaryObject) -> Canary:
    """Write once. Raises StartError, also if an admission webhook removed our annotation."""
    value = f"{time.time_ns()} {secrets.token_hex(8)}"
    with translated(what.path):
        try:
            return await _send(session, what.path, value)
        except AnswerError as error:
            if error.status == 404 and what.resource == CANARIES:  # the CRD may be missing
                await find(session, ResourceName(what.resource.plural, what.resource.group), {})
            raise


async def try_to_write(session: ApiSession, what: CanaryObject) -> None:
    """Write as a dry run. Raises AnswerError, UNREACHABLE or CredentialsError."""
    parameters = {"dryRun": "All", "fieldManager": "watchslo"}
    body = _annotated("0")
    await session.read(Request(what.path, parameters, method="PATCH", body=body, content_type=MERGE_PATCH))


def _annotated(value: str) -> dict[str, dict[str, dict[str, str]]]:
    return {"metadata": {"annotations": {WRITTEN: value}}}


async def _send(session: ApiSession, path: str, value: str) -> Canary:
    request = Request(
        path,
        {"fieldManager": "watchslo"},
        method="PATCH",
        body=_annotated(value),
        content_type=MERGE_PATCH,
        accept=METADATA_WATCH,
        purpose="canary",
        time_limit=WRITE_LIMIT,
    )
    response = await session.send(request)
    async with response:
        content = await response.read()
        answered = time.monotonic()
        if response.status >= 300:
            raise refusal(response, content)
    try:
        metadata = msgspec.json.decode(content, type=_Answer).metadata
    except UNREADABLE as error:
        raise AnswerError(response.status, f"{path}: the response is not an object ({error})") from error
    revision = revision_of(metadata.resource_version)
    if revision is None:
        raise AnswerError(response.status, f"{path}: resourceVersion {metadata.resource_version[:30]!r} in the answer")
    if metadata.annotations.written != value:
        raise AnswerError(response.status, f"{path}: the annotation {WRITTEN} is not in the answer to its write")
    return Canary(revision, response.sent_at, answered)
