import ssl
from pathlib import Path

import aiohttp
import pytest

from exporter.simulator import Simulator
from exporter.simulator.balancer import Balancing
from tests.contract.server import CONFIGMAPS, EVENTS, LIST_METADATA, Server, configmap
from tests.real.certificates import CertificateAuthority

SLICE = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes"


async def test_apiservers_share_objects_and_nothing_else() -> None:
    async with Simulator(apiservers=2) as simulator:
        first, second = simulator.apiservers
        second.faults.storage_to_cache.set(30.0)
        async with Server(first.url, context=True) as one, Server(second.url, context=True) as other:
            written = await one.create(CONFIGMAPS, configmap("shared"))
            assert (await other.get(f"{CONFIGMAPS}/shared")).json == written.json
            assert (await one.get(CONFIGMAPS, resourceVersion="0")).revision == written.revision
            assert (await other.get(CONFIGMAPS, resourceVersion="0")).revision < written.revision


async def test_endpoint_slice_lists_where_they_are() -> None:
    async with Simulator(apiservers=2) as simulator, Server(simulator.url, context=True) as client:
        slice_ = (await client.get(SLICE)).json
        (port,) = slice_["ports"]
        addresses = [f"{endpoint['addresses'][0]}:{port['port']}" for endpoint in slice_["endpoints"]]
        assert addresses == [apiserver.address for apiserver in simulator.apiservers]
        for address in addresses:
            async with Server(f"http://{address}", context=True) as direct:
                assert (await direct.get("/version")).status == 200


async def days(client: Server, count: int) -> set[str]:
    """What some answers' Date headers say without the time of the day."""
    answers = [await client.get(EVENTS, accept=LIST_METADATA, limit="1") for _ in range(count)]
    return {answer.headers["Date"][:16] for answer in answers}


async def test_balancer_by_connection_keeps_a_connection_with_one_apiserver() -> None:
    async with Simulator(apiservers=2, balanced="connection") as simulator:
        simulator.apiservers[1].clock.offset_seconds = 86400.0 * 40
        async with Server(simulator.url, context=True) as one, Server(simulator.url, context=True) as other:
            of_one, of_other = await days(one, 4), await days(other, 4)
    assert len(of_one) == len(of_other) == 1
    assert of_one != of_other


async def test_balancer_by_request_mixes_apiservers_on_one_connection_and_says_via() -> None:
    async with Simulator(apiservers=2, balanced="request") as simulator:
        simulator.apiservers[1].clock.offset_seconds = 86400.0 * 40
        async with Server(simulator.url, context=True) as client:
            assert len(await days(client, 4)) == 2
            assert (await client.get("/version")).headers["Via"] == "1.1 balancer"


async def test_balancer_leaves_out_who_is_not_running() -> None:
    async with Simulator(apiservers=2, balanced="connection") as simulator:
        await simulator.apiservers[0].stop()
        for _ in range(3):
            async with Server(simulator.url, context=True) as client:
                assert (await client.get("/version")).status == 200
        await simulator.apiservers[1].stop()
        async with Server(simulator.url, context=True) as client:
            with pytest.raises(aiohttp.ClientError):
                await client.get("/version")


@pytest.mark.parametrize("balanced", ["connection", "request"])
async def test_watch_through_a_balancer_delivers(balanced: Balancing) -> None:
    async with (
        Simulator(apiservers=2, balanced=balanced) as simulator,
        Server(simulator.url, context=True) as client,
        client.watch(CONFIGMAPS, resourceVersion=str(simulator.store.revision)) as watch,
    ):
        await client.create(CONFIGMAPS, configmap("balanced"))
        assert len(await watch.events(1)) == 1


async def test_tls(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path)
    certificate = authority.issue("simulator")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate_file, certificate.key_file)
    async with Simulator(ssl=context) as simulator, Server(simulator.url, authority.client_context()) as client:
        assert simulator.url.startswith("https://127.0.0.1:")
        async with client.watch(CONFIGMAPS, resourceVersion=str(simulator.store.revision)) as watch:
            await client.create(CONFIGMAPS, configmap("secret"))
            assert len(await watch.events(1)) == 1
