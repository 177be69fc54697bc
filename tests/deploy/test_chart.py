"""What the chart renders, from several files of values; no cluster is asked."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from deploy.generator import files
from deploy.generator.objective import Settings
from exporter.config import Config, flag_parser, load, read_flags
from exporter.config.shard import Shard
from tests.deploy.rendering import (
    CHART,
    PLAIN,
    ROOT,
    VALUES,
    Object,
    arguments,
    environment,
    first_pod,
    helm,
    objects_in,
    of_kind,
    only,
    rendered,
)
from tests.real.tools import tool

ROLES = ("Role", "ClusterRole")
each_values_file = pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)


def flags(objects: list[Object]) -> Config:
    """The configuration that the exporter reads from its environment and arguments."""
    command, *words = arguments(first_pod(objects))
    assert command == "run"
    loaded = load(read_flags("run", flag_parser("run", ""), words), environment(first_pod(objects)))
    assert loaded.warnings == ()
    return loaded.config


@pytest.fixture(autouse=True)
def _host_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kubelet names the host after the Pod."""
    monkeypatch.setattr("socket.gethostname", lambda: "watchslo-0")


def rules(objects: list[Object]) -> list[Object]:
    return [rule for role in of_kind(objects, *ROLES) for rule in role["rules"]]


def test_what_is_generated_is_up_to_date() -> None:
    tool("helm")  # without it this test is left out
    checked = subprocess.run([ROOT / "scripts" / "manifests", "--check"], check=False, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@each_values_file
def test_helm_finds_nothing_to_complain_of(values: Path) -> None:
    linted = helm("lint", "--strict", CHART, "--values", values)
    assert linted.returncode == 0, linted.stdout


@each_values_file
def test_the_exporter_takes_its_arguments(values: Path) -> None:
    chosen = yaml.safe_load(values.read_text())
    config = flags(rendered("--values", values))
    assert config.discover_apiservers == chosen.get("apiserver", {}).get("discover", True)
    assert config.custom_resources == tuple(chosen.get("watch", {}).get("customResources", []))
    assert config.canary_interval_seconds == chosen.get("canary", {}).get("interval", 1)
    if "extraArgs" not in chosen:
        in_the_pod = environment(first_pod(rendered("--values", values)))
        assert load({}, in_the_pod, command="check").config == config, "which needs no flags there"


def test_the_exporter_writes_to_an_object_of_its_pods_name_and_only_if_wanted_to_the_pod() -> None:
    """Whatever watches pods sees each write to one."""
    config = flags(rendered())
    assert (config.canary_pod, config.canary_custom_resource) == (None, "watchslo/watchslo-0")
    assert config.canary_node is None
    assert flags(rendered("--set", "canary.pod=true")).canary_pod == "watchslo/watchslo-0"
    assert "pods" not in {name for rule in rules(rendered()) if "patch" in rule["verbs"] for name in rule["resources"]}
    without = rendered("--set", "canary.customResource=false")
    assert flags(without).canary_interval_seconds == 0, "without an object it would write to the Pod"


def test_pods_that_are_not_watched_are_not_written_to() -> None:
    objects = rendered("--values", CHART / "ci" / "custom-resources-values.yaml", "--set", "canary.pod=true")
    config = flags(objects)
    assert (config.canary_pod, config.canary_custom_resource) == (None, "watchslo/watchslo-0")
    written = [rule["resources"] for rule in rules(objects) if "patch" in rule["verbs"]]
    assert written == [["canaries"]]


def test_replicas_share_the_work_if_they_are_told_to() -> None:
    assert flags(rendered("--set", "replicas=2")).shard == Shard(0, 1)
    assert flags(rendered("--set", "replicas=2,sharded=true")).shard == Shard(0, 2)


def test_probes_and_scrapes_go_where_the_exporter_listens() -> None:
    objects = rendered()
    [container] = first_pod(objects)["spec"]["containers"]
    [port] = container["ports"]
    [service_port] = only(objects, "Service")["spec"]["ports"]
    [address] = flags(objects).listen_addresses
    assert address.port == port["containerPort"] == service_port["port"]
    probes = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert {probe["port"] for probe in probes.values()} == {service_port["targetPort"]} == {port["name"]}
    assert probes["startup"]["path"] == probes["liveness"]["path"] == "/livez", "which never asks the apiserver"
    assert probes["readiness"]["path"] == "/readyz"


WEB = ("--set", "web.configSecret=watchslo-web")


def test_tls_and_passwords_come_from_a_secret() -> None:
    """The file itself is read by the exporter; here it is only where the flag says."""
    monitored = ("--set", "serviceMonitor.enabled=true,serviceMonitor.endpoint.basicAuth.username.name=watchslo-web")
    objects = rendered(*WEB, *monitored, "--set", "web.tls=true")
    pod = first_pod(objects)
    [container] = pod["spec"]["containers"]
    [volume], [mount] = pod["spec"]["volumes"], container["volumeMounts"]
    assert volume == {"name": mount["name"], "secret": {"secretName": "watchslo-web"}}
    assert str(Path(environment(pod)["WATCHSLO_WEB_CONFIG_FILE"]).parent) == mount["mountPath"]
    probes = [container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")]
    assert [probe["scheme"] for probe in probes] == ["HTTPS"] * 3
    [endpoint] = only(objects, "ServiceMonitor")["spec"]["endpoints"]
    assert (endpoint["scheme"], endpoint["basicAuth"]) == ("https", {"username": {"name": "watchslo-web"}})


def test_a_kubelet_without_a_certificate_lets_the_exporter_ask_itself() -> None:
    objects = rendered(*WEB, "--set", "web.tls=true,web.clientCertificates=true")
    [container] = first_pod(objects)["spec"]["containers"]
    command, *words = container["livenessProbe"]["exec"]["command"]
    assert f"\nENTRYPOINT {json.dumps([command])}\n" in (ROOT / "Dockerfile").read_text()
    assert words == ["healthcheck"], "which knows from its environment what is served"


def test_events_are_watched_only_where_the_starts_of_pods_are_wanted() -> None:
    may_watch_events = {"apiGroups": [""], "resources": ["events"], "verbs": ["watch"]}
    objects = rendered("--set", "watch.podStartup=true")
    assert flags(objects).pod_startup
    assert may_watch_events in rules(objects)
    without = rendered()
    assert not flags(without).pod_startup
    assert may_watch_events not in rules(without)


TOKENS = ("--set", "web.authFilter.enabled=true,serviceMonitor.enabled=true")


def test_who_may_read_the_metrics_is_asked_only_if_that_is_wanted() -> None:
    objects = rendered(*TOKENS)
    assert flags(objects).auth_filter
    asked = {(rule["apiGroups"][0], *rule["resources"]) for rule in rules(objects) if rule["verbs"] == ["create"]}
    assert {("authentication.k8s.io", "tokenreviews"), ("authorization.k8s.io", "subjectaccessreviews")} <= asked
    [reader] = [
        role for role in of_kind(objects, "ClusterRole") if role["metadata"]["name"] == "watchslo-metrics-reader"
    ]
    assert reader["rules"] == [{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]
    [endpoint] = only(objects, "ServiceMonitor")["spec"]["endpoints"]
    assert endpoint["bearerTokenFile"] == "/var/run/secrets/kubernetes.io/serviceaccount/token"
    without = rendered("--set", "serviceMonitor.enabled=true")
    assert not flags(without).auth_filter
    assert "tokenreviews" not in str(without)
    assert "bearerTokenFile" not in str(without)


def test_a_token_of_its_own_takes_the_place_of_prometheus_token() -> None:
    objects = rendered(*TOKENS, "--set", "serviceMonitor.endpoint.authorization.credentials.name=scraper")
    [endpoint] = only(objects, "ServiceMonitor")["spec"]["endpoints"]
    assert endpoint["authorization"] == {"credentials": {"name": "scraper"}}
    assert "bearerTokenFile" not in endpoint


@pytest.mark.parametrize("values", ["web.tls=true", "web.configSecret=web,web.clientCertificates=true"])
def test_there_is_no_tls_without_a_secret_and_no_certificate_without_tls(values: str) -> None:
    refused = helm("template", "watchslo", CHART, "--set", values)
    assert refused.returncode != 0
    assert "web" in refused.stderr


@each_values_file
def test_no_user_is_named_by_any_values(values: Path) -> None:
    assert not re.search("runAsUser|runAsGroup|fsGroup", str(rendered("--values", values)))


def test_the_container_runs_as_whom_the_image_or_the_namespace_says_and_writes_nowhere() -> None:
    """OpenShift's restricted-v2 takes no user but one of the namespace's own."""
    spec = first_pod(rendered())["spec"]
    assert spec["securityContext"]["runAsNonRoot"]
    assert not [name for name in ("runAsUser", "runAsGroup", "fsGroup") if name in str(spec)]
    assert re.search(r"\nUSER [1-9][0-9]*:[1-9][0-9]*\n", (ROOT / "Dockerfile").read_text()), (
        "or who knows it is not root?"
    )
    assert spec["containers"][0]["securityContext"]["readOnlyRootFilesystem"]
    assert "volumes" not in spec


def wrapper(folder: Path) -> Path:
    """A chart as people write them around others': ours is switched by a condition, and `global` is for all of them."""
    chart = folder / "wrapper"
    (chart / "charts").mkdir(parents=True)
    shutil.copytree(CHART, chart / "charts" / "watchslo")
    dependency = {"name": "watchslo", "version": "0.1.0", "condition": "watchslo.enabled", "tags": ["monitoring"]}
    about = {"apiVersion": "v2", "name": "wrapper", "version": "1.0.0", "dependencies": [dependency]}
    (chart / "Chart.yaml").write_text(yaml.safe_dump(about))
    values = {"global": {"imageRegistry": "registry.example.com", "imagePullSecrets": [{"name": "all"}], "other": 1}}
    (chart / "values.yaml").write_text(yaml.safe_dump({**values, "watchslo": {"enabled": True, "replicas": 2}}))
    return chart


def test_a_wrapper_chart_switches_it_by_a_condition(tmp_path: Path) -> None:
    chart = wrapper(tmp_path)
    answer = helm("template", "all", chart, "--namespace", "all")
    assert answer.returncode == 0, answer.stderr
    pod = first_pod(objects_in(answer.stdout))
    assert pod["metadata"]["name"] == "all-watchslo-0"
    assert pod["spec"]["containers"][0]["image"] == "registry.example.com/watchslo:0.1.0"
    assert pod["spec"]["imagePullSecrets"] == [{"name": "all"}]
    off = helm("template", "all", chart, "--set", "watchslo.enabled=false")
    assert (off.returncode, objects_in(off.stdout)) == (0, [])
    misspelt = helm("template", "all", chart, "--set", "watchslo.replica=2")
    assert "replica" in misspelt.stderr, "the schema still holds"


def test_names_namespaces_and_labels_are_whoever_installs_its_own() -> None:
    words = ("nameOverride=watchman", "fullnameOverride=watchers", "namespaceOverride=elsewhere")
    objects = rendered("--set", ",".join(words), "--set-json", 'commonLabels={"example.com/team":"platform"}')
    named = {(one["metadata"]["name"], one["metadata"].get("namespace")) for one in objects}
    elsewhere = {("watchers", "elsewhere"), ("watchers-0", "elsewhere"), ("watchers-canary", "elsewhere")}
    assert named == {
        *elsewhere,
        ("watchers-test", "elsewhere"),
        ("elsewhere-watchers", None),
        ("elsewhere-watchers", "default"),
    }
    for one in of_kind(objects, "StatefulSet", "Service", "ClusterRole", "Canary"):
        labels = one["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "watchman"
        assert labels["example.com/team"] == "platform"
        assert (labels["helm.sh/chart"], labels["app.kubernetes.io/managed-by"]) == ("watchslo-0.1.0", "Helm")
    selected = only(objects, "StatefulSet")["spec"]["selector"]["matchLabels"]
    pod = first_pod(objects)["metadata"]
    assert selected.items() <= pod["labels"].items()
    assert "helm.sh/chart" not in pod["labels"], "a new chart of the same exporter restarts nothing"
    assert flags(objects).canary_custom_resource == "elsewhere/watchers-0"
    subjects = [subject for one in of_kind(objects, "ClusterRoleBinding", "RoleBinding") for subject in one["subjects"]]
    assert {subject["namespace"] for subject in subjects} == {"elsewhere"}


def test_what_others_run_lies_in_their_namespaces() -> None:
    kinds = {"serviceMonitor": "ServiceMonitor", "prometheusRule": "PrometheusRule", "dashboards": "ConfigMap"}
    sets = [f"{value}.enabled=true,{value}.namespace=monitoring,{value}.annotations.by=us" for value in kinds]
    objects = rendered("--set", ",".join(sets))
    for one in of_kind(objects, *kinds.values()):
        assert (one["metadata"]["namespace"], one["metadata"]["annotations"]) == ("monitoring", {"by": "us"})
    assert only(objects, "ServiceMonitor")["spec"]["namespaceSelector"] == {"matchNames": ["watchslo"]}


def test_addresses_are_named_where_they_are_not_to_be_discovered() -> None:
    service = flags(rendered("--set", "apiserver.discover=false"))
    assert (service.discover_apiservers, service.apiservers) == (False, ()), "that of the Service"
    urls = ("https://10.0.0.1:6443", "https://10.0.0.2:6443")
    named = flags(rendered("--set", f"apiserver.urls={{{','.join(urls)}}}"))
    assert (named.discover_apiservers, named.apiservers) == (False, urls)


def test_replicas_that_share_the_work_have_names_of_their_own() -> None:
    refused = helm("template", CHART, "--set", "sharded=true,replicas=2,hostNetwork=true")
    assert refused.returncode != 0
    assert "sharded" in refused.stderr
    pod = first_pod(rendered("--set", "hostNetwork=true,dnsPolicy=ClusterFirstWithHostNet"))
    assert (pod["spec"]["hostNetwork"], pod["spec"]["dnsPolicy"]) == (True, "ClusterFirstWithHostNet")


@pytest.mark.parametrize("web", [(), ("--set", "web.configSecret=watchslo-web,web.tls=true")])
def test_helm_test_asks_the_service_and_is_no_endpoint_of_it(web: tuple[str, ...]) -> None:
    objects = rendered(*web)
    [pod] = of_kind(objects, "Pod")
    service = only(objects, "Service")
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert not service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    command, *words = pod["spec"]["containers"][0]["args"]
    assert command == "healthcheck"
    loaded = load(read_flags(command, flag_parser(command, ""), words), {}, unread={"web.config.file"})
    [address] = loaded.config.listen_addresses
    name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
    assert (address.host, address.port) == (f"{name}.{namespace}", service["spec"]["ports"][0]["port"])
    assert [volume["name"] for volume in pod["spec"].get("volumes", [])] == ["web-config"][: len(web)]


def test_kubernetes_puts_no_variables_beside_the_settings() -> None:
    assert first_pod(rendered())["spec"]["enableServiceLinks"] is False


def test_without_canaries_nothing_may_be_written() -> None:
    objects = rendered("--values", CHART / "ci" / "read-only-values.yaml")
    assert {verb for rule in rules(objects) for verb in rule["verbs"]} == {"get", "list", "watch"}


def test_who_may_patch_may_patch_the_ordinals_only() -> None:
    objects = rendered("--set", "replicas=2,canary.pod=true", release="mine")
    patched = [rule["resourceNames"] for rule in rules(objects) if "patch" in rule["verbs"]]
    assert patched == [["mine-watchslo-0", "mine-watchslo-1"]] * 2
    assert first_pod(objects)["metadata"]["name"] in patched[0]


def test_each_pod_finds_its_canary_and_needs_no_right_to_create_it() -> None:
    objects = rendered("--set", "replicas=2", release="mine")
    canaries = [f"{one['metadata']['namespace']}/{one['metadata']['name']}" for one in of_kind(objects, "Canary")]
    assert canaries == ["watchslo/mine-watchslo-0", "watchslo/mine-watchslo-1"]
    assert flags(objects).canary_custom_resource == canaries[0]
    assert not [rule for rule in rules(objects) if "create" in rule["verbs"]]
    assert of_kind(rendered("--set", "canary.customResource=false"), "Canary") == []


def test_the_way_out_leads_to_apiservers_only() -> None:
    def egress(*values: str) -> object:
        sets = [word for value in values for word in ("--set", f"networkPolicy.{value}")]
        return only(rendered(*sets), "NetworkPolicy")["spec"]["egress"]

    ports = [{"port": 443}, {"port": 6443}, {"port": 8443}]
    assert egress() == [{"ports": ports}], "wherever they are"
    blocks = [{"ipBlock": {"cidr": cidr}} for cidr in ("10.96.0.1/32", "fd00::/64")]
    names = {"ports": [{"port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")]}
    assert egress("apiserverCIDRs={10.96.0.1/32,fd00::/64}") == [{"ports": ports, "to": blocks}]
    assert egress("apiserverPorts={443}", "dns=true") == [{"ports": [{"port": 443}]}, names]


def test_that_a_role_knows_no_patterns_is_said_where_one_is_written() -> None:
    globs = "watch.customResources={foo*.example.com,bars.example.org}"
    shown = helm("install", "mine", CHART, "--dry-run=client", "--set", globs)
    assert shown.returncode == 0, shown.stderr
    assert 'for "foo*.example.com" that is every custom resource of example.com.' in shown.stdout
    assert "bars.example.org" not in shown.stdout.partition("NOTES:")[2]


def test_the_apiservers_own_metrics_may_be_read_unless_that_is_turned_off() -> None:
    objects = rendered()
    assert [rule for rule in rules(objects) if "nonResourceURLs" in rule] == [
        {"nonResourceURLs": ["/metrics"], "verbs": ["get"]}
    ]
    assert flags(objects).apiserver_metrics == "auto"
    without = rendered("--set", "apiserver.metrics=false")
    assert not [rule for rule in rules(without) if "nonResourceURLs" in rule]
    assert flags(without).apiserver_metrics == "off"


def test_whose_requests_apiservers_execute_may_be_read_only_if_that_is_asked_for() -> None:
    dump = {"nonResourceURLs": ["/debug/api_priority_and_fairness/dump_requests"], "verbs": ["get"]}
    asked = ("--set", "apiserver.requests=true")
    assert dump not in rules(rendered())
    assert dump in rules(rendered(*asked))
    assert dump not in rules(rendered(*asked, "--set", "apiserver.metrics=false"))  # then it is not asked for


def test_the_role_names_the_groups_of_what_is_watched() -> None:
    objects = rendered("--values", CHART / "ci" / "everything-values.yaml")
    watched = {
        (rule["apiGroups"][0], resource)
        for rule in only(objects, "ClusterRole")["rules"]
        if rule["verbs"] == ["watch"]
        for resource in rule["resources"]
    }
    assert watched == {
        ("", "pods"),
        ("", "nodes"),
        ("", "events"),
        ("apps", "deployments"),
        ("coordination.k8s.io", "leases"),
        ("example.com", "*"),
        ("example.org", "gadgets"),
        ("watchslo.dev", "canaries"),
    }


def test_two_releases_share_no_name_in_the_whole_cluster() -> None:
    one, other = (
        {
            (found["kind"], found["metadata"].get("namespace"), found["metadata"]["name"])
            for found in rendered(release=release, namespace=namespace)
        }
        for release, namespace in (("watchslo", "watchslo"), ("watchslo", "elsewhere"))
    )
    assert one.isdisjoint(other)


def test_what_needs_the_operator_is_off() -> None:
    api_versions = {found["apiVersion"] for found in rendered()}
    assert not any(version.startswith("monitoring.coreos.com/") for version in api_versions)
    assert of_kind(rendered(), "PodDisruptionBudget", "ConfigMap") == []


def test_a_scrape_comes_often_enough_for_a_rate_over_one_minute() -> None:
    [endpoint] = only(rendered("--set", "serviceMonitor.enabled=true"), "ServiceMonitor")["spec"]["endpoints"]
    assert 4 * int(endpoint["interval"].removesuffix("s")) <= 60


def test_the_rules_are_those_of_the_rules_file() -> None:
    rule = only(rendered("--set", "prometheusRule.enabled=true"), "PrometheusRule")
    assert rule["spec"] == yaml.safe_load((ROOT / "deploy" / "rules" / "watchslo.rules.yaml").read_text())


def test_values_of_the_rules_make_what_the_generator_makes_of_the_same_settings() -> None:
    settings = Settings(
        cluster_label="k8s_cluster", coverage=0.995, memory_mebibytes=900, runbooks="https://wiki.example/watch"
    )
    values = {"coverage": 0.995, "memoryMebibytes": 900, "runbooks": settings.runbooks}
    given = json.dumps({"enabled": True, "sloth": True, **values})
    words = ("--set", "clusterLabel=k8s_cluster", "--set-json", f"prometheusRule={given}")
    rule = only(rendered(*words), "PrometheusRule")
    made = [yaml.safe_load(files(settings)[f"rules/{name}.rules.yaml"]) for name in ("watchslo", "watchslo-sloth")]
    assert rule["spec"]["groups"] == [group for file in made for group in file["groups"]]


def test_the_dashboards_are_those_of_the_repository() -> None:
    config_maps = of_kind(rendered("--set", "dashboards.enabled=true"), "ConfigMap")
    shipped = {name: json.loads(text) for found in config_maps for name, text in found["data"].items()}
    assert shipped
    assert shipped == {path.name: json.loads(path.read_text()) for path in (ROOT / "dashboards").glob("*.json")}


def test_the_dashboards_name_the_label_that_is_asked_for(tmp_path: Path) -> None:
    config_maps = of_kind(rendered("--set", "dashboards.enabled=true,clusterLabel=k8s_cluster"), "ConfigMap")
    shipped = {name: json.loads(text) for each in config_maps for name, text in each["data"].items()}
    subprocess.run([sys.executable, "-m", "dashboards.build", tmp_path, "k8s_cluster"], check=True, cwd=ROOT)
    written = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    assert shipped == {name: json.loads(text) for name, text in written.items()}
    assert not [name for name, text in written.items() if re.search(r"\bcluster=~", text)]


def test_the_image_may_be_named_by_its_digest() -> None:
    digest = f"sha256:{'0' * 64}"
    [container] = first_pod(rendered("--set", f"image.digest={digest}"))["spec"]["containers"]
    assert container["image"] == f"watchslo:0.1.0@{digest}"


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ("replica=2", "replica"),
        ("replicas=0", "/replicas"),  # a role without names would allow all of them
        ("canary.interval=0.01", "/canary/interval"),
        ("canary.enabled=true", "/canary"),
        ("watch.resources={Pods}", "/watch/resources/0"),
        ("watch.customResources={*}", "/watch/customResources/0"),  # no role can name its group
        ("serviceMonitor.interval=fast", "/serviceMonitor/interval"),
        ("image.digest=sha256:abc", "/image/digest"),
        ("networkPolicy.apiserverCIDRs={10.96.0.1}", "/networkPolicy/apiserverCIDRs/0"),
        ("podMonitor.interval=fast", "/podMonitor/interval"),
        ("scrapeConfig.endpoint.port=http", "/scrapeConfig"),
        ("vmServiceScrape.on=true", "/vmServiceScrape"),
        ("vmRule.coverage=0.9", "/vmRule"),
    ],
)
def test_a_wrong_value_is_refused_by_name(wrong: str, named: str) -> None:
    answer = helm("template", CHART, "--set", wrong)
    assert answer.returncode != 0
    assert named in answer.stderr


def test_the_chart_and_the_plain_manifests_have_the_version_of_the_exporter() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    [image] = yaml.safe_load((PLAIN / "exporter" / "kustomization.yaml").read_text())["images"]
    project = (ROOT / "pyproject.toml").read_text()
    assert f'\nversion = "{chart["appVersion"]}"\n' in project
    assert image["newTag"] == chart["appVersion"]
    [container] = first_pod(objects_in((PLAIN / "exporter" / "watchslo.yaml").read_text()))["spec"]["containers"]
    assert container["image"] == f"{image['name']}:{image['newTag']}"
