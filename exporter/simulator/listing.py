"""Answers one LIST as kube-apiserver does: how fresh it must be decides who answers, the watch cache or the store.

In: a watch cache and parsed options. Out: the encoded list. Knows nothing of HTTP.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from exporter.simulator.encoding import PARTIAL_API_VERSION, encode, partial_metadata
from exporter.simulator.requests import continue_token
from exporter.simulator.resources import BUILT_IN
from exporter.simulator.status import too_large_resource_version

if TYPE_CHECKING:
    from exporter.simulator.requests import ListOptions
    from exporter.simulator.resources import JsonObject, Resource
    from exporter.simulator.store import Objects
    from exporter.simulator.watch_cache import WatchCache


async def list_objects(cache: WatchCache, options: ListOptions, *, metadata_only: bool) -> bytes:
    """The list as JSON. Raises ApiError 429 or 504 as the watch cache does."""
    revision, objects = await _read(cache, options)
    keys = sorted(
        key for key, obj in objects.items() if options.selects(obj) and key >= (options.start_key or ("", ""))
    )
    metadata: JsonObject = {"resourceVersion": str(revision)}
    # kube-apiserver's watch cache ignores the limit of a LIST that may be stale.
    if options.limit and options.revision != 0 and len(keys) > options.limit:
        metadata["continue"] = continue_token(keys[options.limit])
        metadata["remainingItemCount"] = len(keys) - options.limit
        keys = keys[: options.limit]
    return _encode(cache.resource, metadata, [objects[key] for key in keys], metadata_only=metadata_only)


async def _read(cache: WatchCache, options: ListOptions) -> tuple[int, Objects]:
    if not cache.resource.has_watch_cache:
        return await _from_store(cache)
    if options.revision is None:
        await cache.store.reachable()
        if cache.is_ready and await cache.reaches(cache.store.revision):
            return cache.revision, cache.objects
        return await _from_store(cache)
    cache.require_ready()
    if options.revision > 0 and not await cache.reaches(options.revision):
        raise too_large_resource_version(options.revision, cache.revision)
    return cache.revision, cache.objects


async def _from_store(cache: WatchCache) -> tuple[int, Objects]:
    await cache.store.reachable()
    return cache.store.revision_ago(cache.faults.stale_reads_seconds), cache.store.objects(cache.resource)


def _encode(resource: Resource, metadata: JsonObject, objects: list[JsonObject], *, metadata_only: bool) -> bytes:
    if metadata_only:
        # kube-apiserver says null for no items here, and [] in the other form.
        items = [msgspec.Raw(encode(partial_metadata(obj))) for obj in objects] or None
        kind, api_version = "PartialObjectMetadataList", PARTIAL_API_VERSION
    else:
        # Items of built-in kinds do not repeat what the list says of all of them.
        left_out = {"kind", "apiVersion"} if resource in BUILT_IN else set()
        items = [msgspec.Raw(encode({k: v for k, v in obj.items() if k not in left_out})) for obj in objects]
        kind, api_version = f"{resource.kind}List", resource.api_version
    return encode({"kind": kind, "apiVersion": api_version, "metadata": metadata, "items": items})
