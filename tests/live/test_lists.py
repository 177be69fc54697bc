"""What `watchslo lists` says of five thousand pods on a real kube-apiserver, against curl and against what was made."""

import asyncio
import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from exporter.commands.lists.result import CollectionCost
from exporter.config import Config
from exporter.kubernetes.event_counter import INITIAL_EVENTS_END
from tests.commands.lists.costing import by_form, costs
from tests.conftest import FreshCluster
from tests.real.api import ApiClient, Json
from tests.real.cluster import Cluster
from tests.support.observing import config

PODS = 5000
EVENTS = 700
IN_FLIGHT = 40
METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

pytestmark = pytest.mark.timeout(300)


class Curl:
    """Bytes as curl gets them. It calls itself otherwise, because for curl's own name kube-apiserver indents."""

    def __init__(self, cluster: Cluster) -> None:
        if shutil.which("curl") is None:
            pytest.skip("curl is not there")
        self._url = cluster.apiserver.url
        self._words = ("curl", "-s", "-k", "-A", "watchslo", "-H", f"Authorization: Bearer {cluster.token()}")

    async def gets(self, request: str, *, accept: str = "application/json", most_seconds: int = 60) -> bytes:
        words = (*self._words, "-m", str(most_seconds), "-H", f"Accept: {accept}", self._url + request)
        ran = await asyncio.to_thread(subprocess.run, words, check=False, capture_output=True)
        return ran.stdout

    async def pages(self, request: str) -> list[bytes]:
        pages = [await self.gets(request)]
        while token := json.loads(pages[-1])["metadata"].get("continue"):
            pages.append(await self.gets(f"{request}&continue={quote(token)}"))
        return pages

    async def initial_events(self, request: str) -> list[bytes]:
        """The lines of a streaming list, with the bookmark that ends them."""
        lines = (await self.gets(request, most_seconds=5)).splitlines(keepends=True)
        [end] = [number for number, line in enumerate(lines, start=1) if INITIAL_EVENTS_END.encode() in line]
        return lines[:end]


def items(body: bytes) -> int:
    return len(json.loads(body)["items"] or ())


def pod(number: int) -> Json:
    env = [{"name": f"V{place}", "value": '{"[\\' * place} for place in range(8)]
    return {
        "metadata": {"name": f"p-{number}", "labels": {"app": f"app-{number % 10}", "tier": "web"}},
        "spec": {"nodeName": "n", "containers": [{"name": "main", "image": "none", "env": env}]},
    }


async def create_all(client: ApiClient, objects: Iterator[tuple[str, Json]]) -> None:
    """As many at once as the apiserver likes to take."""

    async def create_some() -> None:
        for namespace, body in objects:
            plural = "events" if "involvedObject" in body else "pods"
            await client.post(f"/api/v1/namespaces/{namespace}/{plural}", body)

    await asyncio.gather(*(create_some() for _ in range(IN_FLIGHT)))


def all_pods() -> Iterator[tuple[str, Json]]:
    return (("default" if number % 5 else "team-a", pod(number)) for number in range(PODS))


def all_events() -> Iterator[tuple[str, Json]]:
    involved = {"kind": "Pod", "name": "p-1", "namespace": "default"}
    return (("default", {"metadata": {"name": f"e-{number}"}, "involvedObject": involved}) for number in range(EVENTS))


def settings(cluster: Cluster, folder: Path, *resources: str) -> Config:
    flags = [word for resource in resources for word in ("--resource", resource)]
    return config("--kubeconfig", cluster.kubeconfig(folder / "kubeconfig"), "--apiserver.metrics", "on", *flags)


async def test_objects_and_bytes_are_those_that_curl_gets(fresh_cluster: FreshCluster, tmp_path: Path) -> None:
    cluster = await fresh_cluster()
    async with cluster.client() as client:
        await client.post("/api/v1/namespaces", {"metadata": {"name": "team-a"}})
        await create_all(client, all_pods())
        await create_all(client, all_events())
    pods, events = await costs(settings(cluster, tmp_path, "pods", "events"), watch_seconds=1.0)
    assert [one.trouble for one in pods.lists] == [None] * len(pods.lists)
    await assert_as_curl(pods, Curl(cluster))
    assert_said_of_pods(pods)
    found = by_form(events)
    for form in ("newest", "pages", "metadata"):  # no watch cache has them
        served = found[form].served
        assert served is not None
        assert (served.place, served.objects_read >= EVENTS) == ("store", True), form
    assert found["newest"].objects == EVENTS


async def assert_as_curl(cost: CollectionCost, curl: Curl) -> None:
    for form, one in by_form(cost).items():
        if form == "streaming":
            got = await curl.initial_events(one.request)
            objects = len([line for line in got if b'"type":"ADDED"' in line[:20]])
        else:
            got = (
                await curl.pages(one.request)
                if form == "pages"
                else [await curl.gets(one.request, accept=METADATA if form == "metadata" else "application/json")]
            )
            objects = sum(map(items, got))
            assert one.pages == len(got)
        assert (form, one.objects, one.size_bytes) == (form, objects, sum(map(len, got)))


def assert_said_of_pods(cost: CollectionCost) -> None:
    sample, found = cost.sample, by_form(cost)
    assert sample is not None
    assert (sample.objects, sample.sampled) == (PODS, 500)
    assert {form: one.objects for form, one in found.items()} == {
        **dict.fromkeys(found, PODS),
        "label": PODS // 10,
        "namespace": PODS // 5 * 4,
    }
    assert found["pages"].pages == PODS // 500
    for form, one in found.items():
        assert one.served is not None, cost.why_no_server_metrics
        assert one.served.place == "cache", form
        assert one.served.objects_read >= one.objects
    assert found["label"].served is not None
    assert found["label"].served.objects_read == PODS
    named = {remedy.name: remedy.figures for remedy in cost.advice}
    assert named["informer"] == f"the LIST by label selector reads {PODS} objects and returns {PODS // 10}"
    assert {"streaming lists", "limit"} <= named.keys()
    assert "resourceVersion=0" not in named  # nothing has read the store


async def test_lists_of_others_are_not_taken_for_ours(fresh_cluster: FreshCluster, tmp_path: Path) -> None:
    cluster = await fresh_cluster(flags=("--feature-gates=WatchList=false",))

    async def list_pods(client: ApiClient) -> None:
        while True:
            await client.get("/api/v1/pods", resourceVersion="0")

    async with cluster.client() as client:
        await create_all(client, iter([("default", pod(number)) for number in range(50)]))
        [quiet] = await costs(settings(cluster, tmp_path, "pods"))
        others = [asyncio.create_task(list_pods(client)) for _ in range(2)]
        [busy] = await costs(settings(cluster, tmp_path, "pods"))
        for task in others:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
    places = {form: one.served and one.served.place for form, one in by_form(quiet).items() if form != "streaming"}
    assert places == dict.fromkeys(places, "cache")
    streaming = by_form(quiet)["streaming"]
    assert streaming.trouble is not None
    assert streaming.trouble.startswith("streaming lists are not supported here: ")
    assert "WatchList feature gate" in streaming.trouble
    places = {form: one.served and one.served.place for form, one in by_form(busy).items() if form != "streaming"}
    assert places == dict.fromkeys(places, "others listed too")
