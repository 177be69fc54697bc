"""Everything that a fault may lay hands on: two real apiservers on one etcd, all paths between, and who comes to them.

The exporter is the command that users start, as a user with the rights of the chart. It reaches each apiserver by a
path of its own, or both by a balancer's; each apiserver reaches etcd by a path of its own. Each apiserver has one core.
"""

import asyncio
import contextlib
import itertools
import signal
import ssl
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.accuracy.worlds import CREATION_HELD_BACK_SECONDS
from tests.faults.furniture import CONFIGMAPS, EVENTS, EXPORTER_USER, OTHER_USER, event, furnish
from tests.faults.store_path import StorePath
from tests.real.api import ApiClient, ApiError, Json
from tests.real.apiserver import Apiserver
from tests.real.cluster import Cluster
from tests.real.custom_resources import CustomResource
from tests.real.proxy import Proxy, Tls
from tests.real.webhooks import Webhooks
from tests.real.workload import Writer
from tests.speed.consumers import informer_binary
from tests.support.go import go_binary
from tests.support.observing import Process, started, until

CROWD = Path(__file__).parent / "crowd"
WRITES_PER_SECOND = 12.0
SLOW_GROUP = "slow.test"
READY_SECONDS = 60.0
PODS_WATCH = b"/api/v1/pods?watch=true"
AGAIN_SECONDS = 2.0
RESOURCES = ("pods", "nodes", "configmaps", "events", "widgets.example.com", f"gadgets.v2.{SLOW_GROUP}")


@dataclass(frozen=True, slots=True)
class Setting:
    """How the exporter is set up."""

    name: str
    is_balanced: bool = False
    """Whether both apiservers are behind one address, which the exporter is not told to be one apiserver's."""
    reads_metrics: bool = True
    """Whether it may read the apiservers' own metrics."""


SETTINGS = (Setting("peers"), Setting("balancer", is_balanced=True), Setting("metrics-off", reads_metrics=False))


class LabCluster(Cluster):
    """Whose apiservers reach etcd by paths that can be disturbed."""

    def __init__(self, binaries: Path, folder: Path, *, apiservers: int = 2) -> None:
        users = (EXPORTER_USER, OTHER_USER)
        # Else all that it is furnished with would expire at one moment, an hour later: a storm that nobody has made.
        kept = ("--event-ttl=24h",)
        super().__init__(binaries, folder, apiservers=apiservers, users=users, cores=1, flags=kept)
        self.store_paths = [StorePath(lambda: self.etcd.url) for _ in range(apiservers)]

    def store_url(self, number: int) -> str:
        return self.store_paths[number - 1].url


