import asyncio
import time
from email.utils import parsedate_to_datetime

import aiohttp
import pytest

from exporter.simulator import Rejection, Simulator
from tests.contract.server import (
    CONFIGMAPS,
    EVENTS,
    LEASES,
    LIST_METADATA,
    Server,
    annotate,
    configmap,
    revision_of,
    unique,
)

LAG_SECONDS = 2.5
"""Of whatever lags; long, so that a machine in a bad moment is no lag."""

PROMPT_SECONDS = LAG_SECONDS * 0.8


async def seconds_of(client: Server, path: str, **query: str) -> float:
    """How long a LIST takes."""
    began_seconds = time.monotonic()
    answer = await client.get(path, accept=LIST_METADATA, limit="1", fieldSelector="metadata.name=nothing", **query)
    assert answer.status == 200
    return time.monotonic() - began_seconds


async def test_consistent_list_waits_for_the_lag_of_its_own_watch_cache_only(
    simulator: Simulator, client: Server
) -> None:
    simulator.faults.storage_to_cache.set(LAG_SECONDS, "configmaps")
    simulator.faults.storage_to_cache.set(30.0, "events")  # which have none to wait for
    written = await client.create(CONFIGMAPS, configmap("late"))
    stale = await client.get(CONFIGMAPS, accept=LIST_METADATA, resourceVersion="0")
    assert stale.revision < written.revision
    assert await seconds_of(client, EVENTS) < PROMPT_SECONDS
    assert await seconds_of(client, LEASES) < PROMPT_SECONDS
    assert await seconds_of(client, CONFIGMAPS) > LAG_SECONDS / 4


async def test_consistent_list_falls_back_to_the_store_after_3_seconds(simulator: Simulator, client: Server) -> None:
    simulator.faults.storage_to_cache.set(30.0, "configmaps")
    written = await client.create(CONFIGMAPS, configmap("very-late"))
    began_seconds = time.monotonic()
    listed = await client.get(CONFIGMAPS, accept=LIST_METADATA, limit="1")
    assert time.monotonic() - began_seconds >= 3.0
    assert listed.revision == written.revision


async def test_slow_dispatch_delays_events_and_no_list(simulator: Simulator, client: Server) -> None:
    simulator.faults.cache_to_watch.set(LAG_SECONDS, "configmaps")
    async with client.watch(CONFIGMAPS, resourceVersion=str(simulator.store.revision)) as watch:
        began_seconds = time.monotonic()
        written = await client.create(CONFIGMAPS, configmap("slow"))
        assert await seconds_of(client, CONFIGMAPS) < PROMPT_SECONDS
        cached = await client.get(CONFIGMAPS, accept=LIST_METADATA, resourceVersion="0")
        await watch.events(1)
    assert cached.revision >= written.revision
    assert time.monotonic() - began_seconds >= LAG_SECONDS


async def test_slow_dispatch_holds_for_watches_that_begin_meanwhile(simulator: Simulator, client: Server) -> None:
    simulator.faults.cache_to_watch.set(0.5)
    began_seconds = time.monotonic()
    written = await client.create(CONFIGMAPS, configmap("slow"))
    async with client.watch(CONFIGMAPS, resourceVersion=str(written.revision - 1)) as watch:
        (event,) = await watch.events(1)
    assert revision_of(event["object"]) == written.revision
    assert time.monotonic() - began_seconds >= 0.5


async def test_slow_network_delays_both_directions_and_keeps_the_rate(simulator: Simulator, client: Server) -> None:
    simulator.faults.network.to_client_seconds = 0.3
    simulator.faults.network.from_client_seconds = 0.2
    began_seconds = time.monotonic()
    taken = await asyncio.gather(*(seconds_of(client, EVENTS) for _ in range(8)))
    assert min(taken) >= 0.5
    assert time.monotonic() - began_seconds < 8 * 0.5


async def test_closed_connection_delivers_what_was_written_before(simulator: Simulator) -> None:
    simulator.faults.network.to_client_seconds = 0.2
    headers = {"Connection": "close"}
    async with (
        aiohttp.ClientSession(base_url=simulator.url, headers=headers) as session,
        session.get("/version") as response,
    ):
        assert (await response.json())["major"] == "1"


async def test_date_is_from_before_the_way_back(simulator: Simulator, client: Server) -> None:
    simulator.faults.network.to_client_seconds = 1.1
    sent_seconds = time.time()
    answer = await client.get(EVENTS, limit="1")
    received_seconds = time.time()
    date_seconds = parsedate_to_datetime(answer.headers["Date"]).timestamp()
    assert sent_seconds - 1 < date_seconds <= received_seconds - 1.1


async def test_date_is_from_after_the_wait_for_the_cache(simulator: Simulator, client: Server) -> None:
    simulator.faults.storage_to_cache.set(1.1, "configmaps")
    sent_seconds = time.time()
    await client.create(CONFIGMAPS, configmap("late"))
    answer = await client.get(CONFIGMAPS, accept=LIST_METADATA, limit="1")
    date_seconds = parsedate_to_datetime(answer.headers["Date"]).timestamp()
    assert date_seconds + 1 > sent_seconds + 1.1


