"""What tests may ask for: the real servers' binaries, a cluster to share, clusters to break."""

import contextlib
import functools
import os
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests import loopback
from tests.packaging.wheel import build_wheel, empty_environment
from tests.real.cluster import Cluster
from tests.support.door import Door

# Started in the background by a shell, this process ignores SIGINT, and so would every command that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

loopback.hold_tests_to_it()

BUILD_SERVERS = Path(__file__).parents[1] / "scripts" / "build-servers"
GO_IS_MISSING = 3

FreshCluster = Callable[..., Awaitable[Cluster]]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever needs the real servers, directly or through another fixture, is marked so."""
    for item in items:
        if "server_binaries" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.real)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build before the first test, where no test's timeout counts the minutes that it takes."""
    needed = any(item.get_closest_marker("real") for item in session.items)
    if needed and not session.config.option.collectonly:
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None and _build_servers("--print").returncode != 0:
            reporter.write_line("kube-apiserver and etcd: building them takes some ten minutes, once")
        _build_servers()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """For the last lines of scripts/test: what was left out, and how to get it."""
    left_out = os.environ.get("TESTS_LEFT_OUT")
    if left_out:
        reasons = Counter(
            report.longrepr[2].removeprefix("Skipped: ") for report in terminalreporter.getreports("skipped")
        )
        lines = [f"  {count} tests: {reason}\n" for reason, count in reasons.items()]
        Path(left_out).write_text("".join(lines), encoding="utf-8")


@pytest.fixture(autouse=True)
def _this_machine_only() -> Iterator[None]:
    """Also where whatever is tested has swallowed the refusal."""
    loopback.elsewhere.clear()
    yield
    assert not loopback.elsewhere, "use 127.0.0.0/8 and [::1] only"


@pytest.fixture(scope="session")
def server_binaries() -> Path:
    """The folder with etcd, kube-apiserver and kubectl. Without Go the test is skipped, but not in CI."""
    built = _build_servers()
    if built.returncode == GO_IS_MISSING and os.environ.get("CI") != "true":
        pytest.skip(
            "kube-apiserver and etcd are not there: install Go, or set KUBEBUILDER_ASSETS to a folder with them"
        )
    if built.returncode != 0:
        pytest.fail(built.stderr)
    return Path(built.stdout.splitlines()[-1])


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def cluster(server_binaries: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """One etcd and one apiserver, shared by all tests: break nothing, and use names of your own."""
    async with Cluster(server_binaries, tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest_asyncio.fixture
async def fresh_cluster(server_binaries: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[FreshCluster]:
    """Starts clusters of the test's own; takes what Cluster takes by name."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(**options: Any) -> Cluster:
            folder = tmp_path_factory.mktemp("fresh-cluster")
            return await stack.enter_async_context(Cluster(server_binaries, folder, **options))

        yield start


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def installed_watchslo(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command `watchslo` of an environment with nothing but the wheel and its locked dependencies."""
    return empty_environment(tmp_path_factory.mktemp("installed"), wheel)


@functools.cache
def _build_servers(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([BUILD_SERVERS, *arguments], check=False, capture_output=True, text=True)


@pytest.fixture
def door(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Door:
    """The command line, called in an empty folder without settings in the environment."""
    monkeypatch.chdir(tmp_path)
    for variable in os.environ:
        if variable.startswith("WATCHSLO_"):
            monkeypatch.delenv(variable)
    return Door(capsys, monkeypatch)
