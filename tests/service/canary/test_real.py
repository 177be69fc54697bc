"""The canary on a real kube-apiserver: each kind of object, as it comes and goes, with the least permissions."""

from functools import partial
from pathlib import Path

import yaml

from tests.commands.check.command import check
from tests.real.api import ApiClient
from tests.real.cluster import Cluster
from tests.real.custom_resources import CustomResource, wait_served
from tests.support.observing import Scrape, observed

DEFINITION = Path(__file__).parents[3] / "deploy/helm/watchslo/crds/canaries.watchslo.dev.yaml"
CANARIES = CustomResource(group="watchslo.dev", plural="canaries")
KINDS = ("pods", "nodes", "canaries")
OBJECTS = ("--canary.pod", "watchslo/canary", "--canary.node", "canary", "--canary.custom-resource", "watchslo/canary")
POD = {"metadata": {"name": "canary"}, "spec": {"containers": [{"name": "main", "image": "none"}]}}


async def make_objects(client: ApiClient) -> None:
    """A namespace, a node, a pod that no kubelet runs, and the definition that is shipped with one of its kind."""
    await client.post("/api/v1/namespaces", {"metadata": {"name": "watchslo"}})
    await client.post("/api/v1/namespaces/watchslo/pods", POD)
    await client.post("/api/v1/nodes", {"metadata": {"name": "canary"}})
    definition = yaml.safe_load(DEFINITION.read_text())
    await client.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
    await wait_served(client, CANARIES)
    await make_canary(client)


async def make_canary(client: ApiClient) -> None:
    await client.post(CANARIES.path("watchslo"), {**CANARIES.object("canary"), "spec": {}, "kind": "Canary"})


def delivered(scrape: Scrape, resource: str) -> float:
    return scrape.sum("canary_delivery_seconds_count", resource=resource)


def has_delivered(resource: str, scrape: Scrape) -> bool:
    return delivered(scrape, resource) > 10


async def test_each_kind_is_written_dated_by_it_and_followed_through_deletion(cluster: Cluster, tmp_path: Path) -> None:
    kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig")
    async with cluster.client() as client:
        await make_objects(client)
        flags = ("--kubeconfig", kubeconfig, "--canary.interval", "0.2", *OBJECTS)
        checked = await check(*flags)
        assert (checked.exit_code, checked.last_line) == (0, "all good")
        async with observed(*flags) as exporter:
            for resource in KINDS:
                await exporter.wait_for(partial(has_delivered, resource))
            before = await exporter.scrape()
            await client.delete(f"{CANARIES.path('watchslo')}/canary")
            await client.delete("/api/v1/nodes/canary")
            await exporter.wait_for(
                lambda scrape: all(
                    scrape.sum("canary_write_failures_total", resource=resource) > 0
                    for resource in ("canaries", "nodes")
                )
            )
            await make_canary(client)
            after = await exporter.wait_for(
                lambda scrape: delivered(scrape, "canaries") > delivered(before, "canaries") + 5
            )
            written = await client.get(f"{CANARIES.path('watchslo')}/canary")
            pods = await client.get("/api/v1/namespaces/watchslo/pods/canary")
    for resource in KINDS:
        assert after.sum("evidence_total", resource=resource, source="canary") > 5
    assert after.sum("canary_lost_total") == 0
    assert after.sum("contradictions_total") == 0
    assert after.sum("events_judged_total", verdict="late") == 0
    nanoseconds, _ = written["metadata"]["annotations"]["canary.watchslo.dev/written"].split()
    assert len(nanoseconds) == 19
    assert pods["spec"]["containers"][0]["name"] == "main", "a canary leaves everything else alone"


async def test_check_prints_the_least_that_a_canary_needs(cluster: Cluster, tmp_path: Path) -> None:
    kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig", user="limited")
    words = ("--kubeconfig", kubeconfig, "--resource", "pods", "--canary.interval", "1", *OBJECTS[:2], *OBJECTS[4:])
    ended = await check(*words)
    assert '  - {apiGroups: [""], resources: [pods], resourceNames: [canary], verbs: [patch]}\n' in ended.out
    canaries = "apiGroups: [watchslo.dev], resources: [canaries]"
    assert f"  - {{{canaries}, resourceNames: [canary], verbs: [patch]}}\n" in ended.out
    assert "create" not in ended.out, "whoever makes the canary, it is not the exporter"
    assert ended.exit_code == 2


async def test_a_canary_without_an_object_is_one_sentence(cluster: Cluster, tmp_path: Path) -> None:
    ended = await check("--kubeconfig", cluster.kubeconfig(tmp_path / "kubeconfig"), "--canary.interval", "1")
    assert ended.exit_code == 2
    assert ended.err == (
        "watchslo: error: --canary.interval: there is nothing to write to: name an object with --canary.pod, "
        "--canary.node or --canary.custom-resource\n"
    )
    assert ended.out == ""
