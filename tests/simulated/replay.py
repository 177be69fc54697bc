"""A server that does one thing only, fast: it replays a watch of one resource, as many events as it is asked for."""

import asyncio
from typing import Self

from aiohttp import web

from tests.real.loop_thread import LoopThread

EVENTS_IN_ONE_WRITE = 50
PODS = {"name": "pods", "singularName": "pod", "namespaced": True, "kind": "Pod", "verbs": ["list", "watch"]}


def line(revision: int) -> bytes:
    """One MODIFIED event of a pod of its own, metadata only, with the managers that a real one has."""
    fields = '"f:metadata":{"f:labels":{".":{},"f:app":{}}},"f:spec":{"f:containers":{}}'
    managers = ",".join(
        f'{{"manager":"{manager}","operation":"Update","apiVersion":"v1","time":"2026-01-01T00:00:0{number}Z",'
        f'"fieldsType":"FieldsV1","fieldsV1":{{{fields}}}}}'
        for number, manager in enumerate(("kube-scheduler", "kubelet", "controller"))
    )
    return (
        '{"type":"MODIFIED","object":{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":'
        f'{{"name":"pod-{revision}","namespace":"default","uid":"{revision:036d}","resourceVersion":"{revision}",'
        f'"creationTimestamp":"2026-01-01T00:00:00Z","labels":{{"app":"a-{revision}"}},"managedFields":[{managers}]}}}}}}\n'
    ).encode()


class Replay:
    """`with Replay() as replay: replay.url; replay.send(20_000)`; it runs in a thread of its own."""

    def __init__(self) -> None:
        self._thread = LoopThread("replay")
        self._runner: web.AppRunner | None = None
        self._revision = 1000
        self._until = self._revision
        self._wanted = asyncio.Event()
        self.url = ""

    def __enter__(self) -> Self:
        self._thread.__enter__()
        self._thread.run(self._start())
        return self

    def __exit__(self, *error: object) -> None:
        assert self._runner is not None
        self._thread.run(self._runner.cleanup())
        self._thread.__exit__(None, None, None)

    def send(self, events: int) -> None:
        """Commit and send so many more events, as fast as they are taken."""
        self._thread.run(self._send(events))

    async def _send(self, events: int) -> None:
        self._until += events
        self._wanted.set()

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_get("/api/v1", self._discovery)
        app.router.add_get("/api/v1/pods", self._watch)
        app.router.add_get("/api/v1/namespaces/default/{plural}", self._list)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"

    async def _discovery(self, _: web.Request) -> web.Response:
        return web.json_response({"kind": "APIResourceList", "resources": [PODS]})

    async def _list(self, _: web.Request) -> web.Response:
        metadata = {"resourceVersion": str(self._revision)}
        content = {"kind": "PartialObjectMetadataList", "metadata": metadata, "items": None}
        return web.json_response(content, headers={"Audit-Id": "replay"})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        while True:
            self._wanted.clear()
            while self._revision < self._until:
                last = min(self._until, self._revision + EVENTS_IN_ONE_WRITE)
                lines = b"".join(line(revision) for revision in range(self._revision + 1, last + 1))
                self._revision = last
                await response.write(lines)
                await asyncio.sleep(0)
            await self._wanted.wait()
