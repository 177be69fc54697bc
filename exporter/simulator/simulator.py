"""The whole simulated control plane: stores, apiservers, an optional balancer, and the truth about all of them.

In: how many of each. Out: URLs to connect to, knobs to turn, and what really happened.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Self

from exporter.simulator.apiserver import Apiserver, Listen
from exporter.simulator.balancer import Balancer, Balancing
from exporter.simulator.resources import CRDS, ENDPOINT_SLICES, Resource, crd_of
from exporter.simulator.store import Store, Stores
from exporter.simulator.truth import Truth

if TYPE_CHECKING:
    import ssl as tls
    from collections.abc import Mapping

    from exporter.simulator.faults import Faults
    from exporter.simulator.resources import JsonObject

WIDGETS = Resource("example.com", "v1", "widgets", "Widget")


class Simulator:
    """`async with Simulator() as simulator: ... simulator.url`.

    `apiservers` share one store: the first listens on 127.0.0.1, the next on 127.0.0.2 and so on, all on one port.
    `balanced` puts one more address in front of them, by connection or by request. `own_stores` names resources
    whose objects are in a store of their own, as with `--etcd-servers-overrides`. `tokens` maps bearer tokens to users.
    """

    def __init__(  # noqa: PLR0913 - each is a choice of its own, by keyword, and most are left alone
        self,
        *,
        apiservers: int = 1,
        balanced: Balancing | None = None,
        port: int = 0,
        ssl: tls.SSLContext | None = None,
        tokens: Mapping[str, str] | None = None,
        own_stores: tuple[str, ...] = (),
    ) -> None:
        self.truth = Truth()
        self.store = Store()
        self.own_stores = {name: Store() for name in own_stores}
        self._stores = stores = Stores(self.store, self.own_stores)
        for store in stores:
            store.observe(self.truth)
        self.apiservers = [
            Apiserver(stores, self.truth, listen=Listen(f"127.0.0.{number}", port, ssl), tokens=tokens)
            for number in range(1, apiservers + 1)
        ]
        self.balancer = Balancer(self.apiservers, by=balanced, ssl=ssl) if balanced else None
        self.condition = "healthy"  # what a scenario is doing at the moment, in words
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            for apiserver in self.apiservers:
                apiserver.port = apiserver.port or self.apiserver.port
                await stack.enter_async_context(apiserver)
            if self.balancer is not None:
                await stack.enter_async_context(self.balancer)
            slice_ = _endpoint_slice(self.apiservers)
            await self.apiserver.registry.create(ENDPOINT_SLICES, slice_, manager="kube-apiserver")
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        for store in self._stores:
            store.thaw()
        await self._stack.aclose()

    @property
    def apiserver(self) -> Apiserver:
        """The first apiserver."""
        return self.apiservers[0]

    @property
    def faults(self) -> Faults:
        """The first apiserver's knobs."""
        return self.apiserver.faults

    @property
    def url(self) -> str:
        """The balancer's address if there is one, else the first apiserver's."""
        return self.balancer.url if self.balancer is not None else self.apiserver.url

    async def define(self, resource: Resource) -> None:
        """Create the CustomResourceDefinition of `resource`, unless it is there."""
        if ("", resource.name) not in self.store.objects(CRDS):
            await self.apiserver.registry.create(CRDS, crd_of(resource), manager="simulator")

    async def list_apiservers(self, count: int) -> None:
        """Say in the EndpointSlice of default/kubernetes that the first `count` apiservers are all there are."""
        endpoints = _endpoint_slice(self.apiservers[:count])["endpoints"]
        await self.apiserver.registry.update(
            ENDPOINT_SLICES,
            ("default", "kubernetes"),
            lambda slice_: {**slice_, "endpoints": endpoints},
            manager="kube-apiserver",
        )

    def compact(self) -> None:
        """Drop all history and close all watches, so that nearly every resume is answered with 410."""
        for store in self._stores:
            store.compact()
        for apiserver in self.apiservers:
            apiserver.end_watches()


def _endpoint_slice(apiservers: list[Apiserver]) -> JsonObject:
    port = {"name": "https", "port": apiservers[0].port, "protocol": "TCP"}
    return {
        "metadata": {
            "namespace": "default",
            "name": "kubernetes",
            "labels": {"kubernetes.io/service-name": "kubernetes"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [apiserver.host], "conditions": {"ready": True}} for apiserver in apiservers],
        "ports": [port],
    }
