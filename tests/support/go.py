"""A program in Go in, its binary out."""

import hashlib
import os
import subprocess
from pathlib import Path


def go_binary(folder: Path, package: str = ".") -> Path:
    """The program of this folder or of a package below it, built once into the cache for each state of its sources."""
    sources = [path for name in ("go.mod", "go.sum", f"{package}/main.go") if (path := folder / name).exists()]
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "watchslo" / folder.name
    binary = cache / digest
    if not binary.exists():
        cache.mkdir(parents=True, exist_ok=True)
        unfinished = cache / f"{digest}.{os.getpid()}"
        command = ["go", "build", "-mod=readonly", "-trimpath", "-ldflags=-s -w", "-o", str(unfinished), package]
        environ = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"}
        subprocess.run(command, cwd=folder, env=environ, check=True)
        unfinished.rename(binary)
    return binary
