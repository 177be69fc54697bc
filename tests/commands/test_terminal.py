"""What a person with a small terminal sees: no line is wider, and nothing is missing."""

import asyncio
import fcntl
import os
import signal
import struct
import sys
import termios
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.commands.text_table import aligned, folded, width_of
from exporter.simulator import Simulator
from tests.commands.check.command import plain_kubeconfig

COLUMNS = 60
LIMIT_SECONDS = 100
CLEARED = ("\r\x1b[K", "\x1b[J")
HEADING = ("STREAM", "NOW", "", "RELISTS")
ROWS = [HEADING, ("pods on 127.0.0.1:6443", "up", "stage", "gone 1"), ("nodes", "down", "x", "none")]


def in_terminal(*words: str | Path, ended: Callable[[str], bool]) -> str:
    """All that the command writes to a terminal of 60 columns; it is interrupted once that is enough."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    environ = {name: text for name, text in os.environ.items() if not name.startswith("WATCHSLO_")}
    command = [sys.executable, "-m", "exporter", *map(str, words)]
    child = os.posix_spawn(
        sys.executable,
        command,
        environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, theirs, 1), (os.POSIX_SPAWN_DUP2, theirs, 2)],
        setsigdef=[signal.SIGINT],
    )
    os.close(theirs)
    written = b""
    is_interrupted = False
    try:
        while chunk := os.read(ours, 65536):
            written += chunk
            if not is_interrupted and ended(written.decode(errors="replace")):
                is_interrupted = True
                os.kill(child, signal.SIGINT)
    except OSError:
        pass  # so a terminal ends
    finally:
        os.close(ours)
        os.waitpid(child, 0)
    return written.decode()


def lines_of(written: str) -> list[str]:
    for cleared in CLEARED:
        written = written.replace(cleared, "\n")
    return [line for line in written.replace("\r", "").split("\n") if not line.startswith("\x1b[")]


def too_wide(written: str) -> list[str]:
    """The lines that do not fit, unless they are one word."""
    return [line for line in lines_of(written) if len(line) > COLUMNS and len(line.split()) > 1]


def never(_: str) -> bool:
    return False


@pytest.mark.timeout(150)
async def test_check_and_measure_are_as_wide_as_the_terminal(tmp_path: Path) -> None:
    async with Simulator() as simulator:
        words = ("--kubeconfig", plain_kubeconfig(tmp_path / "kubeconfig", simulator.url), "--resource=pods,no")
        checked, measured = await asyncio.gather(
            asyncio.to_thread(in_terminal, "check", *words, ended=never),
            asyncio.to_thread(in_terminal, "measure", *words, "--duration=1", ended=never),
        )
    assert too_wide(checked) == []
    assert "not good: no is not served and cannot be watched" in checked.replace("\r\n", " ")
    assert "revision clock" in checked
    assert too_wide(measured) == []
    assert "waiting for the streams: " in measured
    said = " ".join(measured.split())
    assert "LOST CANARIES none" in said
    assert "its stream is down: not_found: no is not served here unknown" in said


@pytest.mark.timeout(150)
def test_the_demo_is_as_wide_as_the_terminal() -> None:
    listening = "--web.listen-address=127.0.0.1:0"
    written = in_terminal("demo", listening, ended=lambda said: said.count("now: ") > 2)
    _, *drawn = written.split("now: ")
    assert too_wide("".join(drawn)) == []
    assert "measured P99 " in written


def test_what_is_no_terminal_has_no_width(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        assert width_of(file) is None


def test_columns_that_fit_stay_columns() -> None:
    columns = [
        "STREAM                  NOW          RELISTS",
        "pods on 127.0.0.1:6443  up    stage  gone 1",
        "nodes                   down  x      none",
    ]
    assert aligned(ROWS, None) == columns
    assert aligned(ROWS, max(map(len, columns))) == columns


def test_columns_that_do_not_fit_stand_below_each_other() -> None:
    assert aligned(ROWS, 43) == [
        "STREAM",
        "pods on 127.0.0.1:6443",
        "  NOW up  stage  RELISTS gone 1",
        "nodes",
        "  NOW down  x  RELISTS none",
    ]
    assert aligned(ROWS, 18)[1:5] == ["pods on 127.0.0.1:6443", "  NOW up  stage", "  RELISTS gone 1", "nodes"]


def test_a_line_is_broken_between_words() -> None:
    assert folded("one two three", 8) == ["one two", "three"]
    assert folded("one two-three-four", 9, "  ") == ["  one", "  two-three-four"]
    assert folded("one two three", None) == ["one two three"]
    assert folded("", 8) == [""]
