"""`watchslo check` against a real kube-apiserver and etcd."""

import asyncio
import json
import ssl
from pathlib import Path

from exporter.commands.check import report
from exporter.commands.check.inspection import inspect
from exporter.credentials import Credentials, CredentialsSource
from exporter.kubernetes.session import Server
from tests.commands.check.command import check, config, read_table, rules_in
from tests.conftest import FreshCluster
from tests.real.cluster import Cluster
from tests.real.custom_resources import CustomResource
from tests.real.proxy import Proxy
from tests.support.waiting import wait_until

GADGETS = CustomResource(group="check.example.com", plural="gadgets")
GIZMOS = CustomResource(group="check.example.com", plural="gizmos")


async def test_admin_may_do_everything(cluster: Cluster, tmp_path: Path) -> None:
    kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig")
    ended = await check("--kubeconfig", kubeconfig, "--apiserver", cluster.apiserver.url)
    assert (ended.exit_code, ended.last_line, ended.err) == (0, "all good", "")
    table = ended.table
    assert rules_in(table) == []
    assert table["server"]["connection"][1].startswith("TLS, certificate verified")
    assert table["server"]["version"] == ("ok", "v1.36.3")
    assert "of 16 polls of events" in table["server"]["round trip"][1]
    assert table["credentials"]["identity"] == ("ok", "admin")
    assert table["resources"] == {"pods": ("ok", "v1, namespaced"), "nodes": ("ok", "v1, cluster scope")}
    assert [result for result, _ in table["one store"].values()] == ["ok", "ok"]
    result, bounds = table["clock"]["offset"]
    assert result == "ok"
    lower, upper = (float(word) for word in bounds.split() if word[0] in "+-")
    assert lower <= 0.0 <= upper, "both clocks are this machine's"
    assert upper - lower < 0.3


async def test_a_missing_permission_is_named_with_its_rule(cluster: Cluster, tmp_path: Path) -> None:
    kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig", user="limited")
    granted = [
        await cluster.grant("limited", ["list", "watch"], "", ["pods", "nodes"]),
        await cluster.grant("limited", ["list"], "", ["events"], namespace="default"),
    ]
    try:
        resources = ("--resource=pods", "--resource=nodes", "--resource=leases.coordination.k8s.io")
        ended = await check("--kubeconfig", kubeconfig, *resources)
    finally:
        for grant in granted:
            await cluster.revoke(grant)
    assert ended.exit_code == 2
    assert ended.last_line == (
        "not good: leases.coordination.k8s.io cannot be watched "
        "without the permission to list, watch leases.coordination.k8s.io"
    )
    assert "  - {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [list, watch]}\n" in ended.out
    assert ended.table["permissions"]["watch nodes"][0] == "ok"


async def test_the_printed_rules_are_enough(fresh_cluster: FreshCluster, tmp_path: Path) -> None:
    cluster = await fresh_cluster(users=("checker",))
    for resource in (GADGETS, GIZMOS):
        await cluster.create_resource(resource)
    kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig", user="checker")
    words = ("--kubeconfig", kubeconfig, "--custom-resources=*.check.example.com", "--custom-resources.max=1")
    rounds = []
    while rules := rules_in((ended := await check(*words)).table):
        rounds.append({(rule.resource, rule.verbs, rule.namespace) for rule in rules})
        assert len(rounds) < 3, "what was granted is not asked for again"
        for rule in rules:
            await cluster.grant("checker", rule.verbs, rule.group, [rule.resource], rule.namespace, only=rule.only)
    assert (ended.exit_code, ended.last_line) == (0, "all good")
    assert rounds == [
        {
            ("pods", ("list", "watch"), None),
            ("nodes", ("list", "watch"), None),
            ("customresourcedefinitions", ("list", "watch"), None),
            ("events", ("list",), "default"),
            ("endpointslices", ("list",), "default"),
        },
        {("gadgets", ("list", "watch"), None)},
    ]
    assert "1 more match but are left out" in ended.table["resources"]["*.check.example.com"][1]


