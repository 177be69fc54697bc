"""The unit for a machine outside of clusters: systemd's own tools judge it, and the exporter runs under its filters.

No systemd starts it here: what it does besides system calls (users, mounts, credentials) is not tried.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.config import flag_parser, load, read_flags
from tests.deploy.confined import UNIT
from tests.deploy.rendering import ROOT, first_pod, rendered
from tests.support.observing import started

MOST_EXPOSED = 13
"""Of 100, which is a service without any of these settings. 12 is what it has."""

Analyze = Callable[..., "subprocess.CompletedProcess[str]"]


def need_systemd() -> None:
    """Its tools, with the library that filters system calls. Without them a test is left out, but not in CI."""
    if shutil.which("systemd-analyze") is None:
        if os.environ.get("CI") != "true":
            pytest.skip("systemd-analyze is not there: apt-get install systemd")
        subprocess.run(["apt-get", "install", "--yes", "--no-install-recommends", "systemd"], check=True)


@pytest.fixture
def analyze(installed_watchslo: Path, tmp_path: Path) -> Analyze:
    """systemd-analyze of the unit (or what becomes of it), with the command where this machine has it."""
    need_systemd()

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


async def test_the_exporter_measures_under_its_filters(tmp_path: Path) -> None:
    need_systemd()
    log = tmp_path / "log"
    with started(command="demo", module="tests.deploy.confined", log=log) as demo:
        await demo.wait_for(lambda scrape: sum(scrape.values("events_judged_total", verdict="on_time")) > 0)
        assert "process_resident_memory_bytes " in await demo.exposition()
        assert demo.stop() == 0
    assert "level=warn" not in log.read_text(encoding="utf-8")


TRIED = """
import mmap, os, socket
from tests.deploy.confined import UNIT, confine
confine(UNIT.read_text())
for forbidden in (
    lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    lambda: socket.socket(socket.AF_UNIX),
    lambda: os.chroot("/"),
    lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC),
):
    try:
        forbidden()
    except PermissionError:
        print("refused")
"""


def test_its_filters_refuse_what_the_exporter_has_no_need_of() -> None:
    need_systemd()
    tried = subprocess.run([sys.executable, "-c", TRIED], check=True, capture_output=True, text=True, cwd=ROOT)
    assert tried.stdout == "refused\n" * 4


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
