"""`make release` in a copy of this checkout, committed and tagged there: what it refuses, and what it makes."""

import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.packaging.container import CERTIFICATES, SCRIPT, make_base, storage
from tests.real.tools import tool

ROOT = Path(__file__).parents[2]
NOT_COPIED = (".git", ".venv", "dist", "build", "node_modules", "__pycache__", ".*_cache", ".hypothesis", "*.egg-info")
[VERSION] = re.findall(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
TOOLS_ARE_MISSING = 3

Change = Callable[[Path], object]


def git(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.com")
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


def replace(name: str, old: str, new: str) -> Change:
    """Changes a file of the copy."""

    def change(folder: Path) -> None:
        text = (folder / name).read_text(encoding="utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1), encoding="utf-8")

    return change


def commit(folder: Path) -> None:
    git(folder, "commit", "--all", "--quiet", "--message", "a release")


def tag(folder: Path) -> None:
    git(folder, "tag", f"v{VERSION}")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy in which nothing stands in the way of a release but the tag."""
    tool("helm")  # without it these tests are left out
    copy = tmp_path / "checkout"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*NOT_COPIED))
    (copy / ".venv").symlink_to(ROOT / ".venv")
    git(copy, "init", "--quiet")
    (copy / ".git" / "info" / "exclude").write_text(".venv\n")
    git(copy, "add", "--all")
    changelog = copy / "CHANGELOG.md"
    text = changelog.read_text(encoding="utf-8")
    changelog.write_text(re.sub(rf"(?m)^## {VERSION}, .*$", f"## {VERSION}, 2026-12-01", text), encoding="utf-8")
    commit(copy)
    return copy


def release(folder: Path, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [str(folder / "scripts" / "release"), *words]
    return subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, check=False, capture_output=True, text=True
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ([], f"this commit is not tagged v{VERSION}"),
        ([tag, replace("README.md", "watchslo", "Watchslo")], "the tree is not clean, as git status says: README.md"),
        ([tag, lambda copy: (copy / "notes").touch()], "the tree is not clean, as git status says: notes"),
        (
            [replace("CHANGELOG.md", ", 2026-12-01", ", not released yet"), commit, tag],
            f'CHANGELOG.md begins with "{VERSION}, not released yet" and not with "{VERSION}, DATE"',
        ),
        (
            [replace("deploy/helm/watchslo/Chart.yaml", f"appVersion: {VERSION}", "appVersion: 9.9.9"), commit, tag],
            f"the chart is for 9.9.9, pyproject.toml says {VERSION}",
        ),
        (
            [replace("deploy/kubernetes/exporter/watchslo.yaml", "kind: Service\n", "kind: Servise\n"), commit, tag],
            "generated files of deploy/ are not up to date: run make deploy",
        ),
    ],
    ids=["no tag", "a changed file", "an unknown file", "changelog", "chart", "generated"],
)
def test_what_is_not_a_release_is_refused_in_one_sentence(checkout: Path, changes: list[Change], why: str) -> None:
    (checkout / "dist").mkdir()
    (checkout / "dist" / "kept").touch()
    for change in changes:
        change(checkout)
    refused = release(checkout, "--without-image")
    assert (refused.returncode, refused.stdout, refused.stderr) == (1, "", f"scripts/release: error: {why}\n")
    assert [path.name for path in (checkout / "dist").iterdir()] == ["kept"]


WITHOUT_IMAGE = {f"watchslo-{VERSION}-py3-none-any.whl", f"watchslo-{VERSION}.tgz", f"watchslo-{VERSION}.cdx.json"}


def assert_sums(dist: Path, names: set[str]) -> None:
    sums = (dist / "SHA256SUMS").read_text().splitlines()
    assert sorted(sums) == sorted(f"{hashlib.sha256((dist / name).read_bytes()).hexdigest()}  {name}" for name in names)
    assert {path.name for path in dist.iterdir()} == {*names, "SHA256SUMS"}


@pytest.mark.timeout(300)
def test_without_the_image_it_is_wheel_chart_and_bill_the_same_each_time(checkout: Path) -> None:
    tag(checkout)
    dist = checkout / "dist"
    wheels = []
    for _ in range(2):
        made = release(checkout, "--without-image")
        assert made.returncode == 0, made.stderr
        assert made.stdout.startswith("in dist/, without an image, to be published by people:\n")
        assert_sums(dist, WITHOUT_IMAGE)
        wheels.append((dist / f"watchslo-{VERSION}-py3-none-any.whl").read_bytes())
    assert wheels[0] == wheels[1]
    assert json.loads((dist / f"watchslo-{VERSION}.cdx.json").read_text())["bomFormat"] == "CycloneDX"
    with tarfile.open(dist / f"watchslo-{VERSION}.tgz") as chart:
        described = chart.extractfile("watchslo/Chart.yaml")
        assert described is not None
        assert f"appVersion: {VERSION}\n" in described.read().decode()
        assert "watchslo/values.schema.json" in chart.getnames()
        assert not [name for name in chart.getnames() if "/ci/" in name]


def test_an_engine_is_missing_before_anything_is_made(checkout: Path) -> None:
    tag(checkout)
    refused = release(checkout, ENGINE="none")
    assert refused.returncode == TOOLS_ARE_MISSING
    assert refused.stderr == "scripts/image: it takes docker, podman or buildah to build the image\n"
    assert not (checkout / "dist").exists()


@pytest.mark.timeout(600)
def test_with_the_image_all_of_it_is_there_and_summed(checkout: Path, tmp_path: Path) -> None:
    """Left out where the tools for it are missing, but not in CI: as in test_image.py."""
    base = subprocess.run([SCRIPT, "base"], capture_output=True, text=True, check=False)
    if base.returncode == TOOLS_ARE_MISSING and os.environ.get("CI") != "true":
        pytest.skip(base.stderr.strip().removeprefix("scripts/image: "))
    assert base.returncode == 0, base.stderr
    tag(checkout)
    (tmp_path / "storage").mkdir()
    with storage(tmp_path / "storage") as environment:
        name = make_base(environment, base.stdout.splitlines()[-1])
        words = ["--build-arg", f"PYTHON_IMAGE={name}", "--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro"]
        for variable in ("PIP_CERT", "PIP_INDEX_URL"):
            words += ["--build-arg", f"{variable}={os.environ[variable]}"] if variable in os.environ else []
        made = release(checkout, *words, **environment)
    assert made.returncode == 0, made.stdout + made.stderr
    image, provenance = f"watchslo-{VERSION}.image.tar.gz", f"watchslo-{VERSION}.provenance.json"
    assert_sums(checkout / "dist", {*WITHOUT_IMAGE, image, provenance})
    with gzip.open(checkout / "dist" / image) as archive, tarfile.open(fileobj=archive) as files:
        manifest = files.extractfile("manifest.json")
        assert manifest is not None
        [described] = json.load(manifest)
    assert described["RepoTags"] == [f"localhost/watchslo:{VERSION}"]
    statement = json.loads((checkout / "dist" / provenance).read_text())
    commits = [
        one.get("digest", {}).get("gitCommit")
        for one in statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    ]
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=checkout, check=True, capture_output=True, text=True)
    assert head.stdout.strip() in commits, "what is built is what is committed"