async def test_watch_only_delay_spares_polls(simulator: Simulator, client: Server) -> None:
    simulator.faults.network.watch_to_client_seconds = LAG_SECONDS
    async with client.watch(CONFIGMAPS, resourceVersion=str(simulator.store.revision)) as watch:
        began_seconds = time.monotonic()
        await client.create(CONFIGMAPS, configmap("slow"))
        assert await seconds_of(client, EVENTS) < PROMPT_SECONDS
        await watch.events(1)
    assert time.monotonic() - began_seconds >= LAG_SECONDS


async def test_offset_of_the_clock_shows_in_date_and_stamps(simulator: Simulator, client: Server) -> None:
    simulator.apiserver.clock.offset_seconds = -7200.0
    created = await client.create(CONFIGMAPS, configmap("past"))
    date_seconds = parsedate_to_datetime(created.headers["Date"]).timestamp()
    assert date_seconds == pytest.approx(time.time() - 7200, abs=30)
    metadata = created.json["metadata"]
    assert metadata["creationTimestamp"].startswith(time.strftime("%Y-%m-%dT", time.gmtime(date_seconds)))
    assert metadata["managedFields"][0]["time"] <= metadata["creationTimestamp"]


async def test_admission_lies_between_the_stamps_and_the_commit(simulator: Simulator, client: Server) -> None:
    simulator.faults.commit_seconds = 1.1
    created = await client.create(CONFIGMAPS, configmap("slow"))
    metadata = created.json["metadata"]
    assert metadata["managedFields"][0]["time"] < metadata["creationTimestamp"]


@pytest.mark.parametrize("code", [429, 503])
async def test_rejected_requests_are_told_when_to_come_again(simulator: Simulator, client: Server, code: int) -> None:
    simulator.faults.rejection = Rejection(
        code, retry_after_seconds=7, verbs=frozenset({"watch"}), resource="configmaps"
    )
    async with client.watch(CONFIGMAPS) as watch:
        assert watch.response.status == code
        assert watch.response.headers["Retry-After"] == "7"
    assert (await client.get(CONFIGMAPS)).status == 200
    async with client.watch(LEASES) as watch:
        assert watch.response.status == 200


async def test_denial_concerns_one_user_verb_and_resource() -> None:
    tokens = {"token-of-admin": "admin", "token-of-limited": "limited"}
    async with Simulator(tokens=tokens) as simulator, Server(simulator.url, context=True) as client:
        simulator.faults.deny("list", "configmaps", user="limited")
        assert (await client.ask("GET", CONFIGMAPS, user="limited")).status == 403
        assert (await client.ask("GET", LEASES, user="limited")).status == 200
        assert (await client.ask("GET", f"{CONFIGMAPS}/nothing", user="limited")).status == 404
        assert (await client.ask("GET", CONFIGMAPS)).status == 200
        simulator.faults.allow("list", "configmaps", user="limited")
        assert (await client.ask("GET", CONFIGMAPS, user="limited")).status == 200


async def test_html_with_status_200(simulator: Simulator, client: Server) -> None:
    simulator.faults.html_verbs = frozenset({"watch"})
    async with client.watch(CONFIGMAPS) as watch:
        assert watch.response.status == 200
        assert watch.response.headers["Content-Type"].startswith("text/html")
    assert (await client.get(CONFIGMAPS)).headers["Content-Type"].startswith("application/json")


async def test_garbage_comes_between_events(simulator: Simulator, client: Server) -> None:
    async with client.watch(CONFIGMAPS, resourceVersion=str(simulator.store.revision)) as watch:
        await client.create(CONFIGMAPS, configmap("first"))
        await watch.events(1)
        simulator.apiserver.send_on_watches(b"\xff garbage\n", "configmaps")
        await client.create(CONFIGMAPS, configmap("second"))
        assert await watch.response.content.readline() == b"\xff garbage\n"
        assert len(await watch.events(1)) == 1


async def test_ended_watches_get_a_clean_end_and_others_stay(simulator: Simulator, client: Server) -> None:
    query = {"resourceVersion": str(simulator.store.revision)}
    async with client.watch(CONFIGMAPS, **query) as ended, client.watch(LEASES, **query) as kept:
        simulator.apiserver.end_watches("configmaps")
        assert await ended.rest() == []
        await client.create(LEASES, {"metadata": {"name": "kept"}})
        assert len(await kept.events(1)) == 1


async def test_cut_watches_end_in_the_middle_of_the_answer(simulator: Simulator, client: Server) -> None:
    async with client.watch(CONFIGMAPS, resourceVersion=str(simulator.store.revision)) as watch:
        simulator.apiserver.cut_watches()
        with pytest.raises(aiohttp.ClientError):
            await watch.rest()


