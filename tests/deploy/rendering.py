"""The chart and the plain manifests in, Kubernetes objects out, as helm and kubectl render them."""

import functools
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.real.tools import tool

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "watchslo"
PLAIN = ROOT / "deploy" / "kubernetes"
PLATFORMS = sorted((ROOT / "deploy" / "platforms").glob("*-values.yaml"))
VALUES = [*sorted((CHART / "ci").glob("*-values.yaml")), *PLATFORMS]

Object = dict[str, Any]


def helm(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """Runs helm."""
    return subprocess.run([tool("helm"), *arguments], check=False, capture_output=True, text=True)


def rendered(*arguments: str | Path, release: str = "watchslo", namespace: str = "watchslo") -> list[Object]:
    """The objects of a release."""
    return objects_in(_template(release, namespace, *arguments))


@functools.cache
def _template(release: str, namespace: str, *arguments: str | Path) -> str:
    words = ("template", release, CHART, "--namespace", namespace, "--kube-version", "1.29.0")
    answer = helm(*words, *arguments)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def objects_in(text: str) -> list[Object]:
    """The objects of a YAML stream."""
    return [read for read in yaml.safe_load_all(text) if read is not None]


def of_kind(objects: Sequence[Object], *kinds: str) -> list[Object]:
    """Those objects that are of one of these kinds."""
    return [one for one in objects if one["kind"] in kinds]


def only(objects: Sequence[Object], kind: str) -> Object:
    """The only object of this kind."""
    [found] = of_kind(objects, kind)
    return found


def first_pod(objects: Sequence[Object]) -> Object:
    """The Pod that the StatefulSet's controller would make first."""
    stateful_set = only(objects, "StatefulSet")
    template = stateful_set["spec"]["template"]
    metadata = {
        **template["metadata"],
        "name": f"{stateful_set['metadata']['name']}-0",
        "namespace": stateful_set["metadata"]["namespace"],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def environment(pod: Object) -> dict[str, str]:
    """The container's variables, as the kubelet would set them: a later one may name an earlier one."""
    [container] = pod["spec"]["containers"]
    variables: dict[str, str] = {}
    for variable in container.get("env", []):
        variables[variable["name"]] = _expanded(_value(variable, pod), variables)
    return variables


def arguments(pod: Object) -> list[str]:
    """The container's arguments, its variables put in as the kubelet would."""
    [container] = pod["spec"]["containers"]
    variables = environment(pod)
    return [_expanded(word, variables) for word in container["args"]]


def _value(variable: Object, pod: Object) -> str:
    if "value" in variable:
        return str(variable["value"])
    found: Any = pod
    for key in variable["valueFrom"]["fieldRef"]["fieldPath"].split("."):
        found = found[key]
    return str(found)


def _expanded(word: str, variables: Mapping[str, str]) -> str:
    return re.sub(r"\$\((\w+)\)", lambda reference: variables[reference[1]], word)
