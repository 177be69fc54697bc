"""What the apiserver says of our permissions is what it does with our requests."""

from pathlib import Path

import pytest

from exporter.credentials import Credentials, CredentialsSource
from exporter.kubernetes.errors import StartError
from exporter.kubernetes.lists import Collection, current_revision
from exporter.kubernetes.permissions import Permission, is_allowed, may_get, own_name, to_poll, to_watch
from exporter.kubernetes.resources import EVENTS, NO_SUCH_NAME, Resource
from exporter.kubernetes.session import AnswerError, ApiSession, Server
from tests.real.cluster import Cluster
from tests.support.waiting import wait_until

PODS = Resource("", "v1", "pods", is_namespaced=True)
NODES = Resource("", "v1", "nodes", is_namespaced=False)


async def session_of(cluster: Cluster, kubeconfig: Path, user: str) -> ApiSession:
    credentials = Credentials(CredentialsSource(cluster.kubeconfig(kubeconfig, user=user)))
    await credentials.load()
    return ApiSession(Server(credentials.server_url, is_one_apiserver=True), credentials)


async def is_polled(session: ApiSession, resource: Resource, namespace: str | None) -> bool:
    try:
        await current_revision(Collection(session, resource, namespace))
    except StartError as error:
        if error.reason != "forbidden":
            raise
        return False
    return True


@pytest.mark.parametrize("resource", [PODS, NODES, EVENTS])
@pytest.mark.parametrize("namespace", [None, "default", "kube-system"])
async def test_a_review_says_what_the_poll_gets(
    cluster: Cluster, tmp_path: Path, resource: Resource, namespace: str | None
) -> None:
    session = await session_of(cluster, tmp_path / "kubeconfig", "limited")
    granted = [
        await cluster.grant("limited", ["list"], "", ["pods"], namespace="default"),
        await cluster.grant("limited", ["list"], "", ["nodes"]),
    ]
    try:
        expected = resource == NODES or (resource == PODS and namespace != "kube-system")
        assert await is_polled(session, resource, namespace) is expected
        assert await is_allowed(session, to_poll(resource, namespace)) is expected
    finally:
        await session.close()
        for grant in granted:
            await cluster.revoke(grant)


async def test_a_watch_of_everything_needs_more_than_one_namespace(cluster: Cluster, tmp_path: Path) -> None:
    session = await session_of(cluster, tmp_path / "kubeconfig", "limited")
    granted = await cluster.grant("limited", ["list", "watch"], "", ["pods"], namespace="default")
    try:
        of_all = [await is_allowed(session, permission) for permission in to_watch(PODS, None)]
        of_one = [await is_allowed(session, permission) for permission in to_watch(PODS, "default")]
    finally:
        await session.close()
        await cluster.revoke(granted)
    assert of_one == [True, True]
    assert of_all == [True, False], "the poll before the watch is made in one namespace, the watch in all"


async def test_a_role_for_one_name_is_enough_to_poll(cluster: Cluster, tmp_path: Path) -> None:
    """The smallest of all permissions: to list what is never there."""
    rule = {"apiGroups": [""], "resources": ["events"], "resourceNames": [NO_SUCH_NAME], "verbs": ["list"]}
    rbac, name = "/apis/rbac.authorization.k8s.io/v1/namespaces/default", "poll-events"
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "limited"}
    session = await session_of(cluster, tmp_path / "kubeconfig", "limited")
    async with cluster.client() as client:
        await client.post(f"{rbac}/roles", {"metadata": {"name": name}, "rules": [rule]})
        await client.post(f"{rbac}/rolebindings", {"metadata": {"name": name}, "roleRef": role, "subjects": [subject]})
        try:
            await wait_until(lambda: is_polled(session, EVENTS, None), "the role is in force")
            assert await is_allowed(session, to_poll(EVENTS, None))
            assert not await is_allowed(session, Permission("list", EVENTS, "default"))
        finally:
            await session.close()
            await client.delete(f"{rbac}/rolebindings/{name}")
            await client.delete(f"{rbac}/roles/{name}")


async def test_the_apiserver_knows_us_by_name(cluster: Cluster, tmp_path: Path) -> None:
    session = await session_of(cluster, tmp_path / "kubeconfig", "watcher")
    try:
        assert await own_name(session) == "watcher"
    finally:
        await session.close()


async def test_an_unknown_token_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    path = cluster.kubeconfig(tmp_path / "kubeconfig")
    path.write_text(path.read_text().replace(cluster.token(), "of-nobody"))
    credentials = Credentials(CredentialsSource(path))
    await credentials.load()
    session = ApiSession(Server(credentials.server_url, is_one_apiserver=True), credentials)
    try:
        for question in (own_name(session), is_allowed(session, Permission("list", PODS))):
            with pytest.raises(AnswerError) as refused:
                await question
            assert refused.value.status == 401
    finally:
        await session.close()


async def test_a_path_may_be_read_by_who_may_read_it(cluster: Cluster, tmp_path: Path) -> None:
    for user, is_allowed_to in (("admin", True), ("limited", False)):
        session = await session_of(cluster, tmp_path / user, user)
        try:
            assert await may_get(session, "/metrics") is is_allowed_to
        finally:
            await session.close()
