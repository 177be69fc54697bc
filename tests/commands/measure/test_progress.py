import io
import os
from contextlib import suppress

from exporter.commands.measure.progress import Progress
from exporter.commands.progress_line import CLEAR_LINE


def all_from(terminal: int) -> str:
    """What was written to it, to the end: one read has what the kernel has passed on so far."""
    pieces = []
    with suppress(OSError):  # nobody writes to it any more
        while piece := os.read(terminal, 10_000):
            pieces.append(piece)
    return b"".join(pieces).decode()


def test_a_log_gets_a_line_for_each_phase_and_then_one_in_ten_seconds() -> None:
    stream = io.StringIO()
    with Progress(stream, 60) as progress:
        progress.waiting(["pods: no\nconnection", "nodes: none either"])
        for _ in range(100):
            progress.measuring(0.4, [])
        progress.settling()
    assert stream.getvalue().splitlines() == [
        "waiting for the streams: pods: no connection; nodes: none either",
        "0 of 60 s: 0 events, 0 late, 0 ambiguous",
        "waiting for the last verdicts",
    ]


def test_advice_stays_and_the_line_comes_again() -> None:
    ours, theirs = os.openpty()
    try:
        with os.fdopen(theirs, "w") as terminal, Progress(terminal, 60) as progress:
            progress.measuring(3.0, [])
            progress.advise("as it is")
            progress.measuring(3.0, [])
        written = all_from(ours)
    finally:
        os.close(ours)
    line = f"{CLEAR_LINE}3 of 60 s: 0 events, 0 late, 0 ambiguous"
    assert written == f"{line}{CLEAR_LINE}watchslo: warning: as it is\r\n{line}{CLEAR_LINE}"
    log = io.StringIO()
    Progress(log, 60).advise("as it is")
    assert log.getvalue() == "watchslo: warning: as it is\n"


def test_a_terminal_has_one_line_which_is_gone_in_the_end() -> None:
    ours, theirs = os.openpty()
    try:
        with os.fdopen(theirs, "w") as terminal, Progress(terminal, 60) as progress:
            progress.measuring(3.0, [])
            progress.settling()
        written = all_from(ours)
    finally:
        os.close(ours)
    assert "\n" not in written
    assert written.split(CLEAR_LINE) == [
        "", "3 of 60 s: 0 events, 0 late, 0 ambiguous", "waiting for the last verdicts", "",
    ]  # fmt: skip