@dataclass(slots=True)
class Laboratory:
    """Faults concern the first apiserver, unless they say otherwise; writers use the second."""

    setting: Setting
    cluster: LabCluster
    webhooks: Webhooks
    gadgets: CustomResource
    paths: list[Proxy]
    """From the exporter to each apiserver, or the balancer's one to both."""
    client: ApiClient
    """Of the second apiserver, as somebody who may do everything."""
    exporter: Process
    began: float = 0.0
    """When the fault did, where something had to be prepared for it."""
    gadget_period_seconds: float = 1.0
    """Between two writes of the kind that is converted by a webhook."""
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(time.time_ns() // 1000))

    @property
    def apiserver(self) -> Apiserver:
        """The one that faults concern."""
        return self.cluster.apiservers[0]

    @property
    def stores(self) -> list[StorePath]:
        """The paths to etcd."""
        return self.cluster.store_paths

    @property
    def path(self) -> Proxy:
        """By which the exporter reaches the apiserver that faults concern."""
        return self.paths[0]

    async def aim(self) -> None:
        """Behind a balancer: our watch of pods comes from the apiserver that faults concern. Else a fault may concern
        none of our watches.
        """
        while self.setting.is_balanced and self.path.upstreams_of(PODS_WATCH) != {self.apiserver.url}:
            self.path.cut(PODS_WATCH)
            await asyncio.sleep(AGAIN_SECONDS)

    def begins(self) -> None:
        """What was before was its preparation."""
        self.began = time.monotonic()

    async def watch(self, collection: str = "/api/v1/pods") -> str:
        """The path of a watch from now on."""
        listed = await self.client.get(collection, limit="1")
        return f"{collection}?watch=true&resourceVersion={listed['metadata']['resourceVersion']}"

    def number(self) -> int:
        """For the name of something that was not there before."""
        return next(self._numbers)

    @contextlib.contextmanager
    def crowd(
        self, do: str, clients: int, *paths: str, server: str = "", user: str = "admin", **flags: str | int
    ) -> Iterator["Crowd"]:
        """Other clients of the first apiserver, or of the address `server`; see crowd/main.go."""
        authority = self.cluster.folder / "crowd.crt"
        authority.write_bytes(self.cluster.authority.bundle)
        who = [f"-url={server or self.apiserver.url}", f"-token={self.cluster.token(user)}", f"-ca={authority}"]
        what = [f"-do={do}", f"-clients={clients}", f"-paths={','.join(paths)}"]
        words = [str(go_binary(CROWD)), *who, *what, *(f"-{name}={value}" for name, value in flags.items())]
        with running(words) as crowd:
            yield crowd

    @contextlib.contextmanager
    def informers(self, clients: int, resource: str) -> Iterator["Crowd"]:
        """client-go's, each with a connection and a cache of its own."""
        file = self.cluster.kubeconfig(self.cluster.folder / f"informers-{self.number()}")
        words = [str(informer_binary()), f"-kubeconfig={file}", f"-clients={clients}", f"-resources={resource}"]
        with running(words) as crowd:
            yield crowd


class Crowd:
    """A program with many clients."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def cut(self) -> None:
        """Informers lose their connections, and get none for some seconds."""
        self._process.send_signal(signal.SIGUSR2)

    async def ready(self) -> None:
        """Wait until each of them has begun."""
        assert self._process.stdout is not None
        line = await asyncio.wait_for(asyncio.to_thread(self._process.stdout.readline), READY_SECONDS)
        assert line == "ready\n", line


@contextlib.contextmanager
def running(words: list[str]) -> Iterator[Crowd]:
    """Run it until the end of the block."""
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield Crowd(process)
        finally:
            process.kill()


@contextlib.asynccontextmanager
async def laboratory(
    binaries: Path, setting: Setting, *, objects: int = 3000, log: Path | None = None
) -> AsyncIterator[Laboratory]:
    """A new one, with so many pods and events, a writer at work and the exporter ready."""
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        cluster = LabCluster(binaries, folder)
        for path in cluster.store_paths:
            stack.enter_context(path)
        await stack.enter_async_context(cluster)
        webhooks = stack.enter_context(Webhooks(folder))
        client = await stack.enter_async_context(cluster.client(server=cluster.apiservers[1].url))
        await cluster.create_resource()
        gadgets = await webhooks.create_converted_resource(cluster, group=SLOW_GROUP)
        await furnish(client, objects)
        await asyncio.sleep(CREATION_HELD_BACK_SECONDS)
        paths = [stack.enter_context(path) for path in exporter_paths(cluster, setting)]
        exporter = stack.enter_context(started(*flags(cluster, setting, paths), log=log))
        lab = Laboratory(setting, cluster, webhooks, gadgets, paths, client, exporter)
        await stack.enter_async_context(load(lab))
        await until(exporter.ready, READY_SECONDS)
        yield lab


def exporter_paths(cluster: LabCluster, setting: Setting) -> list[Proxy]:
    """Not yet open."""
    as_server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate = cluster.authority.issue("path")
    as_server.load_cert_chain(certificate.certificate_file, certificate.key_file)
    tls = Tls(as_server, cluster.client_context)
    urls = [apiserver.url for apiserver in cluster.apiservers]
    return [Proxy(*urls, tls=tls)] if setting.is_balanced else [Proxy(url, tls=tls) for url in urls]


def flags(cluster: LabCluster, setting: Setting, paths: list[Proxy]) -> Iterator[str | Path]:
    """Of `watchslo run`."""
    file = cluster.folder / "exporter.kubeconfig"
    yield from ("--kubeconfig", cluster.kubeconfig(file, user=EXPORTER_USER, server=paths[0].url))
    if not setting.is_balanced:
        yield from (word for path in paths for word in ("--apiserver", path.url))
    yield from (word for resource in RESOURCES for word in ("--resource", resource))
    yield from ("--canary.interval", "0.5", "--canary.node", "canary", "--canary.pod", "default/canary")
    yield from ("--apiserver.metrics", "on" if setting.reads_metrics else "off")


@contextlib.asynccontextmanager
async def load(lab: Laboratory) -> AsyncIterator[None]:
    """What is written while nothing is wrong, and goes on while something is."""
    write = Writer(lab.client, rate_per_second=WRITES_PER_SECOND)
    gadgets = lab.gadgets.path()
    async with (
        write,
        again(lambda: lab.gadget_period_seconds, lambda name: lab.client.post(gadgets, lab.gadgets.object(name))),
        again(lambda: 1.0, lambda name: lab.client.post(CONFIGMAPS, {"metadata": {"name": name}})),
        again(lambda: 1.0, lambda name: lab.client.post(EVENTS, event(name))),
    ):
        yield


@contextlib.asynccontextmanager
async def again(
    period_seconds: Callable[[], float], write: "Callable[[str], asyncio.Future[Json] | object]"
) -> AsyncIterator[None]:
    """Write objects one after the other, each with a name of its own, whatever becomes of them."""

    async def writes() -> None:
        for number in itertools.count():
            due = time.monotonic() + period_seconds()
            with contextlib.suppress(ApiError, aiohttp.ClientError, TimeoutError):
                await write(f"made-{time.time_ns()}-{number}")  # type: ignore[misc]
            await asyncio.sleep(due - time.monotonic())

    writing = asyncio.create_task(writes())
    try:
        yield
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
