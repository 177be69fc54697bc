import time

import pytest

from exporter.simulator import Simulator, Truth
from exporter.simulator.resources import PODS
from exporter.simulator.store import Change, Store
from tests.contract.server import CONFIGMAPS, Server, annotate, configmap, revision_of


def change(revision: int, committed_seconds: float) -> Change:
    obj = {"metadata": {"name": "pod", "namespace": "default"}}
    return Change("MODIFIED", PODS, obj, revision, committed_seconds, None)


async def test_commit_and_delivery_lie_between_asking_and_seeing(simulator: Simulator, client: Server) -> None:
    revision = simulator.store.revision
    async with client.watch(CONFIGMAPS, resourceVersion=str(revision)) as watch:
        asked_seconds = time.monotonic()
        created = await client.create(CONFIGMAPS, configmap("true"))
        answered_seconds = time.monotonic()
        await watch.events(1)
        seen_seconds = time.monotonic()
    commit = simulator.truth.committed("configmaps", created.revision)
    (delivery,) = simulator.truth.deliveries("configmaps")
    assert commit is not None
    assert commit.stamped_seconds is not None
    assert asked_seconds <= commit.stamped_seconds <= commit.committed_seconds <= answered_seconds
    assert delivery.revision == created.revision
    assert delivery.committed_seconds == commit.committed_seconds
    assert commit.committed_seconds <= delivery.cached_seconds <= delivery.sent_seconds <= seen_seconds
    assert delivery.apiserver == simulator.apiserver.address


async def test_each_delay_shows_in_its_own_stage(simulator: Simulator, client: Server) -> None:
    faults = simulator.faults
    faults.commit_seconds = 0.1
    faults.storage_to_cache.set(0.2, "configmaps")
    faults.cache_to_watch.set(0.3)
    faults.network.watch_to_client_seconds = 0.4
    async with client.watch(CONFIGMAPS, resourceVersion=str(simulator.store.revision)) as watch:
        created = await client.create(CONFIGMAPS, configmap("slow"))
        await watch.events(1)
    commit = simulator.truth.committed("configmaps", created.revision)
    (delivery,) = simulator.truth.deliveries("configmaps")
    assert commit is not None
    assert commit.stamped_seconds is not None
    assert commit.committed_seconds - commit.stamped_seconds >= 0.1
    assert delivery.cached_seconds - delivery.committed_seconds >= 0.2
    assert delivery.sent_seconds - delivery.cached_seconds >= 0.7
    assert delivery.latency_seconds >= 0.9


async def test_write_that_only_removes_has_no_stamp(simulator: Simulator, client: Server) -> None:
    await client.create(CONFIGMAPS, configmap("removed", a="1"))
    removed = await client.patch(f"{CONFIGMAPS}/removed", annotate(a=None))
    commit = simulator.truth.committed("configmaps", removed.revision)
    assert commit is not None
    assert commit.stamped_seconds is None


async def test_initial_events_are_no_deliveries(simulator: Simulator, client: Server) -> None:
    created = await client.create(CONFIGMAPS, configmap("old"))
    async with client.watch(CONFIGMAPS, resourceVersion="0") as watch:
        (event,) = await watch.events(1)
    assert revision_of(event["object"]) == created.revision
    assert simulator.truth.deliveries("configmaps") == []


@pytest.mark.parametrize(("late", "p99_seconds"), [(1, 0.0), (2, 5.0)])
def test_p99_is_what_99_of_100_do_not_exceed(late: int, p99_seconds: float) -> None:
    truth, now_seconds = Truth(), time.monotonic()
    for number in range(100):
        committed_seconds = now_seconds - (5.0 if number < late else 0.0)
        sent = {"cached_seconds": now_seconds, "sent_seconds": now_seconds}
        truth.delivered("apiserver", change(number, committed_seconds), **sent)
    assert truth.p99_seconds("pods") == pytest.approx(p99_seconds)
    assert truth.p99_seconds("nodes") is None


def test_p99_forgets_what_is_older_than_the_window() -> None:
    truth, now_seconds = Truth(), time.monotonic()
    for age_seconds, latency_seconds in ((70.0, 9.0), (1.0, 0.5)):
        sent_seconds = now_seconds - age_seconds
        sent = {"cached_seconds": sent_seconds, "sent_seconds": sent_seconds}
        truth.delivered("apiserver", change(1, sent_seconds - latency_seconds), **sent)
    assert truth.p99_seconds("pods") == pytest.approx(0.5)
    assert truth.p99_seconds("pods", window_seconds=80.0) == pytest.approx(9.0)


def test_memory_of_commits_is_bounded() -> None:
    truth = Truth(remembered=10)
    store = Store()
    store.observe(truth)
    for _ in range(20):
        newest = store.commit("ADDED", PODS, {"metadata": {"name": "pod", "namespace": "default"}})
        sent = {"cached_seconds": 0.0, "sent_seconds": 0.0}
        truth.delivered("apiserver", newest, **sent)
    assert truth.committed("pods", newest.revision - 10) is None
    assert truth.committed("pods", newest.revision - 9) is not None
    assert truth.deliveries("pods")[0].revision == newest.revision - 9
