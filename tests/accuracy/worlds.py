"""The two worlds in which the exporter is put to the test, and what each knows of when its events were committed."""

import abc
import contextlib
import os
import ssl
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

from exporter.measure.times import ANY_TIME, Interval
from exporter.simulator import WIDGETS, Simulator
from tests.accuracy.etcd_clock import EtcdClock
from tests.real.api import ApiClient
from tests.real.cluster import Cluster
from tests.real.proxy import Tls
from tests.real.workload import Write
from tests.support.kubeconfig import kubeconfig

# For so long after a custom resource is served, kube-apiserver holds back the creation of its objects.
CREATION_HELD_BACK_SECONDS = 2.5


class World(abc.ABC):
    """An apiserver and its store."""

    url: str
    tls: Tls | None = None

    @abc.abstractmethod
    def kubeconfig(self, path: Path, server: str) -> Path:
        """Write one for the address `server`."""

    @abc.abstractmethod
    def client(self) -> contextlib.AbstractAsyncContextManager[ApiClient]:
        """For a writer, whom no trouble of the network reaches."""

    @abc.abstractmethod
    def freeze_store(self) -> None:
        """From now on nothing is committed and no consistent read answered."""

    @abc.abstractmethod
    def thaw_store(self) -> None:
        """The store goes on."""

    @abc.abstractmethod
    def witnessed(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Whatever it takes to know of commits runs in the block."""

    @abc.abstractmethod
    def commits(self, revisions: Iterable[int], writes: Iterable[Write]) -> dict[int, Interval]:
        """When each of `revisions` was committed, as far as is known without the exporter."""


class RealWorld(World):
    """A real kube-apiserver and etcd. A commit lies between its request and its answer, and where etcd says."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.url = cluster.apiserver.url
        as_server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate = cluster.authority.issue("proxy")
        as_server.load_cert_chain(certificate.certificate_file, certificate.key_file)
        self.tls = Tls(as_server, cluster.client_context)
        self._etcd_clock = EtcdClock(cluster.etcd)
        self._frozen_since = 0.0
        self._frozen: list[Interval] = []

    def kubeconfig(self, path: Path, server: str) -> Path:
        return self.cluster.kubeconfig(path, server=server)

    def client(self) -> contextlib.AbstractAsyncContextManager[ApiClient]:
        return self.cluster.client()

    def freeze_store(self) -> None:
        etcd = self.cluster.etcd
        etcd.freeze()
        os.waitid(os.P_PID, etcd.pid, os.WSTOPPED | os.WNOWAIT)
        self._frozen_since = time.monotonic()

    def thaw_store(self) -> None:
        self._frozen.append(Interval(self._frozen_since, time.monotonic()))
        self.cluster.etcd.thaw()

    def witnessed(self) -> contextlib.AbstractAsyncContextManager[None]:
        return self._etcd_clock.running()

    def commits(self, revisions: Iterable[int], writes: Iterable[Write]) -> dict[int, Interval]:
        written = {write.resource_version: Interval(write.sent_seconds, write.answered_seconds) for write in writes}
        commits = {}
        for revision in revisions:
            by_etcd, by_writer = self._etcd_clock.committed(revision), written.get(revision, ANY_TIME)
            if by_etcd is not None:
                earliest = self._not_frozen(max(by_etcd.earliest, by_writer.earliest))
                latest = min(by_etcd.latest, by_writer.latest)
                assert earliest <= latest, "the witnesses contradict each other"
                commits[revision] = Interval(earliest, latest)
        return commits

    def _not_frozen(self, instant: float) -> float:
        """The first moment from `instant` on at which etcd may have committed anything."""
        return max([instant, *(frozen.latest for frozen in self._frozen if frozen.earliest <= instant < frozen.latest)])


class SimulatedWorld(World):
    """A simulated apiserver, which knows to the microsecond."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.url = simulator.url

    def kubeconfig(self, path: Path, server: str) -> Path:
        return kubeconfig(path.parent, server)

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[ApiClient]:
        async with ApiClient(self.simulator.apiservers[-1].url, "", ssl.create_default_context()) as client:
            yield client

    def freeze_store(self) -> None:
        self.simulator.store.freeze()

    def thaw_store(self) -> None:
        self.simulator.store.thaw()

    def witnessed(self) -> contextlib.AbstractAsyncContextManager[None]:
        return contextlib.nullcontext()

    def commits(self, revisions: Iterable[int], writes: Iterable[Write]) -> dict[int, Interval]:
        del writes
        committed = {
            delivery.revision: delivery.committed_seconds
            for name in ("pods", "nodes", WIDGETS.name)
            for delivery in self.simulator.truth.deliveries(name)
        }
        return {revision: Interval(committed[revision], committed[revision]) for revision in revisions}


@contextlib.asynccontextmanager
async def simulated_world(
    *, apiservers: int = 1, events_apart: bool = False, writer_has_its_own: bool = False
) -> AsyncIterator[SimulatedWorld]:
    """A new one: several apiservers stand behind one address. A writer that has its own does not suffer with ours."""
    async with Simulator(
        apiservers=apiservers + writer_has_its_own,
        balanced="connection" if apiservers > 1 else None,
        own_stores=("events",) if events_apart else (),
    ) as simulator:
        await simulator.define(WIDGETS)
        yield SimulatedWorld(simulator)
