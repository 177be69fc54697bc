"""scripts/image with docker, a stand-in that notes how it is called: the base is by the digest that it has now."""

import json
import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "image"
DIGEST = f"sha256:{'0' * 63}1"
DOCKER = """\
#!/bin/sh
echo "$*" >>"{calls}"
case $1 in
  image) [ -f "{pulled}" ] && echo "{digest}" ;;
  pull) touch "{pulled}" ;;
  build) while [ "$1" != --iidfile ]; do shift; done; printf sha256:2 >"$2" ;;
  --version) echo "Docker version 1" ;;
esac
"""


@pytest.mark.parametrize(
    ("given", "digest"),
    [("python:3.13-slim", f"python@{DIGEST}"), (f"python:3.13-slim@{DIGEST}", ""), ("python:3.13-slim", "")],
    ids=["by tag", "by digest", "that no registry knows"],
)
def test_docker_builds_on_the_digest_of_the_base(tmp_path: Path, given: str, digest: str) -> None:
    docker = tmp_path / "docker"
    places = {"calls": tmp_path / "calls", "pulled": tmp_path / "pulled"}
    docker.write_text(DOCKER.format(**places, digest=digest))
    docker.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "OUTPUT": str(tmp_path / "out")}
    words = [str(SCRIPT), "build", "--build-arg", f"PYTHON_IMAGE={given}"]
    done = subprocess.run(words, env=environment | {"ENGINE": "docker"}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    built = next(call for call in places["calls"].read_text().splitlines() if call.startswith("build "))
    is_known = bool(digest) or "@" in given
    pinned = f"python:3.13-slim@{DIGEST}" if is_known else "python:3.13-slim"
    assert built.endswith(f" --build-arg PYTHON_IMAGE={pinned} .")
    assert (f"base.digest={DIGEST}" in built) == is_known
    [statement] = (tmp_path / "out").glob("*.provenance.json")
    materials = json.loads(statement.read_text())["predicate"]["buildDefinition"]["resolvedDependencies"]
    [base] = [one for one in materials if one["name"] == "base"]
    assert base["uri"] == "python:3.13-slim"
    assert ("digest" in base) == is_known
