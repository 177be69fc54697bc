"""Several apiservers on one etcd: each has its own streams, clocks and series, and one's trouble is not another's."""

import asyncio
import gc
import ssl
from functools import partial
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakSet

import aiohttp
import pytest

from exporter.clocks import same_store as stores
from exporter.service import fleet, leaving
from exporter.service.apiserver import Apiserver
from exporter.service.daemon import Exporter, load_credentials
from tests.conftest import FreshCluster
from tests.real.cluster import Cluster
from tests.real.process import free_port
from tests.real.proxy import Proxy, Tls
from tests.real.workload import Writer
from tests.support.observing import Scrape, config, observed
from tests.support.waiting import wait_until


def name_of(url: str) -> str:
    """The label `apiserver` of what is watched at `url`."""
    return url.removeprefix("https://")


def is_up(url: str, scrape: Scrape) -> bool:
    return scrape.values("stream_up", apiserver=name_of(url)) == [1.0]


@pytest.mark.timeout(120)
async def test_a_frozen_apiserver_of_three_that_were_discovered_spoils_its_own_series_only(
    fresh_cluster: FreshCluster, tmp_path: Path
) -> None:
    cluster = await fresh_cluster(apiservers=3)
    healthy, troubled, other = cluster.apiservers
    urls = [server.url for server in cluster.apiservers]
    await cluster.list_apiservers(*urls)
    flags = ("--kubeconfig", cluster.kubeconfig(tmp_path / "kubeconfig"), "--resource", "nodes", "--apiserver.discover")
    async with (
        observed(*flags) as exporter,
        cluster.client(server=healthy.url) as client,
    ):
        for url in urls:
            await exporter.wait_for(partial(is_up, url))
        async with Writer(client, rate_per_second=40, resources=("nodes",)):
            await asyncio.sleep(4)
            troubled.freeze()
            await asyncio.sleep(5)
            troubled.thaw()
            await asyncio.sleep(3)
        scrape = await exporter.scrape()
    for server in (healthy, other):
        of_server = {"apiserver": name_of(server.url)}
        assert scrape.sum("events_judged_total", **of_server, verdict="on_time") > 300
        assert scrape.sum("events_judged_total", **of_server, verdict="late") == 0
        assert scrape.sum("events_judged_total", **of_server, verdict="ambiguous") < 30
    # Its own polls were frozen with it: what arrived on the others' watches is what proves it late.
    of_troubled = {"apiserver": name_of(troubled.url)}
    assert scrape.sum("events_judged_total", **of_troubled, verdict="late") > 50
    assert scrape.sum("evidence_total", **of_troubled, source="arrival") > 50
    assert scrape.sum("stream_up") == len(urls)


class Remembered(Apiserver):
    """Known for as long as it is in memory."""

    all_alive: ClassVar[WeakSet["Remembered"]] = WeakSet()

    def __init__(self, *what: Any, **how: Any) -> None:
        super().__init__(*what, **how)
        self.all_alive.add(self)


@pytest.mark.timeout(120)
async def test_nothing_is_left_of_an_apiserver_that_went(
    fresh_cluster: FreshCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "DISCOVERY_PERIOD_SECONDS", 1.0)
    monkeypatch.setattr(leaving, "LEAVING_SECONDS", 1.0)
    monkeypatch.setattr(fleet, "FORGETTING_SECONDS", 5.0)
    monkeypatch.setattr(stores, "PROOF_PERIOD_SECONDS", 1.0)
    monkeypatch.setattr(stores, "PEERS_PROOF_SECONDS", 1.0)
    monkeypatch.setattr(fleet, "Apiserver", Remembered)
    cluster = await fresh_cluster(apiservers=2)
    staying, going = cluster.apiservers
    await cluster.list_apiservers(staying.url, going.url)
    kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig")
    settled = config("--kubeconfig", kubeconfig, "--resource", "nodes", "--apiserver.discover")
    exporter = Exporter(settled, await load_credentials(settled))
    async with exporter.running():
        await wait_until(lambda: len(Remembered.all_alive) == 2 and not exporter.not_ready(), "both are watched")
        await cluster.list_apiservers(staying.url)
        await wait_until(lambda: len(Remembered.all_alive) == 1, "one is forgotten")
        assert gc.get_freeze_count() > 10_000, "and the collector leaves the other alone"