async def test_in_one_namespace_the_printed_rules_are_enough_too(fresh_cluster: FreshCluster, tmp_path: Path) -> None:
    cluster = await fresh_cluster(users=("checker",))
    async with cluster.client() as client:
        await client.post("/api/v1/namespaces", {"metadata": {"name": "shop"}})
    kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig", user="checker")
    words = ("--kubeconfig", kubeconfig, "--namespace=shop", "--resource=pods")
    before = await check(*words)
    rules = rules_in(before.table)
    assert {rule.resource: rule.namespace for rule in rules} == {
        "pods": "shop",
        "events": "shop",
        "endpointslices": "default",
    }
    for rule in rules:
        await cluster.grant("checker", rule.verbs, rule.group, [rule.resource], rule.namespace, only=rule.only)
    ended = await check(*words)
    assert (before.exit_code, ended.exit_code, ended.last_line) == (2, 0, "all good")


async def test_another_kind_is_polled_where_events_may_not_be(cluster: Cluster, tmp_path: Path) -> None:
    kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig", user="limited")
    granted = await cluster.grant("limited", ["list", "watch"], "", ["pods", "configmaps"])
    try:
        ended = await check("--kubeconfig", kubeconfig, "--resource=pods")
    finally:
        await cluster.revoke(granted)
    assert (ended.exit_code, ended.last_line) == (0, "all good")
    result, detail = ended.table["permissions"]["revision clock"]
    assert result == "note"
    assert "configmaps are polled instead" in detail
    assert "polls of configmaps" in ended.table["server"]["round trip"][1]
    assert ended.table["one store"]["pods"][0] == "ok"


async def test_a_resource_that_is_not_there_gets_a_hint(cluster: Cluster, tmp_path: Path) -> None:
    names = ("deployments", "pod", "gone.example.org", "pods.v7", "tokenreviews.authentication.k8s.io")
    ended = await check(
        "--kubeconfig", cluster.kubeconfig(tmp_path / "kubeconfig"), *(f"--resource={name}" for name in names)
    )
    assert ended.exit_code == 2
    assert ended.table["resources"] == {
        "deployments": ("missing", 'deployments is not served here, did you mean "deployments.apps"?'),
        "pod": ("missing", 'pod is not served here, did you mean "pods"?'),
        "gone.example.org": ("missing", "gone.example.org is not served here"),
        "pods.v7": ("missing", 'pods.v7 is not served here, did you mean "pods"?'),
        "tokenreviews.authentication.k8s.io": (
            "missing",
            "tokenreviews.authentication.k8s.io cannot be watched: it has no list or no watch",
        ),
    }


async def test_a_group_that_does_not_answer_spoils_nothing_else(cluster: Cluster, tmp_path: Path) -> None:
    api_services, name = "/apis/apiregistration.k8s.io/v1/apiservices", "v1.down.check.example.com"
    spec = {
        "group": "down.check.example.com",
        "version": "v1",
        "service": {"namespace": "default", "name": "nobody"},
        "insecureSkipTLSVerify": True,
        "groupPriorityMinimum": 10,
        "versionPriority": 10,
    }
    async with cluster.client() as client:
        await client.post(api_services, {"metadata": {"name": name}, "spec": spec})

        async def is_listed() -> bool:
            groups = await client.get("/apis")
            return any(group["name"] == spec["group"] for group in groups["groups"])

        try:
            await wait_until(is_listed, f"{name} is listed")
            ended = await check(
                "--kubeconfig",
                cluster.kubeconfig(tmp_path / "kubeconfig"),
                "--resource=deployments",
                "--resource=things.v1.down.check.example.com",
            )
        finally:
            await client.delete(f"{api_services}/{name}")
    assert ended.exit_code == 2
    rows = ended.table["resources"]
    assert rows["deployments"] == ("missing", 'deployments is not served here, did you mean "deployments.apps"?')
    assert rows["things.v1.down.check.example.com"] == ("failed", "HTTP 503: service unavailable")


