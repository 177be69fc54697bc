"""`watchslo top` in a real terminal of 80 columns, against a demo, and what its keys choose."""

import asyncio
import fcntl
import io
import json
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from exporter.commands.top.choice import ORDERS, Choice, keys
from exporter.commands.top.documents import STEPS, Seen, seen
from exporter.commands.top.screen import screen
from exporter.measure.stream_state import Interruptions
from exporter.service import status
from exporter.simulator import Simulator, Workload
from exporter.web.history import blocks
from tests.support.demo import started
from tests.support.kubeconfig import kubeconfig
from tests.support.observing import config
from tests.support.states import look, state

COLUMNS, LINES = 80, 30
PATIENCE_SECONDS = 90
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def sample() -> Seen:
    states = [
        state("nodes", p99=(0.0, 0.2)),
        state("pods", "violated", (2.1, 2.4), since=1_700_000_000.0),
        state("widgets", "quiet", None, group="example.com"),
    ]
    said = msgspec.json.encode(status.document("1.2.3", config(), "Watches of pods are late.", states))
    return seen(said, b"".join(blocks(look(*states), states, STEPS)))


def drawn(choice: Choice, height: int = LINES, width: int = COLUMNS) -> list[str]:
    console = Console(width=width, height=height, record=True, file=io.StringIO())
    console.print(screen(sample(), choice, height, None))
    return console.export_text().splitlines()


def names(choice: Choice) -> list[str]:
    return [row.now.resource for row in choice.shown(sample().rows)]


def pressed(*typed: str) -> Choice:
    choice = Choice()
    for key in typed:
        choice = choice.pressed(key, len(choice.shown(sample().rows)))
    return choice


def test_keys_sort_filter_select_and_open() -> None:
    assert names(Choice()) == ["pods", "nodes", "widgets"], "what is late comes first"
    assert names(pressed("s")) == ["nodes", "pods", "widgets"]
    assert pressed(*["s"] * len(ORDERS)).order == "state"
    assert names(pressed("/", *"late")) == ["pods"]
    assert names(pressed("/", *"on time", "\r")) == ["nodes"]
    assert names(pressed("/", *"podx", "\x7f", "\r")) == ["pods"]
    assert names(pressed("/", *"pods", "\x1b")) == ["pods", "nodes", "widgets"]
    assert pressed("\x1b[B", "\x1b[B", "\x1b[B").selected == 2
    assert pressed("\x1b[B", "k", "k").selected == 0
    assert pressed("\r").is_open
    assert not pressed("\r", "\x1b").is_open
    assert pressed("q").is_over
    assert not pressed("/", "q").is_over, "it is a letter of the filter"
    assert keys("s\x1b[Bq") == ["s", "\x1b[B", "q"]


@pytest.mark.parametrize("choice", [Choice(), Choice(is_open=True), Choice(order="P99", filter="example")])
def test_everything_fits_into_80_columns(choice: Choice) -> None:
    lines = drawn(choice)
    assert max(map(len, lines)) <= COLUMNS
    assert len(lines) <= LINES
    assert "Watches of pods are late." in "\n".join(lines)


def test_a_row_says_what_is_known() -> None:
    [pods] = [line for line in drawn(Choice()) if line.startswith("pods")]
    assert pods.split()[:3] == ["pods", "late", "2.1-2.4"]
    opened = "\n".join(drawn(Choice(is_open=True)))
    assert "pods on 10.0.0.1:6443: late since 22:13:20" in opened


def test_what_is_interrupted_again_and_again_is_no_row_that_is_well() -> None:
    run = Interruptions(12, 2, 1_700_000_000.0, is_repeated=True)
    states = [state("leases"), state("pods", interruptions=run), state("nodes", "violated", interruptions=run)]
    said = msgspec.json.encode(status.document("1.2.3", config(), "Again and again.", states))
    shown = seen(said, b"".join(blocks(look(*states), states, STEPS)))
    assert [row.now.condition for row in Choice().shown(shown.rows)] == ["violated", "interrupted", "met"]
    console = Console(width=COLUMNS, record=True, file=io.StringIO())
    console.print(screen(shown, Choice(), LINES, None))
    assert "interrupted" in console.export_text()
    console.print(screen(shown, Choice(is_open=True, selected=1), LINES, None))
    opened = console.export_text()
    assert "pods on 10.0.0.1:6443: on time" in opened
    assert "interrupted since 22:13:20: closed by force 12 times, relisted twice" in opened


