import asyncio
import time
from datetime import datetime
from email.utils import parsedate_to_datetime

import pytest

from tests.contract.server import (
    CONFIGMAPS,
    EVENTS,
    LEASES,
    LIST_METADATA,
    MERGE_PATCH,
    METADATA,
    PODS,
    Answer,
    Server,
    annotate,
    configmap,
    unique,
)

ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


def assert_status(answer: Answer, code: int, reason: str, message: str) -> None:
    status = answer.json
    assert answer.status == code
    assert (status["kind"], status["apiVersion"], status["status"]) == ("Status", "v1", "Failure")
    assert (status["code"], status["reason"], status["message"]) == (code, reason, message)


async def test_every_answer_has_a_date_and_an_audit_id_and_no_server(server: Server) -> None:
    for answer in (
        await server.get("/version"),
        await server.get(PODS, limit="1"),
        await server.get(f"{PODS}/nothing"),
        await server.ask("GET", PODS, user="limited"),
        await server.ask("GET", PODS, user="nobody"),
        await server.create(CONFIGMAPS, configmap(unique("headers"))),
    ):
        assert answer.headers["Audit-Id"]
        assert answer.headers["Date"].endswith(" GMT")
        assert "Server" not in answer.headers


async def test_date_is_the_whole_second_in_which_the_answer_began(server: Server) -> None:
    sent_seconds = time.time()
    answer = await server.get(PODS, limit="1")
    received_seconds = time.time()
    # The server runs on this machine, by the same clock.
    assert sent_seconds - 1 < parsedate_to_datetime(answer.headers["Date"]).timestamp() <= received_seconds


async def test_unknown_token_is_unauthorized(server: Server) -> None:
    assert_status(await server.ask("GET", PODS, user="nobody"), 401, "Unauthorized", "Unauthorized")


async def test_missing_permission_is_forbidden_and_says_what_is_missing(server: Server) -> None:
    answer = await server.ask("GET", "/apis/coordination.k8s.io/v1/leases", user="limited", watch="1")
    assert_status(
        answer,
        403,
        "Forbidden",
        'leases.coordination.k8s.io is forbidden: User "limited" cannot watch resource "leases" '
        'in API group "coordination.k8s.io" at the cluster scope',
    )
    assert answer.json["details"] == {"group": "coordination.k8s.io", "kind": "leases"}


async def test_missing_object_is_not_found(server: Server) -> None:
    answer = await server.get(f"{CONFIGMAPS}/nothing")
    assert_status(answer, 404, "NotFound", 'configmaps "nothing" not found')
    assert answer.json["details"] == {"name": "nothing", "kind": "configmaps"}


async def test_unserved_resource_of_a_served_group_is_not_found(server: Server) -> None:
    answer = await server.get("/api/v1/nonsenses")
    assert_status(answer, 404, "NotFound", "the server could not find the requested resource")


async def test_unserved_group_is_not_found_in_plain_text(server: Server) -> None:
    answer = await server.get("/apis/nobody.example.com/v1/things")
    assert (answer.status, answer.content) == (404, b"404 page not found\n")
    assert answer.headers["Content-Type"].startswith("text/plain")


async def test_what_exists_is_not_created_again(server: Server) -> None:
    name = unique("twice")
    await server.create(CONFIGMAPS, configmap(name))
    answer = await server.ask("POST", CONFIGMAPS, configmap(name))
    assert_status(answer, 409, "AlreadyExists", f'configmaps "{name}" already exists')


async def test_write_that_names_an_old_revision_is_a_conflict(server: Server) -> None:
    name = unique("conflict")
    old = await server.create(CONFIGMAPS, configmap(name))
    await server.patch(f"{CONFIGMAPS}/{name}", annotate(a="1"))
    stale = {"metadata": {"resourceVersion": str(old.revision), "annotations": {"a": "2"}}}
    answer = await server.ask("PATCH", f"{CONFIGMAPS}/{name}", stale, content_type=MERGE_PATCH)
    assert (answer.status, answer.json["reason"]) == (409, "Conflict")


@pytest.mark.parametrize(
    "query", [{"resourceVersion": "abc"}, {"fieldSelector": "spec.color=blue"}], ids=["revision", "selector"]
)
async def test_nonsense_in_the_query_is_a_bad_request(server: Server, query: dict[str, str]) -> None:
    answer = await server.get("/api/v1/configmaps", **query)
    assert (answer.status, answer.json["reason"]) == (400, "BadRequest")


async def test_object_asked_for_as_a_list_is_not_acceptable(server: Server) -> None:
    name = unique("accept")
    await server.create(CONFIGMAPS, configmap(name))
    answer = await server.get(f"{CONFIGMAPS}/{name}", accept=LIST_METADATA)
    assert (answer.status, answer.json["reason"]) == (406, "NotAcceptable")
    assert (await server.get(f"{CONFIGMAPS}/{name}", accept=METADATA)).json["kind"] == "PartialObjectMetadata"


