"""Every fault that is made: entered it begins, left it ends. What is on the way to one is done before it is entered."""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from math import inf
from typing import Literal, get_args

from tests.accuracy.troubles import in_slices
from tests.faults.furniture import BINDINGS, CONFIGMAPS, EVENTS, EXPORTER_USER, NODES, OTHER_USER, PODS, allow, event
from tests.faults.laboratory import Laboratory, again

Strength = Literal["light", "medium", "heavy"]
STRENGTHS: tuple[Strength, ...] = get_args(Strength)
Make = Callable[[Laboratory, Strength], AbstractAsyncContextManager[None]]

WATCHERS = 150
LARGE_OBJECTS = 4
CALM_SECONDS = 25.0
"""What a crowd brings when it comes is over then, and forgotten."""

AWAY_SECONDS = 2.0
PODS_KEY, CONFIGMAPS_KEY = b"/registry/pods/", b"/registry/configmaps/"
LEVELS = "/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations"
SCHEMAS = "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas"


def of(strength: Strength, light: float, medium: float, heavy: float) -> float:
    """How much it is."""
    return {"light": light, "medium": medium, "heavy": heavy}[strength]


# --- The apiserver and its machine


@contextlib.asynccontextmanager
async def cpu_in_slices(lab: Laboratory, strength: Strength) -> AsyncIterator[None]:
    """The apiserver gets a slice of CPU now and then, as under a quota that it has used up."""
    frozen_seconds, running_seconds = of(strength, 1.3, 1.8, 2.5), of(strength, 0.4, 0.3, 0.2)
    async with in_slices(lab.apiserver, lambda: frozen_seconds, lambda: running_seconds):
        yield


@contextlib.asynccontextmanager
async def busy_apiserver(lab: Laboratory, strength: Strength) -> AsyncIterator[None]:
    """Many clients ask for little things as fast as they are answered."""
    with lab.crowd("list", int(of(strength, 600, 1200, 2400)), "/api/v1/nodes/canary", "/version"):
        yield


@contextlib.asynccontextmanager
async def restarted(lab: Laboratory, strength: Strength) -> AsyncIterator[None]:
    """Light: killed and back at once. Medium: after some seconds. Heavy: both, one after the other."""
    await lab.apiserver.kill()
    await asyncio.sleep(of(strength, 0, 8, 4))
    await lab.apiserver.start()
    if strength == "heavy":
        await asyncio.sleep(5)
        await lab.cluster.apiservers[1].restart()
    yield


# --- The store and the writes


@contextlib.asynccontextmanager
async def slow_store(lab: Laboratory, strength: Strength) -> AsyncIterator[None]:
    """Light and medium: all requests to etcd take longer. Heavy: etcd stands still most of the time."""
    if strength == "heavy":
        async with in_slices(lab.cluster.etcd, lambda: 2.0, lambda: 0.3):
            yield
        return
    for path in lab.stores:
        path.delay_to_store_seconds = of(strength, 0.4, 1.2, 0)
    yield
    for path in lab.stores:
        path.delay_to_store_seconds = 0.0


@contextlib.asynccontextmanager
async def slow_admission(lab: Laboratory, strength: Strength) -> AsyncIterator[None]:
    """A webhook that is asked for every write of pods."""
    name = f"slow-{lab.number()}"
    await lab.webhooks.admit(lab.client, name, "", "v1", "pods")
    lab.webhooks.admission_delay_seconds = of(strength, 1, 3, 8)
    yield
    lab.webhooks.admission_delay_seconds = 0.0
    await lab.webhooks.stop_admitting(lab.client, name)


@contextlib.asynccontextmanager
async def fighting_writers(lab: Laboratory, strength: Strength) -> AsyncIterator[None]:
    """Two controllers with different opinions about the same objects, which many watch."""
    objects = int(of(strength, 60, 120, 240))
    with lab.crowd("watch", WATCHERS, await lab.watch()) as watching:
        await watching.ready()
        await asyncio.sleep(CALM_SECONDS)
        lab.begins()
        with lab.crowd("fight", 2 * objects, *(f"{PODS}/many-{number}" for number in range(objects))):
            yield


# --- Watch caches


@contextlib.asynccontextmanager
async def cache_behind(lab: Laboratory, strength: Strength) -> AsyncIterator[None]:
    """What the apiserver watches in etcd comes late, of pods only."""
    lab.stores[0].watch_delay_seconds[PODS_KEY] = of(strength, 1.5, 3, 6)
    yield
    lab.stores[0].watch_delay_seconds[PODS_KEY] = 0.0


@contextlib.asynccontextmanager
async def cache_stuck(lab: Laboratory, strength: Strength) -> AsyncIterator[None]:
    """What the apiserver watches in etcd does not come any more: pods, then also configmaps, then also nodes."""
    kinds = [PODS_KEY, CONFIGMAPS_KEY, b"/registry/minions/"][: int(of(strength, 1, 2, 3))]
    lab.stores[0].watch_delay_seconds |= dict.fromkeys(kinds, inf)
    yield
    for kind in kinds:
        lab.stores[0].watch_delay_seconds[kind] = 0.0
        lab.stores[0].cut(kind)


