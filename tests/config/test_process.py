import os
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from exporter import cli

HEAVY = (
    "aiohttp",
    "uvloop",
    "kubernetes_asyncio",
    "asyncio",
    "exporter.service.daemon",
    "exporter.commands.demo",
    "exporter.simulator",
)


def python(*words: str, directory: Path | None = None) -> subprocess.CompletedProcess[str]:
    environ = {name: text for name, text in os.environ.items() if not name.startswith("WATCHSLO_")}
    return subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=directory,
        timeout=50,
        env=environ,
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "no command given: choose one of run, demo, check, measure, why, top, audit, lists, healthcheck, version"),
        (
            ("run", "--slo.objective", "2"),
            '--slo.objective: "2" is not a ratio between 0 and 1 (both excluded): write 0.99 or 99%',
        ),
        (("check", "--config.file", "nowhere"), '--config.file: "nowhere" does not exist'),
        (
            ("measure", "--canary.interval", "0.01"),
            '--canary.interval: "0.01" is not a duration of 0, or from 0.1 s to 1 day: write 1.5, 500ms or 1m30s',
        ),
    ],
)
def test_a_refusal_is_one_line_and_nothing_is_started(tmp_path: Path, words: tuple[str, ...], sentence: str) -> None:
    listening = ("--web.listen-address", "127.0.0.1:0") if words[:1] == ("run",) else ()
    ended = python("-X", "importtime", "-m", "exporter", *words, *listening, directory=tmp_path)
    imports = [line for line in ended.stderr.splitlines() if line.startswith("import time:")]
    imported = {line.rpartition("|")[2].strip() for line in imports}
    said = [line for line in ended.stderr.splitlines() if not line.startswith("import time:")]
    assert (ended.returncode, ended.stdout, said) == (2, "", [f"watchslo: error: {sentence}"])
    assert "exporter.cli" in imported
    assert imported.isdisjoint(HEAVY)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("module", ["exporter", "exporter.python_version"], ids=["python -m exporter", "make"])
def test_an_older_python_is_one_sentence(module: str) -> None:
    pretending = f"import runpy, sys; sys.version_info = (3, 10, 12); runpy.run_module('{module}', run_name='__main__')"
    ended = python("-c", pretending)
    sentence = "watchslo: error: needs Python 3.11 or newer, and this is 3.10\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", sentence)


def test_make_looks_at_its_python_first() -> None:
    rule = (Path(__file__).parents[2] / "Makefile").read_text(encoding="utf-8").partition("$(VENV)/.installed: ")[2]
    assert rule.splitlines()[1:3] == ["\t@$(PYTHON) -m exporter.python_version", "\t$(PYTHON) -m venv $(VENV)"]


def test_version_and_help_are_light() -> None:
    for words in (("version",), ("--help",), ("run", "--help")):
        ended = python("-X", "importtime", "-m", "exporter", *words)
        imported = {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines()}
        assert ended.returncode == 0
        assert "exporter.cli" in imported
        assert imported.isdisjoint(HEAVY)


def test_an_interrupt_ends_quietly() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(50)
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        asking = subprocess.Popen(
            [sys.executable, "-m", "exporter", "healthcheck", f"--web.listen-address={address}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        with asking, silent.accept()[0]:
            asking.send_signal(signal.SIGINT)
            assert asking.communicate(timeout=50) == (b"", b"")
    assert asking.returncode == 130


def test_a_reader_that_leaves_early_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "exporter", "run", "--help"],
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=50,
        )
    finally:
        os.close(writing)
    assert (ended.returncode, ended.stderr) == (141, "")


ANSWERS = (("version",), ("version", "--output", "json"), ("--help",), ("run", "--help"), ("healthcheck",))


@pytest.mark.parametrize("words", ANSWERS)
@pytest.mark.parametrize(
    ("redirection", "reason"), [(">/dev/full", "No space left on device"), (">&-", "it is closed")]
)
def test_an_answer_that_cannot_be_written_is_no_answer(words: tuple[str, ...], redirection: str, reason: str) -> None:
    ended = in_shell(words, redirection)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == f"watchslo: error: cannot write to stdout: {reason}\n"


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-"])
def test_what_cannot_be_said_changes_no_exit_code(redirection: str) -> None:
    assert in_shell(("version",), redirection).returncode == 0
    refused = in_shell(("run", "--nope"), redirection)
    assert (refused.returncode, refused.stdout, refused.stderr) == (2, "", "")
    assert in_shell(("version",), f">/dev/full {redirection}").returncode == 2


def test_a_fault_of_our_own_is_no_verdict(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: object) -> int:
        raise ZeroDivisionError

    monkeypatch.setitem(cli._COMMANDS, "measure", cli._Command("fails", fails))
    assert cli.main(["measure"]) == 2
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert said.endswith("watchslo: error: this is a bug in watchslo: please report it with the lines above\n")


def in_shell(words: tuple[str, ...], redirection: str) -> subprocess.CompletedProcess[str]:
    environ = {name: text for name, text in os.environ.items() if not name.startswith("WATCHSLO_")}
    command = f"{shlex.join([sys.executable, '-m', 'exporter', *words])} {redirection}"
    return subprocess.run(
        ["/bin/sh", "-c", command], capture_output=True, text=True, check=False, timeout=50, env=environ
    )