def test_a_row_that_is_uncertain_says_why_when_it_is_open() -> None:
    states = [state("pods", "unknown", since=1_700_000_000.0)]
    said = msgspec.json.encode(status.document("1.2.3", config(), "It is not certain.", states))
    console = Console(width=COLUMNS, record=True, file=io.StringIO())
    console.print(screen(seen(said, b"".join(blocks(look(*states), states, STEPS))), Choice(is_open=True), LINES, None))
    assert "pods on 10.0.0.1:6443: uncertain, events are not dated, since 22:13:20" in console.export_text()


def test_what_others_say_cannot_steer_the_terminal() -> None:
    shown = sample()
    shown.status.sentence = "\x1b[2Jgone"
    console = Console(width=COLUMNS, record=True, file=io.StringIO())
    console.print(screen(shown, Choice(), LINES, None))
    assert "\x1b" not in console.export_text()


class Terminal:
    """A command in a terminal of its own."""

    def __init__(self, *words: str) -> None:
        self._ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        self._before = termios.tcgetattr(theirs)
        environ = {**os.environ, "TERM": "xterm-256color"}
        command = [sys.executable, "-m", "exporter", *words]
        self.process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environ)
        self._theirs = theirs
        self.written = ""

    def until(self, words: str) -> None:
        """Read until it has written that, from now on."""
        until, fresh = time.monotonic() + PATIENCE_SECONDS, ""
        while words not in ESCAPES.sub("", fresh):
            assert time.monotonic() < until, f"{words!r} is not in {ESCAPES.sub('', fresh)[-3000:]!r}"
            if select.select([self._ours], [], [], 0.5)[0]:
                fresh += os.read(self._ours, 65536).decode(errors="replace")
        self.written += fresh

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def is_as_before(self) -> bool:
        return termios.tcgetattr(self._theirs) == self._before

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._ours)
        os.close(self._theirs)


@pytest.fixture
def url() -> Iterator[str]:
    with started("10") as demo:
        yield demo.url.rstrip("/")


@pytest.mark.timeout(300)
def test_it_is_live_in_a_terminal_and_leaves_it_as_it_was(url: str) -> None:
    terminal = Terminal("top", "--url", url)
    try:
        terminal.until("All watches are on time: pods, nodes and widgets")
        assert not terminal.is_as_before()
        terminal.type("s")
        terminal.until("by name")
        terminal.type("/nodes\r")
        terminal.until("1 of 3")
        terminal.type("\r")
        terminal.until("since the start")
        assert "\x1b[?1049h" in terminal.written
        terminal.type("q")
        assert terminal.process.wait(timeout=20) == 0
        assert terminal.is_as_before()
        terminal.until("")
    finally:
        terminal.close()


@pytest.mark.timeout(300)
def test_what_is_no_terminal_gets_it_once_and_nobody_is_one_sentence(url: str) -> None:
    words = [sys.executable, "-m", "exporter", "top", "--url"]
    once = subprocess.run(
        [*words, url], check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60
    )
    assert "pods" in once.stdout
    assert "\x1b" not in once.stdout
    assert "q quit" not in once.stdout
    nobody = subprocess.run([*words, "http://127.0.0.1:9"], check=False, capture_output=True, text=True, timeout=60)
    assert nobody.returncode == 2
    assert nobody.stderr.startswith("watchslo: error: --url: http://127.0.0.1:9 does not answer")
    assert len(nobody.stderr.splitlines()) == 1


def test_ctrl_c_leaves_the_terminal_as_it_was(url: str) -> None:
    terminal = Terminal("top", "--url", url)
    try:
        terminal.until("watchslo")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.process.wait(timeout=20) == 130
        assert terminal.is_as_before()
    finally:
        terminal.close()


@pytest.mark.timeout(300)
async def test_without_a_url_it_measures_itself(tmp_path: Path) -> None:
    async with Simulator() as simulator, Workload(simulator, rate_per_second=50.0):
        words = ("--kubeconfig", kubeconfig(tmp_path, simulator.url), "--resource", "pods")
        terminal = Terminal("top", *map(str, words))
        try:
            await asyncio.to_thread(terminal.until, "All watches are on time: pods on")
            terminal.type("\r")
            await asyncio.to_thread(terminal.until, "since the start")
            terminal.type("q")
            assert await asyncio.to_thread(terminal.process.wait, 20) == 0
            assert terminal.is_as_before()
        finally:
            terminal.close()


def test_another_answer_is_no_watchslo() -> None:
    with pytest.raises(ValueError, match="missing required field"):
        seen(json.dumps({"version": "1"}).encode(), b"{}")
