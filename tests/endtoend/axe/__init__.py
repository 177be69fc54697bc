"""axe-core, which finds what keeps people from using a page; from npm, into the user's cache folder."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

PINNED = Path(__file__).parent
FILES = ("package.json", "package-lock.json")


def script() -> str:
    """Its source. Where npm is missing the test is skipped."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("axe-core is not there: install Node and npm")
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "watchslo" / "axe-core"
    is_there = all((cache / name).exists() for name in FILES)
    if not is_there or any((cache / name).read_bytes() != (PINNED / name).read_bytes() for name in FILES):
        cache.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            shutil.copy(PINNED / name, cache / name)
        subprocess.run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=cache, check=True, timeout=100)
    return (cache / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
