"""A real cluster to install on, and what an installation makes of the exporter there."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from tests.deploy.kubectl import Kubectl
from tests.deploy.rendering import CHART, PLAIN, Object, arguments, environment, first_pod, objects_in, rendered
from tests.real.cluster import Cluster
from tests.real.custom_resources import CustomResource, wait_served
from tests.real.tools import tool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

CANARIES = CustomResource(group="watchslo.dev", plural="canaries")
ONLY_RUN_TAKES = ("--log.", "--annotation", "--cache-clock.")
MONITORING = "monitoring"
OPERATOR_KINDS = ("servicemonitors", "podmonitors", "scrapeconfigs", "prometheusrules")
VICTORIA_KINDS = ("vmservicescrapes", "vmrules")


@dataclass(frozen=True)
class Site:
    """A cluster with our own kind and those of the operators of Prometheus and VictoriaMetrics, and kubectl for it."""

    cluster: Cluster
    kubectl: Kubectl

    async def create_namespace(self, name: str) -> None:
        """One that admits restricted Pods only, as that of the plain manifests does."""
        namespace = yaml.safe_load((PLAIN / "exporter" / "namespace.yaml").read_text())
        namespace["metadata"]["name"] = name
        await self.kubectl.apply_objects(namespace)


@contextlib.asynccontextmanager
async def prepared(
    binaries: Path, folder: Path, *, apiservers: int = 1, flags: Sequence[str] = ()
) -> AsyncIterator[Site]:
    """A running site; `flags` are those of its apiservers."""
    async with Cluster(binaries, folder, apiservers=apiservers, flags=flags) as cluster:
        await cluster.list_apiservers(*(apiserver.url for apiserver in cluster.apiservers))
        kubectl = Kubectl(binaries, cluster, folder)
        definitions = tool("prometheus-operator-crds")
        for kind in OPERATOR_KINDS:
            await kubectl.apply("-f", definitions / f"monitoring.coreos.com_{kind}.yaml")
        await kubectl.apply("-f", "-", stdin=_victoria_definitions())
        await kubectl.apply("-f", CHART / "crds")
        # One that has no status yet is an error to `kubectl wait`.
        await kubectl.run("wait", "--for=jsonpath={.status.acceptedNames.kind}", "crd", "--all")
        await kubectl.run("wait", "--for=condition=Established", "crd", "--all")
        site = Site(cluster, kubectl)
        await site.create_namespace(MONITORING)
        yield site


def _victoria_definitions() -> str:
    """Those of VICTORIA_KINDS, out of the one file with all."""
    text = (tool("victoriametrics-operator-crds") / "crd.yaml").read_text(encoding="utf-8")
    names = [f"\n  name: {kind}.operator.victoriametrics.com\n" for kind in VICTORIA_KINDS]
    return "\n---\n".join(one for one in text.split("\n---\n") if any(name in one for name in names))


async def install_plain(site: Site) -> list[Object]:
    """The plain manifests for users of the Prometheus operator; returns their objects."""
    folder = PLAIN / "prometheus-operator"
    await site.kubectl.apply("-k", folder)
    return objects_in(await site.kubectl.run("kustomize", folder))


async def install_everything(site: Site, *arguments: str) -> list[Object]:
    """The chart with all that can be on, under another name; `arguments` are helm's. Returns its objects."""
    await site.create_namespace("observing")
    await site.cluster.create_resource()
    await site.kubectl.apply_objects({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}})
    values = CHART / "ci" / "everything-values.yaml"
    objects = rendered("--values", values, *arguments, release="mine", namespace="observing")
    await site.kubectl.apply_objects(*objects)
    return objects


@dataclass(frozen=True)
class Installed:
    """An installation, its first Pod made, and the credentials that the kubelet would give to that Pod."""

    site: Site
    pod: Object
    token: str
    kubeconfig: Path

    @property
    def namespace(self) -> str:
        """The Pod's."""
        return str(self.pod["metadata"]["namespace"])

    @property
    def name(self) -> str:
        """The Pod's."""
        return str(self.pod["metadata"]["name"])

    @property
    def flags(self) -> list[str]:
        """The container's arguments after the command; a kubeconfig stands for the service account's folder."""
        command, *words = arguments(self.pod)
        assert command == "run"
        return ["--kubeconfig", str(self.kubeconfig), *words]

    def flags_of_check(self, kubeconfig: Path) -> list[str]:
        """Those that `watchslo check` takes too, with this kubeconfig."""
        _, _, *words = self.flags
        return ["--kubeconfig", str(kubeconfig), *(word for word in words if not word.startswith(ONLY_RUN_TAKES))]

    @property
    def environment(self) -> dict[str, str]:
        """The container's variables, which are the exporter's settings too."""
        return environment(self.pod)


async def first_pod_of(objects: Sequence[Object], site: Site, folder: Path) -> Installed:
    """Makes the first Pod of what was installed, as the controller-manager would, and a token bound to it."""
    pod = first_pod(objects)
    namespace, name, account = (*map(pod["metadata"].get, ("namespace", "name")), pod["spec"]["serviceAccountName"])
    await site.kubectl.apply_objects(pod)
    request = {"spec": {"boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": name}}}
    async with site.cluster.client() as client:
        answer = await client.post(f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token", request)
        await wait_served(client, CANARIES)
    token = answer["status"]["token"]
    kubeconfig = site.cluster.kubeconfig(folder / "kubeconfig")
    written = json.loads(kubeconfig.read_text())
    written["users"][0]["user"]["token"] = token
    kubeconfig.write_text(json.dumps(written))
    return Installed(site, pod, token, kubeconfig)
