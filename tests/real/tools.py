"""Where `scripts/build-tools` puts what it builds: Prometheus, Alertmanager, their tools, Helm and so on.

`scripts/test` runs it before the first test, where no test's timeout counts the minutes that it takes.
"""

import functools
import os
import subprocess
from pathlib import Path

import pytest

BUILD_TOOLS = Path(__file__).parents[2] / "scripts" / "build-tools"


def tool(name: str) -> Path:
    """The path of one tool. Where they are not built the test is skipped, but not in CI."""
    folder = _tools()
    if folder is not None:
        return folder / name
    if os.environ.get("CI") == "true":
        pytest.fail("the tools are not built: run scripts/build-tools")
    pytest.skip("Prometheus and Helm are not there: install Go, then run scripts/build-tools")


@functools.cache
def _tools() -> Path | None:
    printed = subprocess.run([BUILD_TOOLS, "--print"], check=False, capture_output=True, text=True)
    return Path(printed.stdout.strip()) if printed.returncode == 0 else None
