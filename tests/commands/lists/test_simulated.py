"""What LISTs of a simulated apiserver cost, against what it really sent."""

import asyncio
import io
import json
import os
from collections.abc import AsyncIterator, Iterable
from itertools import chain, repeat
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from exporter.commands.lists import reading
from exporter.commands.lists.measuring import AFTER_429, CommandRun, costs_of
from exporter.commands.lists.plan import LEAST_ALLOWED_BYTES
from exporter.commands.lists.reading import ListReading, troubled
from exporter.commands.lists.result import FORMS, CollectionCost, ServedFrom
from exporter.commands.lists.sampling import plans_of
from exporter.commands.progress_line import ProgressLine
from exporter.config import Config
from exporter.kubernetes.session import ApiSession, Server
from exporter.service.daemon import load_credentials
from exporter.simulator import Simulator
from exporter.simulator.faults import Rejection
from exporter.simulator.resources import PODS
from tests.commands.check.command import plain_kubeconfig
from tests.commands.lists.costing import by_form, costs
from tests.commands.measure.command import Ended, Running
from tests.support.observing import config

OBJECTS = 1100
ACCEPT = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


@pytest_asyncio.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """With 1100 pods: of four applications, 300 in another namespace."""
    async with Simulator() as running:
        for number in range(OBJECTS):
            await create_pod(running, number)
        yield running


async def create_pod(simulator: Simulator, number: int, size_bytes: int = 0) -> None:
    namespace = "other" if number < 300 else "default"
    labels = {"app": f"app-{number % 4}"} if number % 10 else {}
    metadata = {"namespace": namespace, "name": f"p-{number:05}", "labels": labels}
    spec = {"nodeName": "n", "containers": [{"name": "{", "image": 'x"]\\' + "x" * size_bytes}]}
    await simulator.apiserver.registry.create(PODS, {"metadata": metadata, "spec": spec}, manager="test")


def settings(simulator: Simulator, folder: Path, *flags: str) -> Config:
    return config(
        "--kubeconfig", plain_kubeconfig(folder / "kubeconfig", simulator.url), *(flags or ("--resource", "pods"))
    )


async def sent_bytes(simulator: Simulator, path: str, accept: str = "application/json") -> int:
    headers = {"Accept": accept}
    async with aiohttp.ClientSession() as session, session.get(simulator.url + path, headers=headers) as response:
        return len(await response.read())


async def test_each_form_has_the_bytes_and_objects_that_the_server_sends(simulator: Simulator, tmp_path: Path) -> None:
    settled = settings(simulator, tmp_path)
    plans = await plans_of(settled)
    [cost] = await costs(settled, plans)
    sample = cost.sample
    assert sample is not None
    assert (sample.objects, sample.sampled) == (OBJECTS, 500)
    found = by_form(cost)
    assert [one.trouble for one in cost.lists] == [None] * len(FORMS)
    everything = await sent_bytes(simulator, "/api/v1/pods")
    assert found["newest"].size_bytes == found["cached"].size_bytes == everything
    assert {form: (one.objects, one.pages) for form, one in found.items() if form not in {"label", "namespace"}} == {
        "newest": (OBJECTS, 1),
        "cached": (OBJECTS, 1),
        "pages": (OBJECTS, 3),
        "metadata": (OBJECTS, 1),
        "streaming": (OBJECTS, 1),
    }
    assert found["metadata"].size_bytes == await sent_bytes(simulator, "/api/v1/pods", ACCEPT)
    for form in ("label", "namespace"):
        assert found[form].size_bytes == await sent_bytes(simulator, found[form].request)
    assert found["namespace"].objects in {300, 800}
    assert 200 < found["label"].objects < 300
    for planned in plans[0].lists:
        assert found[planned.form].size_bytes == pytest.approx(planned.expected_bytes, rel=0.5)
        first, last = found[planned.form].first_byte_seconds, found[planned.form].seconds
        assert first is not None
        assert last is not None
        assert 0 < first <= last
    assert cost.why_no_server_metrics is not None
    assert [one.served for one in cost.lists] == [None] * len(FORMS)


