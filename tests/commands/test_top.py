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
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace
from rich.console import Console, ConsoleDimensions

from exporter.commands.top.choice import ORDERS, Choice, keys
from exporter.commands.top.documents import STEPS, Noted, Seen, seen
from exporter.commands.top.screen import HELP, screen, table
from exporter.diagnosis.words import WHOSE
from exporter.history.recording import History
from exporter.measure.coverage import Hole
from exporter.measure.late_objects import LateObject
from exporter.measure.stream_state import Fading, Interruptions, StreamState, Trouble
from exporter.measure.times import Interval
from exporter.service import status
from exporter.simulator import Simulator, Workload
from exporter.vocabulary import STAGES
from exporter.web.history import blocks
from exporter.web.page.startup import startup as section_of_the_page
from tests.support.demo import started
from tests.support.kubeconfig import kubeconfig
from tests.support.observing import observed
from tests.support.pod_starts import start
from tests.support.states import APISERVER, counts, look, startup, state

COLUMNS, LINES, FEW_LINES = 80, 30, 24
SIZE = ConsoleDimensions(COLUMNS, LINES)
PATIENCE_SECONDS = 90
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def sample() -> Seen:
    states = [
        state("nodes", p99=(0.0, 0.2)),
        state("pods", "violated", (2.1, 2.4), since=1_700_000_000.0),
        state("widgets", "quiet", None, group="example.com"),
    ]
    return seen_of(states)


def seen_of(states: Sequence[StreamState], history: History | None = None) -> Seen:
    said = b"".join(status.blocks(look(*states, has_errors=True)))
    shown = look(*states, history=history or History())
    return seen(said, b"".join(blocks(shown, states, STEPS)))


def drawn(choice: Choice, height: int = LINES, shown: Seen | None = None) -> list[str]:
    console = Console(width=COLUMNS, height=height, record=True, file=io.StringIO())
    console.print(screen(shown or sample(), choice, ConsoleDimensions(COLUMNS, height), None))
    return console.export_text().splitlines()


def names(choice: Choice) -> list[str]:
    return [row.now.resource for row in choice.shown(sample().rows)]


def pressed(*typed: str) -> Choice:
    choice = Choice()
    for key in typed:
        choice = choice.pressed(key, choice.shown(sample().rows))
    return choice


def test_keys_sort_filter_select_and_open() -> None:
    assert names(Choice()) == ["pods", "nodes", "widgets"], "what is late comes first"
    assert names(pressed("s")) == ["nodes", "pods", "widgets"]
    assert pressed(*["s"] * len(ORDERS)).order == "state"
    assert names(pressed("/", *"late")) == ["pods"]
    assert names(pressed("/", *"on time", "\r")) == ["nodes"]
    assert names(pressed("/", *"podx", "\x7f", "\r")) == ["pods"]
    assert names(pressed("/", *"pods", "\x1b")) == ["pods", "nodes", "widgets"]
    assert pressed("\x1b[B", "\x1b[B", "\x1b[B").selected == (APISERVER, "example.com", "widgets")
    assert pressed("\x1b[B", "k", "k").selected == (APISERVER, "", "pods")
    assert pressed("\r").is_open
    assert not pressed("\r", "\x1b").is_open
    assert pressed("q").is_over
    assert not pressed("/", "q").is_over, "it is a letter of the filter"
    assert keys("s\x1b[Bq") == ["s", "\x1b[B", "q"]


def selected(choice: Choice, shown: Seen) -> list[str]:
    """The resource of the row that stands out, if any does."""
    rows = choice.shown(shown.rows)
    made = table(rows, choice.place(rows))
    return [row.now.resource for row, drawn_as in zip(rows, made.rows, strict=True) if drawn_as.style]


def test_an_open_row_stays_the_same_streams_wherever_it_is_sorted_to() -> None:
    choice = pressed("\r")
    assert selected(choice, sample()) == ["pods"], "what is late comes first"
    later = seen_of([state("pods"), state("nodes", "violated", (2.1, 2.4))])
    assert [row.now.resource for row in choice.shown(later.rows)] == ["nodes", "pods"]
    assert selected(choice, later) == ["pods"]
    assert f"pods on {APISERVER}: on time" in "\n".join(drawn(choice, shown=later))
    assert selected(choice.pressed("k", choice.shown(later.rows)), later) == ["nodes"]
    assert selected(Choice(), later) == ["nodes"], "nobody has selected anything"
    assert selected(Choice(has_keys=False), later) == []