@contextlib.asynccontextmanager
async def slow_conversion(lab: Laboratory, strength: Strength) -> AsyncIterator[None]:
    """The conversion webhook; written slower than it answers, so that the delay stays what it is."""
    seconds = of(strength, 1.3, 2, 3)
    lab.gadget_period_seconds = 1.1 * seconds
    lab.webhooks.conversion_delay_seconds = seconds
    yield
    lab.webhooks.conversion_delay_seconds = 0.0
    lab.gadget_period_seconds = 1.0


@contextlib.asynccontextmanager
async def large_objects(lab: Laboratory, strength: Strength) -> AsyncIterator[None]:
    """Configmaps of up to a megabyte are written all the time, and others watch them."""
    data = {"data": {"blob": "x" * int(of(strength, 500_000, 800_000, 1_000_000))}}

    async def rewrite(number: int, _: str) -> None:
        marked = {**data, "metadata": {"annotations": {"tests.example.com/note": str(lab.number())}}}
        await lab.client.patch(f"{CONFIGMAPS}/many-{number}", marked)

    with lab.crowd("watch", int(of(strength, 100, 150, 250)), await lab.watch("/api/v1/configmaps")) as watching:
        await watching.ready()
        await asyncio.sleep(CALM_SECONDS)
        lab.begins()
        async with contextlib.AsyncExitStack() as stack:
            for number in range(LARGE_OBJECTS):
                await stack.enter_async_context(again(lambda: 0.1, functools.partial(rewrite, number)))
            yield


# --- Other clients


@contextlib.asynccontextmanager
async def list_storm(lab: Laboratory, strength: Strength) -> AsyncIterator[None]:
    """A controller lists all pods once for each node of a group."""
    with lab.crowd("list", int(of(strength, 20, 50, 100)), "/api/v1/pods"):
        yield


@contextlib.asynccontextmanager
async def relist_storm(lab: Laboratory, strength: Strength) -> AsyncIterator[None]:
    """Informers of a kind without watch cache are cut, as we are, and what was before they come back is compacted."""
    with lab.informers(int(of(strength, 50, 100, 200)), "events") as informers:
        await informers.ready()
        await asyncio.sleep(CALM_SECONDS)
        lab.begins()
        informers.cut()
        lab.path.black_hole = True
        lab.path.cut_all()
        await lab.client.post(EVENTS, event(f"new-{lab.number()}"))
        await lab.cluster.etcd.compact()
        await asyncio.sleep(AWAY_SECONDS)
        lab.path.black_hole = False
        lab.path.cut_all()
        yield


@contextlib.asynccontextmanager
async def initial_events(lab: Laboratory, strength: Strength) -> AsyncIterator[None]:
    """Clients that watch from resourceVersion 0 again and again: each gets all that there is."""
    clients = int(of(strength, 30, 60, 120))
    with lab.crowd("watch", clients, "/api/v1/pods?watch=true&resourceVersion=0&timeoutSeconds=2", lasts="4s"):
        yield


@contextlib.asynccontextmanager
async def queued_requests(lab: Laboratory, strength: Strength) -> AsyncIterator[None]:
    """Our level of API Priority and Fairness has few seats, and somebody else in it keeps them for long."""
    name = f"few-seats-{lab.number()}"
    queuing = {"queues": 4, "handSize": 2, "queueLengthLimit": 200}
    shares = {"nominalConcurrencyShares": 1, "lendablePercent": 0, "borrowingLimitPercent": 0}
    limited = {**shares, "limitResponse": {"type": "Queue", "queuing": queuing}}
    await lab.client.post(LEVELS, {"metadata": {"name": name}, "spec": {"type": "Limited", "limited": limited}})
    subjects = [{"kind": "User", "user": {"name": user}} for user in (EXPORTER_USER, OTHER_USER)]
    everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"], "clusterScope": True}
    rules = {"subjects": subjects, "resourceRules": [everything]}
    spec = {"priorityLevelConfiguration": {"name": name}, "matchingPrecedence": 2, "rules": [rules]}
    await lab.client.post(SCHEMAS, {"metadata": {"name": name}, "spec": spec})
    clients = int(of(strength, 10, 30, 100))
    # Whoever reads nothing of a long answer keeps the seats that it takes.
    with lab.crowd("list", clients, "/api/v1/pods?pretty=true", user=OTHER_USER, stop=1, lasts="3s"):
        yield
    await lab.client.delete(f"{SCHEMAS}/{name}")
    await lab.client.delete(f"{LEVELS}/{name}")


