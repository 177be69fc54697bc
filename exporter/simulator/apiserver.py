"""One simulated kube-apiserver: its clock, its faults, its watch caches, and what can happen to it.

In: one or more stores, knobs. Out: requests answered over TCP. What each request gets is in `handlers`.
Knows nothing of the exporter, nor of other apiservers but their addresses.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from exporter.simulator.clock import WallClock
from exporter.simulator.faults import ANY, Faults
from exporter.simulator.handlers import Handlers
from exporter.simulator.network import Link
from exporter.simulator.registry import Registry
from exporter.simulator.resources import BUILT_IN, CRDS, Resource, defined_by
from exporter.simulator.watch_cache import WatchCache

if TYPE_CHECKING:
    import ssl as tls
    from collections.abc import Callable, Mapping

    from exporter.simulator.store import Change, Store, Stores
    from exporter.simulator.truth import Truth
    from exporter.simulator.watch_cache import CachedEvent

IDLE_TIMEOUT_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Listen:
    """Where to accept connections; port 0 is any free one, which is kept over restarts."""

    host: str = "127.0.0.1"
    port: int = 0
    ssl: tls.SSLContext | None = None


class Apiserver:
    """Serves what is in the stores.

    `tokens` maps bearer tokens to users; without it everyone is `kubernetes-admin`.
    """

    def __init__(
        self, stores: Stores, truth: Truth, *, listen: Listen, tokens: Mapping[str, str] | None = None
    ) -> None:
        # Thirteen: each is a part that an apiserver has.
        self.host = listen.host
        self.port = listen.port
        self.stores = stores
        self.clock = WallClock()
        self.faults = Faults()
        self.registry = Registry(stores, self.clock, self.faults)
        self._ssl = listen.ssl
        self._truth = truth
        self._caches: dict[str, WatchCache] = {}
        self._links: set[Link] = set()
        self._server: asyncio.Server | None = None
        self.handlers = Handlers(self, dict(tokens or {}))
        self._runner = self.handlers.runner(idle_timeout_seconds=IDLE_TIMEOUT_SECONDS)

    # Where it is.

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """What a client is told to connect to."""
        return f"{'https' if self._ssl else 'http'}://{self.address}"

    @property
    def is_running(self) -> bool:
        """Whether it accepts connections."""
        return self._server is not None

    async def start(self) -> None:
        """Fill the caches and listen; after a stop, on the same port as before and without history."""
        if self._runner.server is None:
            await self._runner.setup()
        for resource in (*BUILT_IN, *map(defined_by, self.stores.of(CRDS).objects(CRDS).values())):
            self._serve(resource)
        for store in self.stores:
            store.observe(self)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self.connection, self.host, self.port, ssl=self._ssl)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Go away at once, as killed: connections are cut, new ones refused, caches lost."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for store in self.stores:
            store.forget(self)
        for cache in self._caches.values():
            cache.retire()
        self._caches.clear()
        self.cut_connections()
        await asyncio.sleep(0)

    async def close(self) -> None:
        """Stop for good."""
        await self.stop()
        await self._runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def connection(self) -> asyncio.Protocol:
        """The server's side of one new connection (also for a balancer that has accepted it)."""
        assert self._runner.server is not None
        return Link(self._runner.server(), self.faults.network, self._links)

    # What it serves.

    def cache_of(self, resource: Resource | str) -> WatchCache:
        """The watch cache of a resource that is served, or of its name. Raises KeyError."""
        return self._caches[resource if isinstance(resource, str) else resource.name]

    def resources(self) -> list[Resource]:
        """All that is served."""
        return [cache.resource for cache in self._caches.values()]

    def resource_at(self, group: str, version: str, plural: str) -> Resource | None:
        """What is served under this path, if anything."""
        cache = self._caches.get(f"{plural}.{group}" if group else plural)
        return cache.resource if cache is not None and cache.resource.version == version else None

    def delivered(self, event: CachedEvent, sent_seconds: float) -> None:
        """Tell the truth that an event's bytes reach a socket now."""
        times = {"cached_seconds": event.cached_seconds, "sent_seconds": sent_seconds}
        self._truth.delivered(self.address, event.change, **times)

    def _serve(self, resource: Resource) -> None:
        self._caches[resource.name] = WatchCache(resource, self.stores.of(resource), self.faults)

    # What a store tells.

    def changed(self, change: Change) -> None:
        """A write was committed (a store calls this)."""
        if change.resource == CRDS and change.type == "ADDED":
            self._serve(defined_by(change.object))
        if change.resource == CRDS and change.type == "DELETED":
            self._caches.pop(defined_by(change.object).name).retire()
        cache = self._caches.get(change.resource.name)
        if cache is not None:
            cache.receive(change)

    def compacted(self, store: Store) -> None:
        """History is gone (a store calls this)."""
        self._for_caches(ANY, lambda cache: cache.forget_history() if cache.store is store else None)

    def restored(self, store: Store) -> None:
        """The store went back (a store calls this): the caches lose their watch on it and fill anew."""
        self._for_caches(ANY, lambda cache: cache.reinitialize() if cache.store is store else None)

    # What can happen to it.

    def end_watches(self, resource: str = ANY) -> None:
        """End the watches of the resource (`*`: all) early, as a clean EOF."""
        self._for_caches(resource, WatchCache.end_watches)

    def cut_watches(self, resource: str = ANY) -> None:
        """Abort the connections of the resource's watches."""
        self._for_caches(resource, WatchCache.cut_watches)

    def cut_connections(self) -> None:
        """Abort every connection."""
        for link in list(self._links):
            link.cut()

    def send_on_watches(self, line: bytes, resource: str = ANY) -> None:
        """Put raw bytes, such as garbage, on the resource's watches."""
        self._for_caches(resource, lambda cache: cache.send(line))

    def forget_history(self, resource: str = ANY) -> None:
        """Answer 410 to watches from before now."""
        self._for_caches(resource, WatchCache.forget_history)

    def reinitialize(self, resource: str = ANY, *, not_ready_seconds: float = 0.0) -> None:
        """End watches, answer 429 for `not_ready_seconds`, then come back without history."""
        self._for_caches(resource, lambda cache: cache.reinitialize(not_ready_seconds=not_ready_seconds))

    def _for_caches(self, resource: str, do: Callable[[WatchCache], None]) -> None:
        for cache in list(self._caches.values()):
            if resource in {ANY, cache.resource.name}:
                do(cache)