def test_no_other_row_is_taken_for_an_open_one_that_is_gone() -> None:
    choice = pressed("\r")
    later = seen_of([state("nodes"), state("leases")])
    lines = "\n".join(drawn(choice, shown=later))
    assert f"pods on {APISERVER} is not among these rows" in lines
    assert "since the start" not in lines
    assert selected(choice, later) == []
    assert selected(choice.pressed("\x1b[B", choice.shown(later.rows)), later) == ["leases"], "the first one"
    none = seen_of([])
    assert drawn(choice, shown=none)
    assert Choice().pressed("\r", choice.shown(none.rows)) == Choice()


def test_a_state_that_only_another_version_knows_is_shown_last_as_it_is() -> None:
    shown = sample()
    shown.status.streams[1].state = "novel"
    assert [row.now.resource for row in Choice().shown(shown.rows)] == ["nodes", "widgets", "pods"]
    assert [row.now.resource for row in Choice(filter="novel").shown(shown.rows)] == ["pods"]
    choice = Choice(is_open=True, selected=(APISERVER, "", "pods"))
    assert f"pods on {APISERVER}: novel" in "\n".join(drawn(choice, shown=shown))


@pytest.mark.parametrize("choice", [Choice(), Choice(is_open=True), Choice(order="P99", filter="example")])
def test_everything_fits_into_80_columns(choice: Choice) -> None:
    lines = drawn(choice)
    assert max(map(len, lines)) <= COLUMNS
    assert len(lines) <= LINES
    assert "Watches of pods are certainly late" in "\n".join(lines)
    assert lines[-1] == HELP


def test_a_row_says_what_is_known() -> None:
    [pods] = [line for line in drawn(Choice()) if line.startswith("pods")]
    assert pods.split()[:3] == ["pods", "late", "2.1-2.4"]
    opened = "\n".join(drawn(Choice(is_open=True)))
    assert "pods on 10.0.0.1:6443: late since 22:13:20" in opened


def test_a_watch_that_is_not_open_has_no_p99_of_now_and_lost_canaries_are_counted() -> None:
    found = counts(canary_writes=50, canaries_lost=2, canary_write_failures=3)
    found.canary_delivery.observe(0.1, 45)
    shown = seen_of([state("pods", p99=(2.1, 2.4), is_up=False, trouble=Trouble("connect"), counts=found)])
    [pods] = [line for line in drawn(Choice(), shown=shown) if line.startswith("pods")]
    assert pods.split()[:4] == ["pods", "no", "watch", "-"]
    assert "canaries: 2 of 47 lost, 3 not written" in "\n".join(drawn(Choice(is_open=True), shown=shown))


def test_a_row_of_which_there_is_much_to_say_fits_as_well() -> None:
    run = Interruptions(12, 2, 1_700_000_000.0, is_repeated=True)
    late = [LateObject(float(at), "added", f"default/{'a' * 20}", at, Interval(2.0, 3.0), None) for at in range(9)]
    found = counts(canary_writes=50, canaries_lost=2, ends={**counts().ends, "silent": 1})
    for stage in STAGES:
        found.stage_lower[stage].observe(0.1)
        found.stage_upper[stage].observe(0.2)
    states = [state("pods", "unknown", interruptions=run, late_objects=tuple(late), counts=found)]
    states += [state(f"kind{number}") for number in range(20)]
    history = History()
    for at, then in ((1.0, [state("pods")]), (2.0, states)):
        for _ in history.record(at, then):
            pass
    lines = drawn(Choice(is_open=True), shown=seen_of(states, history))
    assert "cache to client: " in "\n".join(lines)
    assert "last end at 00:00:02: " in "\n".join(lines)
    assert len(lines) <= LINES
    assert "q quit" in lines[-1]


def starting(*apiservers: str, is_up: bool = True, is_anything_known: bool = True) -> list[StreamState]:
    starts = startup(is_anything_known=is_anything_known)
    return [state(apiserver=apiserver, is_up=is_up, pod_startup=starts) for apiserver in apiservers]


