"""The container image: what is in it, what is not, and how it runs as a Pod would run it."""

import asyncio
import hashlib
import json
import os
import re
import stat
import subprocess
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from exporter.simulator import Simulator, Workload
from tests.packaging.container import ROOT, SCRIPT, Image, build, make_base, running, storage
from tests.support.observing import until

pytestmark = pytest.mark.timeout(600)

VENV = "opt/watchslo"
TOOLS_ARE_MISSING = 3
BUILDING_PROGRAM = re.compile(
    r"(.*-)?(gcc|g\+\+|c\+\+|cc|cpp|clang|tcc|as|ld|make|go|rustc|javac|pip\d*|wheel)(-[\d.]+)?"
)
LEFTOVER = re.compile(
    r"src|opt/build|.*/(pip|ensurepip|setuptools)|.*/python-wheels|root/\.cache|var/cache/apt/.*\.deb|var/lib/apt/lists/.+"
)
UNCHECKED = 0b01
"""The flags of bytecode that is taken as it is, whatever its source says (PEP 552)."""


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Image, Image]]:
    """The image, built twice. Left out where the tools for it are missing, but not in CI."""
    made = subprocess.run([SCRIPT, "base"], capture_output=True, text=True, check=False)
    if made.returncode == TOOLS_ARE_MISSING and os.environ.get("CI") != "true":
        pytest.skip(made.stderr.strip().removeprefix("scripts/image: "))
    assert made.returncode == 0, made.stderr
    with storage(tmp_path_factory.mktemp("storage")) as environment:
        base = make_base(environment, made.stdout.splitlines()[-1])
        with ThreadPoolExecutor() as builders:
            papers = tmp_path_factory.mktemp("papers")
            one = builders.submit(build, environment, base, "localhost/one", papers / "one")
            other = builders.submit(build, environment, base, "localhost/other", papers / "other")
            yield one.result(), other.result()


@pytest.fixture(scope="module")
def image(images: tuple[Image, Image]) -> Image:
    return images[0]


def everything(image: Image) -> dict[str, os.stat_result]:
    """Every file, folder and link of the image that is no device, by its path."""
    found = {str(path.relative_to(image.files)): path.lstat() for path in image.files.rglob("*")}
    return {path: status for path, status in found.items() if path.split("/")[0] not in {"dev", "proc", "sys"}}


def fingerprint(image: Image, path: str, status: os.stat_result) -> tuple[object, ...]:
    file = image.files / path
    content: object = None
    if stat.S_ISLNK(status.st_mode):
        content = file.readlink()
    elif stat.S_ISREG(status.st_mode):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
    return status.st_mode, status.st_uid, status.st_gid, content


def packages(image: Image) -> dict[str, str]:
    """Names and versions of what is installed beside Python."""
    (site_packages,) = (image.files / VENV / "lib").glob("python3*/site-packages")
    found = [PathDistribution(path) for path in site_packages.glob("*.dist-info")]
    return {one.name.lower().replace("_", "-"): one.version for one in found}


def test_it_says_what_it_is(image: Image) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in image.config["Labels"].items()}
    assert labels["title"] == "watchslo"
    assert labels["version"] == project["version"]
    assert labels["licenses"] == project["license"]
    assert labels["base.name"] == "localhost/base"
    assert labels["revision"]
    assert project["description"].startswith(labels["description"])


def test_its_configuration_needs_no_shell_and_no_root(image: Image) -> None:
    assert image.config["User"] == "65532:65532"
    assert image.config["Entrypoint"] == ["/opt/watchslo/bin/watchslo"]
    assert image.config["Cmd"] == ["run"]
    assert image.config["Healthcheck"]["Test"] == ["CMD", "/opt/watchslo/bin/watchslo", "healthcheck"]
    assert list(image.config["ExposedPorts"]) == ["9985/tcp"]


def test_nothing_in_it_gives_more_rights_or_can_be_changed(image: Image) -> None:
    modes = {path: status.st_mode for path, status in everything(image).items() if not stat.S_ISLNK(status.st_mode)}
    assert not [path for path, mode in modes.items() if mode & (stat.S_ISUID | stat.S_ISGID) and stat.S_ISREG(mode)]
    assert not [path for path, mode in modes.items() if mode & stat.S_IWOTH and not mode & stat.S_ISVTX]
    assert {status.st_uid for path, status in everything(image).items() if path.startswith(VENV)} == {0}


def test_what_builds_is_not_in_it(image: Image) -> None:
    files = everything(image)
    programs = {path.name for path in map(Path, files) if path.parent.name in {"bin", "sbin"}}
    assert "python3" in programs
    assert not [name for name in programs if BUILDING_PROGRAM.fullmatch(name)]
    assert not [path for path in files if LEFTOVER.fullmatch(path)]


def test_its_packages_are_those_that_are_locked_and_listed(image: Image) -> None:
    locked = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / "requirements" / "run.txt").read_text(), re.MULTILINE))
    installed = packages(image)
    assert installed.pop("watchslo") == image.config["Labels"]["org.opencontainers.image.version"]
    assert installed == locked
    written = paper(image, "cdx")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(written) is None
    listed = json.loads(written)
    assert listed["metadata"]["component"]["name"] == "watchslo"
    assert {one["name"]: one["version"] for one in listed["components"]} == installed
    assert {one["purl"] for one in listed["components"]} == {f"pkg:pypi/{name}@{locked[name]}" for name in locked}
    hashes = re.findall(r"--hash=sha256:([0-9a-f]{64})", (ROOT / "requirements" / "run.txt").read_text())
    of_files = [reference for one in listed["components"] for reference in one["externalReferences"]]
    assert sorted(of["content"] for reference in of_files for of in reference["hashes"]) == sorted(hashes)