async def test_after_a_429_nothing_more_is_sent(simulator: Simulator, tmp_path: Path) -> None:
    settled = settings(simulator, tmp_path, "--resource", "pods", "--resource", "nodes")
    plans = await plans_of(settled)
    simulator.faults.rejection = Rejection(429, retry_after_seconds=7, verbs=frozenset({"list"}))
    pods, nodes = await costs(settled, plans)
    first, *others = pods.lists
    assert first.trouble is not None
    assert first.trouble.startswith("refused with 429, Retry-After 7 s: ")
    assert {one.trouble for one in others} == {"not sent, because the apiserver has refused with 429"}
    assert {one.request for one in (*others, *nodes.lists)} == {""}
    assert pods.watch is None
    assert not pods.is_said


async def test_after_a_429_to_the_sample_nothing_more_is_sent_or_asked(simulator: Simulator, tmp_path: Path) -> None:
    simulator.faults.rejection = Rejection(429, retry_after_seconds=7, verbs=frozenset({"list"}), resource="nodes")
    kubeconfig = plain_kubeconfig(tmp_path / "kubeconfig", simulator.url)
    resources = [flag for name in ("pods", "nodes", "events") for flag in ("--resource", name)]
    ended = await lists("--kubeconfig", kubeconfig, *resources, "--yes")
    assert (ended.exit_code, ended.out) == (2, "")
    where = f"nodes on {simulator.apiserver.host}:{simulator.apiserver.port}"
    assert ended.err.startswith(f"watchslo: error: {where}: refused with 429, Retry-After 7 s: ")
    plans = await plans_of(settings(simulator, tmp_path, *resources))
    assert [plan.name.plural for plan in plans] == ["pods", "nodes"]


async def test_what_is_refused_has_its_sentence_and_the_others_go_on(simulator: Simulator, tmp_path: Path) -> None:
    simulator.faults.deny("watch", "pods")
    settled = settings(simulator, tmp_path, "--resource", "foos", "--resource", "pods")
    foos, pods = await costs(settled)
    assert foos.trouble == "foos is not served here"
    found = by_form(pods)
    assert "cannot watch resource" in (found["streaming"].trouble or "")
    assert found["metadata"].trouble is None
    assert pods.watch is not None
    assert "cannot watch resource" in (pods.watch.trouble or "")
    assert pods.is_said