@pytest.mark.parametrize("is_anything_known", [True, False])
def test_starts_of_pods_have_the_stages_and_words_of_the_page(*, is_anything_known: bool) -> None:
    states = starting("10.0.0.1:6443", is_anything_known=is_anything_known)
    of_page = section_of_the_page(look(*states))
    stages = re.findall(r"<tr><td>([^<]*)</td>", of_page)
    words = [*re.findall(r"<h2>([^<]*)</h2>", of_page), *re.findall(r"<dt>([^<]*)</dt>", of_page)]
    assert (len(stages), len(words)) == (8, 6)
    words += ["Of the last 5 minutes, as 10.0.0.1:6443 shows it"]
    lines = drawn(Choice(), shown=seen_of(states))
    first = lines.index(next(line for line in lines if line.startswith("stage ")))
    assert [line[:12].strip() for line in lines[first + 1 : first + 9]] == stages
    assert not [word for word in words if word not in "\n".join(lines)]
    below = " ".join(line[38:].strip() for line in lines[first : first + 9])
    for notes in (of_page, below):
        assert " SLI: without image pulls and init containers. Late watches: an estimate." in notes


def test_starts_of_pods_have_their_figures_where_they_are_known() -> None:
    said = "\n".join(drawn(Choice(), shown=seen_of(starting("10.0.0.1:6443"))))
    for words in (
        "scheduled    0.20-0.71 s 0.20-0.71 s  ",
        "sandbox      -           -            ",
        "SLI          >= 1.00 s   >= 1.00 s    ",
        "starting now: 3 ",
        "pods of the SLI, since the start: 12 ",
        "of these, pulls not known: 2 (17%) ",
        "other pods, since the start: 5 ",
        "share of late watches: 2.2%-15.0% ",
    ):
        assert words in said, (words, said)
    unknown = "\n".join(drawn(Choice(), shown=seen_of(starting("10.0.0.1:6443", is_anything_known=False))))
    for words in ("total        -           -  ", "starting now: 0 ", "pulls not known: - ", "late watches: - "):
        assert words in unknown, (words, unknown)


def test_starts_of_pods_are_shown_where_they_are_followed_and_nothing_is_open() -> None:
    shown = seen_of(starting("10.0.0.1:6443"))
    assert "Pod start-up" in "\n".join(drawn(Choice(), shown=shown))
    assert "Pod start-up" not in "\n".join(drawn(Choice()))
    assert "Pod start-up" not in "\n".join(drawn(Choice(is_open=True), shown=shown))


def test_of_several_apiservers_one_that_is_watched_tells_of_starts() -> None:
    states = [*starting("10.0.0.1:6443", is_up=False), *starting("10.0.0.3:6443", "10.0.0.2:6443")]
    said = "\n".join(drawn(Choice(), shown=seen_of(states)))
    assert "as 10.0.0.2:6443 shows it" in said
    assert "One of 3 apiservers that each tell of all" in said


@pytest.mark.parametrize("height", [FEW_LINES, LINES, 50])
def test_starts_of_pods_fit_into_a_terminal_with_much_else(height: int) -> None:
    hosts = [f"0123456789abcdef0123456789abcde{number}.gr7.eu-central-1.eks.amazonaws.com:443" for number in range(9)]
    shown = seen_of([*starting(*hosts), *(state("nodes", apiserver=host) for host in hosts)])
    shown.past.notes = [Noted(0.0, f"note {number}", hosts[0], "", "pods", 1) for number in range(20)]
    lines = drawn(Choice(), height, shown)
    assert max(map(len, lines)) <= COLUMNS
    assert len(lines) <= height
    said = "\n".join(lines)
    assert "\u2026\nstage  " in said, "the heading is one line"
    assert "late watches 0.10-0.61 s" in said
    assert "00:00:00 pods" in said, "the newest of the log"
    assert "All watches are on time: pods and nodes on" in said
    assert lines[-1] == HELP
    assert "q quit" in said
    assert sum(host[:9] in line for line in lines for host in hosts[:1]) > 3, "and rows"


def test_what_is_interrupted_again_and_again_is_no_row_that_is_well() -> None:
    run = Interruptions(12, 2, 1_700_000_000.0, is_repeated=True)
    states = [state("leases"), state("pods", interruptions=run), state("nodes", "violated", interruptions=run)]
    said = b"".join(status.blocks(look(*states, has_errors=True)))
    shown = seen(said, b"".join(blocks(look(*states), states, STEPS)))
    assert [row.now.condition for row in Choice().shown(shown.rows)] == ["violated", "interrupted", "met"]
    console = Console(width=COLUMNS, record=True, file=io.StringIO())
    console.print(screen(shown, Choice(), SIZE, None))
    assert "interrupted" in console.export_text()
    console.print(screen(shown, Choice(is_open=True, selected=(APISERVER, "", "pods")), SIZE, None))
    opened = console.export_text()
    assert "pods on 10.0.0.1:6443: on time" in opened
    assert "raise it above the 10 minutes" in " ".join(opened.split())
    assert "closed by force 12 times, relisted twice, first at 22:13:20" in opened


