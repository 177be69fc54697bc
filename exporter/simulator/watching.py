"""Answers one WATCH: initial events or history, then live events until something ends it.

In: a request and a watch cache. Out: a stream of lines over HTTP, and to the truth the moment each event went out.
"""

from __future__ import annotations

import random
import time
from functools import partial
from typing import TYPE_CHECKING

from aiohttp import web

from exporter.simulator.encoding import encode, event_line
from exporter.simulator.network import Wire
from exporter.simulator.status import ApiError, too_large_resource_version
from exporter.simulator.watcher import Outgoing, Watcher

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.simulator.requests import ListOptions
    from exporter.simulator.watch_cache import CachedEvent, WatchCache

MIN_REQUEST_TIMEOUT_SECONDS = 1800  # without timeoutSeconds a watch lasts once to twice as long


async def watch(
    request: web.Request,
    options: ListOptions,
    cache: WatchCache,
    *,
    metadata_only: bool,
    delivered: Callable[[CachedEvent, float], None],
) -> web.StreamResponse:
    """Stream events; `delivered(event, sent_seconds)` is told of each. Raises ApiError 429 before the stream begins."""
    cache.require_ready()
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    try:
        watcher = await _begin(options, cache, metadata_only=metadata_only)
    except ApiError as error:
        # Once a watch is admitted, kube-apiserver reports errors as events of a good answer.
        await response.prepare(request)
        await response.write(event_line("ERROR", encode(error.status)))
        return response
    try:
        await response.prepare(request)
        await _stream(request, response, watcher, delivered)
    except ConnectionResetError:
        pass  # the client is gone
    finally:
        watcher.end()
    return response


async def _begin(
    options: ListOptions,
    cache: WatchCache,
    *,
    metadata_only: bool,
) -> Watcher:
    from_state = not options.revision
    if options.revision is None:
        await cache.store.reachable()
        revision = cache.store.revision
        if not await cache.reaches(revision):
            raise too_large_resource_version(revision, cache.revision)
    history = [] if from_state else cache.history_since(options.revision or 0)
    watcher = Watcher(
        cache,
        revision=options.revision or cache.revision,
        selects=options.selects,
        metadata_only=metadata_only,
        buffer_events=cache.faults.watch_buffer_events,
    )
    if from_state:
        watcher.synthesize(list(cache.objects.values()), end_bookmark=options.bookmarks)
    watcher.replay(history)
    cache.attach(watcher)
    # Without a watch cache only etcd's own progress notices make bookmarks, every ten minutes.
    bookmarks = options.bookmarks and cache.resource.has_watch_cache
    watcher.set_timers(
        timeout_seconds=options.timeout_seconds or MIN_REQUEST_TIMEOUT_SECONDS * (1 + random.random()),
        bookmark_period_seconds=cache.faults.bookmark_period_seconds if bookmarks else None,
    )
    return watcher


async def _stream(
    request: web.Request,
    response: web.StreamResponse,
    watcher: Watcher,
    delivered: Callable[[CachedEvent, float], None],
) -> None:
    wire = request.transport
    if not isinstance(wire, Wire):
        raise ConnectionResetError
    wire.carries_watch = True
    try:
        while lines := await watcher.batch():
            wire.call_before_next_write(partial(_tell, lines, delivered))
            await response.write(b"".join(outgoing.line for outgoing in lines))
    finally:
        wire.carries_watch = False
    if watcher.was_cut:
        wire.abort()


def _tell(lines: list[Outgoing], delivered: Callable[[CachedEvent, float], None]) -> None:
    sent_seconds = time.monotonic()
    for outgoing in lines:
        if outgoing.event is not None:
            delivered(outgoing.event, sent_seconds)
