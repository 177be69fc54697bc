"""Exec plugins that hang, fail, print too much or leave something behind: none holds us up, none is echoed."""

import asyncio
import os
import resource
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path

import pytest

from exporter import descriptors
from exporter.credentials import Credentials, CredentialsError, CredentialsSource, plugin
from exporter.limits import refused_texts
from exporter.service import loop
from tests.credentials.plugins import GOOD, SECRET
from tests.support.configuring import exec_user, write_kubeconfig
from tests.support.waiting import wait_until

SERVER = "https://127.0.0.1:1"

PIDS = """
import os, pathlib, signal, subprocess, sys, time
here = pathlib.Path(__file__).parent
def note(name, pid):
    (here / "partial").write_text(str(pid))
    (here / "partial").rename(here / name)
"""
CHILD = "child = subprocess.Popen([sys.executable, '-c', {code!r}])\nnote('child', child.pid)\n"
SLEEPING = CHILD.format(code="import time; time.sleep(600)")
STUBBORN = CHILD.format(code="import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)")
HANGING = "note('plugin', os.getpid())\ntime.sleep(600)\n"


def credentials_of(folder: Path, script: str, loading_seconds: float = 60.0) -> Credentials:
    kubeconfig = write_kubeconfig(folder, SERVER, user=exec_user(folder, script))
    return Credentials(CredentialsSource(kubeconfig, loading_seconds=loading_seconds))


async def refusal(credentials: Credentials) -> str:
    with pytest.raises(CredentialsError) as raised:
        await credentials.load()
    message = str(raised.value)
    assert message.splitlines() == [message]
    assert SECRET not in message
    return message


def is_running(folder: Path, name: str) -> bool:
    """Whether the process whose number stands in the file is there; one that has ended and is not waited for is not."""
    try:
        stat = Path(f"/proc/{(folder / name).read_text()}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def has_begun(folder: Path, *names: str) -> bool:
    return all((folder / name).exists() for name in names)


async def wait_for_end(folder: Path, *names: str) -> None:
    assert has_begun(folder, *names)
    await wait_until(lambda: not any(is_running(folder, name) for name in names), f"{names} end")


async def test_one_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    credentials = credentials_of(tmp_path, PIDS + STUBBORN + HANGING, loading_seconds=3.0)
    assert await refusal(credentials) == "the credentials were not loaded within 3 s"
    await wait_for_end(tmp_path, "plugin", "child")


async def test_one_that_will_not_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin, "ENDING_SECONDS", 0.2)
    stubborn = PIDS + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + HANGING
    loading = asyncio.create_task(credentials_of(tmp_path, stubborn).load())
    await wait_until(lambda: has_begun(tmp_path, "plugin"), "it runs")
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading
    await wait_for_end(tmp_path, "plugin")


async def test_one_that_closed_its_output_and_hangs_is_ended(tmp_path: Path) -> None:
    script = PIDS + GOOD + "os.close(1)\n" + HANGING
    assert "not loaded within 3 s" in await refusal(credentials_of(tmp_path, script, loading_seconds=3.0))
    await wait_for_end(tmp_path, "plugin")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_to_us_ends_it(number: signal.Signals, tmp_path: Path) -> None:
    kubeconfig = write_kubeconfig(tmp_path, SERVER, user=exec_user(tmp_path, PIDS + SLEEPING + HANGING))
    words = ["-m", "exporter", "run", "--kubeconfig", str(kubeconfig), "--web.listen-address", "127.0.0.1:0"]
    running = await asyncio.create_subprocess_exec(sys.executable, *words)
    try:
        await wait_until(lambda: has_begun(tmp_path, "plugin", "child"), "it runs")
        running.send_signal(number)
        async with asyncio.timeout(20):  # it would be given up after 30 s
            assert await running.wait() == 0
    finally:
        with suppress(ProcessLookupError):
            running.kill()
    await wait_for_end(tmp_path, "plugin", "child")