async def test_the_apiservers_are_counted(fresh_cluster: FreshCluster, tmp_path: Path) -> None:
    cluster = await fresh_cluster()
    endpoint_slice = {
        "metadata": {"name": "kubernetes", "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["192.0.2.1"]}],
    }
    async with cluster.client() as client:
        await client.post("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", endpoint_slice)
    kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig")
    as_named, as_one = await asyncio.gather(
        check("--kubeconfig", kubeconfig), check("--kubeconfig", kubeconfig, "--apiserver", cluster.apiserver.url)
    )
    assert [as_named.table["server"][row][0] for row in ("address", "apiservers")] == ["note", "note"]
    assert [as_one.table["server"][row][0] for row in ("address", "apiservers")] == ["ok", "ok"]


async def test_a_server_that_is_not_there(cluster: Cluster, tmp_path: Path) -> None:
    ended = await check("--kubeconfig", cluster.kubeconfig(tmp_path / "kubeconfig", server="https://127.0.0.1:1"))
    assert (ended.exit_code, ended.last_line) == (2, "not good: no answer from 127.0.0.1:1")
    assert ended.table["server"]["connection"] == ("failed", "no connection: Connection refused")
    assert ended.table["permissions"]["watch pods"] == ("not checked", "")


async def test_a_certificate_for_another_name(cluster: Cluster, tmp_path: Path) -> None:
    kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig", tls_server_name="elsewhere.example.com")
    ended = await check("--kubeconfig", kubeconfig)
    assert ended.exit_code == 2
    result, detail = ended.table["server"]["connection"]
    assert result == "failed"
    assert detail.startswith("the certificate is not accepted: Hostname mismatch")


async def test_a_wrong_token(cluster: Cluster, tmp_path: Path) -> None:
    kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig")
    written = json.loads(kubeconfig.read_text())
    written["users"][0]["user"]["token"] = "of-nobody"
    kubeconfig.write_text(json.dumps(written))
    ended = await check("--kubeconfig", kubeconfig)
    assert (ended.exit_code, ended.table["credentials"]["identity"]) == (2, ("failed", "Unauthorized"))
    assert (
        ended.last_line == f"not good: 127.0.0.1:{cluster.apiserver.port} did not accept the credentials: Unauthorized"
    )
    assert ended.table["permissions"]["revision clock"] == ("not checked", "")


async def test_no_such_context_is_one_sentence(cluster: Cluster, tmp_path: Path) -> None:
    kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig")
    ended = await check("--kubeconfig", kubeconfig, "--context", "nowhere")
    assert (ended.exit_code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert ended.err.startswith(
        f'watchslo: error: --context: "nowhere" is not among the contexts of kubeconfig {kubeconfig}: '
    )


async def test_what_a_slow_apiserver_leaves_open_is_not_checked(cluster: Cluster, tmp_path: Path) -> None:
    with Proxy(cluster.apiserver.url) as proxy:
        proxy.delay_to_client_seconds = 0.3
        credentials = Credentials(CredentialsSource(cluster.kubeconfig(tmp_path / "kubeconfig", server=proxy.url)))
        await credentials.load()
        server = Server(credentials.server_url, is_one_apiserver=False)
        findings = await inspect(config(), credentials, server, time_limit_seconds=2.0)
    text, is_good = report(findings)
    table = read_table(text)
    assert table["server"]["connection"][0] == "ok"
    assert table["clock"]["offset"][0] == "not checked"
    assert not is_good
    assert text.endswith("not good: the apiserver was too slow to check the rest")


async def test_an_unverified_certificate_is_said(cluster: Cluster, tmp_path: Path) -> None:
    kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig")
    written = json.loads(kubeconfig.read_text())
    written["clusters"][0]["cluster"] = {"server": cluster.apiserver.url, "insecure-skip-tls-verify": True}
    kubeconfig.write_text(json.dumps(written))
    credentials = Credentials(CredentialsSource(kubeconfig))
    await credentials.load()
    assert credentials.ssl is not None
    assert credentials.ssl.verify_mode == ssl.CERT_NONE
    server = Server(credentials.server_url, is_one_apiserver=False)
    findings = await inspect(config(), credentials, server, time_limit_seconds=1.0)
    assert read_table(report(findings)[0])["server"]["connection"][0] == "note"


async def test_what_is_not_there_is_said(cluster: Cluster, tmp_path: Path) -> None:
    kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig")
    canary = ("--canary.interval=1", "--canary.node=nope", "--canary.pod=default/nope")
    ended = await check("--kubeconfig", kubeconfig, "--namespace=nope", *canary[:2])
    assert ended.exit_code == 2
    assert ended.table["resources"]["namespace nope"] == ("missing", "it does not exist")
    assert ended.table["resources"]["canary nodes nope"] == ("missing", 'nodes "nope" not found')
    no_node = "nodes nope does not exist, so the canary cannot write to it"
    said = f"namespace nope does not exist, so nothing in it can be watched; {no_node}"
    assert ended.last_line == f"not good: {said}"
    assert "by --kubeconfig; context real, its current one" in ended.table["configuration"]["credentials"][1]
    ended = await check("--kubeconfig", kubeconfig, *canary)
    assert ended.table["resources"]["canary pods default/nope"] == ("missing", 'pods "nope" not found')