@contextlib.asynccontextmanager
async def unbalanced(lab: Laboratory, strength: Strength) -> AsyncIterator[None]:
    """All other clients are connected to one apiserver, for which it is too much when a little more is written."""
    with (
        lab.crowd("watch", int(of(strength, 1000, 2000, 3000)), await lab.watch()),
        lab.crowd("fight", 4, *(f"{PODS}/many-{number}" for number in range(4)), pause="100ms"),
    ):
        yield


@contextlib.asynccontextmanager
async def stalled_watchers(lab: Laboratory, strength: Strength) -> AsyncIterator[None]:
    """Clients that stop to read their watches, while much is written."""
    async with large_writes(lab):
        with lab.crowd("watch", int(of(strength, 2, 10, 40)), await lab.watch(), stop=1):
            yield


@contextlib.asynccontextmanager
async def slow_watchers(lab: Laboratory, strength: Strength) -> AsyncIterator[None]:
    """Clients that read their watches slower than is written."""
    async with large_writes(lab):
        with lab.crowd("watch", int(of(strength, 2, 10, 40)), await lab.watch(), slow=20_000):
            yield


@contextlib.asynccontextmanager
async def large_writes(lab: Laboratory) -> AsyncIterator[None]:
    """Half a megabyte of pods a second: what is not read does not fit into the kernel for long."""

    async def rewrite(_: str) -> None:
        note = f"{lab.number()} {'x' * 50_000}"
        await lab.client.patch(f"{PODS}/canary", {"metadata": {"annotations": {"tests.example.com/note": note}}})

    async with again(lambda: 0.1, rewrite):
        yield
    gone = {"metadata": {"annotations": {"tests.example.com/note": None}}}
    await lab.client.patch(f"{PODS}/canary", gone)


@contextlib.asynccontextmanager
async def shared_connection(lab: Laboratory, strength: Strength) -> AsyncIterator[None]:
    """A client of HTTP/2 puts its watches on as few connections as it can, through a way that is slow.

    Of what is written seldom, so that one core bears them.
    """
    watched = await lab.watch("/api/v1/configmaps")
    with lab.crowd("watch", int(of(strength, 500, 1000, 2000)), watched, shared=1, slow=2_000):
        yield


# --- The way to us, and we ourselves


@contextlib.asynccontextmanager
async def full_path(lab: Laboratory, strength: Strength) -> AsyncIterator[None]:
    """All connections together get less than our watches would bring."""
    lab.path.capacity_bytes_per_second = of(strength, 350_000, 200_000, 120_000)
    async with large_writes(lab):
        yield
    lab.path.capacity_bytes_per_second = None


@contextlib.asynccontextmanager
async def slow_path(lab: Laboratory, strength: Strength) -> AsyncIterator[None]:
    """All that comes to us is under way for long."""
    lab.path.delay_to_client_seconds = of(strength, 1.3, 2.5, 5)
    yield
    lab.path.delay_to_client_seconds = 0.0


@contextlib.asynccontextmanager
async def dropped(lab: Laboratory, strength: Strength) -> AsyncIterator[None]:
    """Connections that carry watches are forgotten by what stands between: of pods, of two kinds, of all."""
    requests = {"light": [b"/pods?"], "medium": [b"/pods?", b"/configmaps?"], "heavy": [b"watch=true"]}[strength]
    for request in requests:
        lab.path.silence(request)
    yield
    lab.path.cut_all()


@contextlib.asynccontextmanager
async def starved(lab: Laboratory, strength: Strength) -> AsyncIterator[None]:
    """The exporter gets a slice of CPU now and then."""
    frozen_seconds, running_seconds = of(strength, 0.9, 1.5, 2.5), of(strength, 0.9, 0.3, 0.1)
    async with in_slices(lab.exporter, lambda: frozen_seconds, lambda: running_seconds):
        yield


@contextlib.asynccontextmanager
async def refused(lab: Laboratory, strength: Strength) -> AsyncIterator[None]:
    """The exporter's rights are taken away, and its connections cut; light: only while they are cut anew."""
    del strength
    await lab.client.delete(f"{BINDINGS}/{EXPORTER_USER}")
    await asyncio.sleep(1)
    for path in lab.paths:
        path.cut_all()
    yield
    await allow(lab.client)


@contextlib.asynccontextmanager
async def healthy(lab: Laboratory, strength: Strength) -> AsyncIterator[None]:
    """As much as it can bear: more writes, watches and LISTs."""
    watchers, listers = int(of(strength, 20, 50, 100)), int(of(strength, 1, 2, 3))
    with (
        lab.crowd("watch", watchers, await lab.watch(), await lab.watch(NODES)),
        lab.crowd("list", listers, "/api/v1/pods", pause="2s"),
        lab.crowd("fight", 1, f"{PODS}/many-0", pause=f"{int(of(strength, 100, 50, 30))}ms"),
    ):
        yield


def both(one: Make, other: Make) -> Make:
    """Two faults at once."""

    @contextlib.asynccontextmanager
    async def make(lab: Laboratory, strength: Strength) -> AsyncIterator[None]:
        async with one(lab, strength), other(lab, strength):
            yield

    return make