async def test_what_it_leaves_behind_with_its_output_open_holds_nobody_up(tmp_path: Path) -> None:
    credentials = credentials_of(tmp_path, PIDS + SLEEPING + GOOD)
    try:
        await credentials.load()
        assert await credentials.headers() == {"Authorization": f"Bearer {SECRET}"}
        assert is_running(tmp_path, "child"), "it was meant to stay"
    finally:
        with suppress(ProcessLookupError):
            os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (f"import sys; sys.exit('{SECRET}')", r"the plugin \S+ ended with exit status 1: run it by hand to see why"),
        (f"{GOOD}raise SystemExit(3)", r"the plugin \S+ ended with exit status 3: run it by hand to see why"),
        ("import os; os.kill(os.getpid(), 9)", r"the plugin \S+ ended with signal 9: run it by hand to see why"),
        (f"print('{SECRET}')", "the plugin's output is not an ExecCredential"),
        ("print('{}')", "the plugin's output is not an ExecCredential"),
        ("print('[' * 100_000)", "the plugin's output is not an ExecCredential"),
        (r"import os; os.write(1, b'\xff\xfe')", "the plugin's output is not an ExecCredential"),
        (
            GOOD.replace("client.authentication.k8s.io/v1", SECRET),
            'the plugin\'s output does not have the version "client.authentication.k8s.io/v1"',
        ),
    ],
    ids=["status 1", "status 3", "signal", "text", "empty", "deep", "bytes", "version"],
)
async def test_one_that_fails_is_one_sentence_without_its_output(script: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match=rf"^kubeconfig \S+: exec: {message}$") as raised:
        await credentials_of(tmp_path, script).load()
    assert SECRET not in str(raised.value)


async def test_what_it_prints_has_a_limit(tmp_path: Path) -> None:
    endless = PIDS + "note('plugin', os.getpid())\nwhile True: os.write(1, b'x' * 65536)"
    before = refused_texts.times["credentials"]
    message = await refusal(credentials_of(tmp_path, endless))
    assert message.endswith(f"exec: the plugin printed more than {plugin.MOST_BYTES} bytes")
    assert refused_texts.times["credentials"] == before + 1
    await wait_for_end(tmp_path, "plugin")


async def test_its_complaints_are_not_ours_and_nobody_answers_its_questions(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    asking = f"import os, sys\nsys.stderr.write('{SECRET} ' * 100_000)\n"
    asking += "assert sys.stdin.read() == ''\nassert '\"interactive\":false' in os.environ['KUBERNETES_EXEC_INFO']\n"
    credentials = credentials_of(tmp_path, asking + GOOD)
    await credentials.load()
    assert await credentials.headers() == {"Authorization": f"Bearer {SECRET}"}
    assert SECRET not in "".join(capfd.readouterr())


async def test_it_has_the_soft_limit_of_descriptors_that_we_were_started_with(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    ours = min(hard - 1, 1000)
    waiting = "import resource, time\n"
    waiting += f"while resource.getrlimit(resource.RLIMIT_NOFILE) != ({ours}, {hard}): time.sleep(0.01)\n"
    resource.setrlimit(resource.RLIMIT_NOFILE, (ours, hard))
    try:
        descriptors.raise_limit()
        await credentials_of(tmp_path, waiting + GOOD, loading_seconds=20.0).load()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(
    "behaves",
    [
        test_one_that_hangs_is_ended_with_all_that_it_started,
        test_one_that_closed_its_output_and_hangs_is_ended,
        test_what_it_leaves_behind_with_its_output_open_holds_nobody_up,
        test_what_it_prints_has_a_limit,
        test_it_has_the_soft_limit_of_descriptors_that_we_were_started_with,
    ],
)
def test_it_is_the_same_on_the_loop_of_the_commands(
    behaves: Callable[[Path], Coroutine[None, None, None]], tmp_path: Path
) -> None:
    loop.run(behaves(tmp_path))