def test_what_it_was_made_of_is_written_down(images: tuple[Image, Image]) -> None:
    image, other = images
    statement = json.loads(paper(image, "provenance"))
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    [subject] = statement["subject"]
    assert subject["digest"] == {"sha256": image.id}
    definition, details = statement["predicate"]["buildDefinition"], statement["predicate"]["runDetails"]
    materials = {one["name"]: one.get("digest") for one in definition["resolvedDependencies"]}
    labels = image.config["Labels"]
    assert materials.pop("base") == {"sha256": labels["org.opencontainers.image.base.digest"].removeprefix("sha256:")}
    source = materials.pop("source", {"gitCommit": "unknown"})
    assert source == {"gitCommit": labels["org.opencontainers.image.revision"]}
    of_files = {name: {"sha256": hashlib.sha256((ROOT / name).read_bytes()).hexdigest()} for name in materials}
    assert materials == of_files
    assert {"Dockerfile", "requirements/run.txt"} <= materials.keys()
    [sbom] = details["byproducts"]
    assert sbom["digest"] == {"sha256": hashlib.sha256(paper(image, "cdx").encode()).hexdigest()}
    assert details["builder"]["id"]
    assert paper(image, "cdx") == paper(other, "cdx")


def paper(image: Image, kind: str) -> str:
    """What the build wrote about the image."""
    [found] = image.papers.glob(f"*.{kind}.json")
    return found.read_text()


def is_never_loaded(source: Path) -> bool:
    """tests/credentials/test_kubeconfig.py says so."""
    return re.search(r"/kubernetes_asyncio/client/(api|models)/", str(source)) is not None


def test_all_of_it_is_compiled_and_the_bytecode_is_taken_as_it_is(image: Image) -> None:
    (library,) = (path for path in image.files.glob("usr/**/python3*/asyncio/__init__.py"))
    for folder in (image.files / VENV, library.parent):
        sources = [path for path in folder.rglob("*.py") if path.parent.name != "bin" and not is_never_loaded(path)]
        assert len(sources) > 20
        for source in sources:
            (compiled,) = source.parent.glob(f"__pycache__/{source.stem}.cpython-*.pyc")
            assert int.from_bytes(compiled.read_bytes()[4:8], "little") == UNCHECKED, compiled


def test_two_builds_are_the_same_file_by_file(images: tuple[Image, Image]) -> None:
    one, other = (
        {path: fingerprint(image, path, status) for path, status in everything(image).items()} for image in images
    )
    assert [path for path in one.keys() | other.keys() if one.get(path) != other.get(path)] == []
    assert images[0].layers == images[1].layers


async def test_it_runs_as_a_pod_runs_it_and_measures(image: Image, tmp_path: Path) -> None:
    async with Simulator() as simulator, Workload(simulator, rate_per_second=40):
        with running(image, tmp_path, simulator.url, "--resource", "pods") as container:
            await until(container.ready)
            await container.wait_for(lambda scrape: scrape.sum("events_judged_total", verdict="on_time") > 20)
            status = container.status()
            assert status["Uid"] == ["65532"] * 4
            assert status["NSpid"][1:] == ["1"]
            assert int(status["CapEff"][0], 16) == 0
            asked = ("healthcheck", "--web.listen-address", container.url.removeprefix("http://"))
            healthy = image.run(*asked, folder=tmp_path)
            assert (healthy.returncode, healthy.stdout) == (0, "ok\n"), healthy.stderr
            container.terminate()
            assert await container.wait() == 0
            assert image.run(*asked, folder=tmp_path).returncode == 1


async def test_a_scrape_in_flight_is_finished_before_it_stops(image: Image, tmp_path: Path) -> None:
    # More than the kernel would take off the exporter's hands: 30 kB each.
    kinds = [word for number in range(200) for word in ("--resource", f"kind{number}.example.com")]
    async with Simulator() as simulator:
        with running(image, tmp_path, simulator.url, *kinds) as container:
            await until(container.ready)
            host, port = container.url.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
            writer.write(b"GET /metrics HTTP/1.1\r\nHost: loopback\r\n\r\n")
            begun = await reader.readexactly(1000)
            container.terminate()
            await container.wait_for_log("stopping")
            answer = begun + await reader.read()
            writer.close()
            assert await container.wait() == 0
    assert answer.endswith(b"\r\n0\r\n\r\n")
    assert answer.count(b"\nwatchslo_stream_up{") == 200


def test_a_start_does_not_have_to_compile_anything(image: Image, tmp_path: Path) -> None:
    def cpu_seconds(**environment: str) -> float:
        with running(image, tmp_path, "http://127.0.0.1:1", **environment) as container:
            return container.cpu_seconds

    as_built, uncompiled = cpu_seconds(), cpu_seconds(PYTHONPYCACHEPREFIX="/nowhere")
    print(f"CPU from start to listening: {as_built:.2f} s, without bytecode {uncompiled:.2f} s")  # noqa: T201 see docs
    assert as_built < uncompiled / 1.5


def test_bad_configuration_is_one_line_and_exit_code_2(image: Image, tmp_path: Path) -> None:
    refused = image.run("run", "--slo.objective", "99", folder=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.startswith("watchslo: error: --slo.objective")
    assert refused.stderr.count("\n") == 1
