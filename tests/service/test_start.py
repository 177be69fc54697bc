"""What a start loads and does: counted, because it is most of the CPU until the first judged event."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

COUNTING = """
import gc, sys
from exporter.cli import main
collections = []
gc.callbacks.append(lambda phase, _: collections.append(phase))
main(sys.argv[1:])
ours = [module for name, module in sys.modules.items() if name.startswith("exporter.")]
made = {name for module in ours for name, value in vars(module).items() if hasattr(value, "__dataclass_fields__")}
print(collections.count("stop"), gc.isenabled(), gc.get_freeze_count(), len(made))
print(*sys.modules)
"""
WITHOUT_PLUGIN = """
clusters: [{name: it, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: it, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: /nowhere}}}]
contexts: [{name: it, context: {cluster: it, user: it}}]
current-context: it
"""
"""With this the daemon ends as soon as it is imported."""

COMMANDS = {
    "run": (("--kubeconfig", "FILE", "--resource", "pods"), 650),
    "version": ((), 230),
    "healthcheck": (("--web.listen-address", "127.0.0.1:1"), 240),
}
"""Their flags, and the most modules that they may load: a twentieth more than with Python 3.11."""


def ran(command: str, folder: Path) -> tuple[list[str], set[str]]:
    """What COUNTING prints: counts, and the modules."""
    (folder / "kubeconfig").write_text(WITHOUT_PLUGIN, encoding="utf-8")
    flags, _ = COMMANDS[command]
    words = [command, *(str(folder / "kubeconfig") if flag == "FILE" else flag for flag in flags)]
    said = subprocess.run([sys.executable, "-c", COUNTING, *words], check=True, capture_output=True, text=True)
    *_, counts, modules = said.stdout.splitlines()
    return counts.split(), set(modules.split())


def missing(names: Sequence[str], loaded: set[str]) -> bool:
    """Whether none of them is loaded."""
    return not loaded.intersection(names)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_loads_what_it_needs(command: str, tmp_path: Path) -> None:
    _, loaded = ran(command, tmp_path)
    _, most_modules = COMMANDS[command]
    assert len(loaded) <= most_modules
    assert missing(["rich", "bcrypt", "exporter.simulator", "exporter.commands.check", "exporter.commands.top"], loaded)
    assert missing(["aiohttp", "asyncio", "exporter.service"], loaded) == (command != "run")


def test_nothing_looks_for_garbage_among_what_is_imported_and_no_record_is_a_dataclass(tmp_path: Path) -> None:
    (collections, is_enabled, frozen, dataclasses), _ = ran("run", tmp_path)
    assert int(collections) <= 10, "without care it is ninety times, an eighth of the start"
    assert is_enabled == "True"
    assert int(frozen) > 50_000
    assert int(dataclasses) == 0, "such a class takes as long to make as eighty Structs"
