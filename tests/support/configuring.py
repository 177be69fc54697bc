"""Kubeconfigs for tests: a server, a user and an authority in, a file out; and one question to the apiserver."""

import base64
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from exporter.credentials import Credentials
from exporter.kubernetes.session import ApiSession, Request, Server

VERSION = "/version"
NAMESPACES = "/api/v1/namespaces"


def write_kubeconfig(
    folder: Path,
    server: str,
    *,
    user: dict[str, Any],
    authority: bytes | None = None,
    cluster: Mapping[str, object] | None = None,
) -> Path:
    """A kubeconfig with one context, `it`."""
    described: dict[str, object] = {"server": server, **(cluster or {})}
    if authority is not None:
        (folder / "ca.crt").write_bytes(authority)
        described["certificate-authority"] = "ca.crt"
    config = {
        "clusters": [{"name": "it", "cluster": described}],
        "users": [{"name": "it", "user": user}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "current-context": "it",
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config))
    return path


def exec_user(folder: Path, script: str) -> dict[str, Any]:
    """A user whose credentials a Python script prints."""
    plugin = folder / "plugin.py"
    plugin.write_text(script)
    version = "client.authentication.k8s.io/v1"
    return {
        "exec": {
            "apiVersion": version,
            "command": sys.executable,
            "args": [str(plugin)],
            "interactiveMode": "Never",
        }
    }


async def status(session: ApiSession, path: str = NAMESPACES) -> int:
    """The HTTP status of one request. Raises what the session raises."""
    async with await session.send(Request(path)) as response:
        await response.read()
        return response.status


async def statuses(credentials: Credentials, server: str, count: int = 1) -> list[int]:
    """Load, and ask some times over."""
    await credentials.load()
    session = ApiSession(Server(server, is_one_apiserver=True), credentials)
    try:
        return [await status(session) for _ in range(count)]
    finally:
        await session.close()


def inline(content: bytes) -> str:
    return base64.b64encode(content).decode()