async def test_discovery_tells_names_kinds_and_verbs(server: Server) -> None:
    core = (await server.get("/api/v1")).json
    assert (core["kind"], core["groupVersion"]) == ("APIResourceList", "v1")
    by_name = {resource["name"]: resource for resource in core["resources"]}
    assert {"pods", "pods/status", "nodes", "events", "configmaps"} <= set(by_name)
    pods, nodes = by_name["pods"], by_name["nodes"]
    assert (pods["singularName"], pods["kind"], pods["namespaced"]) == ("pod", "Pod", True)
    assert nodes["namespaced"] is False
    assert {"get", "list", "watch", "create", "patch", "delete"} <= set(pods["verbs"])
    assert "watch" not in by_name["pods/status"]["verbs"]
    assert by_name["pods/status"]["singularName"] == ""


async def test_discovery_tells_groups_and_their_versions(server: Server) -> None:
    assert (await server.get("/api")).json["versions"] == ["v1"]
    groups = (await server.get("/apis")).json
    assert (groups["kind"], groups["apiVersion"]) == ("APIGroupList", "v1")
    by_name = {group["name"]: group for group in groups["groups"]}
    v1 = {"groupVersion": "coordination.k8s.io/v1", "version": "v1"}
    assert v1 in by_name["coordination.k8s.io"]["versions"]
    assert by_name["coordination.k8s.io"]["preferredVersion"] == v1
    leases = (await server.get("/apis/coordination.k8s.io/v1")).json
    assert (leases["kind"], leases["apiVersion"], leases["groupVersion"]) == (
        "APIResourceList",
        "v1",
        "coordination.k8s.io/v1",
    )
    assert [resource["kind"] for resource in leases["resources"] if resource["name"] == "leases"] == ["Lease"]


@pytest.mark.parametrize(("user", "allowed"), [("admin", True), ("limited", False)])
async def test_access_review_tells_what_a_user_may(server: Server, user: str, allowed: bool) -> None:  # noqa: FBT001 - a parameter of the test, never passed by hand
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": "watch", "resource": "pods", "group": ""}},
    }
    answer = await server.ask("POST", ACCESS_REVIEWS, review, user=user)
    assert answer.status == 201
    assert answer.json["kind"] == "SelfSubjectAccessReview"
    assert answer.json["status"]["allowed"] is allowed


async def test_removing_only_moves_no_managed_fields_time_and_adding_does(server: Server) -> None:
    def newest_time(answer: Answer) -> str:
        return max(str(entry["time"]) for entry in answer.json["metadata"]["managedFields"])

    path = f"{CONFIGMAPS}/{(name := unique('stamps'))}"
    created = await server.create(CONFIGMAPS, configmap(name, first="1", second="2"))
    # Stamps are whole seconds: let one go by, so that a moved stamp is another one.
    time_to_next_second = 1.0 - time.time() % 1.0 + 0.01
    await asyncio.sleep(time_to_next_second)
    removed = await server.patch(path, annotate(first=None))
    added = await server.patch(path, annotate(third="3"))
    assert newest_time(removed) == newest_time(created)
    assert newest_time(added) > newest_time(created)
    assert created.revision < removed.revision < added.revision


async def test_writing_what_is_there_writes_nothing(server: Server) -> None:
    path = f"{CONFIGMAPS}/{(name := unique('same'))}"
    created = await server.create(CONFIGMAPS, configmap(name, a="1"))
    assert (await server.patch(path, annotate(a="1"))).json == created.json


async def test_manager_is_the_user_agent_up_to_the_slash(server: Server) -> None:
    created = await server.create(CONFIGMAPS, configmap(unique("manager")))
    entry = created.json["metadata"]["managedFields"][0]
    assert (entry["manager"], entry["operation"], entry["apiVersion"]) == ("contract", "Update", "v1")
    assert entry["time"] == created.json["metadata"]["creationTimestamp"]


async def test_delete_answers_with_a_status_and_for_pods_with_the_pod(server: Server) -> None:
    created = await server.create(CONFIGMAPS, configmap(name := unique("deleted")))
    answer = (await server.delete(f"{CONFIGMAPS}/{name}")).json
    assert (answer["kind"], answer["status"]) == ("Status", "Success")
    assert answer["details"] == {"name": name, "kind": "configmaps", "uid": created.json["metadata"]["uid"]}
    spec = {"containers": [{"name": "main", "image": "example.com/main"}]}
    await server.create(PODS, {"metadata": {"name": name}, "spec": spec})
    assert (await server.delete(f"{PODS}/{name}")).json["kind"] == "Pod"
    assert (await server.get(f"{PODS}/{name}")).status == 404


async def test_pod_on_a_node_is_given_time(server: Server) -> None:
    spec = {"nodeName": "none", "containers": [{"name": "main", "image": "example.com/main"}]}
    await server.create(PODS, {"metadata": {"name": (name := unique("grace"))}, "spec": spec})
    sent_seconds = time.time()
    metadata = (await server.delete(f"{PODS}/{name}", gracePeriodSeconds=60)).json["metadata"]
    received_seconds = time.time()
    gone_seconds = datetime.fromisoformat(metadata["deletionTimestamp"]).timestamp()
    assert metadata["deletionGracePeriodSeconds"] == 60
    assert sent_seconds - 1 < gone_seconds - 60 <= received_seconds
    assert (await server.get(f"{PODS}/{name}")).status == 200


@pytest.mark.parametrize("path", [EVENTS, PODS, CONFIGMAPS, LEASES])
async def test_delete_of_nothing_is_not_found(server: Server, path: str) -> None:
    assert (await server.ask("DELETE", f"{path}/nothing")).status == 404