async def test_a_list_that_brings_much_more_than_announced_is_stopped(simulator: Simulator, tmp_path: Path) -> None:
    settled = settings(simulator, tmp_path)
    plans = await plans_of(settled)
    for number in range(20):
        await create_pod(simulator, OBJECTS + number, LEAST_ALLOWED_BYTES // 16)
    [pods] = await costs(settled, plans)
    found = by_form(pods)
    for form in ("newest", "cached", "pages", "streaming"):
        assert "much more than was expected" in (found[form].trouble or ""), form
        assert LEAST_ALLOWED_BYTES < found[form].size_bytes < 2 * LEAST_ALLOWED_BYTES
        assert found[form].seconds is not None
    assert found["metadata"].trouble is None


async def test_what_is_no_list_is_said(simulator: Simulator, tmp_path: Path) -> None:
    settled = settings(simulator, tmp_path)
    plans = await plans_of(settled)
    simulator.faults.html_verbs = frozenset({"list", "watch"})
    [pods] = await costs(settled, plans)
    assert {one.trouble for one in pods.lists} == {"the answer is text/html instead of JSON"}
    assert not pods.is_said


async def test_one_namespace_has_no_other_to_choose(simulator: Simulator, tmp_path: Path) -> None:
    settled = settings(simulator, tmp_path, "--resource", "pods", "--namespace", "other")
    [pods] = await costs(settled)
    assert pods.sample is not None
    assert pods.sample.objects == 300
    assert by_form(pods)["namespace"].trouble == "all of these are of one namespace"
    assert by_form(pods)["newest"].objects == 300


async def test_a_watch_counts_events_and_bytes(simulator: Simulator, tmp_path: Path) -> None:
    settled = settings(simulator, tmp_path)
    plans = await plans_of(settled)

    async def write() -> None:
        while True:
            await simulator.apiserver.registry.update(
                PODS, ("other", "p-00001"), lambda pod: {**pod, "status": {"phase": str(os.urandom(4))}}, manager="x"
            )
            await asyncio.sleep(0.05)

    writing = asyncio.create_task(write())
    [pods] = await costs(settled, plans, watch_seconds=1.0)
    writing.cancel()
    watch, sample = pods.watch, pods.sample
    assert watch is not None
    assert sample is not None
    assert watch.trouble is None
    assert 0.5 < watch.seconds < 5
    assert 3 < watch.events < 60
    assert watch.size_bytes > 100 * watch.events
    assert sample.object_bytes is not None
    assert sample.metadata_bytes is not None
    assert watch.full_bytes_estimate == pytest.approx(watch.size_bytes * sample.object_bytes / sample.metadata_bytes)


async def lists(*words: str | Path) -> Ended:
    async with Running(*words, command="lists") as running:
        return await running.ended()


async def test_without_a_terminal_somebody_has_to_agree_beforehand(simulator: Simulator, tmp_path: Path) -> None:
    kubeconfig = plain_kubeconfig(tmp_path / "kubeconfig", simulator.url)
    flags = ("--kubeconfig", kubeconfig, "--resource", "pods", "--duration", "0.1")
    refused = await lists(*flags)
    assert (refused.exit_code, refused.out) == (2, "")
    assert refused.err == (
        "watchslo: error: --yes: there is no terminal to ask whether it may load all objects: add the flag to agree\n"
    )
    said = await lists(*flags, "--yes")
    assert said.exit_code == 0
    assert "1100 objects" in said.err
    assert "resourceVersion=0" in said.out
    document = json.loads((await lists(*flags, "--yes", "--output", "json")).out)
    assert document["version"] == 1
    [pods] = document["collections"]
    assert [one["form"] for one in pods["lists"]] == list(FORMS)


@pytest.mark.parametrize(("answer", "exit_code"), [(b"y\n", 0), (b"n\n", 2), (b"\n", 2), (b"\x04", 2)])
async def test_on_a_terminal_it_asks(simulator: Simulator, tmp_path: Path, answer: bytes, exit_code: int) -> None:
    kubeconfig = plain_kubeconfig(tmp_path / "kubeconfig", simulator.url)
    ours, theirs = os.openpty()
    try:
        flags = ("--kubeconfig", kubeconfig, "--resource", "pods", "--duration", "0.1")
        async with Running(*flags, command="lists", stdin=theirs) as running:
            await running.says("1100 objects")
            os.write(ours, answer)
            ended = await running.ended()
    finally:
        os.close(ours)
        os.close(theirs)
    assert ended.exit_code == exit_code
    assert ended.err.startswith("Send them? [y/N] ")
    assert bool(ended.out) == (exit_code == 0)


async def test_nothing_to_say_is_an_error(simulator: Simulator, tmp_path: Path) -> None:
    kubeconfig = plain_kubeconfig(tmp_path / "kubeconfig", simulator.url)
    ended = await lists("--kubeconfig", kubeconfig, "--resource", "foos", "--yes")
    assert (ended.exit_code, ended.out) == (2, "")
    assert (
        ended.err
        == f"watchslo: error: foos on {simulator.apiserver.host}:{simulator.apiserver.port}: foos is not served here\n"
    )


async def test_an_interrupt_ends_it_with_what_there_is(simulator: Simulator, tmp_path: Path) -> None:
    kubeconfig = plain_kubeconfig(tmp_path / "kubeconfig", simulator.url)
    flags = ("--kubeconfig", kubeconfig, "--resource", "pods", "--yes", "--output", "json")
    async with Running(*flags, command="lists") as running:
        await running.says("watching for 60 s")
        running.interrupt()
        ended = await running.ended()
    assert ended.exit_code == 0
    [pods] = ended.document["collections"]
    assert pods["lists"][0]["objects"] == OBJECTS
    assert pods["watch"]["seconds"] < 30


async def test_an_interrupt_ends_a_list_in_the_middle(simulator: Simulator, tmp_path: Path) -> None:
    credentials = await load_credentials(settings(simulator, tmp_path))
    session = ApiSession(Server(simulator.url, is_one_apiserver=True), credentials)
    reading = ListReading(session, 1e9, lambda: True)
    trouble = await troubled(reading.list_all("/api/v1/pods", {}, "application/json"))
    await session.close()
    assert trouble is not None
    assert trouble.said == "interrupted"
    assert reading.pages == 0


async def test_if_all_is_refused_that_is_an_error(simulator: Simulator, tmp_path: Path) -> None:
    kubeconfig = plain_kubeconfig(tmp_path / "kubeconfig", simulator.url)
    ours, theirs = os.openpty()
    try:
        async with Running("--kubeconfig", kubeconfig, "--resource", "pods", command="lists", stdin=theirs) as running:
            await running.says("1100 objects")
            simulator.faults.rejection = Rejection(429)
            os.write(ours, b"yes\n")
            ended = await running.ended()
    finally:
        os.close(ours)
        os.close(theirs)
    assert ended.exit_code == 2
    assert ended.err.endswith("watchslo: error: no LIST came to its end\n")
    assert "refused with 429" in ended.out


async def test_before_it_is_sent_an_interrupt_is_said_of_each(simulator: Simulator, tmp_path: Path) -> None:
    settled = settings(simulator, tmp_path)
    plans = await plans_of(settled)
    stopping = asyncio.Event()
    stopping.set()
    [pods] = await costs_of(CommandRun(settled, 60, stopping, ProgressLine(io.StringIO())), plans)
    assert {(one.trouble, one.request) for one in pods.lists} == {("interrupted", "")}


async def test_a_list_takes_no_longer_than_its_limit(simulator: Simulator, tmp_path: Path) -> None:
    credentials = await load_credentials(settings(simulator, tmp_path))
    session = ApiSession(Server(simulator.url, is_one_apiserver=True), credentials)
    simulator.faults.network.to_client_seconds = 30
    reading = ListReading(session, 1e9, lambda: False)
    trouble = await troubled(reading.list_all("/api/v1/pods", {}, "application/json"), 0.3)
    await session.close()
    assert trouble is not None
    assert trouble.said == "stopped after 0.3 s"


async def test_names_that_are_longer_than_kubernetes_allows_are_no_list(simulator: Simulator, tmp_path: Path) -> None:
    metadata = {"namespace": "default", "name": "long", "labels": {"x" * 318: "y"}}
    await simulator.apiserver.registry.create(PODS, {"metadata": metadata}, manager="test")
    [plan] = await plans_of(settings(simulator, tmp_path))
    assert plan.trouble is not None
    assert "not a list of metadata" in plan.trouble.said
    assert not plan.lists


class OldServer:
    """A server between, as one that knows neither lists of metadata nor sendInitialEvents: no bookmark ends those.

    It has metrics: all LISTs are read from the store.
    """

    def __init__(self, behind: str, metrics_statuses: Iterable[int] = ()) -> None:
        self._behind = behind
        self._lists = 0
        self._metrics_statuses = iter(metrics_statuses)
        self.looks = 0

    def _metrics(self) -> web.Response:
        said = {"list_total": self._lists, "list_fetched_objects_total": self._lists * OBJECTS}
        lines = [f'apiserver_storage_{name}{{resource="pods"}} {value}\n' for name, value in said.items()]
        return web.Response(text="".join(lines))

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/metrics":
            self.looks += 1
            status = next(self._metrics_statuses, 200)
            return self._metrics() if status == 200 else web.Response(status=status, text="no")
        self._lists += request.path.endswith("/pods") and "watch" not in request.query
        query = {name: text for name, text in request.query.items() if name != "allowWatchBookmarks"}
        async with (
            aiohttp.ClientSession() as session,
            session.get(self._behind + request.path, params=query, headers={"Accept": "application/json"}) as found,
        ):
            response = web.StreamResponse(status=found.status, headers={"Content-Type": "application/json"})
            await response.prepare(request)
            async for piece in found.content.iter_any():
                await response.write(piece)
            return response


async def costs_of_pods(server: OldServer, folder: Path) -> CollectionCost:
    app = web.Application()
    app.router.add_get("/{path:.*}", server.answer)
    async with TestServer(app, host="127.0.0.1") as serving:
        kubeconfig = plain_kubeconfig(folder / "k", f"http://127.0.0.1:{serving.port}")
        [pods] = await costs(config("--kubeconfig", kubeconfig, "--resource", "pods", "--apiserver.metrics", "on"))
    return pods


async def test_what_an_old_server_does_not_know_is_said(simulator: Simulator, tmp_path: Path) -> None:
    pods = await costs_of_pods(OldServer(simulator.url), tmp_path)
    streaming = by_form(pods)["streaming"]
    assert streaming.trouble == (
        "streaming lists are not supported here: after 1100 events, silence for 10 s and no bookmark that they are all"
    )
    assert (streaming.objects, streaming.pages) == (OBJECTS, 0)
    newest, metadata = by_form(pods)["newest"], by_form(pods)["metadata"]
    assert (newest.trouble, newest.served) == (None, ServedFrom(place="store", objects_read=OBJECTS))
    assert metadata.trouble == "the server has no lists of metadata only"
    assert (metadata.served, streaming.served) == (None, None), "what is not whole is not taken for others' LISTs"


@pytest.mark.parametrize("failing", [0, 2, 4])
async def test_a_look_at_the_metrics_that_fails_costs_one_list_its_place(
    failing: int, simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "SILENT_SECONDS", 0.2)
    server = OldServer(simulator.url, [200] * failing + [500])
    pods = await costs_of_pods(server, tmp_path)
    whole = [one for one in pods.lists if one.trouble is None]
    unknown = [one for one in whole if one.served is None]
    assert len(whole) == len(FORMS) - 2
    assert [one.form for one in unknown] == [FORMS[max(failing - 1, 0)]]
    assert unknown[0].why_not_served is not None
    assert "500" in unknown[0].why_not_served
    assert {one.why_not_served for one in whole if one is not unknown[0]} == {None}
    assert pods.why_no_server_metrics is None
    assert server.looks == len(FORMS) + (2 if failing else 1)


@pytest.mark.parametrize(("statuses", "looks"), [((403,), 1), ((500,), len(FORMS)), ((500, 403), 2)])
async def test_metrics_that_are_never_read_are_said_once(
    statuses: tuple[int, ...], looks: int, simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "SILENT_SECONDS", 0.2)
    server = OldServer(simulator.url, chain(statuses, repeat(statuses[-1])))
    pods = await costs_of_pods(server, tmp_path)
    assert pods.why_no_server_metrics is not None
    assert str(statuses[-1]) in pods.why_no_server_metrics
    assert {(one.served, one.why_not_served) for one in pods.lists} == {(None, None)}
    assert server.looks == looks, "what is forbidden is not asked for again"


@pytest.mark.parametrize("answered", [0, 1])
async def test_after_a_429_to_a_look_at_the_metrics_nothing_more_is_sent(
    answered: int, simulator: Simulator, tmp_path: Path
) -> None:
    server = OldServer(simulator.url, [200] * answered + [429])
    pods = await costs_of_pods(server, tmp_path)
    assert [one.trouble for one in pods.lists] == [None] * answered + [AFTER_429] * (len(FORMS) - answered)
    assert server.looks == answered + 1
    assert pods.watch is None
