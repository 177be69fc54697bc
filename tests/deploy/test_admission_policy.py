"""The chart's admission policy on a real kube-apiserver: who may patch a whole Pod changes one annotation."""

import copy
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.commands.check.command import check
from tests.deploy.rendering import first_pod, rendered
from tests.deploy.site import Installed, first_pod_of, prepared
from tests.real.api import PATCH_TYPES, ApiClient, ApiError, Json
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(180)

WRITTEN = "canary.watchslo.dev/written"
HERE = "/api/v1/namespaces/watchslo"
POD, CANARY, NODE = (
    f"{HERE}/pods/watchslo-0",
    "/apis/watchslo.dev/v1/namespaces/watchslo/canaries/watchslo-0",
    "/api/v1/nodes/one",
)
VALUES = "canary.pod=true,canary.node=one,admissionPolicy.enabled=true"
EVERYTHING = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def installed(server_binaries: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installed]:
    """Its account may do all that can be done, so that nothing but the policy stands in its way."""
    folder = tmp_path_factory.mktemp("policy")
    async with prepared(server_binaries, folder) as site:
        await site.create_namespace("watchslo")
        objects = rendered("--set", VALUES)
        await site.kubectl.apply_objects(*objects, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "one"}})
        [role] = [one for one in objects if (one["kind"], one["metadata"]["name"]) == ("ClusterRole", "watchslo")]
        await site.kubectl.apply_objects({**role, "rules": [EVERYTHING]})
        yield await first_pod_of(objects, site, folder)


def as_the_exporter(installed: Installed) -> ApiClient:
    cluster = installed.site.cluster
    return ApiClient(cluster.apiserver.url, installed.token, cluster.client_context)


async def patched(client: ApiClient, path: str, body: Json | list[Json]) -> bool:
    """Whether it is let through; a refusal has to be the policy's."""
    content_type = PATCH_TYPES["json" if isinstance(body, list) else "merge"]
    try:
        await client.request("PATCH", f"{path}?dryRun=All", body=body, content_type=content_type)
    except ApiError as error:
        if "watchslo may change nothing" in str(error):
            return False
        raise
    return True


def annotated(**annotations: str | None) -> Json:
    return {"metadata": {"annotations": annotations}}


WRITE = annotated(**{WRITTEN: "now"})


@pytest.mark.parametrize(
    ("path", "spec"),
    [
        (POD, [{"op": "replace", "path": "/spec/containers/0/image", "value": "another"}]),
        (CANARY, {"spec": {}}),
        (NODE, {"spec": {"unschedulable": True}}),
    ],
)
async def test_the_annotation_passes_and_any_other_change_is_refused(
    installed: Installed, path: str, spec: Json | list[Json]
) -> None:
    others = [
        annotated(other="yes"),
        annotated(**{WRITTEN: "now", "other": "yes"}),
        {"metadata": {"labels": {"other": "yes"}}},
        {"metadata": {"finalizers": ["example.com/for-ever"]}},
        spec,
    ]
    async with as_the_exporter(installed) as client, installed.site.cluster.client() as administrator:
        await administrator.request(
            "PATCH", path, body=annotated(mine="yes"), content_type="application/merge-patch+json"
        )

        async def policy_holds() -> bool:
            return not await patched(client, path, others[0])

        await wait_until(policy_holds, "the policy is enforced")
        assert await patched(client, path, WRITE)
        assert [await patched(client, path, other) for other in others] == [False] * len(others)
        assert not await patched(client, path, annotated(mine=None)), "what others have written stays"
        assert not await patched(client, path, {"metadata": {"annotations": None}})


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", f"{POD}/status", WRITE),
        ("PATCH", f"{CANARY[:-1]}1", WRITE),
        ("PATCH", f"{HERE}/serviceaccounts/watchslo", WRITE),
        ("DELETE", POD, None),
        ("POST", f"{POD}/eviction", {"metadata": {"name": "watchslo-0"}}),
        ("POST", f"{HERE}/configmaps", {"metadata": {"name": "new"}}),
        ("POST", f"{HERE}/serviceaccounts/watchslo/token", {"spec": {}}),
    ],
)
async def test_what_is_no_canary_is_not_changed_at_all(
    installed: Installed, method: str, path: str, body: Json | None
) -> None:
    another = {"name": "watchslo-1", "namespace": "watchslo"}
    await installed.site.kubectl.apply_objects({"apiVersion": "watchslo.dev/v1", "kind": "Canary", "metadata": another})
    content_type = PATCH_TYPES["merge"] if method == "PATCH" else "application/json"
    async with as_the_exporter(installed) as client:

        async def is_refused() -> bool:
            try:
                await client.request(method, f"{path}?dryRun=All", body=body, content_type=content_type)
            except ApiError as error:
                return "watchslo may change nothing but its canaries" in str(error)
            return False

        await wait_until(is_refused, "the policy refuses it")


async def test_others_are_left_alone_and_check_finds_nothing_to_complain_of(installed: Installed) -> None:
    pod = copy.deepcopy(first_pod(rendered("--set", VALUES)))
    pod["metadata"]["labels"]["other"] = "yes"
    await installed.site.kubectl.apply_objects(pod)
    ended = await check(*installed.flags, environ=installed.environment)
    assert (ended.exit_code, ended.last_line) == (0, "all good"), ended.out
