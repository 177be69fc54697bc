"""What a real apiserver would not do when asked: other stores, balancers, answers that are none."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from exporter.commands.check.findings import Findings, Polls, Unknown
from exporter.commands.check.inspection import inspect
from exporter.credentials import Credentials, CredentialsSource
from exporter.kubernetes.session import Server
from exporter.simulator import NODES, WIDGETS, Rejection, Simulator
from tests.commands.check.command import check, config, plain_kubeconfig
from tests.support.endpoints import name_apiservers

# With its version, so that nothing but that version is asked for.
WIDGETS_NAME = "widgets.v1.example.com"


async def found(
    simulator: Simulator, folder: Path, *, one_apiserver: bool = True, globs: str | None = None
) -> Findings:
    credentials = Credentials(CredentialsSource(plain_kubeconfig(folder / "kubeconfig", simulator.url)))
    await credentials.load()
    settings = {"custom-resources": globs} if globs else {}
    return await inspect(config(**settings), credentials, Server(simulator.url, is_one_apiserver=one_apiserver))


async def test_a_resource_in_another_store_is_a_note(tmp_path: Path) -> None:
    async with Simulator(own_stores=("widgets.example.com",)) as simulator:
        await simulator.define(WIDGETS)
        kubeconfig = plain_kubeconfig(tmp_path / "kubeconfig", simulator.url)
        ended = await check("--kubeconfig", kubeconfig, f"--resource={WIDGETS_NAME}", "--resource=nodes")
    assert (ended.exit_code, ended.last_line) == (0, "all good")
    assert ended.table["one store"]["nodes"][0] == "ok"
    result, detail = ended.table["one store"][WIDGETS_NAME]
    assert result == "note"
    assert "shares its revision sequence with no quiet kind" in detail
    assert ended.table["server"]["connection"][0] == "note", "there is no TLS"


async def test_dates_that_a_balancer_passed_on_are_no_evidence(tmp_path: Path) -> None:
    async with Simulator(apiservers=2, balanced="request") as simulator:
        findings = await found(simulator, tmp_path, one_apiserver=False)
    assert findings.greeting is not None
    assert not isinstance(findings.greeting, Unknown)
    assert findings.greeting.on_the_way == ("Via: 1.1 balancer",)
    assert findings.apiservers == 2
    assert isinstance(findings.polls, Polls)
    assert (findings.polls.dated, findings.polls.offset_seconds) == (0, None)


async def test_a_clock_that_is_wrong_is_seen(tmp_path: Path) -> None:
    async with Simulator() as simulator:
        simulator.apiserver.clock.offset_seconds = -7.0
        findings = await found(simulator, tmp_path, one_apiserver=False)
    assert isinstance(findings.polls, Polls)
    assert findings.polls.offset_seconds is not None
    lower, upper = findings.polls.offset_seconds
    assert lower <= -7.0 <= upper
    assert upper - lower < 0.3


async def test_a_clock_that_is_set_meanwhile_is_seen(tmp_path: Path) -> None:
    async def set_the_clock(simulator: Simulator) -> None:
        # In the middle of the polls, which take three seconds.
        await asyncio.sleep(1.5)
        simulator.apiserver.clock.offset_seconds = 5.0

    async with Simulator() as simulator:
        findings, _ = await asyncio.gather(found(simulator, tmp_path), set_the_clock(simulator))
    assert isinstance(findings.polls, Polls)
    assert findings.polls.contradictions == 1


async def test_definitions_that_are_not_listed_are_not_waited_for(tmp_path: Path) -> None:
    async with Simulator() as simulator:
        definitions = "customresourcedefinitions.apiextensions.k8s.io"
        simulator.faults.rejection = Rejection(503, verbs=frozenset({"list"}), resource=definitions)
        findings = await found(simulator, tmp_path, globs="*.example.com")
    assert findings.custom == Unknown("the server is currently unable to handle the request")
    assert findings.polls is not None, "the rest is looked at"


@pytest.mark.parametrize(
    ("rejection", "html_verbs", "sentence"),
    [
        (Rejection(429, verbs=frozenset({"list"})), frozenset[str](), "too many requests, please try again later"),
        (None, frozenset({"list"}), "/api/v1/namespaces/default/events: the response is not a list"),
    ],
)
async def test_polls_that_get_no_list_are_given_up_soon(
    tmp_path: Path, rejection: Rejection | None, html_verbs: frozenset[str], sentence: str
) -> None:
    async with Simulator() as simulator:
        simulator.faults.rejection = rejection
        simulator.faults.html_verbs = html_verbs
        findings = await found(simulator, tmp_path)
    assert isinstance(findings.polls, Polls)
    assert findings.polls.round_trips_seconds == ()
    assert len(findings.polls.failed) == 3
    assert findings.polls.failed[0].startswith(sentence)
    assert findings.polled_kinds is not None
    assert all(isinstance(kind.polled, Unknown) for kind in findings.polled_kinds)


async def test_a_page_to_log_in_is_no_apiserver(tmp_path: Path) -> None:
    async def page(_: web.Request) -> web.Response:
        return web.Response(text="<html>Please log in.</html>", content_type="text/html")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", page)
    async with TestServer(app, host="127.0.0.1") as portal:
        address = f"127.0.0.1:{portal.port}"
        ended = await check("--kubeconfig", plain_kubeconfig(tmp_path / "kubeconfig", f"http://{address}"))
    assert ended.exit_code == 2
    assert ended.table["server"]["version"] == (
        "note",
        "not known: /version returned text/html, not a Kubernetes version",
    )
    assert ended.last_line.startswith(f"not good: {address} did not accept the credentials: ")
    assert ended.table["permissions"]["watch pods"] == ("not checked", "")


async def test_a_proxy_is_told_without_its_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Simulator() as simulator:
        # The simulator itself stands for the proxy: it answers whatever the request line's form.
        monkeypatch.setenv("http_proxy", simulator.url.replace("http://", "http://user:secret@"))
        monkeypatch.delenv("no_proxy", raising=False)
        findings = await found(simulator, tmp_path)
    assert findings.greeting is not None
    assert not isinstance(findings.greeting, Unknown)
    assert findings.greeting.on_the_way == (f"HTTP proxy {simulator.url.removeprefix('http://')}",)


async def test_every_discovered_apiserver_is_looked_at(tmp_path: Path) -> None:
    async with Simulator(apiservers=2) as simulator:
        kubeconfig = plain_kubeconfig(tmp_path / "kubeconfig", simulator.url)
        flags = ("--kubeconfig", kubeconfig, "--resource=nodes", "--apiserver.discover")
        every = await check(*flags)
        simulator.faults.deny("list", "endpointslices.discovery.k8s.io")
        none = await check(*flags)
    assert every.exit_code == 0
    for apiserver in simulator.apiservers:
        assert f"{apiserver.host}:{apiserver.port}" in every.out
    assert none.exit_code == 2
    assert none.err.startswith("watchslo: error: --apiserver.discover: no apiserver found: ")


async def test_where_no_endpoint_answers_the_configured_server_is_looked_at(tmp_path: Path) -> None:
    async with Simulator(apiservers=3) as simulator:
        _, refusing, silent = simulator.apiservers
        await name_apiservers(simulator, refusing.host, silent.host)
        await refusing.stop()
        silent.faults.network.to_client_seconds = 3600
        kubeconfig = plain_kubeconfig(tmp_path / "kubeconfig", simulator.url)
        ended = await check("--kubeconfig", kubeconfig, "--resource=nodes", "--apiserver.discover")
    assert (ended.exit_code, ended.last_line) == (0, "all good")
    why = f"{refusing.address}: no connection: Connection refused; {silent.address}: no answer in time"
    result, detail = ended.table["configuration"]["apiserver"]
    assert result == "note"
    assert detail.startswith(
        f"{simulator.url}, named by the credentials: none of those that --apiserver.discover finds"
    )
    assert detail.endswith(f"({why})")
    assert ended.table["server"]["apiservers"] == (
        "note",
        "2, and any of them may write an object's timestamps, so these do not narrow intervals",
    )


async def test_a_write_that_is_tried_leaves_nothing(tmp_path: Path) -> None:
    async with Simulator() as simulator:
        await simulator.apiserver.registry.create(NODES, {"metadata": {"name": "one"}}, manager="test")
        kubeconfig = plain_kubeconfig(tmp_path / "kubeconfig", simulator.url)
        canary = ("--resource=nodes", "--canary.interval=1", "--canary.node=one")
        before = dict(simulator.apiserver.stores.of(NODES).objects(NODES))
        ended = await check("--kubeconfig", kubeconfig, *canary)
        assert dict(simulator.apiserver.stores.of(NODES).objects(NODES)) == before
    assert ended.table["resources"]["canary nodes one"][0] == "ok", ended