@pytest.mark.timeout(120)
async def test_an_apiserver_that_is_no_endpoint_any_more_ends_is_counted_and_then_leaves_no_series(
    fresh_cluster: FreshCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Scrapes come twice in a minute; this test's come whenever it likes.
    monkeypatch.setattr(fleet, "DISCOVERY_PERIOD_SECONDS", 1.0)
    monkeypatch.setattr(leaving, "LEAVING_SECONDS", 6.0)
    cluster = await fresh_cluster(apiservers=2)
    staying, going = cluster.apiservers
    await cluster.list_apiservers(staying.url, going.url)
    flags = ("--kubeconfig", cluster.kubeconfig(tmp_path / "kubeconfig"), "--resource", "nodes", "--apiserver.discover")
    async with observed(*flags) as exporter:
        await exporter.wait_for(partial(is_up, going.url))
        await cluster.list_apiservers(staying.url)
        await going.kill()
        ended = await exporter.wait_for(
            lambda scrape: scrape.sum("watch_ends_total", apiserver=name_of(going.url)) == 1
        )
        assert ended.sum("watch_ends_total", apiserver=name_of(going.url), reason="transport_error") == 1
        assert ended.sum("forced_closes_total", apiserver=name_of(going.url)) == 1
        gone = await exporter.wait_for(lambda scrape: not scrape.values("stream_up", apiserver=name_of(going.url)))
        async with aiohttp.ClientSession() as http, http.get(f"{exporter.url}/metrics") as response:
            assert name_of(going.url) not in await response.text()
    assert is_up(staying.url, gone)
    assert gone.sum("watch_ends_total", apiserver=name_of(staying.url)) == 0


def known_as(cluster: Cluster, host: str) -> Tls:
    """Stands before an apiserver with a certificate of the cluster for this name and no address."""
    certificate = cluster.authority.issue(f"only-{host}", hosts=[host], addresses=[])
    as_server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    as_server.load_cert_chain(certificate.certificate_file, certificate.key_file)
    return Tls(as_server, cluster.client_context)


async def test_an_endpoint_shows_the_clusters_certificate_and_is_verified_by_the_clusters_name(
    listed_cluster: Cluster, tmp_path: Path
) -> None:
    cluster = listed_cluster
    with Proxy(cluster.apiserver.url, tls=known_as(cluster, "localhost")) as proxy:
        server = f"https://localhost:{proxy.port}"
        kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig", server=server)
        await cluster.list_apiservers(proxy.url)
        try:
            async with observed("--kubeconfig", kubeconfig, "--resource", "nodes", "--apiserver.discover") as exporter:
                scrape = await exporter.wait_for(partial(is_up, proxy.url))
        finally:
            await cluster.list_apiservers(cluster.apiserver.url)
    assert proxy.url == f"https://127.0.0.1:{proxy.port}", "an address, which the certificate does not have"
    assert scrape.sum("init_events_errors_total") == 0


@pytest.mark.timeout(120)
async def test_where_no_endpoint_answers_the_configured_server_is_watched_until_one_does(
    listed_cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(fleet, "DISCOVERY_PERIOD_SECONDS", 0.5)
    monkeypatch.setattr(leaving, "LEAVING_SECONDS", 2.0)
    cluster = listed_cluster
    home, closed = cluster.apiserver.url, f"https://127.0.0.1:{free_port('127.0.0.1')}"
    flags = ("--kubeconfig", cluster.kubeconfig(tmp_path / "kubeconfig"), "--resource", "nodes", "--apiserver.discover")
    with Proxy(home) as silent, Proxy(home, tls=known_as(cluster, "elsewhere.example")) as elsewhere:
        silent.black_hole = True
        urls = (closed, silent.url, elsewhere.url)
        await cluster.list_apiservers(*urls)
        try:
            async with observed(*flags) as exporter:
                scrape = await exporter.wait_for(partial(is_up, home))
                assert scrape.sum("apiservers_left_out") == 3
                assert not [url for url in urls if scrape.values("stream_up", apiserver=name_of(url))]
                silent.black_hole = False
                scrape = await exporter.wait_for(partial(is_up, silent.url), seconds=60)
                assert [scrape.values("stream_up", apiserver=name_of(url)) for url in urls] == [[0.0], [1.0], [0.0]]
                await exporter.wait_for(lambda scrape: not scrape.values("stream_up", apiserver=name_of(home)))
        finally:
            await cluster.list_apiservers(home)
    said = next(record for record in caplog.records if record.getMessage().startswith("no endpoint answers"))
    error: str = said.fields["error"]  # type: ignore[attr-defined]
    assert f"{name_of(closed)}: no connection: Connection refused" in error
    assert f"{name_of(silent.url)}: no answer in time" in error
    assert f"{name_of(elsewhere.url)}: the certificate is not accepted: " in error
