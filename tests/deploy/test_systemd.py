"""The unit for a machine outside of clusters, as systemd's own tools judge it. No systemd starts it here."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.config import flag_parser, load, read_flags
from tests.deploy.rendering import ROOT, first_pod, rendered

UNIT = ROOT / "deploy" / "systemd" / "watchslo.service"
MOST_EXPOSED = 15
"""Of 100, which is a service without any of these settings. 14 is what it has."""

Analyze = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def analyze(installed_watchslo: Path, tmp_path: Path) -> Analyze:
    """systemd-analyze of the unit (or what becomes of it), with the command where this machine has it."""
    if shutil.which("systemd-analyze") is None:
        if os.environ.get("CI") != "true":
            pytest.skip("systemd-analyze is not there: apt-get install systemd")
        subprocess.run(["apt-get", "install", "--yes", "--no-install-recommends", "systemd"], check=True)

    def run(*words: str, change: Callable[[str], str] = str) -> "subprocess.CompletedProcess[str]":
        unit = tmp_path / "watchslo.service"
        text = UNIT.read_text(encoding="utf-8").replace(
            "ExecStart=/opt/watchslo/bin/watchslo ", f"ExecStart={installed_watchslo} "
        )
        unit.write_text(change(text), encoding="utf-8")
        return subprocess.run(
            ["systemd-analyze", *words, str(unit)], check=False, capture_output=True, text=True
        )  # fmt: skip

    return run


def settings() -> dict[str, list[str]]:
    """The values of each setting, from all sections."""
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text(encoding="utf-8").splitlines():
        if re.match(r"[A-Z]\w+=", line):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def test_systemd_understands_every_line(analyze: Analyze) -> None:
    verified = analyze("verify")
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")
    assert "ProtectHomes" in analyze("verify", change=lambda text: text.replace("ProtectHome=", "ProtectHomes=")).stderr


def test_it_is_hardened_and_stays_so(analyze: Analyze) -> None:
    words = ("security", "--offline=true", f"--threshold={MOST_EXPOSED}")
    judged = analyze(*words)
    assert judged.returncode == 0, judged.stdout
    for setting in ("DynamicUser", "SystemCallFilter", "CapabilityBoundingSet"):
        weaker = analyze(*words, change=lambda text, setting=setting: re.sub(f"(?m)^{setting}=", f"#{setting}=", text))
        assert weaker.returncode != 0, f"without {setting} it should be judged worse"


def test_the_exporter_takes_the_settings_of_the_unit(tmp_path: Path) -> None:
    unit = settings()
    [command] = unit["ExecStart"]
    program, word, *others = command.split()
    assert (program, word, others) == ("/opt/watchslo/bin/watchslo", "run", [])
    name, _, path = unit["LoadCredential"][0].partition(":")
    assert path == "/etc/watchslo/kubeconfig"
    (tmp_path / name).write_text("apiVersion: v1\n")
    variables = dict(pair.replace("%d", str(tmp_path)).split("=", 1) for pair in unit["Environment"])
    loaded = load(read_flags("run", flag_parser("run", ""), []), variables)
    assert loaded.warnings == ()
    assert loaded.config.kubeconfig == tmp_path / name


def test_it_has_the_memory_of_the_chart_and_restarts_nothing_in_vain() -> None:
    [container] = first_pod(rendered())["spec"]["containers"]
    unit = settings()
    assert unit["MemoryMax"] == [container["resources"]["limits"]["memory"].replace("Mi", "M")]
    assert unit["RestartPreventExitStatus"] == ["2"], "the exit status of bad configuration"
    assert "ProcSubset" not in unit, "process_resident_memory_bytes needs /proc/stat"


def test_it_speaks_of_this_version() -> None:
    [version] = re.findall(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    text = UNIT.read_text(encoding="utf-8")
    assert set(re.findall(r"watchslo[-/v]*(\d+\.\d+\.\d+)", text)) == {version}
    assert f"/tree/v{version}/" in text
