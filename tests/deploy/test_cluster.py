"""The manifests on a real kube-apiserver, and the exporter with exactly what they give it."""

import copy
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from tests.commands.check.command import check
from tests.conftest import FreshCluster
from tests.deploy.kubectl import CommandError, Kubectl
from tests.deploy.rendering import CHART, VALUES, Object, first_pod, only, rendered
from tests.deploy.site import CANARIES, Installed, Site, first_pod_of, install_everything, install_plain, prepared
from tests.real.api import ApiClient, ApiError
from tests.support.observing import started, until

WRITTEN = "canary.watchslo.dev/written"

pytestmark = pytest.mark.timeout(120)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server_binaries: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with prepared(server_binaries, tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest_asyncio.fixture(params=[install_plain, install_everything], scope="module", loop_scope="module")
async def installed(request: pytest.FixtureRequest, site: Site, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return await first_pod_of(await request.param(site), site, tmp_path_factory.mktemp("installed"))


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
async def test_every_set_of_values_is_accepted_and_its_pod_admitted(site: Site, values: Path) -> None:
    namespace = values.stem
    await site.create_namespace(namespace)
    objects = rendered("--values", values, namespace=namespace)
    await site.kubectl.apply_objects(*objects, first_pod(objects))


async def test_what_only_other_namespaces_admit_is_known_to_the_apiserver_too(site: Site) -> None:
    """No `restricted` one admits a Pod on the host's network; its StatefulSet is accepted with a warning."""
    await site.create_namespace("elsewhere")
    values = "hostNetwork=true,dnsPolicy=ClusterFirstWithHostNet,namespaceOverride=elsewhere,nameOverride=watchman"
    objects = rendered("--set", values)
    await site.kubectl.apply_objects(*objects)
    with pytest.raises(CommandError, match="hostNetwork=true"):
        await site.kubectl.apply_objects(first_pod(objects))


async def test_helm_installs_changes_and_removes_it(site: Site) -> None:
    await site.create_namespace("by-helm")
    here = ("--namespace", "by-helm")
    await site.kubectl.helm("install", "mine", CHART, *here)
    await site.kubectl.helm("upgrade", "mine", CHART, *here, "--set", "replicas=2,serviceMonitor.enabled=true")
    replicas = ("--output", "jsonpath={.items[*].kind} {.items[*].spec.replicas}")
    made = await site.kubectl.run("get", "statefulset,servicemonitor", *here, *replicas)
    assert made == "StatefulSet ServiceMonitor 2"
    await site.kubectl.helm("uninstall", "mine", *here)
    ours = ("--selector", "app.kubernetes.io/instance=mine", "--output", "name")
    kinds = "statefulsets,services,roles,rolebindings,clusterroles,clusterrolebindings,flowschemas,serviceaccounts"
    assert await site.kubectl.run("get", kinds, "--all-namespaces", *ours) == ""


async def test_helm_makes_the_canaries_and_leaves_alone_what_is_written_to_them(
    fresh_cluster: FreshCluster, server_binaries: Path, tmp_path: Path
) -> None:
    """Of a cluster that has never heard of their kind; both ways in which helm writes."""
    cluster = await fresh_cluster()
    kubectl = Kubectl(server_binaries, cluster, tmp_path)

    async def write() -> None:
        async with cluster.client() as client:
            path = f"{CANARIES.path('default')}/watchslo-0?fieldManager=watchslo"
            body = {"metadata": {"annotations": {WRITTEN: "now"}}}
            await client.request("PATCH", path, body=body, content_type="application/merge-patch+json")

    for replicas, server_side in ((2, "true"), (3, "false")):
        await kubectl.helm("install", "watchslo", CHART, f"--server-side={server_side}")
        await write()
        changed = ("--set", f"replicas={replicas},image.tag=next")
        await kubectl.helm("upgrade", "watchslo", CHART, *changed, f"--server-side={server_side}")
        canaries = json.loads(await kubectl.run("get", "canaries", "--output=json"))["items"]
        written = [WRITTEN in canary["metadata"]["annotations"] for canary in canaries]
        assert written == [True, *[False] * (replicas - 1)]
        await kubectl.helm("uninstall", "watchslo")
        assert await kubectl.run("get", "canaries", "--output=name") == "", "while their kind stays"


OF_OPERATORS = {
    "ServiceMonitor": "endpoints",
    "PodMonitor": "podMetricsEndpoints",
    "ScrapeConfig": "kubernetesSDConfigs",
    "VMServiceScrape": "endpoints",
    "PrometheusRule": "groups",
    "VMRule": "groups",
}


@pytest.mark.parametrize("kind", OF_OPERATORS)
async def test_a_field_that_nobody_knows_is_refused(site: Site, kind: str) -> None:
    await site.create_namespace("typo")
    value = kind[0].lower() + kind[1:] if not kind.startswith("VM") else f"vm{kind[2:]}"
    one = only(rendered("--set", f"{value}.enabled=true", namespace="typo"), kind)
    one["spec"][OF_OPERATORS[kind]][0]["intervall"] = "10s"
    with pytest.raises(CommandError, match="intervall"):
        await site.kubectl.apply_objects(one)


def may_gain_privileges(container: Object) -> None:
    container["securityContext"]["allowPrivilegeEscalation"] = True


def keeps_capabilities(container: Object) -> None:
    del container["securityContext"]["capabilities"]


@pytest.mark.parametrize("spoil", [may_gain_privileges, keeps_capabilities])
async def test_a_pod_with_more_rights_is_not_admitted(site: Site, spoil: Callable[[Object], None]) -> None:
    await site.create_namespace("spoilt")
    pod = copy.deepcopy(first_pod(rendered(namespace="spoilt")))
    spoil(pod["spec"]["containers"][0])
    with pytest.raises(CommandError, match="violates PodSecurity"):
        await site.kubectl.apply_objects(pod)


async def test_check_finds_every_permission(installed: Installed) -> None:
    ended = await check(*installed.flags_of_check(installed.kubeconfig), environ=installed.environment)
    assert (ended.exit_code, ended.last_line) == (0, "all good"), ended.out


async def test_the_exporter_gets_ready_and_writes_its_canaries(installed: Installed) -> None:
    cluster, here = installed.site.cluster, f"/namespaces/{installed.namespace}"
    pod = f"/api/v1{here}/pods/{installed.name}"
    canaries = [f"/apis/watchslo.dev/v1{here}/canaries/{installed.name}"]
    if "WATCHSLO_CANARY_POD" in installed.environment:
        canaries += [pod, "/api/v1/nodes/node-1"]
    with started(*installed.flags, environ=installed.environment) as exporter:
        await until(exporter.ready)
        discovered = {"apiserver": f"{cluster.apiserver.address}:{cluster.apiserver.port}"}
        named = installed.environment["WATCHSLO_RESOURCE"].split(",")
        await exporter.wait_for(lambda scrape: scrape.sum("stream_up", **discovered) > len(named))
        scrape = await exporter.wait_for(lambda scrape: scrape.sum("canary_writes_total") > 3 * len(canaries))
        assert scrape.sum("canary_write_failures_total") == 0
        assert scrape.sum("clock_polls_total", clock="revision", result="ok", **discovered) > 0
        assert set(scrape.values("stream_up")) == {1}, "and no other apiserver was found"
        assert exporter.stop() == 0
    async with cluster.client() as client:
        for path in canaries:
            assert WRITTEN in (await client.get(path))["metadata"]["annotations"]
        is_written = WRITTEN in (await client.get(pod))["metadata"].get("annotations", {})
        assert is_written == (pod in canaries), "a Pod is written to by who wants that only"
        await assert_polls_had_their_own_level(client, installed)


async def assert_polls_had_their_own_level(client: ApiClient, installed: Installed) -> None:
    level = "watchslo" if installed.namespace == "watchslo" else "observing-watchers"
    metrics = await client.text("/metrics")
    labels = f'{{flow_schema="{level}",priority_level="{level}"}}'
    assert f"apiserver_flowcontrol_dispatched_requests_total{labels}" in metrics
    assert f"apiserver_flowcontrol_rejected_requests_total{labels[:-1]}" not in metrics
    found = await client.get(f"/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations/{level}")
    assert found["spec"]["limited"]["limitResponse"] == {"type": "Reject"}, "nothing of it is ever queued"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/pods"),
        ("GET", "/api/v1/namespaces/{namespace}/pods/{name}"),
        ("GET", "/api/v1/namespaces/default/events"),
        ("GET", "/api/v1/secrets"),
        ("PATCH", "/api/v1/namespaces/{namespace}/pods/another"),
        ("PATCH", "/api/v1/namespaces/{namespace}/pods/{name}/status"),
        ("PATCH", "/api/v1/nodes/another"),
        ("PATCH", "/apis/watchslo.dev/v1/namespaces/{namespace}/canaries/another"),
        ("POST", "/apis/watchslo.dev/v1/namespaces/{namespace}/canaries"),
        ("DELETE", "/apis/watchslo.dev/v1/namespaces/{namespace}/canaries/{name}"),
    ],
)
async def test_its_token_is_good_for_nothing_else(installed: Installed, method: str, path: str) -> None:
    cluster = installed.site.cluster
    path = path.format(namespace=installed.namespace, name=installed.name)
    body = {"metadata": {"annotations": {"by": "nobody"}}} if method == "PATCH" else None
    async with ApiClient(cluster.apiserver.url, installed.token, cluster.client_context) as client:
        with pytest.raises(ApiError) as refused:
            await client.request(method, path, body=body, content_type="application/merge-patch+json")
    assert refused.value.status == 403