async def test_bookmark_period_can_be_shortened(simulator: Simulator, client: Server) -> None:
    simulator.faults.bookmark_period_seconds = 0.1
    query = {"resourceVersion": str(simulator.store.revision), "allowWatchBookmarks": "true"}
    async with client.watch(CONFIGMAPS, **query) as watch:
        written = await client.create(CONFIGMAPS, configmap("before"))
        added, first, second = await watch.events(3)
    assert [event["type"] for event in (added, first, second)] == ["ADDED", "BOOKMARK", "BOOKMARK"]
    assert revision_of(first["object"]) == revision_of(second["object"]) == written.revision


async def test_bookmark_never_overtakes_an_event(simulator: Simulator, client: Server) -> None:
    simulator.faults.bookmark_period_seconds = 0.1
    simulator.faults.cache_to_watch.set(0.5)
    query = {"resourceVersion": str(simulator.store.revision), "allowWatchBookmarks": "true"}
    async with client.watch(CONFIGMAPS, **query) as watch:
        await client.create(CONFIGMAPS, configmap("slow"))
        await client.get(CONFIGMAPS, limit="1")  # asks for progress, which waits behind the event
        (event,) = await watch.events(1)
    assert event["type"] == "ADDED"


async def test_client_that_does_not_read_is_closed_cleanly_and_misses_events(
    simulator: Simulator, client: Server
) -> None:
    simulator.faults.watch_buffer_events = 10
    count = 300
    obj = configmap("fat")
    obj["data"]["fat"] = "x" * 100_000
    await client.create(CONFIGMAPS, obj)
    query = {"resourceVersion": str(simulator.store.revision)}
    async with client.watch(CONFIGMAPS, accept="application/json", **query) as watch:
        for number in range(count):
            await client.patch(f"{CONFIGMAPS}/fat", annotate(number=str(number)))
        events = await watch.rest()
    assert 0 < len(events) < count


async def test_cache_that_fills_anew_ends_watches_then_says_429_then_410(simulator: Simulator, client: Server) -> None:
    old_revision = simulator.store.revision
    await client.create(CONFIGMAPS, configmap("missed"))
    async with client.watch(CONFIGMAPS, resourceVersion=str(simulator.store.revision)) as watch:
        simulator.apiserver.reinitialize("configmaps", not_ready_seconds=0.5)
        assert await watch.rest() == []
    async with client.watch(CONFIGMAPS, resourceVersion=str(old_revision)) as watch:
        assert watch.response.status == 429
        assert watch.response.headers["Retry-After"] == "1"
        assert (await watch.response.json())["message"] == "storage is (re)initializing"
    assert (await client.get(CONFIGMAPS, resourceVersion="0")).status == 429
    assert (await client.get(CONFIGMAPS, limit="1")).status == 200
    await asyncio.sleep(0.5)
    async with client.watch(CONFIGMAPS, resourceVersion=str(old_revision)) as watch:
        (error,) = await watch.rest()
    assert error["object"]["code"] == 410


@pytest.mark.parametrize("path", [CONFIGMAPS, EVENTS])
async def test_compaction_answers_410_to_older_watches_and_lets_newer_be(
    simulator: Simulator, client: Server, path: str
) -> None:
    old_revision = simulator.store.revision
    await client.create(path, {"metadata": {"name": unique("missed")}})
    async with client.watch(path, resourceVersion=str(old_revision)) as watch:
        await watch.events(1)
        simulator.compact()
        assert await watch.rest() == []
    async with client.watch(path, resourceVersion=str(old_revision)) as watch:
        (error,) = await watch.rest()
    assert (error["type"], error["object"]["code"], error["object"]["reason"]) == ("ERROR", 410, "Expired")
    async with client.watch(path, resourceVersion=str(simulator.store.revision)) as watch:
        written = await client.create(path, {"metadata": {"name": unique("seen")}})
        (event,) = await watch.events(1)
    assert revision_of(event["object"]) == written.revision


async def test_stopped_apiserver_cuts_and_refuses_and_comes_back_without_history(
    simulator: Simulator, client: Server
) -> None:
    old_revision, url = simulator.store.revision, simulator.url
    await client.create(CONFIGMAPS, configmap("missed"))
    async with client.watch(CONFIGMAPS, resourceVersion=str(simulator.store.revision)) as watch:
        await simulator.apiserver.stop()
        with pytest.raises(aiohttp.ClientError):
            await watch.rest()
    with pytest.raises(aiohttp.ClientConnectorError):
        await client.get(CONFIGMAPS)
    await simulator.apiserver.start()
    assert simulator.url == url
    assert (await client.get(f"{CONFIGMAPS}/missed")).status == 200
    async with client.watch(CONFIGMAPS, resourceVersion=str(old_revision)) as watch:
        (error,) = await watch.rest()
    assert error["object"]["code"] == 410
    async with client.watch(CONFIGMAPS, resourceVersion=str(simulator.store.revision)) as watch:
        written = [await client.create(CONFIGMAPS, configmap(f"seen-once-{number}")) for number in range(2)]
        events = await watch.events(2)
    assert [revision_of(event["object"]) for event in events] == [answer.revision for answer in written]
