"""kind-config.yaml and scripts/kind, as far as they go without Docker.

docker and kind are stand-ins that note how they are called; kubectl and the apiserver are real.
"""

import asyncio
import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from tests.conftest import FreshCluster
from tests.deploy.rendering import PLAIN, ROOT, Object, of_kind
from tests.real.cluster import Cluster
from tests.real.tools import tool

CONFIG = ROOT / "kind-config.yaml"
SCRIPT = ROOT / "scripts" / "kind"
NEEDED_BY_SCRIPT = ("bash", "cat", "dirname", "grep", "sed")


def decoded(text: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([tool("kind-config")], input=text, check=False, capture_output=True, text=True)


def test_kind_reads_three_control_planes() -> None:
    answer = decoded(CONFIG.read_text())
    assert answer.returncode == 0, answer.stderr
    assert [node["role"] for node in json.loads(answer.stdout)["nodes"]] == ["control-plane"] * 3 + ["worker"]


def test_kind_would_refuse_a_field_that_it_does_not_know() -> None:
    answer = decoded(CONFIG.read_text().replace("hostPort", "hostport"))
    assert (answer.returncode, answer.stdout) == (1, "")
    assert "hostport" in answer.stderr


def test_the_ports_that_kind_maps_are_those_of_the_services() -> None:
    nodes = json.loads(decoded(CONFIG.read_text()).stdout)["nodes"]
    mapped = {
        (mapping["containerPort"], mapping["hostPort"])
        for node in nodes
        for mapping in node.get("extraPortMappings", [])
    }
    services = [
        service
        for name in ("prometheus", "grafana")
        for service in of_kind(list(yaml.safe_load_all((PLAIN / "kind" / f"{name}.yaml").read_text())), "Service")
    ]
    assert mapped == {(port["nodePort"], port["port"]) for service in services for port in service["spec"]["ports"]}


def test_prometheus_takes_its_configuration() -> None:
    words = ("check", "config", "--lint=all", PLAIN / "kind" / "prometheus.yml")
    checked = subprocess.run([tool("promtool"), *words], check=False, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


class Machine:
    """A PATH with the commands that scripts/kind uses; those made with `add` only note how they are called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._calls = folder / "calls"
        self._calls.touch()
        for name in NEEDED_BY_SCRIPT:
            found = shutil.which(name)
            assert found is not None
            (folder / name).symlink_to(found)

    def add(self, name: str, *commands: str) -> None:
        command = self.folder / name
        command.write_text("\n".join(["#!/bin/sh", f'echo "{name} $*" >>{self._calls}', *commands, ""]))
        command.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        return self._calls.read_text().splitlines()

    async def run(self, **variables: str) -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            SCRIPT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": str(self.folder), **variables},
        )
        async with asyncio.timeout(100):
            out, err = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()


@pytest.mark.parametrize("missing", ["docker", "kind", "kubectl"])
async def test_what_is_not_installed_is_one_sentence(tmp_path: Path, missing: str) -> None:
    machine = Machine(tmp_path)
    for name in {"docker", "kind", "kubectl"} - {missing}:
        machine.add(name)
    sentence = f"scripts/kind: error: {missing} is not installed; docker, kind and kubectl are needed\n"
    assert await machine.run() == (1, "", sentence)
    assert machine.calls == []


async def test_a_docker_that_does_not_answer_is_one_sentence(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.add("docker", "echo cannot connect to the daemon >&2", "exit 1")
    machine.add("kind")
    machine.add("kubectl")
    sentence = "scripts/kind: error: Docker does not answer: is it running, and may you use it?\n"
    assert await machine.run() == (1, "", sentence)
    assert machine.calls == ["docker info"]


def apiserver_flags() -> list[str]:
    """What kind-config.yaml adds to the command line of each apiserver."""
    [patch] = yaml.safe_load(CONFIG.read_text())["kubeadmConfigPatches"]
    return [f"--{name}={value}" for name, value in yaml.safe_load(patch)["apiServer"]["extraArgs"].items()]


def kubeconfig_of_kind(cluster: Cluster, path: Path) -> Path:
    """The kubeconfig of `cluster`, its context named as kind would name it."""
    written = json.loads(cluster.kubeconfig(path).read_text())
    written["contexts"][0]["name"] = "kind-watchslo"
    path.write_text(json.dumps(written))
    return path


@pytest.mark.timeout(240)
async def test_the_script_installs_all_of_it_twice_over(
    fresh_cluster: FreshCluster, server_binaries: Path, tmp_path: Path
) -> None:
    cluster = await fresh_cluster(flags=apiserver_flags())
    machine = Machine(tmp_path)
    machine.add("docker")
    clusters = tmp_path / "clusters"
    machine.add("kind", f'case $1 in get) cat {clusters} ;; create) echo "made $2"; echo watchslo >{clusters} ;; esac')
    clusters.touch()
    # No node runs anything here, so no rollout ends.
    kubectl = f'case " $* " in *" rollout status "*) ;; *) exec {server_binaries / "kubectl"} "$@" ;; esac'
    machine.add("kubectl", kubectl)
    kubeconfig = kubeconfig_of_kind(cluster, tmp_path / "kubeconfig")
    for _ in range(2):
        await asyncio.sleep(1)  # kubectl restarts nothing twice in one second; a person is not so fast
        code, out, err = await machine.run(KUBECONFIG=str(kubeconfig), HOME=str(tmp_path))
        assert code == 0, err
        assert "Grafana:     http://127.0.0.1:3000\n" in out
    assert [call.split()[1] for call in machine.calls if call.startswith("kind")] == [
        *("get", "create", "load"),
        *("get", "load"),
    ]
    async with cluster.client() as client:
        sets = await client.get("/apis/apps/v1/namespaces/watchslo/statefulsets")
        deployments = await client.get("/apis/apps/v1/namespaces/watchslo/deployments")
        config_maps = await client.get("/api/v1/namespaces/watchslo/configmaps")
        for workload in (*sets["items"], *deployments["items"]):
            await client.post("/api/v1/namespaces/watchslo/pods", pod_of(workload))
    [image] = images(sets["items"])
    assert f"kind load docker-image {image} --name watchslo" in machine.calls
    assert f"docker build --tag {image} ." in machine.calls
    there = {found["metadata"]["name"]: set(found["data"]) for found in config_maps["items"]}
    mounted = {
        volume["configMap"]["name"]
        for workload in deployments["items"]
        for volume in workload["spec"]["template"]["spec"]["volumes"]
        if "configMap" in volume
    }
    assert mounted <= there.keys()
    assert there["watchslo-dashboards"] == {path.name for path in (ROOT / "dashboards").glob("*.json")}


def pod_of(workload: Object) -> Object:
    template = workload["spec"]["template"]
    return {"metadata": {**template["metadata"], "name": workload["metadata"]["name"]}, "spec": template["spec"]}


def images(workloads: Sequence[Object]) -> list[str]:
    return [
        container["image"] for workload in workloads for container in workload["spec"]["template"]["spec"]["containers"]
    ]
