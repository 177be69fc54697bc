"""What is imported of kubernetes_asyncio, and what becomes of a version of it that wants more."""

import os
import subprocess
import sys
from pathlib import Path

LOADED = """
import asyncio, sys
from exporter.credentials import Credentials, CredentialsSource
asyncio.run(Credentials(CredentialsSource()).load())
"""


def python(code: str, **environ: str | Path) -> str:
    """What it prints."""
    return subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        timeout=50,
        env={**os.environ, **{name: str(value) for name, value in environ.items()}},
    ).stdout


def kubeconfig(folder: Path) -> Path:
    path = folder / "kubeconfig"
    path.write_text(
        "{clusters: [{name: it, cluster: {server: 'http://127.0.0.1:1'}}], users: [{name: it, user: {}}],"
        " contexts: [{name: it, context: {cluster: it, user: it}}], current-context: it}",
        encoding="utf-8",
    )
    return path


def test_neither_the_models_nor_the_apis_of_the_client_are_imported(tmp_path: Path) -> None:
    said = python(LOADED + "print(*sys.modules)", KUBECONFIG=kubeconfig(tmp_path)).split()
    assert "kubernetes_asyncio.config.kube_config" in said
    client = "kubernetes_asyncio.client"
    assert [name for name in said if name.startswith((f"{client}.models", f"{client}.api"))] == []


def test_who_imports_the_package_later_gets_all_of_it(tmp_path: Path) -> None:
    used = LOADED + "from kubernetes_asyncio import client; print(client.V1Pod(kind='Pod').kind)"
    assert python(used, KUBECONFIG=kubeconfig(tmp_path)) == "Pod\n"


def test_who_imported_the_package_before_keeps_it(tmp_path: Path) -> None:
    used = "from kubernetes_asyncio import client, config" + LOADED
    used += "from exporter.credentials.kubeconfig import loader; print(loader() == (config, client.Configuration))"
    assert python(used, KUBECONFIG=kubeconfig(tmp_path)) == "True\n"


def test_a_version_whose_loader_wants_more_is_imported_whole(tmp_path: Path) -> None:
    modules = {
        "__init__": "from kubernetes_asyncio import client, config",
        "client/__init__": "from kubernetes_asyncio.client.configuration import Configuration\nMore = 'more'",
        "client/configuration": "class Configuration: pass",
        "config/__init__": "from kubernetes_asyncio.client import More, Configuration",
    }
    for name, code in modules.items():
        path = tmp_path / "kubernetes_asyncio" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code, encoding="utf-8")
    code = "from exporter.credentials.kubeconfig import loader; print(loader().config.More)"
    assert python(code, PYTHONPATH=tmp_path) == "more\n"
