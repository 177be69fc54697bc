"""A kubeconfig for a server that knows nobody."""

import json
from pathlib import Path


def kubeconfig(folder: Path, url: str) -> Path:
    path = folder / "kubeconfig"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "simulator", "cluster": {"server": url}}],
        "users": [{"name": "nobody", "user": {}}],
        "contexts": [{"name": "it", "context": {"cluster": "simulator", "user": "nobody"}}],
        "current-context": "it",
    }
    path.write_text(json.dumps(content), encoding="utf-8")
    return path
