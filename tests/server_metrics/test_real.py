"""What a real kube-apiserver says of itself, of whatever version: each fact moves with what it is of."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.credentials import Credentials, CredentialsSource
from exporter.diagnosis.server_facts import Kind, ServerFacts
from exporter.kubernetes.session import ApiSession, Server
from exporter.server_metrics.between import ServerReading, between
from exporter.server_metrics.families import SAMPLES, SeriesKey
from exporter.server_metrics.reader import Periods
from exporter.server_metrics.sources import ask_apiserver
from exporter.server_metrics.text import TextParser
from exporter.service import server_readers as service
from exporter.service.apiserver import Apiserver
from exporter.service.daemon import Exporter, load_credentials
from tests.conftest import FreshCluster
from tests.real.api import ApiClient, ApiError
from tests.real.cluster import Cluster
from tests.real.proxy import Proxy
from tests.real.webhooks import Webhooks
from tests.support.observing import config
from tests.support.waiting import wait_until

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
PODS, GADGETS = ("", "pods"), ("example.com", "gadgets")
TIMES = 20
DISPATCH = "apiserver_watch_events_dispatch_duration_seconds"


async def session_with(cluster: Cluster, folder: Path) -> ApiSession:
    credentials = Credentials(CredentialsSource(cluster.kubeconfig(folder / "kubeconfig")))
    await credentials.load()
    return ApiSession(Server(cluster.apiserver.url, is_one_apiserver=True), credentials)


@contextlib.asynccontextmanager
async def facts_of(cluster: Cluster, folder: Path) -> AsyncIterator[Callable[[], Awaitable[ServerFacts]]]:
    """What the apiserver says of the time since this began."""
    session = await session_with(cluster, folder)
    try:
        before: ServerReading = await ask_apiserver(session)

        async def since() -> ServerFacts:
            return between(before, await ask_apiserver(session))

        yield since
    finally:
        await session.close()


async def test_traffic_is_seen_where_it_happens(server_binaries: Path, tmp_path: Path) -> None:
    (tmp_path / "cluster").mkdir()
    (tmp_path / "webhooks").mkdir()
    with Webhooks(tmp_path / "webhooks") as webhooks:
        async with (
            Cluster(server_binaries, tmp_path / "cluster") as cluster,
            cluster.client() as client,
        ):
            gadgets = await webhooks.create_converted_resource(cluster)
            await webhooks.admit(client, "slow", "", "v1", "configmaps")
            await client.post(CONFIGMAPS, {"metadata": {"name": "first"}})
            await wait_until(lambda: is_admitted(client, webhooks), "the webhook is asked")
            async with facts_of(cluster, tmp_path) as since, client.watch(gadgets.path(None, version="v2")):
                webhooks.admission_delay_seconds = webhooks.conversion_delay_seconds = 0.02
                await make_traffic(client, gadgets.path(), gadgets.path(None, version="v2"))
                await wait_until(lambda: is_sent(since), "the watch has its events")
                facts = await since()
            has_stages = DISPATCH in await client.text("/metrics")
    assert_all_is_seen(facts)
    stages = set(facts.dispatch.get(GADGETS, {}))
    assert bool(stages) == has_stages
    assert not has_stages or {"total", "storage_to_cache"} <= stages


async def is_admitted(client: ApiClient, webhooks: Webhooks) -> bool:
    await client.patch(f"{CONFIGMAPS}/first", {"metadata": {"annotations": {"admitted": str(webhooks.admissions)}}})
    return webhooks.admissions > 0


async def make_traffic(client: ApiClient, gadgets: str, converted: str) -> None:
    """LISTs of pods, conflicts, writes through a webhook, and objects that are converted."""
    for number in range(TIMES):
        await client.get("/api/v1/pods")
        await client.get("/api/v1/configmaps")
        await client.get(converted)
        await client.post(CONFIGMAPS, {"metadata": {"name": f"c-{number}"}, "data": {"x": "x" * 5000}})
        body = {"apiVersion": "example.com/v1", "kind": "Gadget", "metadata": {"name": f"g-{number}"}}
        await client.post(gadgets, body)
        with contextlib.suppress(ApiError):
            await client.patch(f"{CONFIGMAPS}/first", {"metadata": {"resourceVersion": "1"}})


async def is_sent(since: Callable[[], Awaitable[ServerFacts]]) -> bool:
    facts = await since()
    return facts.sent_events_per_second.get(GADGETS, 0.0) * facts.seconds >= TIMES - 0.01


def assert_all_is_seen(facts: ServerFacts) -> None:
    def times(found: Mapping[Kind, float], key: Kind) -> float:
        return found[key] * facts.seconds

    assert facts.started_at is not None
    assert facts.started_at > 1e9
    assert facts.cpu_cores_used is not None
    assert facts.cpu_cores is not None
    assert 0 < facts.cpu_cores_used < facts.cpu_cores + 0.1
    assert facts.scheduling is not None
    assert facts.scheduling.most_seconds < 5
    assert facts.garbage_collection_share is not None
    assert 0 <= facts.garbage_collection_share <= 1

    assert {"get", "create"} <= facts.store_requests.keys()
    assert facts.store_requests["create"].per_second * facts.seconds >= 2 * TIMES - 0.01
    assert 0 < facts.store_requests["create"].mean_seconds <= facts.store_requests["create"].most_seconds
    admission = facts.admission_webhooks["slow.tests.example.com"]
    assert admission.per_second * facts.seconds >= TIMES - 0.01
    assert 0.02 <= admission.mean_seconds < 2
    conversion = facts.conversion_webhooks["gadgets.example.com"]
    assert conversion.mean_seconds >= 0.02
    assert facts.conversion_webhooks["*"].per_second >= conversion.per_second

    assert facts.requests["LIST", PODS].per_second * facts.seconds == pytest.approx(TIMES)
    assert facts.requests["POST", ("", "configmaps")].mean_seconds >= 0.02
    assert not {verb for verb, _ in facts.requests} & {"WATCH", "CONNECT"}
    assert times(facts.conflicts_per_second, ("", "configmaps")) == pytest.approx(TIMES)
    assert facts.too_many_per_second == 0
    assert times(facts.listed_objects_per_second, ("", "configmaps")) >= TIMES * TIMES / 2
    assert (facts.queued_requests, facts.rejected_per_second) == (0.0, 0.0)

    assert facts.open_watches[GADGETS] >= 1
    assert sum(facts.open_watches.values()) > 10
    assert facts.open_watches_before is not None
    assert facts.open_watches_before > 10
    assert facts.open_connections is not None
    assert facts.open_connections > 10
    assert facts.sent_bytes_per_second is not None
    assert facts.sent_bytes_per_second * facts.seconds > TIMES * TIMES / 2 * 5000
    assert times(facts.received_events_per_second, ("", "configmaps")) >= TIMES - 0.01
    assert facts.cache_revisions[GADGETS] > 1
    assert facts.cache_read_wait[PODS].per_second > 0
    assert facts.cache_initializations[PODS] == 0
    assert not facts.cache_fallbacks
    assert not facts.terminated_watchers
    assert facts.object_bytes[GADGETS] > 100


async def test_initial_events_are_seen(cluster: Cluster, tmp_path: Path) -> None:
    async with cluster.client() as client, facts_of(cluster, tmp_path) as since:
        async with client.watch("/api/v1/namespaces", resourceVersion="0") as events:
            await anext(events)

        async def is_seen() -> bool:
            return (await since()).initial_events_per_second.get(("", "namespaces"), 0.0) > 0

        await wait_until(is_seen, "initial events")


async def test_it_reads_what_others_read(cluster: Cluster) -> None:
    """The sums of a parser that knows nothing of us, series by series, on everything that this version serves."""
    async with cluster.client() as client:
        text = await client.text("/metrics")
    expected: dict[str, dict[SeriesKey, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            known = SAMPLES.get(sample.name)
            key = known[0].by(sample.labels) if known is not None else None
            if known is None or key is None:
                continue
            of_fact = expected.setdefault(f"{known[0].fact} {known[1]} {sample.labels.get('le', '')}", {})
            of_fact[key] = of_fact.get(key, 0.0) + sample.value
    parser = TextParser()
    parser.feed(text.encode())
    numbers = parser.finish()
    assert numbers.refused == 0
    found = {f"{fact} value ": dict(values) for fact, values in numbers.values.items()}
    for fact, histograms in numbers.histograms.items():
        found[f"{fact} sum "] = {key: of_key[0] for key, of_key in histograms.items()}
        for bound, place in numbers.bounds[fact].items():
            found[f"{fact} bucket {bound.decode()}"] = {key: of_key[place] for key, of_key in histograms.items()}
    assert found == expected


@pytest.mark.parametrize(("user", "is_permitted"), [("admin", True), ("limited", False)])
async def test_the_daemon_knows_what_it_may_read(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: str, *, is_permitted: bool
) -> None:
    monkeypatch.setattr(service, "OF_APISERVERS", Periods(quiet=1, trouble=1, refused=1))
    kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig", user=user)
    settled = config("--kubeconfig", kubeconfig, "--apiserver", cluster.apiserver.url, "--apiserver.metrics", "auto")
    exporter = Exporter(settled, await load_credentials(settled))
    async with exporter.running():
        await wait_until(lambda: bool(exporter.apiservers), "it watches")
        [watched] = exporter.apiservers
        reads = exporter.metrics.apiserver(watched.server.name).server_metrics_reads
        if is_permitted:
            await wait_until(lambda: watched.server_readers.facts is not None, "facts")
        else:
            await wait_until(lambda: reads["forbidden"].value >= 2, "it is refused")
            assert watched.server_readers.facts is None
    assert bool(reads["ok"].value) == is_permitted


async def test_behind_a_balancer_each_apiserver_is_told_apart_from_the_others(
    fresh_cluster: FreshCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "OF_APISERVERS", Periods(quiet=1, trouble=1))
    cluster = await fresh_cluster(apiservers=2)
    with Proxy(*(one.url for one in cluster.apiservers)) as balancer:
        kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig", server=balancer.url)
        settled = config("--kubeconfig", kubeconfig, "--apiserver.metrics", "auto")
        exporter = Exporter(settled, await load_credentials(settled))
        async with exporter.running():
            await wait_until(lambda: bool(exporter.apiservers), "it watches")
            [watched] = exporter.apiservers
            readers = watched.server_readers
            readers.notice(is_trouble=True, wants_flows=True)
            await wait_until(lambda: len(readers.members) == 2, "both are known")
            async with cluster.client(server=cluster.apiservers[1].url) as client:
                for _ in range(TIMES):
                    await client.get(CONFIGMAPS)

                def lists() -> list[float]:
                    return sorted(_requests(one, "LIST", ("", "configmaps")) for one in readers.members)

                await wait_until(lambda: len(found := lists()) == 2 and found[1] > 1, "the LISTs of one are seen")
                assert lists()[0] == 0, "they are not the other one's"
            assert (readers.facts, readers.flows) == (None, ())
            cost = exporter.metrics.cost(watched.server.name)
    assert cost.requests["server_metrics"].value >= 4


async def test_behind_a_balancer_a_prometheus_is_not_asked(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(service, "OF_PROMETHEUS", Periods(quiet=0.1, trouble=0.1))
    flags = ("--kubeconfig", cluster.kubeconfig(tmp_path / "kubeconfig"), "--prometheus.url", "http://127.0.0.1:9")
    settled = config(*flags)
    exporter = Exporter(settled, await load_credentials(settled))
    async with exporter.running():
        await wait_until(lambda: bool(exporter.apiservers), "it watches")
        await asyncio.sleep(1)
        [watched] = exporter.apiservers
        reads = exporter.metrics.apiserver(watched.server.name).server_metrics_reads
        assert {result: counter.value for result, counter in reads.items() if counter.value} == {}
    assert service.NOT_OF_ONE in [record.message for record in caplog.records]


async def test_an_address_that_turns_out_to_be_a_balancer_says_no_more_what_one_apiserver_does(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "OF_APISERVERS", Periods(quiet=0.5, trouble=0.5))
    kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig")
    settled = config("--kubeconfig", kubeconfig, "--apiserver", cluster.apiserver.url, "--apiserver.metrics", "on")
    exporter = Exporter(settled, await load_credentials(settled))
    async with exporter.running():
        await wait_until(lambda: bool(exporter.apiservers), "it watches")
        [watched] = exporter.apiservers
        readers = watched.server_readers
        await wait_until(lambda: readers.facts is not None, "facts")
        watched.several_clocks()
        assert (readers.facts, readers.members) == (None, ())
        await wait_until(lambda: bool(readers.members), "it is one of those behind the address")
        assert readers.facts is None


async def test_where_several_processes_answer_nothing_is_shown_by_one(
    fresh_cluster: FreshCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "OF_APISERVERS", Periods(quiet=0.5, trouble=0.5))
    monkeypatch.setattr(Apiserver, "_noticed_balancer", lambda *_: None)  # nothing else betrays it
    cluster = await fresh_cluster(apiservers=2)
    with Proxy(*(one.url for one in cluster.apiservers)) as balancer:
        kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig")
        settled = config("--kubeconfig", kubeconfig, "--apiserver", balancer.url, "--apiserver.metrics", "on")
        exporter = Exporter(settled, await load_credentials(settled))
        async with exporter.running():
            await wait_until(lambda: bool(exporter.apiservers), "it watches")
            [watched] = exporter.apiservers
            assert watched.state().is_one_apiserver
            await wait_until(lambda: len(watched.server_readers.members) == 2, "both are known")
            assert not watched.state().is_one_apiserver


def _requests(facts: ServerFacts, verb: str, kind: Kind) -> float:
    timed = facts.requests.get((verb, kind))
    return timed.per_second if timed is not None else 0.0