def test_a_row_that_is_uncertain_says_why_when_it_is_open() -> None:
    states = [state("pods", "unknown", since=1_700_000_000.0)]
    said = b"".join(status.blocks(look(*states, has_errors=True)))
    console = Console(width=COLUMNS, record=True, file=io.StringIO())
    console.print(screen(seen(said, b"".join(blocks(look(*states), states, STEPS))), Choice(is_open=True), SIZE, None))
    opened = " ".join(console.export_text().split())
    assert "pods on 10.0.0.1:6443: uncertain since 22:13:20, nothing dates events Run `watchslo check`: it" in opened


def test_what_is_over_and_whose_the_watches_are_is_said() -> None:
    at = 1_700_000_000.0
    late = state("pods", "violated", (2.1, 2.4), since=at, fading=Fading(None, at + 40, at + 100))
    opened = " ".join(" ".join(drawn(Choice(is_open=True), shown=seen_of([late]))).split())
    assert (
        "pods on 10.0.0.1:6443: late since 22:13:20, nothing late since 22:14:00; in the window until 22:15:00"
        in opened
    )
    assert WHOSE in opened
    away = Hole(0.0, 5.0, "not_watched")
    missing = state("pods", "unknown", since=at, fading=Fading(at - 30, at - 20, at + 40))
    missing = replace(missing, window=replace(missing.window, hole=away))
    opened = " ".join(" ".join(drawn(Choice(is_open=True), shown=seen_of([missing]))).split())
    assert "no watch was open 22:12:50\N{EN DASH}22:13:00; in the window until 22:14:00" in opened


def test_a_row_counts_canaries_that_were_written_through_another_apiserver() -> None:
    found = counts(canaries_lost=1)
    found.canary_delivery.observe(0.1, 45)
    opened = "\n".join(drawn(Choice(is_open=True), shown=seen_of([state(counts=found)])))
    assert "canaries: 1 of 46 lost, written through another apiserver" in opened
    assert "canaries" not in "\n".join(drawn(Choice(is_open=True)))


def test_what_others_say_cannot_steer_the_terminal() -> None:
    shown = sample()
    shown.status.sentence = "\x1b[2Jgone"
    console = Console(width=COLUMNS, record=True, file=io.StringIO())
    console.print(screen(shown, Choice(), SIZE, None))
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
        assert "Pod start-up" not in terminal.written, "pods are not followed here"
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


@pytest.mark.timeout(300)
async def test_what_pods_take_to_start_is_in_the_terminal(tmp_path: Path) -> None:
    async with Simulator() as simulator:
        simulator.faults.deny("watch", "events")  # pulls are not known, and nobody waits for them
        flags = ("--kubeconfig", kubeconfig(tmp_path, simulator.url), "--resource", "pods", "--pod-startup")
        async with observed(*flags) as exporter:
            await exporter.wait_for(lambda scrape: scrape.sum("pod_startup_pull_watch_errors_total") > 0)
            await asyncio.sleep(1)  # the first poll after the start tells history from news
            terminal = Terminal("top", "--url", exporter.url)
            try:
                await asyncio.to_thread(terminal.until, "of these, pulls not known: -")
                await asyncio.gather(*(start(simulator, f"p-{number}") for number in range(12)))
                await asyncio.to_thread(terminal.until, "of these, pulls not known: 12 (100%)")
                frame = ESCAPES.sub("", terminal.written).rsplit("Pod start-up", 1)[1]
                assert re.search(r"total +0\.\d+-\d\S* s +0\.\d+-", frame), frame
                terminal.type("\r")
                await asyncio.to_thread(terminal.until, "since the start")
                terminal.type("q")
                assert await asyncio.to_thread(terminal.process.wait, 20) == 0
            finally:
                terminal.close()


def test_another_answer_is_no_watchslo() -> None:
    with pytest.raises(ValueError, match="missing required field"):
        seen(json.dumps({"version": "1"}).encode(), b"{}")
