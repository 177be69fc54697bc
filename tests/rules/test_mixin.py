"""The mixin, as the real jsonnet builds it, is what the generators write of the same settings."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.generator import files
from deploy.generator.objective import DEFAULTS, Settings
from tests.real.tools import tool
from tests.rules.shipped import ROOT

MIXIN = ROOT / "deploy" / "mixin" / "mixin.libsonnet"
OTHERS = Settings(cluster_label="k8s_cluster", coverage=0.995, memory_mebibytes=900, runbooks="https://wiki.example/a")


def built(**config: object) -> dict[str, Any]:
    """What a user gets who imports the mixin and sets this much of its `_config`."""
    mixed = f"""
        local mixin = (import {json.dumps(str(MIXIN))}) + {{ _config+:: {json.dumps(config)} }};
        {{
          rules: mixin.prometheusRules.groups,
          alerts: mixin.prometheusAlerts.groups,
          dashboards: mixin.grafanaDashboards,
        }}"""
    ended = subprocess.run([tool("jsonnet"), "--exec", mixed], check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    read: dict[str, Any] = json.loads(ended.stdout)
    return read


def written(settings: Settings, *names: str) -> list[dict[str, Any]]:
    """The groups of these files, as the generator writes them."""
    made = files(settings)
    return [group for name in names for group in yaml.safe_load(made[f"rules/{name}.rules.yaml"])["groups"]]


def dashboards(folder: Path, cluster_label: str) -> dict[str, Any]:
    subprocess.run([sys.executable, "-m", "dashboards.build", folder, cluster_label], check=True, cwd=ROOT)
    return {path.name: json.loads(path.read_text(encoding="utf-8")) for path in folder.iterdir()}


def test_without_settings_it_is_what_is_shipped(tmp_path: Path) -> None:
    mixin = built()
    assert [*mixin["rules"], *mixin["alerts"]] == written(DEFAULTS, "watchslo")
    assert {key for group in mixin["rules"] for rule in group["rules"] for key in rule} == {"record", "expr"}
    assert all("alert" in rule for group in mixin["alerts"] for rule in group["rules"])
    assert mixin["dashboards"] == dashboards(tmp_path, "cluster")


def test_with_settings_it_is_what_the_generators_make_of_them(tmp_path: Path) -> None:
    mixin = built(clusterLabel="k8s_cluster", coverage=0.995, memoryMebibytes=900, runbooks=OTHERS.runbooks, sloth=True)
    made = {group["name"]: group for group in [*mixin["rules"], *mixin["alerts"]]}
    assert made == {group["name"]: group for group in written(OTHERS, "watchslo", "watchslo-sloth")}
    assert mixin["dashboards"] == dashboards(tmp_path, "k8s_cluster")


@pytest.mark.parametrize("coverage", [0.9, 0.95, 0.999, 0.9995])
def test_a_share_is_written_as_the_generator_writes_it(coverage: float) -> None:
    alerts = built(coverage=coverage)["alerts"]
    [group] = [group for group in alerts if group["name"] == "watchslo-coverage-alerts"]
    assert group in written(Settings(coverage=coverage), "watchslo")


def test_it_is_installed_at_the_version_of_this_checkout() -> None:
    assert f"watchslo@v{DEFAULTS.runbooks.split('/v')[1].split('/')[0]}\n" in MIXIN.read_text(encoding="utf-8")
